"""The job that takes away uploads that were never accepted, and never anything that an accepted deposit names.

1. An upload that began longer ago than the provisional lock and has no locked segment is *ended*: its record says so,
   written at the revision that was read. From then on nothing goes in, and the door refuses a deposit of it.
2. A day later, if no deposit of that id stands, its segments, boxes and manifests are deleted, and its record last.

Why no deposit can come in between: the door's last look is that the upload did not end. So a deposit that passed the
door passed it before 1, and stands within the hour after (`statements`), or never. 2 sees it, a day later. A crash
leaves the record, and the next run goes on. A segment that arrived late, or is held, keeps the rest until it is free.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from app.rules.aggregates import Deposited
from app.service.arrivals import KIND as PINS
from app.service.places import stored_segments
from app.service.projections import DAY, Projections
from app.service.quota import Quota
from app.service.uploads import read_upload, write_upload
from storage.errors import Conflict, Locked, NotFound
from storage.ports import BlobStat, BlobStore, Record, RecordStore

log = logging.getLogger("muniment.sweeping")
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """How many uploads were ended, and how many were taken away."""

    ended: int
    swept: int


class UploadSweep:
    """Sweeps uploads over both stores."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        projections: Projections,
        quota: Quota,
        *,
        provisional_lock_days: int,
    ) -> None:
        self._records, self._blobs, self._projections, self._quota = records, blobs, projections, quota
        self._lock_seconds = provisional_lock_days * DAY
        self.open: int | None = None
        """Uploads without a deposit that were not ended, at the last run; None before the first."""

    async def run(self, now: int) -> SweepReport:
        """End and sweep. The projections must have been brought to the ledger's end after `now` was read.

        Raises what the stores raise; what was not done is done by the next run.
        """
        ended, swept, after, there = 0, 0, "", 0
        while page := await self._records.page("upload", after=after, limit=200):
            after = page[-1].id
            for record in page:
                upload = read_upload(record.data)
                due = upload.begun + self._lock_seconds if upload.ended is None else upload.ended + DAY
                if (now < due and upload.ended is not None) or await self._is_deposited(record.id):
                    continue
                if upload.ended is None:
                    done = now >= due and await self._end(record, now)
                    ended, there = ended + done, there + (not done)
                else:
                    swept += await self._sweep(record, now)
        self.open = there
        return SweepReport(ended=ended, swept=swept)

    async def _is_deposited(self, id: str) -> bool:
        return await self._projections.ask(lambda view: view.find(Deposited, id)) is not None

    async def _end(self, record: Record, now: int) -> bool:
        if await self._free_segments(record.id, now) is None:
            return False
        data = write_upload(replace(read_upload(record.data), ended=now))
        try:
            await self._records.replace("upload", record.id, data, revision=record.revision)
        except Conflict:
            return False  # it moved on
        log.info("the upload %s is ended: no deposit of it was accepted, and no segment of it is locked", record.id)
        return True

    async def _sweep(self, record: Record, now: int) -> bool:
        segments = await self._free_segments(record.id, now)
        if segments is None:
            return False
        for each in segments:
            try:
                await self._blobs.delete(each.key, each.version)
            except NotFound:
                continue  # another process sweeps too
            except Locked:
                return False  # by the store's own clock
        boxes = await self._delete_all("box", record.id)
        manifests = await self._delete_all("manifest", record.id)
        await self._delete_all(PINS, record.id)
        await self._quota.free(read_upload(record.data).member, bytes.fromhex(record.id))
        with suppress(Conflict):
            await self._records.delete("upload", record.id, revision=record.revision)
        log.info("swept the upload %s: segments %d, boxes %d, manifests %d", record.id, len(segments), boxes, manifests)
        return True

    async def _free_segments(self, id: str, now: int) -> list[BlobStat] | None:
        """Return all segments, or None where one of them is locked or held."""
        found = []
        async for each in stored_segments(self._blobs, bytes.fromhex(id)):
            if each.hold or now < each.retain_until:
                return None
            found.append(each)
        return found

    async def _delete_all(self, kind: str, id: str) -> int:
        count = 0
        while page := await self._records.page(kind, prefix=f"{id}/", limit=_PAGE):
            for each in page:
                with suppress(Conflict):
                    await self._records.delete(kind, each.id, revision=each.revision)
                    count += 1
        return count
