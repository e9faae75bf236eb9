"""An operator who holds the log's key and rewrites history in the SQLite file of a real registry, and who catches him.

Each attack leaves a database that is sound in itself: frontiers, roots and tiles are derived anew, so a service starts
on it and its audit without outside memory is clean. What gives him away is what others hold: a receipt (its checkpoint
was signed, too), a witness (it remembers the size and root that it cosigned), a monitor (it remembers what it saw).
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.monitor.folder import Folder, Kind, read_split_view
from app.monitor.follow import Look, Monitor, Outcome
from app.service.logstore import BATCH_KIND, TILE_KIND, RecordLogStore
from ledger.audit import audit
from ledger.batch import Batch, batch_id, next_batch
from ledger.checkpoint import Checkpoint
from ledger.merkle import EMPTY_FRONTIER, leaf_hash
from ledger.monitor import SplitView
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.tree import Tree
from storage.sqlite import SqliteRecordStore
from tests.app.rules.world import ORIGIN, peopled, seed
from tests.ledger.growing import GrowingLog
from tests.monitor.shown import DictSource, files_of
from tests.service.house import open_house
from tests.witness.serving import NOW, cosigner, post, request, serving

SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log")))
POLICY = Policy.parse(f"log {SIGNER.key.text}\nquorum none\n")
SAME_SIZE_OTHER_ROOT, NOT_AN_EXTENSION, ANOTHER_SIZE = 422, 422, 409


@dataclass
class Registry:
    """A registry's record store on disk after an honest life, and what others took away from it."""

    file: Path
    backup: Path
    """A copy that was made two entries earlier."""
    receipt: Proof
    leaf: bytes
    size: int

    def batches(self) -> list[Batch]:
        with closing(sqlite3.connect(self.file)) as connection:
            rows = connection.execute("SELECT data FROM record WHERE kind = ? ORDER BY id", (BATCH_KIND,))
            return [Batch.decode(data) for (data,) in rows]

    def entries(self) -> list[bytes]:
        return [entry for batch in self.batches() for entry in batch.entries]

    def rewrite(self, entries: list[bytes]) -> None:
        """Put another history into the database, derived anew from its first entry on."""
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("DELETE FROM record WHERE kind IN (?, ?)", (BATCH_KIND, TILE_KIND))
            frontier = EMPTY_FRONTIER
            for entry in entries:
                batch = next_batch(frontier, [entry])
                connection.execute(
                    "INSERT INTO record (kind, id, revision, data) VALUES (?, ?, 1, ?)",
                    (BATCH_KIND, batch_id(batch.start), batch.encode()),
                )
                frontier = batch.frontier

    async def shown(self) -> GrowingLog:
        """What stands in the database as the service's own reading gives it, signed with the log's key."""
        records = await SqliteRecordStore.open(self.file)
        try:
            store = RecordLogStore(records)
            assert [finding async for finding in audit(store)] == [], "the attack leaves traces of its own"
            tree = Tree(store)
            log = GrowingLog(ORIGIN)
            log.signer, log.entries = SIGNER, list(await tree.entries(0, await tree.size()))
            return log
        finally:
            await records.close()


@pytest.fixture
async def registry(tmp_path: Path) -> Registry:
    """A service that took its statements over HTTP and was stopped."""
    file, backup, world = tmp_path / "records.sqlite", tmp_path / "backup.sqlite", peopled()
    late, world.entries = world.entries[-2:], world.entries[:-2]
    records = await SqliteRecordStore.open(file)
    async with open_house(world, records) as house:
        await house.push()
    await records.close()
    shutil.copyfile(file, backup)
    records = await SqliteRecordStore.open(file)
    world.entries += late
    async with open_house(world, records, pushed=len(world.entries) - 2) as house:
        house.clock[0] = world.now
        await house.post(late[0].statement)
        answer = (await house.post(late[1].statement)).json
    await records.close()
    receipt, leaf = Proof.parse(answer["tlog_proof"]), answer["leaf"].encode()
    return Registry(file=file, backup=backup, receipt=receipt, leaf=leaf, size=answer["size"])


def edit(registry: Registry) -> None:
    """Change one old entry."""
    entries = registry.entries()
    entries[2] = entries[2].replace(b'"digest":"', b'"digest":"0', 1)
    registry.rewrite(entries)


def delete(registry: Registry) -> None:
    """Take one old entry out; as many others came since that nobody misses it by number."""
    entries = registry.entries()
    registry.rewrite([*entries[:2], *entries[3:], b"later 1", b"later 2"])


def truncate(registry: Registry) -> None:
    """Cut off the last two batches."""
    with closing(sqlite3.connect(registry.file)) as connection, connection:
        for batch in registry.batches()[-2:]:
            connection.execute("DELETE FROM record WHERE kind = ? AND id = ?", (BATCH_KIND, batch_id(batch.start)))
        connection.execute("DELETE FROM record WHERE kind = ?", (TILE_KIND,))


