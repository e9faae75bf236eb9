"""How far an entry has grown: received → witnessed → timestamped → anchored. One machine, and it never goes back.

Each step asks a question of the *verifier's* trust file; a step that his file does not ask for is passed over. The
level is the last step that was reached with none missing before it: a Bitcoin block does not make up for a time-stamp
that the trust file demands and that is not there. Steps are added to what was known, never taken away (`grown`).
"""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How far the registry's word is backed by others, as the verifier's trust file counts it."""

    NONE = "none"
    RECEIVED = "received"
    WITNESSED = "witnessed"
    TIMESTAMPED = "timestamped"
    ANCHORED = "anchored"


ORDER = (Level.NONE, Level.RECEIVED, Level.WITNESSED, Level.TIMESTAMPED, Level.ANCHORED)


class Step(StrEnum):
    """Where a level stands: not asked for by the trust file, still missing, or reached."""

    NOT_ASKED = "not_asked"
    PENDING = "pending"
    REACHED = "reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What is known of one entry."""

    received: Step = Step.PENDING
    witnessed: Step = Step.PENDING
    timestamped: Step = Step.PENDING
    anchored: Step = Step.PENDING

    @property
    def steps(self) -> tuple[tuple[Level, Step], ...]:
        """The levels above `none` in order, and where each stands."""
        return (
            (Level.RECEIVED, self.received),
            (Level.WITNESSED, self.witnessed),
            (Level.TIMESTAMPED, self.timestamped),
            (Level.ANCHORED, self.anchored),
        )

    @property
    def level(self) -> Level:
        """The last level that was reached with none missing before it."""
        found = Level.NONE
        for level, step in self.steps:
            if step is Step.PENDING:
                break
            if step is Step.REACHED:
                found = level
        return found

    @property
    def pending(self) -> tuple[Level, ...]:
        """The levels that the trust file asks for and that are not reached."""
        return tuple(level for level, step in self.steps if step is Step.PENDING)


def grown(before: Growth, after: Growth) -> bool:
    """Whether `after` can follow `before` for one entry under one trust file: nothing that was reached is lost."""
    return all(
        old is not Step.REACHED or new is Step.REACHED
        for (_, old), (_, new) in zip(before.steps, after.steps, strict=True)
    )
