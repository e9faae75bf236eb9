"""The job that carries out in the store what the ledger says is to be kept: terms and legal holds.

Applying an entry leaves a `lock-due` record (`owed`). The job brings every segment to what the *newest* state says,
looks at the state once more, and only then takes the record away: so a crash anywhere leaves it, two replicas at work
on one deposit end at the same, and doing it twice changes nothing. Locks are never shortened.

Two replicas can still cross: one that read "not held" may be stopped for long and then lift what was placed meanwhile.
So whatever was ever held or prolonged is looked at again once a day (`look_again`), which also undoes what somebody
with the store's keys did to a hold. What is due for an hour is an alarm: an error in the log, `/readyz`, and the audit.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from app.rules.aggregates import Deposited
from app.sealing.manifest import parse_manifest
from app.service.aggregates import DamagedProjection
from app.service.arrivals import stat_pinned
from app.service.owed import DONE, DUE, KEPT, LATE_SECONDS, Due, Owed, owed, parse_due
from app.service.places import Segment, blob_key, expected_segments
from app.service.projections import Projections
from app.service.uploads import Uploads
from storage.errors import AlreadyExists, Conflict, StorageError
from storage.ports import BlobStore, Record, RecordStore

log = logging.getLogger("muniment.locks")
ALARM_EVERY = 600
"""Seconds between two errors in the log about the same lag."""
_AT_ONCE = 8
_TRIES = 4
"""How often a deposit is done over because its state moved on meanwhile; then it stays due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReport:
    """How many deposits were brought to what they are owed; which (ids in hex) could not be, and are tried again."""

    done: int
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How many records are due (of the first thousand), and the oldest's age in seconds; `late` is the alarm."""

    due: int
    oldest_seconds: int

    @property
    def late(self) -> bool:
        """Whether something is due for so long that somebody should look."""
        return self.oldest_seconds >= LATE_SECONDS


