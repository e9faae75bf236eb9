"""The full pass over one registry: everything is derived again from stored bytes, and every difference is named.

1. The ledger re-derives (`ledger.audit`: batches, frontiers, tiles), and the published checkpoint is a prefix of it.
2. Each leaf's statement is there, is the one of that digest, and parses. 3. The rules, replayed from the genesis on,
admit each of them with exactly its leaf. 4. The kept aggregates are those of the replay. 5. Each deposit's manifest,
boxes and segments are there: every byte is read and hashed, and every lock reaches to the deposit's term or is due.
6. Each sealed note that a statement names is there and is the one of that digest. 7. Each receipt that is handed in
is borne out.

One thing is told once: after a refused or missing statement the replay ends, since what follows cannot be judged. The
service may run meanwhile: what is kept is judged at the size that it had been brought to. Memory does not grow with the
registry: state is in a temporary file (`scratch`), everything else is read once and let go.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from app.errors import AppError, Mismatch
from app.panels.capsule import box_hash
from app.rules.act import SeenFacts
from app.rules.aggregates import Deposited, Erased, Fate, Publication, Request, parse_aggregate
from app.rules.decide import Admitted
from app.rules.deposits import trail_id
from app.rules.erasures import NONE
from app.rules.replay import Entry, Replay
from app.service.aggregates import KIND, read_versions
from app.service.anchor_store import AnchorStore
from app.service.audit_anchors import check_anchor
from app.service.audit_projections import compare_again, compare_all
from app.service.audit_receipts import check_receipt
from app.service.deposit_audit import DepositAudit
from app.service.erasing import NOTE_ERASED
from app.service.erasures import ErasureIndex
from app.service.findings import Finding
from app.service.history import History
from app.service.logstore import RecordLogStore
from app.service.notes import DamagedNote, note_bytes
from app.service.projections import ERASE_DUE, read_watermark
from app.service.scratch import Scratch
from app.service.statements import StatementStore
from app.statements.kinds import Anchor, Genesis
from app.statements.statement import digest_of, parse_leaf, parse_statement
from ledger.audit import audit as audit_ledger
from ledger.batch import check_extends
from ledger.errors import DamagedLog, LedgerError
from ledger.merkle import EMPTY_FRONTIER, Frontier
from ledger.note import KeyType, VerifierKey
from ledger.tip import decode_stored
from ledger.tree import Tree
from storage.ports import BlobStore, RecordStore

ROUNDS = 8
"""How often aggregates that the service goes on writing are compared again."""

Tell = Callable[[str, int, int], None]
"""(what is looked at, done, in all)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was looked at."""

    size: int
    deposits: int
    segments: int
    segment_bytes: int
    notes: int
    receipts: int


class Audit:
    """One pass. `findings` yields what is wrong; `audited` tells afterwards what was looked at."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        *,
        origin: str,
        genesis: bytes,
        published: str | None = None,
        receipts: Iterable[tuple[str, bytes]] = (),
        tell: Tell = lambda _what, _done, _all: None,
        clock: Callable[[], int] = lambda: 0,
    ) -> None:
        """`published` is the checkpoint that was kept outside; `receipts` are names and bytes of files.

        `clock` gives Unix seconds, to tell what is due from what is late; without it nothing is late.
        """
        self._records, self._blobs = records, blobs
        self._origin, self._published, self._receipts, self._tell = origin, published, tuple(receipts), tell
        self._log, self._statements = RecordLogStore(records), StatementStore(records)
        self._tree = Tree(self._log, cached_batch_bytes=8 * 2**20, cached_tiles=256)
        self._history = History(self._log, self._tree)
        self._look = DepositAudit(records, blobs, self._tree, clock)
        self._scratch = Scratch()
        self._facts = SeenFacts(root=None, superseded_at=None)
        self._erasures, self._genesis = NONE, genesis
        self._replay = self._new_replay()
        self._frontier: Frontier = EMPTY_FRONTIER
        self._key: VerifierKey | None = None
        self._anchored: list[int] = []
        self._end = self._kept = self._applied = 0
        self._segments = self._bytes = self._checked = 0

    def _new_replay(self) -> Replay:
        return Replay(
            origin=self._origin,
            genesis=self._genesis,
            seen=lambda _size, _before: self._facts,
            view=self._scratch,
            entered=self._scratch,
            erasures=self._erasures,
        )

    def close(self) -> None:
        """Remove the temporary file; `audited` is not to be asked after that."""
        self._scratch.close()

    @property
    def audited(self) -> Audited:
        """What was looked at so far."""
        return Audited(
            size=self._frontier.size,
            deposits=self._scratch.count("deposit"),
            segments=self._segments,
            segment_bytes=self._bytes,
            notes=self._scratch.count("note"),
            receipts=self._checked,
        )

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield every finding; none when all is well. Raises only what the stores raise."""
        broken = False
        await self._read_key()
        await self._read_erasures()
        published = [] if self._published is None else [self._published]
        async for each in audit_ledger(
            self._log, self._key, published, lambda done, of: self._tell("ledger", done, of)
        ):
            broken = True
            place = "published.checkpoint" if each.code == "bad_checkpoint" else each.place
            yield Finding(code=each.code, place=place, message=each.message, span=each.span)
        last = await self._log.last()
        self._end = 0 if last is None else last[0]
        async for found in self._state(broken=broken):
            yield found
        for deposit, index in self._scratch.deposits():
            async for found in self._deposit(deposit, index):
                yield found
        for name in self._scratch.notes():
            async for found in self._note(name):
                yield found
        async for found in self._anchors():
            yield found
        async for found in self._held():
            yield found

    # For an audit of the stores alone.

    async def replay(self, size: int) -> AsyncIterator[Finding]:
        """Replay the first `size` entries and no more than that; yield the finding that ends it, if there is one."""
        self._end = size
        await self._read_erasures()
        async for found in self._entries(size):
            yield found

    async def erased_by_now(self, deposit: Deposited) -> bool:
        """Whether an act on the ledger erased a deposit, be it after the audited size."""
        erasures = await ErasureIndex(self._history, self._statements).at(await self._tree.size())
        return trail_id(bytes.fromhex(deposit.id)) in erasures.deposits

    @property
    def deposits(self) -> Iterator[tuple[Deposited, int]]:
        """The deposits that were replayed so far, in ledger order, with the indices of their entries."""
        return self._scratch.deposits()

    @property
    def tree(self) -> Tree:
        """The stored ledger."""
        return self._tree

    async def _read_erasures(self) -> None:
        with contextlib.suppress(AppError, LedgerError, UnicodeError):  # the passes that follow name it
            self._erasures = await ErasureIndex(self._history, self._statements).at(await self._tree.size())
            self._replay = self._new_replay()

    async def _read_key(self) -> None:
        """The log's key, as the genesis names it: what it signed outside is checked with it."""
        try:
            first = await self._history.batch_from(0)
            text = None if first is None else await self._statements.read(parse_leaf(first.entries[0].decode()).digest)
            claims = None if text is None else parse_statement(text).claims
        except (AppError, LedgerError, UnicodeError):
            return  # the passes that follow name it
        if isinstance(claims, Genesis):
            self._key = VerifierKey(name=self._origin, type=KeyType.ED25519, public_key=claims.log)

    # The statements, the rules, and what is kept of them.

    async def _state(self, *, broken: bool) -> AsyncIterator[Finding]:
        """Replay up to where the kept aggregates were brought, compare, and replay the rest."""
        async for found in self._bring_to_watermark():
            yield found
            if found.code != "projection_differs":
                return
            broken = True  # without a watermark there is no size to compare at
        busy = set[str]()
        if not broken:
            async for found in compare_all(self._records, self._scratch, self._kept, busy):
                if not await self._left_over(found.place):
                    yield found
        for _ in range(ROUNDS):
            if not busy:
                break
            again, busy = sorted(busy), set[str]()
            async for found in self._bring_to_watermark():
                yield found
                return
            async for found in compare_again(self._records, self._scratch, self._kept, again, busy):
                yield found
        for key in sorted(busy):
            async for found in self._beyond(key):
                yield found
        async for found in self._entries(None):
            yield found

    async def _bring_to_watermark(self) -> AsyncIterator[Finding]:
        try:
            mark = await read_watermark(self._records)
        except AppError as error:
            mark = None
            yield Finding(code="projection_differs", place="watermark", message=error.message)
        else:
            if mark is None and await self._has_two_batches():
                yield Finding(code="projection_differs", place="watermark", message="it is missing")
        self._applied = 0 if mark is None else mark.size
        if mark is not None and not mark.whole:
            message = "a rebuild of the projections was begun and not finished"
            yield Finding(code="projection_differs", place="watermark", message=message)
        elif mark is not None:
            async for found in self._entries(mark.size):
                yield found
                return
            if mark.size > self._frontier.size:
                message = f"it says {mark.size}, and {self._frontier.size} entries can be read"
                yield Finding(code="projection_differs", place="watermark", message=message)
        self._kept = self._frontier.size

    async def _has_two_batches(self) -> bool:
        """While the first batch is applied there is no watermark yet; later there must be one."""
        first = await self._log.read(0)
        if first is None:
            return False
        try:
            return await self._log.read(decode_stored(0, first).end) is not None
        except DamagedLog:
            return True

    async def _beyond(self, key: str) -> AsyncIterator[Finding]:
        """An aggregate that stays ahead of the watermark: begun by a crash, busy all the time, or made up."""
        found = await self._records.get(KIND, key)
        if found is None:
            return
        newest = read_versions(key, found.data)[0].size
        if newest > await self._tree.size():
            yield Finding(
                code="projection_differs",
                place=key,
                message=f"it is said to be of the size {newest}, which is not reached",
            )

    async def _entries(self, until: int | None) -> AsyncIterator[Finding]:
        """Replay on, up to `until` entries or all; stop at the first finding."""
        while until is None or self._frontier.size < until:
            data = await self._log.read(self._frontier.size)
            if data is None:
                return
            try:
                batch = decode_stored(self._frontier.size, data)
                check_extends(self._frontier, batch)
            except DamagedLog:
                return  # the ledger's own audit has named it
            for index, entry in enumerate(batch.entries, batch.start):
                problem = await self._entry(index, entry)
                if problem is not None:
                    yield problem
                    return
            self._frontier = batch.frontier
            self._tell("statements", batch.end, max(batch.end, self._end))

    async def _entry(self, index: int, entry: bytes) -> Finding | None:
        place = f"entry {index}"
        try:
            leaf = parse_leaf(entry)
            text = await self._statements.read(leaf.digest)
            act = self._erasures.entries.get(index)
            if act is not None:
                self._replay.pass_over(index, entry.decode())
                if text is None or await self._being_erased(self._erasures.acts[act].deposit.hex()):
                    return None
                if await self._statements.read(leaf.digest) is None:
                    return None  # the job was just at it
                return Finding(
                    code="not_erased", place=place, message=f"the act {act.hex()} erased it, and it is stored"
                )
            if text is None:
                return Finding(
                    code="statement_missing", place=place, message=f"the statement {leaf.digest.hex()} is not stored"
                )
            if digest_of(text) != leaf.digest:
                return Finding(
                    code="statement_changed",
                    place=place,
                    message=f"under the digest {leaf.digest.hex()} the statement {digest_of(text).hex()} is stored",
                    span=(0, len(text)),
                )
            self._facts = await self._history.seen(parse_statement(text).envelope.seen.size, index)
            admitted = self._replay.add(Entry(index=index, leaf=entry.decode(), statement=text))
        except (AppError, UnicodeError) as error:
            # A stored byte can break any form on its way: the digest in the leaf is what it is compared with.
            code = error.code if isinstance(error, Mismatch) else "statement_changed"
            return Finding(code=code, place=place, message=str(error))
        self._note_down(index, admitted)
        return None

    async def _being_erased(self, id: str) -> bool:
        """Whether the job that destroys an erased deposit (its hash, hex) has it before it, or will when it sees it."""
        if await self._records.get(ERASE_DUE, id) is not None:
            return True
        return await self._records.get(KIND, f"{Erased.PREFIX}/{id}") is None

    async def _left_over(self, key: str) -> bool:
        """Whether a kept aggregate is of an erased deposit that the job has not come to."""
        if not self._erasures.acts:
            return False
        found = await self._records.get(KIND, key)
        if found is None:
            return False
        try:
            each = parse_aggregate(key, read_versions(key, found.data)[0].value)
        except AppError:
            return False
        id = bytes.fromhex(each.id) if isinstance(each, Deposited | Fate) else getattr(each, "deposit_id", None)
        if isinstance(each, Publication):
            asked = await self._records.get(KIND, f"{Request.PREFIX}/{each.id}")
            return asked is None or await self._left_over(f"{Request.PREFIX}/{each.id}")
        hashed = trail_id(id) if isinstance(id, bytes) else ""
        return hashed in self._erasures.deposits and await self._being_erased(hashed)

    def _note_down(self, index: int, admitted: Admitted) -> None:
        note = getattr(admitted.statement.claims, "note", None)
        if note is not None:
            self._scratch.add_note(note)
        if isinstance(admitted.statement.claims, Anchor):
            self._anchored.append(index)
        for each in admitted.changes:
            if isinstance(each, Deposited):
                self._scratch.add_deposit(each, index)

    # What the statements name.

    async def _deposit(self, deposit: Deposited, index: int) -> AsyncIterator[Finding]:
        place = f"deposit {deposit.id}"
        for capsule in deposit.capsules:
            id = f"{deposit.id}/{capsule.ct_hash.hex()}/{capsule.public[-32:].hex()}"
            box = await self._records.get("box", id)
            if box is None or box_hash(box.data) != capsule.public[-32:]:
                message = f"the box of the capsule {capsule.ct_hash.hex()} is missing or changed"
                yield Finding(code="box_damaged", place=place, message=message)
        plan = await self._look.plan(deposit, index, size=self._frontier.size, applied=index < self._applied)
        for problem in plan.findings:
            yield problem
        for number, each in enumerate(plan.segments, 1):
            read = await self._look.segment(plan, each)
            self._segments += read.size is not None
            self._bytes += read.size or 0
            for problem in read.findings:
                yield problem
            self._tell(f"segments of {deposit.id[:8]}", number, len(plan.segments))

    async def _note(self, name: bytes) -> AsyncIterator[Finding]:
        found = await self._records.get("note", name.hex())
        try:
            whole = found is not None and hashlib.sha256(note_bytes(found)).digest() == name
        except DamagedNote:
            whole = False
        if not whole and await self._records.get(NOTE_ERASED, name.hex()) is None:
            yield Finding(code="note_damaged", place=f"note {name.hex()}", message="the note is missing or changed")

    async def _anchors(self) -> AsyncIterator[Finding]:
        store = AnchorStore(self._records)
        for number, index in enumerate(self._anchored, 1):
            text = await self._statements.read(parse_leaf(await self._history.leaf(index)).digest)
            if text is not None and self._key is not None:
                found = await check_anchor(store, parse_statement(text), index, self._key)
                if found is not None:
                    yield found
            self._tell("anchors", number, len(self._anchored))

    async def _held(self) -> AsyncIterator[Finding]:
        for name, data in self._receipts:
            if self._key is None:
                yield Finding(
                    code="receipt_contradicts", place=name, message="the ledger has no genesis to check it by"
                )
                continue
            found = await check_receipt(self._tree, await self._tree.size(), self._key, name, data)
            self._checked += 1
            if found is not None:
                yield found
