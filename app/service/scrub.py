"""The background scrub: stored batches are read again on a schedule, because rot is found only by reading.

One batch a step: its bytes re-derive its frontier from the one before it, and each entry's statement is there and is
the one of its digest. A step is short, and the next one comes after a pause, so that nobody who is served waits for it.
Findings go to the log, and to the record `scrub` it, which also says how far the pass is: whoever starts goes on there,
and of several processes one goes on while the others rest. What stands in the blobs is read by `muniment audit`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import AppError
from app.fields import Int, Many, Text, read_record, write_record
from app.service.erasures import ErasureIndex
from app.service.findings import Finding
from app.service.statements import StatementStore
from app.statements.statement import digest_of, parse_leaf
from ledger.audit import next_start
from ledger.batch import Batch, batch_id, check_extends, entry_span
from ledger.errors import DamagedLog, LedgerError
from ledger.merkle import Frontier
from ledger.ports import LogStore
from ledger.tip import decode_stored, frontier_before
from storage.errors import AlreadyExists, Conflict, StorageError
from storage.ports import RecordStore

log = logging.getLogger("muniment.scrub")
KIND, ID = "scrub", "it"
SAVE_SECONDS = 20
"""How often the record is written; a finding is written at once."""
LEASE_SECONDS = 60
"""A pass that nobody has written for so long is taken over."""
PAUSE_SECONDS, REST_SECONDS = 0.02, 30.0
MAX_LISTED, MAX_TEXT = 20, 300
MAX_BYTES = 32_768

Count = Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubState:
    """One pass: since when, when the record was written, up to which entry, and what was found."""

    begun: Count
    written: Count
    at: Count
    finished: Count
    """When it ended; 0 while it goes on."""
    count: Count
    """Findings of this pass."""
    before: Count
    """Findings of the pass before it."""
    findings: Annotated[tuple[Annotated[str, Text(MAX_TEXT)], ...], Many(MAX_LISTED)]
    """The first of them, in words."""


class Scrub:
    """Reads one ledger's batches again and again. `step` does one; `run` goes on for ever."""

    def __init__(
        self,
        records: RecordStore,
        ledger: LogStore,
        statements: StatementStore,
        clock: Callable[[], int],
        *,
        every_seconds: int,
        erasures: ErasureIndex | None = None,
    ) -> None:
        """`every_seconds`: from the beginning of one pass to that of the next, at least."""
        self._records, self._log, self._statements, self._clock = records, ledger, statements, clock
        self._every, self._erasures = every_seconds, erasures
        self._state: ScrubState | None = None
        self._revision = 0
        self._frontier: Frontier | None = None
        self._ours = False

    async def status(self) -> ScrubState | None:
        """How far the newest pass is, whoever does it; None before the first."""
        found = await self._records.get(KIND, ID)
        return None if found is None else _read(found.data)

    async def run(self) -> None:
        """Step by step, for ever; a fault is logged, and it goes on later."""
        while True:
            pause = REST_SECONDS
            try:
                if await self.step():
                    pause = PAUSE_SECONDS
            except (AppError, LedgerError, StorageError) as error:
                self._ours = False
                log.warning("the scrub rests: %s: %s", error.code, error.message)
            except Exception:
                self._ours = False
                log.exception("the scrub rests: a fault")
            await asyncio.sleep(pause)

    async def step(self) -> bool:
        """Look at the next batch; return False when nothing is to be done now. Raises what the store raises."""
        if not self._ours and not await self._take():
            return False
        state = self._state
        assert state is not None  # noqa: S101 - taken
        last = await self._log.last()
        if last is None or state.at > last[0]:
            await self._finish(state)
            return False
        data = await self._log.read(state.at)
        found: list[Finding] = []
        if data is None:
            after = await next_start(self._log, state.at, last[0])
            found.append(_gap(state.at))
            self._frontier = None
        else:
            before = self._frontier or await self._before(state.at)
            # In a thread: a batch of 8 MiB takes a while to hash, and others are being served.
            batch, problem = await asyncio.to_thread(_look_at, state.at, data, before)
            found += [problem] if problem is not None else []
            after = batch.end if batch is not None else await next_start(self._log, state.at, last[0])
            self._frontier = batch.frontier if batch is not None else None
            if batch is not None and problem is None:
                found += await self._statements_of(batch)
        await self._move(state, last[0] + 1 if after is None else after, found)
        return True

    async def close(self) -> None:
        """Write how far it is, so that the next process goes on there at once."""
        if self._ours and self._state is not None:
            await self._write(replace(self._state, written=0))
            self._ours = False

    async def _take(self) -> bool:
        """Begin a pass that is due, or go on with one that nobody does; False when there is neither."""
        record, now = await self._records.get(KIND, ID), self._clock()
        old = None
        if record is not None:
            try:
                old = _read(record.data)
            except AppError as error:
                log.warning("the record of the scrub is written anew: %s", error.message)
        self._revision = 0 if record is None else record.revision
        if old is not None and now < (old.begun + self._every if old.finished else old.written + LEASE_SECONDS):
            return False
        self._frontier = None
        if old is None or old.finished:
            count = 0 if old is None else old.count
            old = ScrubState(begun=now, written=now, at=0, finished=0, count=0, before=count, findings=())
        self._ours = await self._write(replace(old, written=now))
        return self._ours

    async def _move(self, state: ScrubState, at: int, found: list[Finding]) -> None:
        for each in found:
            log.error("%s: %s [%s] %s", each.place, each.message, each.code, each.next_step)
        words = tuple(f"{each.code} {each.place}: {each.message}"[:MAX_TEXT] for each in found)
        listed = (*state.findings, *words)[:MAX_LISTED]
        self._state = replace(state, at=at, count=state.count + len(found), findings=listed)
        if found or self._clock() >= state.written + SAVE_SECONDS:
            self._ours = await self._write(replace(self._state, written=self._clock()))

    async def _finish(self, state: ScrubState) -> None:
        now = self._clock()
        if await self._write(replace(state, finished=max(now, state.begun), written=now)):
            log.info("scrubbed %d entries, %d findings", state.at, state.count)
        self._ours = False

    async def _write(self, state: ScrubState) -> bool:
        """Write the record where it stands as it was read; return False when another process was here."""
        data = format_json(write_record(state)).encode()
        try:
            if self._revision:
                self._revision = await self._records.replace(KIND, ID, data, revision=self._revision)
            else:
                await self._records.insert(KIND, ID, data)
                self._revision = 1
        except (AlreadyExists, Conflict):
            return False
        self._state = state
        return True

    async def _before(self, start: int) -> Frontier | None:
        try:
            return await frontier_before(self._log, start)
        except DamagedLog:
            return None  # named when that batch was looked at

    async def _statements_of(self, batch: Batch) -> list[Finding]:
        found = []
        for index, entry in enumerate(batch.entries, batch.start):
            place = f"entry {index}"
            try:
                leaf = parse_leaf(entry)
                text = await self._statements.read(leaf.digest)
            except AppError as error:
                found.append(Finding(code="statement_changed", place=place, message=error.message))
                continue
            if text is None and await self._is_erased(index):
                continue
            if text is None:
                message = f"the statement {leaf.digest.hex()} is not stored"
                found.append(Finding(code="statement_missing", place=place, message=message))
            elif digest_of(text) != leaf.digest:
                message = f"under the digest {leaf.digest.hex()} another statement is stored"
                found.append(Finding(code="statement_changed", place=place, message=message, span=(0, len(text))))
        return found

    async def _is_erased(self, index: int) -> bool:
        last = await self._log.last()
        if self._erasures is None or last is None:
            return False
        return index in (await self._erasures.at(last[0] + 1)).entries


def _look_at(start: int, data: bytes, before: Frontier | None) -> tuple[Batch | None, Finding | None]:
    """The batch, unless it cannot be read, and what is wrong with it."""
    try:
        batch = decode_stored(start, data)
    except DamagedLog as error:
        return None, Finding(code="bad_batch", place=batch_id(start), message=error.message, span=(0, len(data)))
    try:
        if before is not None:
            check_extends(before, batch)
    except DamagedLog as error:
        span = entry_span(batch, batch.start)[0], entry_span(batch, batch.end - 1)[1]
        return batch, Finding(code="bad_batch", place=batch_id(start), message=error.message, span=span)
    return batch, None


def _gap(at: int) -> Finding:
    return Finding(code="gap", place=batch_id(at), message=f"the entries from {at} on are missing")


def _read(data: bytes) -> ScrubState:
    return read_record(ScrubState, parse_json(data, what="the record of the scrub", max_bytes=MAX_BYTES), "the scrub")