class LockJob:
    """Extends locks, places and lifts holds."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        projections: Projections,
        uploads: Uploads,
        clock: Callable[[], int],
    ) -> None:
        self._records, self._blobs, self._clock = records, blobs, clock
        self._projections, self._uploads = projections, uploads
        self._told: dict[str, str] = {}
        """What was said of a deposit that cannot be done: said once, not every second."""
        self._alarm_at = 0

    async def run(self) -> LockReport:
        """Do all that is due. A deposit that fails is logged and left due."""
        done, after, failed = 0, "", list[str]()
        while page := await self._records.page(DUE, after=after, limit=200):
            after = page[-1].id
            readable = [due for each in page if (due := self._readable(each, failed)) is not None]
            for deposit_id, some in groupby(readable, key=lambda each: each.deposit_id):
                problem = await self._carry_out(deposit_id, list(some))
                if problem is None:
                    done += 1
                    self._told.pop(deposit_id.hex(), None)
                else:
                    failed.append(deposit_id.hex())
                    self._say(deposit_id.hex(), problem)
        await self._alarm()
        return LockReport(done=done, failed=tuple(dict.fromkeys(failed)))

    async def look_again(self) -> LockReport:
        """Bring every deposit that was ever held or prolonged to what it is owed, whatever was done to the store."""
        done, failed, after = 0, [], ""
        while page := await self._records.page(KEPT, after=after, limit=200):
            after = page[-1].id
            for record in page:
                problem = await self._bring(bytes.fromhex(record.id), lift=True)
                done += problem is None
                if problem is not None:
                    failed.append(record.id)
                    self._say(record.id, problem)
        return LockReport(done=done, failed=tuple(failed))

    async def lag(self) -> Lag:
        """Return how far the job is behind."""
        page = await self._records.page(DUE, limit=1000)
        since = [due.since for each in page if (due := self._readable(each, [])) is not None]
        return Lag(due=len(since), oldest_seconds=max(0, self._clock() - min(since)) if since else 0)

    async def _carry_out(self, deposit_id: bytes, due: list[Due]) -> str | None:
        if any(each.index is not None and each.index >= self._projections.size for each in due):
            return "the state that it names is still being written"
        problem = await self._bring(deposit_id, lift=any(each.index is not None for each in due))
        if problem is None:
            await self._finish(due)
        return problem

    async def _bring(self, deposit_id: bytes, *, lift: bool) -> str | None:
        """Bring every segment to what is owed now; return why not. `lift` false leaves holds that are not ours."""
        try:
            for _ in range(_TRIES):
                found = await self._projections.ask(lambda view: view.find(Deposited, deposit_id.hex()))
                manifest = None if found is None else await self._uploads.manifest(deposit_id, found.manifest_hash)
                if found is None or manifest is None:
                    return "its manifest is not in the store"
                wanted = await owed(self._records, found)
                problem = await self._all(found, expected_segments(parse_manifest(manifest)), wanted, lift=lift)
                if problem is not None:
                    return problem
                if await self._projections.ask(lambda view: view.find(Deposited, deposit_id.hex())) == found:
                    return None
        except (StorageError, DamagedProjection) as error:
            return error.code
        return "its state moves on too fast"

    async def _all(self, deposit: Deposited, segments: Iterable[Segment], wanted: Owed, *, lift: bool) -> str | None:
        waiting = iter(segments)

        async def work() -> str | None:
            for each in waiting:
                problem = await self._one(deposit, each, wanted, lift=lift)
                if problem is not None:
                    return problem
            return None

        found = await asyncio.gather(*(work() for _ in range(_AT_ONCE)), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return next((each for each in found if isinstance(each, str)), None)

    async def _one(self, deposit: Deposited, segment: Segment, wanted: Owed, *, lift: bool) -> str | None:
        deposit_id, where = bytes.fromhex(deposit.id), (segment.item, segment.segment)
        key = blob_key(deposit_id, *where)
        pinned = await self._uploads.pins.version(deposit_id, deposit.manifest_hash, where)
        stat = await stat_pinned(self._blobs, key, pinned)
        if stat is None:
            return f"item {segment.item}, segment {segment.segment} is not in the store"
        if (stat.size, stat.sha256) != (segment.size, segment.sha256):
            return f"item {segment.item}, segment {segment.segment}: other bytes stand there"
        if wanted.held and not stat.hold:
            await self._blobs.set_hold(key, stat.version, on=True)
        if stat.retain_until < wanted.until:
            await self._blobs.extend(key, stat.version, wanted.until)
        if stat.hold and lift and not wanted.held:
            await self._blobs.set_hold(key, stat.version, on=False)
        return None

    async def _finish(self, due: list[Due]) -> None:
        for each in due:
            id = each.deposit_id.hex()
            with suppress(AlreadyExists):  # the job stopped here before, or another replica was here
                if each.index is None:
                    await self._records.insert(DONE, id, b"%d" % each.until)
                else:
                    await self._records.insert(KEPT, id, b"")
            with suppress(Conflict):  # another process finished it
                await self._records.delete(DUE, each.record.id, revision=each.record.revision)

    def _readable(self, record: Record, failed: list[str]) -> Due | None:
        try:
            return parse_due(record)
        except DamagedProjection as error:
            failed.append(record.id)
            self._say(record.id, error.message)
            return None

    def _say(self, id: str, problem: str) -> None:
        if self._told.get(id) != problem:
            self._told[id] = problem
            log.warning("the deposit %s cannot be locked or held as it must be now: %s", id, problem)

    async def _alarm(self) -> None:
        lag, now = await self.lag(), self._clock()
        if lag.late and now >= self._alarm_at:
            self._alarm_at = now + ALARM_EVERY
            log.error(
                "ALARM: locks and holds lag: %d are due, the oldest for %d seconds. Until then only the provisional "
                "locks protect these deposits; look for the warnings above, and at the store",
                lag.due,
                lag.oldest_seconds,
            )
