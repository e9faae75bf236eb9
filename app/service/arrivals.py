"""What is really in the store for a deposit, looked at before it is accepted; and which version of it was looked at.

Bytes may come through the service, or from the client straight to an S3 store by a presigned PUT. Both are looked at in
the same way: size, SHA-256 as the store computed it, lock, version, and no header beside those that were signed.
Record `pins` DEPOSIT/MANIFEST_HASH → the version of each segment. It is written before the deposit is offered to the
ledger, so an accepted deposit has it. Whoever holds the store's keys can hide an object behind a newer version or a
delete marker, but (key, version) still reaches its bytes.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import BadInput, Refused
from app.fields import Many, Text, read_record, write_record
from app.sealing.manifest import Manifest
from app.service.places import Segment, blob_key, expected_segments
from storage.errors import AlreadyExists, Conflict, Damaged, NotFound
from storage.ports import MAX_RECORD_BYTES, BlobStat, BlobStore, DirectStore, RecordStore

KIND = "pins"
_AT_ONCE = 16
_REMEMBERED = 16


class UploadMode(StrEnum):
    """How segments reach the store."""

    AUTO = "auto"
    """By presigned PUT where the store is S3 and was seen to refuse headers that nobody signed; else as `PROXY`."""
    PROXY = "proxy"
    """Through the service: for stores that clients cannot reach, or should not."""
    PRESIGNED = "presigned"
    """By presigned PUT, or the service does not start."""


def direct_store(blobs: BlobStore, mode: UploadMode) -> DirectStore | None:
    """Return the store that clients may be sent to, or None. Raises BadInput (`bad_setting`) in mode `PRESIGNED`."""
    if mode is not UploadMode.PROXY and isinstance(blobs, DirectStore) and blobs.refuses_unsigned_headers:
        return blobs
    if mode is UploadMode.PRESIGNED:
        why = "this store is not S3"
        if isinstance(blobs, DirectStore):
            why = "this S3 server accepts x-amz-* headers that a presigned URL does not sign"
        raise BadInput(
            f"the setting 'uploads' is 'presigned', and {why}",
            "Set it to 'auto' or 'proxy': then segments pass through the service.",
            code="bad_setting",
        )
    return None


async def look(blobs: BlobStore, deposit_id: bytes, segment: Segment) -> BlobStat | None:
    """Return what stands for a segment, exactly as it was declared, or None. Raises Refused (`segment_conflict`)."""
    key = blob_key(deposit_id, segment.item, segment.segment)
    if isinstance(blobs, DirectStore):
        try:
            return await blobs.arrived(key, size=segment.size, sha256=segment.sha256, retain_until=0)
        except NotFound:
            return None
        except Damaged as error:
            raise conflict(segment) from error
    stat = await blobs.stat(key)
    if stat is not None and (stat.size, stat.sha256) != (segment.size, segment.sha256):
        raise conflict(segment)
    return stat


async def look_at_all(blobs: BlobStore, deposit_id: bytes, manifest: Manifest) -> tuple[tuple[Segment, BlobStat], ...]:
    """Look at every segment of a manifest. Raises Refused (`segment_missing`, `segment_conflict`), naming the first."""
    expected, found = expected_segments(manifest), []
    for start in range(0, len(expected), _AT_ONCE):
        some = expected[start : start + _AT_ONCE]
        stats = await asyncio.gather(*(look(blobs, deposit_id, each) for each in some), return_exceptions=True)
        for each, stat in zip(some, stats, strict=True):
            if isinstance(stat, BaseException):
                raise stat
            if stat is None:
                raise missing(each)
            found.append((each, stat))
    return tuple(found)


async def stat_pinned(blobs: BlobStore, key: str, version: str | None) -> BlobStat | None:
    """Look at the pinned version, whatever hides it; where that is gone, or none is known, at what stands there.

    A store that was restored elsewhere has other versions: then the digests of the manifest decide, as ever.
    """
    stat = None if version is None else await blobs.stat(key, version)
    return stat if stat is not None else await blobs.stat(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pins:
    items: Annotated[tuple[Annotated[tuple[Annotated[str, Text(1024)], ...], Many(10**6)], ...], Many(10**6)]


class Pins:
    """The versions that were looked at before acceptance, over a record store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._known: OrderedDict[str, _Pins] = OrderedDict()

    async def keep(self, deposit_id: bytes, manifest_hash: bytes, found: tuple[tuple[Segment, BlobStat], ...]) -> None:
        """Keep the versions of a deposit that is about to be offered; those of an earlier try are replaced."""
        items: list[list[str]] = []
        for segment, stat in found:
            items += [[] for _ in range(segment.item + 1 - len(items))]
            items[segment.item].append(stat.version)
        data = format_json(write_record(_Pins(items=tuple(tuple(each) for each in items)))).encode()
        id = _id(deposit_id, manifest_hash)
        while True:
            there = await self._records.get(KIND, id)
            try:
                if there is None:
                    await self._records.insert(KIND, id, data)
                elif there.data != data:
                    await self._records.replace(KIND, id, data, revision=there.revision)
                return
            except (AlreadyExists, Conflict):
                continue  # another replica was asked too, and saw what we saw or what stands there now

    async def version(self, deposit_id: bytes, manifest_hash: bytes, segment: tuple[int, int]) -> str | None:
        """Return the version of (item, segment) of an accepted deposit, or None where none is known."""
        id = _id(deposit_id, manifest_hash)
        pins = self._known.get(id)
        if pins is None:
            found = await self._records.get(KIND, id)
            if found is None:
                return None
            value = parse_json(found.data, what="the pinned versions", max_bytes=MAX_RECORD_BYTES)
            pins = self._known[id] = read_record(_Pins, value, "the pinned versions")
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        item, number = segment
        if item < len(pins.items) and number < len(pins.items[item]):
            return pins.items[item][number]
        return None


def conflict(segment: Segment) -> Refused:
    """What stands there is not what was declared."""
    return Refused(
        f"item {segment.item}, segment {segment.segment}: other bytes stand there",
        "Stored bytes are never replaced: begin another upload.",
        code="segment_conflict",
    )


def missing(segment: Segment) -> Refused:
    """Nothing stands there."""
    return Refused(
        f"item {segment.item}, segment {segment.segment} is not stored here", "Upload it.", code="segment_missing"
    )


def _id(deposit_id: bytes, manifest_hash: bytes) -> str:
    return f"{deposit_id.hex()}/{manifest_hash.hex()}"
