"""One checkpoint on its way to being anchored, as it is kept: so that any process, after any death, goes on with it.

Pure: a round is what has come so far; what is to be done next follows from it. Kept as a record of kind `anchoring`
under the tree size in 20 digits, replaced at its revision, so that of two processes one goes on and the other rests.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from app.canonical import format_json, parse_json
from app.fields import B64, Hex, Int, Many, Text, Yes, read_record, write_record

KIND = "anchoring"
MAX_BYTES = 400_000
FIRST_PAUSE, LAST_PAUSE = 15, 3600
LEASE_SECONDS = 120
"""A round that a process took and did not write for so long is taken over."""
GIVE_UP_SECONDS = 60 * 86_400
"""A calendar that has not come back by then will not."""

Count = Annotated[int, Int()]
Bytes = Annotated[bytes, B64(most=70_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """A token or complete proof that is stored: from whom, its SHA-256, and whether the ledger names it yet."""

    source: Annotated[str, Text(600)]
    form: Annotated[str, Text(20)]
    digest: Annotated[bytes, Hex(32)]
    entered: Annotated[bool, Yes()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with a source, when it was last seen, and how often in a row."""

    source: Annotated[str, Text(600)]
    problem: Annotated[str, Text(400)]
    at: Count
    count: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round. Times are Unix seconds."""

    size: Count
    root: Annotated[bytes, Hex(32)]
    checkpoint: Bytes
    """What is stamped: the signed checkpoint with the log's line alone."""
    begun: Count
    due: Count
    """Not to be worked on before."""
    tries: Count
    """In a row without anything new."""
    obtained: Annotated[tuple[Obtained, ...], Many(64)]
    stamp: Bytes
    """The OpenTimestamps proof so far, as a file; empty before the first calendar answered."""
    asked: Annotated[tuple[Annotated[str, Text(600)], ...], Many(32)]
    """Calendars that took the digest."""
    failures: Annotated[tuple[Failure, ...], Many(64)]
    done: Annotated[bool, Yes()]

    @property
    def id(self) -> str:
        """Under what it is kept."""
        return f"{self.size:020}"

    def sources(self, form: str) -> frozenset[str]:
        """Who has given something of this form."""
        return frozenset(each.source for each in self.obtained if each.form == form)

    def failed(self, source: str, problem: str, now: int) -> "Round":
        """The round with a failure of a source noted."""
        before = next((each for each in self.failures if each.source == source), None)
        text = "".join(each if each.isprintable() else "?" for each in problem)[:400] or "(nothing was said)"
        noted = Failure(source=source, problem=text, at=now, count=1 + (before.count if before else 0))
        return replace(self, failures=(*(each for each in self.failures if each.source != source), noted))

    def succeeded(self, source: str) -> "Round":
        """The round without a failure of a source."""
        return replace(self, failures=tuple(each for each in self.failures if each.source != source))


def new_round(*, size: int, root: bytes, checkpoint: str, now: int) -> Round:
    """A round that nothing has come for yet."""
    return Round(
        size=size,
        root=root,
        checkpoint=checkpoint.encode(),
        begun=now,
        due=now,
        tries=0,
        obtained=(),
        stamp=b"",
        asked=(),
        failures=(),
        done=False,
    )


def pause_after(tries: int) -> int:
    """Seconds until the next try after so many in a row without anything new."""
    return int(min(LAST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 16)))


def format_round(found: Round) -> bytes:
    """Its stored bytes."""
    return format_json(write_record(found)).encode()


def parse_round(data: bytes) -> Round:
    """Read a stored round. Raises BadInput."""
    return read_record(Round, parse_json(data, what="the round", max_bytes=MAX_BYTES), "the round")
