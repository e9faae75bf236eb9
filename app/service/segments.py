"""Reading one stored segment to its end: is it what the manifest says?"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.service.arrivals import stat_pinned
from app.service.findings import Finding
from app.service.places import Segment, blob_key
from storage.errors import Damaged, NotFound
from storage.ports import BlobStat, BlobStore

Pace = Callable[[int], Awaitable[None]]
"""Awaited with the number of bytes that were read, to hold a reader back."""


async def at_once(_count: int) -> None:
    """Hold nobody back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was read: how many bytes, what stands there, and what is wrong with it."""

    size: int
    stat: BlobStat | None
    finding: Finding | None


async def look_at(
    blobs: BlobStore, deposit_id: str, expected: Segment, pinned: str | None = None, pace: Pace = at_once
) -> Looked:
    """Read a segment (in pieces of at most 1 MiB), in the version that was pinned before acceptance.

    Raises what the store raises when that does not tell what stands there: Unavailable, or that it denies.
    """
    key = blob_key(bytes.fromhex(deposit_id), expected.item, expected.segment)
    place = f"deposit {deposit_id} item {expected.item} segment {expected.segment}"
    stat, count, hashed = None, 0, hashlib.sha256()
    try:
        stat = await stat_pinned(blobs, key, pinned)
        if stat is None:
            return _missing(place, expected)
        current = stat if pinned is None else await blobs.stat(key)
        async for piece in blobs.get(key, version=stat.version):
            hashed.update(piece)
            count += len(piece)
            await pace(len(piece))
    except NotFound:
        return _missing(place, expected)
    except Damaged as error:
        finding = Finding(code="segment_damaged", place=place, message=error.message, span=(0, expected.size))
        return Looked(size=count, stat=stat, finding=finding)
    if count == expected.size and hashed.digest() == expected.sha256:
        hidden = current is None or current.version != stat.version
        return Looked(size=count, stat=stat, finding=_hidden(place, expected, current) if hidden else None)
    message = f"{count} bytes with the SHA-256 {hashed.hexdigest()}, not {expected.size} with {expected.sha256.hex()}"
    # There is one digest for the whole segment; where the length differs, bytes are missing or too many from there on.
    span = (0, expected.size) if count == expected.size else (min(count, expected.size), max(count, expected.size))
    return Looked(
        size=count, stat=stat, finding=Finding(code="segment_damaged", place=place, message=message, span=span)
    )


def _missing(place: str, expected: Segment) -> Looked:
    message = "the segment is not in the store"
    finding = Finding(code="segment_missing", place=place, message=message, span=(0, expected.size))
    return Looked(size=0, stat=None, finding=finding)


def _hidden(place: str, expected: Segment, current: BlobStat | None) -> Finding:
    by = "a delete marker" if current is None else f"the version {current.version[:100]}"
    message = f"somebody with the store's keys laid {by} before it; it is served all the same, from its own version"
    return Finding(code="segment_hidden", place=place, message=message, span=(0, expected.size))
