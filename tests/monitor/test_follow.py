"""A monitor over a log that a test can change like its operator: what it says, what it keeps, what it asks for."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import BadInput, CannotTell
from app.monitor.folder import Folder, Kind, Seen, read_split_view
from app.monitor.follow import Look, Monitor, Outcome
from ledger.errors import LedgerError
from ledger.merkle import Frontier
from ledger.note import Note, NoteSigner
from ledger.policy import Policy
from tests.ledger.growing import GrowingLog
from tests.monitor.shown import DictSource, Files, files_of
from tests.witness.serving import NOW, cosigner

LOG = GrowingLog(entries=700)
POLICY = Policy.parse(f"log {LOG.signer.key.text}\nquorum none\n")


def forked(at: int, size: int = 700) -> GrowingLog:
    log = GrowingLog(entries=size)
    log.entries[at] = b"rewritten"
    return log


class Watch:
    """A monitor with its folder, in a log's hands; `pauses` are the waits that it asked for."""

    def __init__(self, path: Path, policy: Policy = POLICY) -> None:
        self.folder, self.source, self.pauses = Folder(path), DictSource({}), list[float]()
        self.at_pause: list[Files] = []
        self.monitor = Monitor(self.source, policy, self.folder, lambda: NOW, self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.at_pause:
            self.source.files = self.at_pause.pop(0)

    async def sees(self, files: Files, *, entries: bool = False) -> Look:
        self.source.files = files
        self.source.asked.clear()
        return await self.monitor.look(entries=entries)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


async def test_a_growing_log_is_consistent_and_few_tiles_are_asked_for(watch: Watch) -> None:
    for size, before in ((0, None), (1, 0), (256, 1), (256, 256), (700, 256)):
        look = await watch.sees(files_of(LOG, size))
        assert (look.outcome, look.size, look.before, look.evidence) == (Outcome.CONSISTENT, size, before, ())
        assert len(watch.source.asked) <= 5
        assert not any("entries" in path for path in watch.source.asked)
        seen = watch.folder.seen()
        assert seen is not None
        assert seen.signed == LOG.signed(size)


async def test_with_entries_every_entry_is_read_once(watch: Watch) -> None:
    assert (await watch.sees(files_of(LOG, 300))).read == 0
    assert (await watch.sees(files_of(LOG, 600), entries=True)).read == 600
    assert (await watch.sees(files_of(LOG, 650))).read == 600
    look = await watch.sees(files_of(LOG, 700), entries=True)
    assert (look.outcome, look.read) == (Outcome.CONSISTENT, 700)
    assert [path for path in watch.source.asked if "entries" in path] == ["tile/entries/002.p/188"]


async def test_partial_tiles_that_a_log_dropped_are_cut_from_full_ones(watch: Watch) -> None:
    files = files_of(LOG, 512) | files_of(LOG, 300)
    del files["tile/0/001.p/44"], files["tile/entries/001.p/44"]
    assert (await watch.sees(files, entries=True)).read == 300
    del files["tile/0/001"]
    look = await watch.sees(files | {"checkpoint": LOG.signed(301).encode()})
    assert look.outcome is Outcome.CANNOT_TELL
    assert "does not serve tile/0/001" in look.message


@pytest.mark.parametrize("size", [350, 400, 700])
async def test_a_fork_is_evidence_for_anyone(watch: Watch, size: int) -> None:
    await watch.sees(files_of(LOG, 400))
    look = await watch.sees(files_of(forked(100), size))
    assert look.outcome is Outcome.CONTRADICTS or watch.pauses
    (path,) = watch.folder.evidence(Kind.SPLIT_VIEW) or watch.folder.evidence(Kind.ROLLBACK)
    assert look.evidence == (path,)
    document = json.loads(path.read_bytes())
    assert {document["smaller"], document["larger"]} == {LOG.signed(400), forked(100).signed(size)}
    assert document["time"] == NOW
    if size >= 400:
        read_split_view(path.read_bytes()).verify(POLICY)
        # It stays said, whatever the log shows afterwards.
        again = await watch.sees(files_of(LOG, 401))
        assert (again.outcome, again.evidence) == (Outcome.CONTRADICTS, (path,))
    else:
        with pytest.raises(BadInput, match="rollback"):
            read_split_view(path.read_bytes())


async def test_a_fork_below_is_evidence_when_the_log_still_serves_what_it_signed(watch: Watch) -> None:
    await watch.sees(files_of(LOG, 400))
    look = await watch.sees({**files_of(LOG, 400), "checkpoint": forked(100).signed(350).encode()})
    assert look.outcome is Outcome.CONTRADICTS
    (path,) = watch.folder.evidence(Kind.SPLIT_VIEW)
    read_split_view(path.read_bytes()).verify(POLICY)
    assert look.evidence == (path,)


async def test_a_rollback_counts_after_three_looks(watch: Watch) -> None:
    await watch.sees(files_of(LOG, 400))
    watch.at_pause = [files_of(LOG, 390), files_of(LOG, 410)]
    look = await watch.sees(files_of(LOG, 390))  # a replica that lags
    assert (look.outcome, look.size, len(watch.pauses)) == (Outcome.CONSISTENT, 410, 2)
    look = await watch.sees(files_of(LOG, 390))
    assert (look.outcome, len(watch.pauses)) == (Outcome.CONTRADICTS, 4)
    (path,) = look.evidence
    document = json.loads(path.read_bytes())
    assert (document["kind"], document["smaller"], document["larger"]) == ("rollback", LOG.signed(390), LOG.signed(410))
    # Not conclusive for others, so the log that comes back is consistent again; and the memory was not taken back.
    look = await watch.sees(files_of(LOG, 420))
    assert (look.outcome, look.before) == (Outcome.CONSISTENT, 410)


async def test_a_log_regrown_from_a_backup_is_a_split_view(watch: Watch) -> None:
    await watch.sees(files_of(LOG, 400))
    backup = GrowingLog(entries=390)
    backup.entries += [b"after the backup"] * 20
    look = await watch.sees(files_of(backup))
    assert look.outcome is Outcome.CONTRADICTS
    (path,) = watch.folder.evidence(Kind.SPLIT_VIEW)
    read_split_view(path.read_bytes()).verify(POLICY)


async def test_tiles_and_entries_that_are_not_the_signed_ones(watch: Watch) -> None:
    files = files_of(LOG, 700) | {"tile/1/000.p/2": files_of(forked(5), 700)["tile/1/000.p/2"]}
    look = await watch.sees(files)
    assert (look.outcome, watch.folder.seen()) == (Outcome.CONTRADICTS, None)
    assert len(watch.folder.evidence(Kind.UNPROVEN)) == 1
    files = files_of(LOG, 700) | {"tile/entries/000": files_of(forked(5), 700)["tile/entries/000"]}
    assert (await watch.sees(files)).outcome is Outcome.CONSISTENT, "without entries nobody sees it"
    look = await watch.sees(files, entries=True)
    assert look.outcome is Outcome.CONTRADICTS
    assert "do not derive" in look.message


async def test_what_is_missing_or_garbled_tells_nothing(watch: Watch) -> None:
    for files in ({}, {"checkpoint": b"<html>"}, {"checkpoint": b"\xff"}, {"checkpoint": LOG.signed(9).encode()}):
        look = await watch.sees(files)
        assert (look.outcome, look.evidence) == (Outcome.CANNOT_TELL, ())
    assert watch.folder.seen() is None


async def test_another_key_is_not_this_log(watch: Watch) -> None:
    other = GrowingLog(entries=9, seed=5)
    assert (await watch.sees(files_of(other))).outcome is Outcome.CONTRADICTS
    note = Note.parse(LOG.signed(9))
    bad = note.signatures[0].text[:-6] + "AAAA=\n"
    assert (await watch.sees({"checkpoint": (note.text + "\n" + bad).encode()})).outcome is not Outcome.CONSISTENT
    assert watch.folder.seen() is None


async def test_without_the_quorum_it_cannot_tell_but_remembers(tmp_path: Path) -> None:
    key = cosigner(1).key
    policy = Policy.parse(f"log {LOG.signer.key.text}\nwitness w {key.text}\nquorum w\n")
    watch = Watch(tmp_path, policy)
    look = await watch.sees(files_of(LOG, 400))
    assert (look.outcome, look.cosigners) == (Outcome.CANNOT_TELL, ())
    signed = LOG.signed(400) + cosigner(1).cosign(LOG.checkpoint(400), NOW).text
    look = await watch.sees(files_of(LOG, 400, signed=signed))
    assert (look.outcome, look.cosigners, look.before) == (Outcome.CONSISTENT, ("w",), 400)
    look = await watch.sees(files_of(forked(9), 500))
    assert look.outcome is Outcome.CONTRADICTS, "what the log signed is evidence without any witness"


async def test_one_folder_is_for_one_log(watch: Watch, tmp_path: Path) -> None:
    await watch.sees(files_of(LOG, 4))
    signer = NoteSigner("other.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    other = Watch(tmp_path, Policy.parse(f"log {signer.key.text}\nquorum none\n"))
    with pytest.raises(BadInput, match="follows ledger"):
        await other.sees(files_of(LOG, 4))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format":"muniment-monitor/v1"}', b"[1]", b"null"])
async def test_a_damaged_state_is_said_and_left(watch: Watch, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(BadInput):
        await watch.sees(files_of(LOG, 4))
    assert (tmp_path / "state.json").read_bytes() == data


def test_a_state_with_more_read_than_signed_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.keep(Seen(signed=LOG.signed(1), read=Frontier(size=2, hashes=(bytes(32),))))
    with pytest.raises(BadInput, match="more entries were read"):
        folder.seen()


async def test_nothing_is_told_that_is_not_kept(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    await watch.sees(files_of(LOG, 4))
    fork = files_of(forked(2, size=9))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.monitor.folder.write_file", full)
    with pytest.raises(OSError, match="No space"):
        await watch.sees(fork)
    with pytest.raises(OSError, match="No space"):
        await watch.sees(files_of(LOG, 5))
    monkeypatch.undo()
    assert (await watch.sees(fork)).outcome is Outcome.CONTRADICTS


def test_errors_have_their_own_trees() -> None:
    assert not issubclass(CannotTell, LedgerError)
