"""The two ports: what the rest of the project may ask of a store, and nothing more.

Every adapter passes the conformance suite of its port (`tests/conformance/`). What is left out on purpose, because
engines disagree on it: transactions over several records, change feeds, expiry, server-side clocks, overwriting.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MAX_RECORD_BYTES = 15 * 1024 * 1024
"""The largest record, in bytes: one MongoDB document (16 MiB) less its frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stored record: its id, its revision (1 when inserted, then rising by one) and its bytes."""

    id: str
    revision: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStat:
    """What stands under a blob's key: size in bytes, SHA-256 (32 bytes), the lock, and the version that pins it."""

    key: str
    version: str
    size: int
    sha256: bytes
    retain_until: int
    """Unix seconds; the store deletes nothing before."""
    hold: bool
    """A legal hold: nothing is deleted while it stands, whatever `retain_until` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """One request that its holder may send until `expires_at` (Unix seconds), with exactly these headers."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    expires_at: int


class RecordStore(Protocol):
    """Small named documents with revisions; durable when a write returns, and read as the majority has them.

    A kind is 1 to 32 characters of a-z, 0-9 and '-'. An id is 1 to 200 printable ASCII characters without space; ids of
    one kind are ordered by their bytes. Anything else is `BadName`; more than `MAX_RECORD_BYTES` is `BadName` too.
    Any write that raises `Unavailable` may or may not have happened.
    """

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        """Write a new record at revision 1. Raises AlreadyExists and leaves what stands there."""
        ...

    async def get(self, kind: str, id: str) -> Record | None:
        """Return the record, or None. Never a state that a later failure could take back."""
        ...

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        """Replace the record if it stands at `revision`; return the new revision. Raises Conflict (also if absent)."""
        ...

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        """Remove the record if it stands at `revision`. Raises Conflict (also if absent)."""
        ...

    async def page(
        self, kind: str, *, prefix: str = "", after: str = "", before: str = "", limit: int = 100, reverse: bool = False
    ) -> tuple[Record, ...]:
        """Return up to `limit` (1 to 1,000) records whose id starts with `prefix`, ascending by id, or descending.

        `after` and `before` are exclusive bounds on the id, each "" for none; with `reverse` the page starts at the
        greatest id below `before`.
        """
        ...

    async def close(self) -> None:
        """Finish what was begun and release the store. Safe to call twice."""
        ...


class BlobStore(Protocol):
    """Write-once objects with a retention lock.

    A key is 1 to 512 characters: segments of [a-z0-9._-] joined by single '/', none of them '.' or '..' or starting
    with a dot. Times are Unix seconds. A version is an opaque non-empty string; what was stored is pinned by
    (key, version, sha256). There is no overwrite, no delete without a version and no way to shorten a lock.
    """

    async def put_new(
        self,
        key: str,
        source: AsyncIterable[bytes],
        *,
        size: int,
        sha256: bytes,
        retain_until: int,
        hold: bool = False,
    ) -> str:
        """Store exactly `size` bytes whose SHA-256 is `sha256`, locked until `retain_until`; return the version.

        All or nothing, and durable when it returns. Raises AlreadyExists (what stands is untouched; the caller may
        compare its digest), Damaged when length or digest differ (nothing is kept).
        """
        ...

    async def stat(self, key: str, version: str | None = None) -> BlobStat | None:
        """Look at what is really there, or return None. `sha256` is the digest recorded at writing, not recomputed."""
        ...

    def get(
        self, key: str, *, start: int = 0, end: int | None = None, version: str | None = None
    ) -> AsyncIterator[bytes]:
        """Stream bytes [start, end) in pieces of at most 1 MiB; `end` None is the whole rest. Raises NotFound."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[BlobStat, ...]:
        """Return up to `limit` objects whose key starts with `prefix` and is greater than `after`, sorted by key."""
        ...

    async def extend(self, key: str, version: str, retain_until: int) -> None:
        """Move the lock to a later time. An equal time changes nothing; an earlier one raises Locked."""
        ...

    async def set_hold(self, key: str, version: str, on: bool) -> None:
        """Place or lift the legal hold; idempotent."""
        ...

    async def delete(self, key: str, version: str) -> None:
        """Remove one version. Raises Locked before its time or under a hold, NotFound when absent."""
        ...

    async def close(self) -> None:
        """Release the store. Safe to call twice."""
        ...


@runtime_checkable
class DirectStore(Protocol):
    """What a blob store offers beside its port where its bytes need not pass through this process."""

    refuses_unsigned_headers: bool
    """Whether a request for others to send is held to exactly what was signed. If not, give none away."""

    def presign_put(
        self, key: str, *, size: int, sha256: bytes, retain_until: int, hold: bool = False, expires_in: int
    ) -> SignedRequest:
        """Return a request that puts exactly this blob, once, locked, within `expires_in` seconds (at most a week)."""
        ...

    async def arrived(
        self, key: str, *, size: int, sha256: bytes, retain_until: int, hold: bool = False, version: str | None = None
    ) -> BlobStat:
        """Look at what somebody put under `key`; return it if it is exactly what was asked for.

        Raises NotFound, or Damaged that names what differs: size, digest, lock, hold or a header that nobody signed.
        """
        ...
