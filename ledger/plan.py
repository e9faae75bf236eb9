"""One batch in the making: who waits for it, and what was decided of each. No store and no clock."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ledger.batch import how_many_fit
from ledger.errors import Malformed
from ledger.ports import Entry, Known, Outcome

SubmissionT = TypeVar("SubmissionT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """An entry that stands: its index, its bytes, and a signed size that covers it."""

    index: int
    entry: bytes
    size: int


@dataclass(slots=True, kw_only=True)
class Waiting(Generic[SubmissionT]):
    """One submission and its submitter, who may have given up."""

    value: SubmissionT
    arrived: float  # the event loop's clock
    future: asyncio.Future[Committed]

    def succeed(self, committed: Committed) -> None:
        """Answer the submitter."""
        if not self.future.done():  # its submitter may have given up; the entry stands all the same
            self.future.set_result(committed)

    def fail(self, error: Exception) -> None:
        """Raise `error` to the submitter."""
        if not self.future.done():
            self.future.set_exception(error)


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
    fit = how_many_fit([outcome.data for outcome in outcomes if isinstance(outcome, Entry)])
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
