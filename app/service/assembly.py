"""The rules as the sequencer asks for them: a batch is decided entry by entry, on state at exactly its size.

Each entry sees the changes of those before it in the batch. What a decision wrote into memory is kept until the batch
stands, so that applying it need not decide again; another writer's batch is decided anew from the stored statements.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import AppError, Refused
from app.rules.act import Circumstances
from app.rules.decide import Admitted, Refusal
from app.service.aggregates import Behind
from app.service.deciding import Working
from app.service.history import History
from app.service.projections import Placed, Projections
from app.service.statements import HOUR
from app.statements.statement import Statement
from ledger.batch import Batch
from ledger.ports import Entry, Known, Outcome


class WrittenTooLongAgo(AppError):
    """The statement's record is too old to be named by a batch: write it again."""

    code = "written_too_long_ago"


@dataclass(slots=True, kw_only=True, eq=False)
class Offer:
    """A statement that is stored, when it was written, and the aggregates that its first decision looked at.

    `appended` turns true when this very offer was appended.
    """

    statement: Statement
    written: int
    keys: frozenset[str] = frozenset()
    appended: bool = False


class EvidenceAssembly:
    """`ledger.ports.Assembly` over the rules and the projections."""

    def __init__(self, projections: Projections, history: History, *, origin: str, genesis: bytes) -> None:
        self._projections, self._history = projections, history
        self._origin, self._genesis = origin, genesis
        self._decided: tuple[int, list[Admitted]] = (-1, [])

    async def decide(self, size: int, submissions: Sequence[Offer], now: int) -> Sequence[Outcome]:
        """Decide offers in order; what is admitted becomes an entry. Time never decreases from leaf to leaf."""
        await self._projections.catch_up(size)
        if self._projections.size != size:
            raise Behind(f"the projections are at {self._projections.size}, and {size} is extended", "Try again.")
        time = max(now, self._projections.time)
        working, admitted, here = self._projections.working(), list[Admitted](), dict[bytes, int]()
        outcomes: list[Outcome] = []
        await working.preload(key for offer in submissions for key in offer.keys)
        places = await asyncio.gather(*(self._projections.placed(each.statement.digest) for each in submissions))
        for offer, placed in zip(submissions, places, strict=True):
            digest = offer.statement.digest
            if digest in here:
                outcomes.append(Known(index=here[digest]))
                continue
            if placed is not None:
                outcomes.append(_where(placed, size))
                continue
            outcome = await self._one(working, offer, size, size + len(admitted), time)
            if isinstance(outcome, Admitted):
                working.evolve(outcome.changes)
                here[digest] = size + len(admitted)
                admitted.append(outcome)
                outcomes.append(Entry(data=outcome.leaf.encode()))
            else:
                outcomes.append(outcome)
        self._decided = (size, admitted)
        return outcomes

    async def applied(self, batch: Batch, accepted: Sequence[tuple[int, Offer]]) -> None:
        """Apply a batch that stands, ours or another writer's."""
        start, decided = self._decided
        ours = decided[: len(batch.entries)]
        same = start == batch.start and [each.leaf.encode() for each in ours] == list(batch.entries)
        await self._projections.advance(batch, ours if same else None)
        for _, offer in accepted:
            offer.appended = True

    async def _one(self, working: Working, offer: Offer, size: int, index: int, time: int) -> Admitted | Exception:
        statement = offer.statement
        if time - offer.written > HOUR:
            return WrittenTooLongAgo("the statement waited for more than an hour", "Offer it again.")
        verdict = await working.decide(
            statement,
            Circumstances(
                now=time,
                index=index,
                origin=self._origin,
                genesis=self._genesis,
                seen=await self._history.seen(statement.envelope.seen.size, size),
            ),
        )
        return refused(verdict) if isinstance(verdict, Refusal) else verdict


def _where(placed: Placed, size: int) -> Known | Behind:
    if placed.index >= size:
        return Behind(f"the entry {placed.index} is not seen here yet", "Catch up and try again.")
    return Known(index=placed.index)


def refused(refusal: Refusal) -> Refused:
    """Return a rule's refusal as an error that can be raised."""
    return Refused(refusal.message, refusal.next_step, code=refusal.code)
