"""Reading one stored segment to its end: is it what the manifest says, and kept as the ledger says?"""

import hashlib
from dataclasses import dataclass

from app.service.arrivals import stat_pinned
from app.service.findings import Finding
from app.service.owed import LATE_SECONDS, Owed
from app.service.places import Segment, blob_key
from storage.errors import NotFound, StorageError, Unavailable
from storage.ports import BlobStat, BlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was read: how many bytes, what stands there, and what is wrong with it."""

    size: int
    stat: BlobStat | None
    finding: Finding | None


async def look_at(blobs: BlobStore, deposit_id: str, expected: Segment, pinned: str | None = None) -> Looked:
    """Read a segment (in pieces of at most 1 MiB), in the version that was pinned before acceptance.

    Raises Unavailable when the store does not answer.
    """
    key = blob_key(bytes.fromhex(deposit_id), expected.item, expected.segment)
    place = f"deposit {deposit_id} item {expected.item} segment {expected.segment}"
    stat, count, hashed = None, 0, hashlib.sha256()
    try:
        stat = await stat_pinned(blobs, key, pinned)
        if stat is None:
            return _missing(place)
        current = stat if pinned is None else await blobs.stat(key)
        async for piece in blobs.get(key, version=stat.version):
            hashed.update(piece)
            count += len(piece)
    except NotFound:
        return _missing(place)
    except Unavailable:
        raise
    except StorageError as error:
        finding = Finding(code="segment_damaged", place=place, message=error.message, span=(0, expected.size))
        return Looked(size=count, stat=stat, finding=finding)
    if count == expected.size and hashed.digest() == expected.sha256:
        hidden = current is None or current.version != stat.version
        return Looked(size=count, stat=stat, finding=_hidden(place, current) if hidden else None)
    message = f"{count} bytes with the SHA-256 {hashed.hexdigest()}, not {expected.size} with {expected.sha256.hex()}"
    # There is one digest for the whole segment; where the length differs, bytes are missing or too many from there on.
    span = (0, expected.size) if count == expected.size else (min(count, expected.size), max(count, expected.size))
    return Looked(
        size=count, stat=stat, finding=Finding(code="segment_damaged", place=place, message=message, span=span)
    )


def not_kept(deposit_id: str, expected: Segment, stat: BlobStat, wanted: Owed) -> list[Finding]:
    """What lock and hold of a segment lack of what is owed, where nothing of it is due any more."""
    place, found = f"deposit {deposit_id} item {expected.item} segment {expected.segment}", []
    if stat.retain_until < wanted.until:
        message = f"its lock ends at {stat.retain_until}, and the term at {wanted.until}"
        found.append(Finding(code="lock_short", place=place, message=message))
    if wanted.held and not stat.hold:
        message = "a legal hold stands on the ledger, and none on this segment"
        found.append(Finding(code="hold_missing", place=place, message=message))
    return found


def lags(deposit_id: str, wanted: Owed, *, applied: bool, now: int) -> list[Finding]:
    """What is wrong with a deposit's due locks and holds: nobody knows of them, or they wait for too long.

    `applied` says that the projections have reached the deposit; `now` is in Unix seconds.
    """
    place = f"deposit {deposit_id}"
    if not wanted.known and applied:
        message = "no job locks its segments for their term"
        return [Finding(code="lock_missing", place=place, message=message)]
    if wanted.due and now - wanted.due[0].since >= LATE_SECONDS:
        message = f"a lock or hold is due for {now - wanted.due[0].since} seconds and not carried out"
        return [Finding(code="lock_late", place=place, message=message)]
    return []


def _missing(place: str) -> Looked:
    finding = Finding(code="segment_missing", place=place, message="the segment is not in the store")
    return Looked(size=0, stat=None, finding=finding)


def _hidden(place: str, current: BlobStat | None) -> Finding:
    by = "a delete marker" if current is None else f"the version {current.version[:100]}"
    message = f"somebody with the store's keys laid {by} before it; it is served all the same, from its own version"
    return Finding(code="segment_hidden", place=place, message=message)
