"""A monitor's folder: what it saw last, and the evidence that it keeps. One folder a log.

    state.json             the newest checkpoint that was found consistent, and the frontier of the entries read
    evidence/KIND-ID.json  `split-view`: two signed checkpoints that contradict each other, and the proof of it;
                           `rollback`: the log went back; `unproven`: it does not serve what it signed
    lock                   one process at a time

Every write is durable before anybody is told of it. Losing the folder loses the past: a monitor without one believes
the first checkpoint that it is shown.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from app.canonical import format_json, parse_json
from app.client.files import read_file, write_file
from app.errors import BadInput
from app.fields import Int, Parsed, read_record, write_record
from app.statements.kinds import Digest
from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.merkle import EMPTY_FRONTIER, Frontier
from ledger.monitor import SplitView
from ledger.note import MAX_NOTE_BYTES

STATE_FORMAT, EVIDENCE_FORMAT = "muniment-monitor/v1", "muniment-evidence/v1"
MAX_STATE_BYTES = 2 * MAX_NOTE_BYTES
MAX_EVIDENCE = 1000
"""Kept in one folder; what comes after these is told and not kept."""


class Kind(StrEnum):
    """What a file of evidence shows; see the top."""

    SPLIT_VIEW = "split-view"
    ROLLBACK = "rollback"
    UNPROVEN = "unproven"


def _text(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    checkpoint: Annotated[str, Parsed(_text)]
    entries: Annotated[int, Int()]
    frontier: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    kind: Annotated[str, Parsed(_text)]
    time: Annotated[int, Int()]
    smaller: Annotated[str, Parsed(_text)]
    larger: Annotated[str, Parsed(_text)]
    root: Digest | None
    proof: tuple[Digest, ...]
    message: Annotated[str, Parsed(_text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A signed checkpoint (the text), and the frontier of the entries that were read; empty when none were."""

    signed: str
    read: Frontier = EMPTY_FRONTIER

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint in the text."""
        return Checkpoint.parse_signed(self.signed)


class Folder:
    """The files of one monitor."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def seen(self) -> Seen | None:
        """What was seen last, or None at first. Raises BadInput when the file cannot be what this wrote."""
        path = self.path / "state.json"
        if not path.exists():
            return None
        value = parse_json(
            read_file(path, "the monitor's state"), what="the monitor's state", max_bytes=MAX_STATE_BYTES
        )
        if not isinstance(value, dict) or value.pop("format", None) != STATE_FORMAT:
            raise _damaged(path, f"it is not of the format {STATE_FORMAT}")
        fields = read_record(_State, value, "the monitor's state")
        try:
            seen = Seen(signed=fields.checkpoint, read=Frontier(size=fields.entries, hashes=fields.frontier))
            if seen.read.size > seen.checkpoint.size:
                raise _damaged(path, "more entries were read than the checkpoint has")
        except LedgerError as error:
            raise _damaged(path, error.message) from error
        return seen

    def keep(self, seen: Seen) -> None:
        """Replace what was seen last, durably."""
        fields = _State(checkpoint=seen.signed, entries=seen.read.size, frontier=seen.read.hashes)
        write_file(self.path / "state.json", _document(STATE_FORMAT, fields), mode=0o644)

    def keep_evidence(
        self, kind: Kind, smaller: str, larger: str, *, message: str, time: int, split: SplitView | None = None
    ) -> Path | None:
        """Keep evidence durably and return its file; the same again changes nothing. None when the folder is full."""
        bodies = "".join(Checkpoint.parse_signed(each).body for each in (smaller, larger))
        path = self.path / "evidence" / f"{kind}-{hashlib.sha256(bodies.encode()).hexdigest()[:32]}.json"
        if path.exists():
            return path
        if len(self.evidence()) >= MAX_EVIDENCE:
            return None
        fields = _Evidence(
            kind=kind,
            time=time,
            smaller=smaller,
            larger=larger,
            root=None if split is None else split.root,
            proof=() if split is None else split.proof,
            message=message,
        )
        write_file(path, _document(EVIDENCE_FORMAT, fields), mode=0o644)
        return path

    def evidence(self, kind: Kind | None = None) -> list[Path]:
        """The files of evidence, of one kind or of all."""
        return sorted((self.path / "evidence").glob("*.json" if kind is None else f"{kind}-*.json"))


def read_split_view(data: bytes) -> SplitView:
    """The claim in a file of evidence; `verify` of the result says whether it is true. Raises BadInput."""
    what = "the evidence"
    value = parse_json(data, what=what, max_bytes=3 * MAX_NOTE_BYTES)
    if not isinstance(value, dict) or value.pop("format", None) != EVIDENCE_FORMAT:
        raise BadInput(
            f"{what} is not of the format {EVIDENCE_FORMAT}", "Name a file of evidence.", code="not_evidence"
        )
    fields = read_record(_Evidence, value, what)
    if fields.kind != Kind.SPLIT_VIEW or fields.root is None:
        raise BadInput(
            f"{what} is a {fields.kind[:40]!r}, and convinces only whom it was shown to", code="not_evidence"
        )
    return SplitView(smaller=fields.smaller, larger=fields.larger, root=fields.root, proof=fields.proof)


def _document(format_: str, fields: object) -> bytes:
    return format_json({"format": format_, **write_record(fields)}).encode()


def _damaged(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} cannot be used: {why}", "Put it back from a backup, or begin with a new folder.", code="bad_state"
    )
