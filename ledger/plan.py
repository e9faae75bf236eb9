"""One batch in the making: who waits for it, and what was decided of each. No store and no clock."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from ledger.batch import how_many_fit
from ledger.errors import Malformed
from ledger.ports import Entry, Known, Outcome

SubmissionT = TypeVar("SubmissionT")


class Committed(NamedTuple):
    """An entry that stands: its index, its bytes, and a signed size that covers it.

    A tuple, as `Entry` is: one is made for each entry, and a frozen dataclass takes three times as long.
    """

    index: int
    entry: bytes
    size: int


class Answers:
    """The outcomes of what was submitted together, in order; `ready` is done when there is one for each.

    Their submitter gives up by cancelling `ready`: what was not taken by then is dropped, what was taken may stand.
    """

    __slots__ = ("_missing", "outcomes", "ready")

    def __init__(self, count: int, ready: asyncio.Future[None]) -> None:
        self.outcomes: list[Committed | Exception | None] = [None] * count
        self.ready = ready
        self._missing = count

    def put(self, place: int, outcome: Committed | Exception) -> None:
        """Note the outcome of one; the first that is noted stays."""
        if self.outcomes[place] is None:
            self.outcomes[place] = outcome
            self._missing -= 1
            if not self._missing and not self.ready.done():  # cancelled: the entry stands all the same
                self.ready.set_result(None)


class Waiting(Generic[SubmissionT]):
    """One submission: its value, when it arrived (the event loop's clock), and where its outcome goes."""

    __slots__ = ("answers", "arrived", "place", "value")

    def __init__(self, value: SubmissionT, arrived: float, answers: Answers, place: int) -> None:
        self.value, self.arrived, self.answers, self.place = value, arrived, answers, place

    def answer(self, outcome: Committed | Exception) -> None:
        """Tell its submitter."""
        self.answers.put(self.place, outcome)


@dataclass(slots=True, kw_only=True)
class Plan(Generic[SubmissionT]):
    """A decided batch: what to append, for whom, and what was decided of the others."""

    entries: list[bytes] = field(default_factory=list)
    accepted: list[tuple[int, Waiting[SubmissionT]]] = field(default_factory=list)
    known: list[tuple[int, Waiting[SubmissionT]]] = field(default_factory=list)
    refused: list[tuple[Exception, Waiting[SubmissionT]]] = field(default_factory=list)
    left_over: list[Waiting[SubmissionT]] = field(default_factory=list)


def plan_batch(size: int, taken: Sequence[Waiting[SubmissionT]], outcomes: Sequence[Outcome]) -> Plan[SubmissionT]:
    """Sort the outcomes; what comes after the last entry that fits is left over, to be decided again."""
    if len(outcomes) != len(taken):
        raise Malformed(f"{len(outcomes)} outcomes were decided for {len(taken)} submissions")
    entries = [outcome.data for outcome in outcomes if isinstance(outcome, Entry)]
    fit = how_many_fit(entries)
    if fit == len(outcomes):  # all are accepted, and there is room: the usual batch
        return Plan(entries=entries, accepted=list(zip(range(size, size + fit), taken, strict=True)))
    plan: Plan[SubmissionT] = Plan()
    for place, (waiting, outcome) in enumerate(zip(taken, outcomes, strict=True)):
        if isinstance(outcome, Entry):
            if len(plan.entries) == fit:
                plan.left_over = list(taken[place:])
                break
            plan.accepted.append((size + len(plan.entries), waiting))
            plan.entries.append(outcome.data)
        elif isinstance(outcome, Known):
            plan.known.append((outcome.index, waiting))
        else:
            plan.refused.append((outcome, waiting))
    return plan
