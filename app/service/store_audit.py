"""The audit of the stores alone: is every segment of every accepted deposit there, of the right digest, and kept?

1. The statements are replayed from the genesis up to a published checkpoint, whose root they must give: so the list of
deposits is the ledger's, not the record store's. 2. Each deposit's segments are read and hashed, in the order of the
ledger, and their locks and holds are compared with what is owed. Nothing can be read in them: they are sealed.

It holds no more than one piece of a segment, can be held back to so many bytes a second, and may be killed at any
moment: what was done is in a `Progress`, which the shell keeps in a file, and the next run goes on behind the last
segment in it, at the same checkpoint. A store that does not answer is no finding: the audit stops there and can go on.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated

from app.fields import Int, Many, Text
from app.service.audit import Audit, Tell
from app.service.deposit_audit import DepositAudit
from app.service.findings import Finding
from app.statements.kinds import Digest
from app.statements.statement import Seen
from app.statements.store_report import MAX_FINDINGS, MAX_TEXT, Reported, StoreReport
from ledger.errors import LedgerError
from ledger.note import MAX_NOTE_BYTES

Count = Annotated[int, Int()]
_PLACE = re.compile(r"deposit ([0-9a-f]{32})(?: item ([0-9]{1,6}) segment ([0-9]{1,6}))?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an audit is: at which checkpoint, behind which segment, and what it found."""

    genesis: Digest
    checkpoint: Annotated[str, Text(MAX_NOTE_BYTES, lines=True)]
    ledger: Seen
    begun: Count
    interruptions: Count
    entry: Count
    """The ledger index of the deposit under way: all with lower ones are done."""
    segment: Count
    """How many of its segments are done."""
    deposits: Count
    segments: Count
    bytes: Count
    pending: Count
    findings: Annotated[tuple[Reported, ...], Many(MAX_FINDINGS)]
    more: Count

    @property
    def count(self) -> int:
        """How many findings there are in all."""
        return len(self.findings) + self.more


def begin(*, genesis: bytes, checkpoint: str, ledger: Seen, now: int) -> Progress:
    """Return the progress of an audit that has done nothing yet, at a signed checkpoint with its size and root."""
    return Progress(
        genesis=genesis,
        checkpoint=checkpoint,
        ledger=ledger,
        begun=now,
        interruptions=0,
        entry=0,
        segment=0,
        deposits=0,
        segments=0,
        bytes=0,
        pending=0,
        findings=(),
        more=0,
    )


class Pacer:
    """Holds a reader back to so many bytes a second; what was not used is not saved up."""

    def __init__(
        self,
        bytes_per_second: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_second, clock, sleep
        self._free_at = clock()

    async def read(self, count: int) -> None:
        """Wait until `count` bytes more may have been read."""
        if self._rate is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + count / self._rate
        if self._free_at > now:
            await self._sleep(self._free_at - now)


class StoreAudit:
    """One audit of the stores, or what is left of one. `save` is given the progress after every segment."""

    def __init__(
        self,
        audit: Audit,
        look: DepositAudit,
        progress: Progress,
        *,
        save: Callable[[Progress], None],
        tell: Tell = lambda _what, _done, _all: None,
    ) -> None:
        self._audit, self._look, self._save, self._tell = audit, look, save, tell
        self.progress = progress

    async def findings(self) -> AsyncIterator[Finding]:
        """Go on; yield what is found from here on. Raises what the stores raise when they cannot tell."""
        size = self.progress.ledger.size
        async for found in self._replayed(size):
            if self.progress.entry == 0:  # else an earlier run has told it
                self._note((found,), entry=1)
                yield found
        listed = sum(index < size for _, index in self._audit.deposits)
        for number, (deposit, index) in enumerate(self._audit.deposits, 1):
            if not self.progress.entry <= index < size:
                continue
            plan = await self._look.plan(deposit, index, size=size, applied=True)
            begun = self.progress.segment if index == self.progress.entry else 0
            # What concerns the whole deposit is noted with its first segment: never twice, wherever a run was killed.
            whole = () if begun else plan.findings
            erased = bool(whole) and await self._audit.erased_by_now(deposit)
            for done, each in enumerate(() if erased else plan.segments[begun:], begun + 1):
                read = await self._look.segment(plan, each)
                if read.findings and await self._audit.erased_by_now(deposit):
                    erased = True
                    break
                self._note((*whole, *read.findings), entry=index, segment=done, size=read.size)
                for found in (*whole, *read.findings):
                    yield found
                whole = ()
                self._tell(f"deposit {number} of {listed}, segments", done, len(plan.segments))
            if erased:  # since the audit began: what is gone is gone by law
                self._note((), entry=index + 1, segment=0)
                continue
            self._note(whole, entry=index + 1, segment=0, deposits=1, pending=plan.owed is None)
            for found in whole:
                yield found

    def report(self, genesis: str, *, finished: int, bytes_per_second: int | None) -> StoreReport:
        """Return the report of an audit that came to its end."""
        done = self.progress
        return StoreReport(
            genesis=genesis,
            checkpoint=done.checkpoint,
            ledger=done.ledger,
            begun=done.begun,
            finished=max(finished, done.begun),
            interruptions=done.interruptions,
            bytes_per_second=bytes_per_second,
            deposits=done.deposits,
            segments=done.segments,
            bytes=done.bytes,
            pending=done.pending,
            findings=done.findings,
            more=done.more,
        )

    async def _replayed(self, size: int) -> AsyncIterator[Finding]:
        async for found in self._audit.replay(size):
            yield found
            return
        try:
            root = await self._audit.tree.root_at(size)
        except LedgerError as error:
            message = f"the {size} entries of the published checkpoint cannot be read: {error.message}"
            yield Finding(code="truncated", place="ledger", message=message)
            return
        if root != self.progress.ledger.root or self._audit.audited.size < size:
            message = f"the stored entries do not give the published checkpoint of size {size}"
            yield Finding(code="forked", place="ledger", message=message)

    def _note(
        self,
        found: tuple[Finding, ...],
        *,
        entry: int | None = None,
        segment: int | None = None,
        size: int | None = None,
        deposits: int = 0,
        pending: bool = False,
    ) -> None:
        before = self.progress
        room = MAX_FINDINGS - len(before.findings)
        self.progress = replace(
            before,
            entry=before.entry if entry is None else entry,
            segment=before.segment if segment is None else segment,
            deposits=before.deposits + deposits,
            segments=before.segments + (size is not None),
            bytes=before.bytes + (size or 0),
            pending=before.pending + pending,
            findings=before.findings + tuple(map(_reported, found[:room])),
            more=before.more + len(found[room:]),
        )
        self._save(self.progress)


def _reported(found: Finding) -> Reported:
    where = _PLACE.match(found.place)
    start, end = (None, None) if found.span is None else found.span
    return Reported(
        code=found.code,
        place=_plain(found.place),
        deposit=None if where is None else bytes.fromhex(where[1]),
        item=None if where is None or where[2] is None else int(where[2]),
        segment=None if where is None or where[3] is None else int(where[3]),
        start=start,
        end=end,
        message=_plain(found.message),
        next_step=_plain(found.next_step),
    )


def _plain(text: str) -> str:
    """What a store said may hold anything: a report is one line of printable characters."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)[:MAX_TEXT] or "?"
