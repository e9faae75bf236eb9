"""The job that locks the segments of accepted deposits for the full term. Idempotent, and nothing is forgotten.

Applying a deposit's entry leaves a record `lock-due` (until when, in decimal); the job extends every segment and then
moves the record to `locked`. A crash anywhere leaves `lock-due`, and an equal lock changes nothing.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from app.rules.aggregates import Deposited
from app.sealing.manifest import parse_manifest
from app.service.arrivals import stat_pinned
from app.service.places import blob_key, expected_segments
from app.service.projections import Projections
from app.service.uploads import Uploads
from storage.errors import AlreadyExists, Conflict, StorageError
from storage.ports import BlobStore, Record, RecordStore

log = logging.getLogger("muniment.locks")
DUE, DONE = "lock-due", "locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReport:
    """How many deposits were locked, and which (ids in hex) could not be: they are tried again."""

    done: int
    failed: tuple[str, ...]


class LockJob:
    """Extends locks."""

    def __init__(self, records: RecordStore, blobs: BlobStore, projections: Projections, uploads: Uploads) -> None:
        self._records, self._blobs = records, blobs
        self._projections, self._uploads = projections, uploads

    async def run(self) -> LockReport:
        """Do all that is due. A deposit that fails is logged and left due."""
        done, failed, after = 0, [], ""
        while page := await self._records.page(DUE, after=after, limit=200):
            after = page[-1].id
            for record in page:
                try:
                    missing = await self._lock(bytes.fromhex(record.id), int(record.data))
                except StorageError as error:
                    missing = error.code
                if missing is None:
                    await self._finish(record)
                    done += 1
                else:
                    log.warning("the deposit %s cannot be locked for its full term now: %s", record.id, missing)
                    failed.append(record.id)
        return LockReport(done=done, failed=tuple(failed))

    async def _lock(self, deposit_id: bytes, until: int) -> str | None:
        found = await self._projections.ask(lambda view: view.find(Deposited, deposit_id.hex()))
        manifest = None if found is None else await self._uploads.manifest(deposit_id, found.manifest_hash)
        if found is None or manifest is None:
            return "its manifest is not in the store"
        for each in expected_segments(parse_manifest(manifest)):
            key = blob_key(deposit_id, each.item, each.segment)
            pinned = await self._uploads.pins.version(deposit_id, found.manifest_hash, (each.item, each.segment))
            stat = await stat_pinned(self._blobs, key, pinned)
            if stat is None:
                return f"item {each.item}, segment {each.segment} is not in the store"
            if stat.retain_until < until:
                await self._blobs.extend(key, stat.version, until)
        return None

    async def _finish(self, record: Record) -> None:
        with suppress(AlreadyExists):  # the job stopped here before
            await self._records.insert(DONE, record.id, record.data)
        with suppress(Conflict):  # another process finished it
            await self._records.delete(DUE, record.id, revision=record.revision)
