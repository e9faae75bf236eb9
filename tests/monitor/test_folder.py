"""What a monitor's folder holds may be changed by others: it is read exactly, or refused by name."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import AppError
from app.monitor.folder import Folder, Kind, Seen, read_split_view
from ledger.errors import LedgerError
from ledger.merkle import EMPTY_FRONTIER
from ledger.monitor import SplitView
from ledger.policy import Policy
from tests.ledger.growing import GrowingLog
from tests.witness.serving import NOW

LOG, FORK = GrowingLog(entries=9), GrowingLog(entries=9, salt="other ")
POLICY = Policy.parse(f"log {LOG.signer.key.text}\nquorum none\n")
SPLIT = SplitView(
    smaller=LOG.signed(4), larger=FORK.signed(9), root=FORK.checkpoint(4).root, proof=FORK.consistency(4, 9)
)


def written(path: Path) -> tuple[Folder, Path]:
    folder = Folder(path)
    folder.keep(Seen(signed=LOG.signed(9), read=EMPTY_FRONTIER.extend(LOG.leaves(5))))
    evidence = folder.keep_evidence(Kind.SPLIT_VIEW, SPLIT.smaller, SPLIT.larger, message="m", time=NOW, split=SPLIT)
    assert evidence is not None
    return folder, evidence


def test_what_is_written_reads_back_and_evidence_is_kept_once(tmp_path: Path) -> None:
    folder, evidence = written(tmp_path)
    assert folder.seen() == Seen(signed=LOG.signed(9), read=EMPTY_FRONTIER.extend(LOG.leaves(5)))
    assert read_split_view(evidence.read_bytes()) == SPLIT
    SPLIT.verify(POLICY)
    before = evidence.read_bytes()
    assert written(tmp_path)[1] == evidence
    assert (evidence.read_bytes(), folder.evidence()) == (before, [evidence])


def test_a_full_folder_keeps_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, evidence = written(tmp_path)
    monkeypatch.setattr("app.monitor.folder.MAX_EVIDENCE", 1)
    assert folder.keep_evidence(Kind.ROLLBACK, LOG.signed(3), LOG.signed(9), message="m", time=NOW) is None
    assert folder.evidence() == [evidence]


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_is_refused_or_changes_nothing_that_is_proved(tmp_path: Path, data: st.DataObject) -> None:
    folder, evidence = written(tmp_path)
    state = tmp_path / "state.json"
    for path in (state, evidence):
        good = path.read_bytes()
        bit = data.draw(st.integers(0, 8 * len(good) - 1))
        bad = good[: bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1 :]
        bad = data.draw(st.sampled_from([bad, good[: bit // 8], good + good[bit // 8 :]]))
        if path == state:
            path.write_bytes(bad)
            with suppress(AppError):
                seen = folder.seen()
                assert seen is not None
                folder.keep(seen)
                assert path.read_bytes() == bad
            path.write_bytes(good)
            continue
        with suppress(AppError, LedgerError):
            found = read_split_view(bad)
            found.verify(POLICY)
            assert (found.smaller, found.larger) == (SPLIT.smaller, SPLIT.larger)
