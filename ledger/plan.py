"""One batch in the making: who waits for it, and what was decided of each. No store and no clock.

Submissions wait in runs, one for what a submitter gave together: what is done for each of a thousand entries is what a
log's throughput comes from, so there is no object, task or future for each.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.batch import how_many_fit
from ledger.errors import Malformed
from ledger.ports import Entry, Outcome

SubmissionT = TypeVar("SubmissionT")


@dataclass(slots=True)
class Committed:
    """An entry that stands: its index, its bytes, and a signed size that covers it.

    Not frozen: one is made for each entry, and a frozen one takes three times as long.
    """

    index: int
    entry: bytes
    size: int


class Answers(Generic[SubmissionT]):
    """What was submitted together, and the outcomes in its order; `ready` is done when there is one for each.

    Their submitter gives up by cancelling `ready`: what was not taken by then is dropped, what was taken may stand.
    """

    def __init__(self, values: Sequence[SubmissionT], ready: asyncio.Future[None]) -> None:
        self.values, self.ready = values, ready
        self.outcomes: list[Committed | Exception | None] = [None] * len(values)
        self._missing = len(values)

    def put(self, first: int, outcomes: Sequence[Committed | Exception]) -> None:
        """Note outcomes from the place `first` on; where one was noted before, that one stays."""
        last = first + len(outcomes)
        fresh = self.outcomes[first:last].count(None)
        if fresh == len(outcomes):
            self.outcomes[first:last] = outcomes
        else:
            for place, outcome in enumerate(outcomes, first):
                if self.outcomes[place] is None:
                    self.outcomes[place] = outcome
        self._missing -= fresh
        if not self._missing and not self.ready.done():  # cancelled: what was taken stands all the same
            self.ready.set_result(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Generic[SubmissionT]):
    """The submissions [first, last) of `answers`, and when they arrived (the event loop's clock)."""

    answers: Answers[SubmissionT]
    first: int
    last: int
    arrived: float

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def is_given_up(self) -> bool:
        """Answer whether nobody waits for it any more."""
        return self.answers.ready.cancelled()

    @property
    def values(self) -> Sequence[SubmissionT]:
        """What was submitted."""
        return self.answers.values[self.first : self.last]

    def split(self, count: int) -> "tuple[Waiting[SubmissionT], Waiting[SubmissionT]]":
        """The first `count`, and the rest."""
        at = self.first + count
        return self._part(self.first, at, self.arrived), self._part(at, self.last, self.arrived)

    def after(self, count: int, arrived: float) -> "Waiting[SubmissionT]":
        """All but the first `count`, as if they had arrived at `arrived`."""
        return self._part(self.first + count, self.last, arrived)

    def fail(self, error: Exception) -> None:
        """Raise `error` to the submitter for each that has no outcome yet."""
        self.answers.put(self.first, [error] * len(self))

    def _part(self, first: int, last: int, arrived: float) -> "Waiting[SubmissionT]":
        return Waiting(answers=self.answers, first=first, last=last, arrived=arrived)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[SubmissionT]):
    """A decided batch: what to append and for whom, and what was decided; what has no outcome is left over."""

    entries: list[bytes]
    accepted: Sequence[tuple[int, SubmissionT]]
    outcomes: Sequence[Outcome]

    @property
    def refuses(self) -> bool:
        """Answer whether anybody is refused."""
        return any(isinstance(outcome, Exception) for outcome in self.outcomes)


def plan_batch(size: int, values: Sequence[SubmissionT], outcomes: Sequence[Outcome]) -> Plan[SubmissionT]:
    """Sort the outcomes; what comes after the last entry that fits is left over, to be decided again."""
    if len(outcomes) != len(values):
        raise Malformed(f"{len(outcomes)} outcomes were decided for {len(values)} submissions")
    entries = [outcome.data for outcome in outcomes if isinstance(outcome, Entry)]
    fit = how_many_fit(entries)
    if fit == len(outcomes):  # all are accepted, and there is room: the usual batch
        return Plan(
            entries=entries, accepted=list(zip(range(size, size + fit), values, strict=True)), outcomes=outcomes
        )
    places = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Entry)]
    accepted = [(size + number, values[place]) for number, place in enumerate(places[:fit])]
    end = places[fit] if fit < len(places) else len(outcomes)
    return Plan(entries=entries[:fit], accepted=accepted, outcomes=outcomes[:end])