def fork(registry: Registry) -> None:
    """Show others a ledger of the same size that ends differently."""
    registry.rewrite([*registry.entries()[:-1], b"for other eyes"])


def roll_back(registry: Registry) -> None:
    """Put the backup in place, and go on as if nothing had been since."""
    for each in registry.file.parent.glob("records.sqlite-*"):
        each.unlink()
    shutil.copyfile(registry.backup, registry.file)
    registry.rewrite([*registry.entries(), b"again 1", b"again 2", b"again 3"])


class Watched:
    """The three who remember, each of whom has seen the honest ledger."""

    def __init__(self, registry: Registry, folder: Path, witness: str) -> None:
        self.registry, self.folder, self.witness = registry, Folder(folder), witness
        self._source = DictSource({})
        self._monitor = Monitor(self._source, POLICY, self.folder, lambda: NOW, self._no_pause)

    async def _no_pause(self, _seconds: float) -> None:
        """A lie does not get better by waiting, here."""

    async def receipt(self, log: GrowingLog) -> SplitView | None:
        """The depositor's receipt verifies without anybody, and against what is shown now it is evidence, or gone."""
        held = self.registry.receipt
        held.verify(POLICY, leaf_hash(self.registry.leaf))
        if len(log.entries) <= held.index:
            return None
        size = Checkpoint.parse_signed(held.checkpoint).size
        found = SplitView(
            smaller=held.checkpoint,
            larger=log.signed(len(log.entries)),
            root=log.checkpoint(size).root,
            proof=log.consistency(size, len(log.entries)),
        )
        found.verify(POLICY)
        return found

    async def asks_the_witness(self, log: GrowingLog) -> tuple[int, str]:
        """Ask for a cosignature, with the best proof that the operator can make."""
        size = len(log.entries)
        status, _, text = await post(self.witness, request(min(self.registry.size, size), size, log))
        return status, text

    async def looks(self, log: GrowingLog) -> Look:
        self._source.files = files_of(log)
        return await self._monitor.look()


@pytest.fixture
async def watched(registry: Registry, tmp_path: Path):  # type: ignore[no-untyped-def]
    async with serving([SIGNER.key], [cosigner(1)]) as url:
        watched = Watched(registry, tmp_path / "monitor", url)
        honest = await registry.shown()
        assert len(honest.entries) == registry.size
        status, _, _ = await post(url, request(0, registry.size, honest))
        assert status == 200
        assert (await watched.looks(honest)).outcome is Outcome.CONSISTENT
        yield watched


async def _caught_by_all(watched: Watched, attack: Callable[[Registry], None], status: int) -> None:
    attack(watched.registry)
    shown = await watched.registry.shown()
    assert await watched.receipt(shown) is not None
    assert (await watched.asks_the_witness(shown))[0] == status
    look = await watched.looks(shown)
    assert look.outcome is Outcome.CONTRADICTS
    (path,) = look.evidence
    read_split_view(path.read_bytes()).verify(POLICY)


async def test_an_edited_entry_is_caught_by_receipt_witness_and_monitor(watched: Watched) -> None:
    await _caught_by_all(watched, edit, SAME_SIZE_OTHER_ROOT)


async def test_a_deleted_entry_is_caught_by_receipt_witness_and_monitor(watched: Watched) -> None:
    await _caught_by_all(watched, delete, NOT_AN_EXTENSION)


async def test_a_fork_is_caught_by_receipt_witness_and_monitor(watched: Watched) -> None:
    await _caught_by_all(watched, fork, SAME_SIZE_OTHER_ROOT)


async def test_a_backup_put_back_is_caught_by_receipt_witness_and_monitor(watched: Watched) -> None:
    await _caught_by_all(watched, roll_back, NOT_AN_EXTENSION)


async def test_a_truncated_ledger_is_caught_by_receipt_witness_and_monitor(watched: Watched) -> None:
    """There is no contradiction between the notes, so each says what is missing."""
    truncate(watched.registry)
    shown = await watched.registry.shown()
    assert await watched.receipt(shown) is None, "the receipt proves an entry that is no longer shown"
    assert await watched.asks_the_witness(shown) == (ANOTHER_SIZE, f"{watched.registry.size}\n")
    look = await watched.looks(shown)
    assert look.outcome is Outcome.CONTRADICTS
    assert [path.name.startswith(Kind.ROLLBACK) for path in look.evidence] == [True]


async def test_an_honest_ledger_that_grows_accuses_nobody(watched: Watched) -> None:
    watched.registry.rewrite([*watched.registry.entries(), b"more"])
    shown = await watched.registry.shown()
    with pytest.raises(Exception, match="is a prefix"):
        await watched.receipt(shown)
    assert (await watched.asks_the_witness(shown))[0] == 200
    assert (await watched.looks(shown)).outcome is Outcome.CONSISTENT
