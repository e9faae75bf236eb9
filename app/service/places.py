"""Where the parts of a deposit lie, and what they are called.

Segments: blobs `deposits/DEPOSIT/ITEM6/SEGMENT6`, write-once. Records: `upload` DEPOSIT → whose it is and for which
case · `manifest` DEPOSIT/HASH · `box` DEPOSIT/CT_HASH/BOX_HASH. Every id says what its bytes are, so nothing is ever
replaced: a client that sent a wrong box or another manifest sends the right one beside it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from app.fields import Hex, Int
from app.sealing.manifest import Manifest
from app.sealing.segments import MAX_SEGMENT_BYTES, segment_sizes
from storage.ports import BlobStat, BlobStore

MAX_NUMBER = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment of a deposit: item and segment number, size in bytes and SHA-256."""

    item: Annotated[int, Int(0, MAX_NUMBER)]
    segment: Annotated[int, Int(0, MAX_NUMBER)]
    size: Annotated[int, Int(1, MAX_SEGMENT_BYTES)]
    sha256: Annotated[bytes, Hex(32)]


def blob_prefix(deposit_id: bytes) -> str:
    """Return what the keys of a deposit's segments begin with."""
    return f"deposits/{deposit_id.hex()}/"


def blob_key(deposit_id: bytes, item: int, segment: int) -> str:
    """Return the key of a segment; keys sort as the segments do."""
    return f"{blob_prefix(deposit_id)}{item:06}/{segment:06}"


def segment_of(deposit_id: bytes, stat: BlobStat) -> Segment:
    """Return the segment that stands under a key of this deposit."""
    item, segment = stat.key.removeprefix(blob_prefix(deposit_id)).split("/")
    return Segment(item=int(item), segment=int(segment), size=stat.size, sha256=stat.sha256)


def expected_segments(manifest: Manifest) -> tuple[Segment, ...]:
    """Return every segment that a manifest names, in the order of their keys."""
    return tuple(
        Segment(item=number, segment=index, size=size, sha256=sha256)
        for number, item in enumerate(manifest.items)
        for index, (size, sha256) in enumerate(zip(segment_sizes(item.length), item.segments, strict=True))
    )


async def stored_segments(blobs: BlobStore, deposit_id: bytes) -> AsyncIterator[BlobStat]:
    """Yield what really stands in the store for a deposit, in the order of keys."""
    prefix, after = blob_prefix(deposit_id), ""
    while page := await blobs.list(prefix, after=after):
        for each in page:
            yield each
        after = page[-1].key
