"""Both ports in memory: the reference that other adapters are compared with, and the fake of every other test.

A `fault` is called before and after each write takes effect. When it raises `Unavailable` before, the write is lost;
when it raises after, the write is kept but reported lost. Any other exception stands for a crash at that point. Handles
made by `reopen` share the data, as a second process shares a file.
"""

import hashlib
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from storage.errors import AlreadyExists, Conflict, Damaged, NotFound, Unavailable
from storage.locks import check_retain_until, refuse_locked, refuse_shorter
from storage.names import (
    check_id,
    check_id_bounds,
    check_key,
    check_key_bounds,
    check_kind,
    check_limit,
    check_range,
    check_record_size,
)
from storage.ports import BlobStat, Record

PIECE_BYTES = 1024 * 1024


class Moment(StrEnum):
    """When a fault is asked: before the write takes effect, or after."""

    BEFORE = "before"
    AFTER = "after"


Fault = Callable[[Moment, str, str], None]
"""(moment, operation, name): the operation is the port's method, the name "kind/id" or the blob's key."""


def no_fault(_moment: Moment, _operation: str, _name: str) -> None:
    """Let every write happen and be reported."""


class MemoryRecordStore:
    """`RecordStore` over a dict."""

    def __init__(self, *, fault: Fault = no_fault) -> None:
        self.fault = fault
        self._kinds: dict[str, dict[str, Record]] = {}
        self._closed = False

    def reopen(self) -> Self:
        """Return a new open handle on the same data, without a fault."""
        other = type(self)()
        other._kinds = self._kinds
        return other

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        self._check(kind, id, data)
        self.fault(Moment.BEFORE, "insert", f"{kind}/{id}")
        if id in self._kinds.get(kind, {}):
            raise AlreadyExists(f"the record {kind}/{id} exists", "Read what stands there.")
        self._kinds.setdefault(kind, {})[id] = Record(id=id, revision=1, data=bytes(data))
        self.fault(Moment.AFTER, "insert", f"{kind}/{id}")

    async def get(self, kind: str, id: str) -> Record | None:
        self._check(kind, id)
        return self._kinds.get(kind, {}).get(id)

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        self._check(kind, id, data)
        self.fault(Moment.BEFORE, "replace", f"{kind}/{id}")
        self._expect(kind, id, revision)
        self._kinds[kind][id] = Record(id=id, revision=revision + 1, data=bytes(data))
        self.fault(Moment.AFTER, "replace", f"{kind}/{id}")
        return revision + 1

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        self._check(kind, id)
        self.fault(Moment.BEFORE, "delete", f"{kind}/{id}")
        self._expect(kind, id, revision)
        del self._kinds[kind][id]
        self.fault(Moment.AFTER, "delete", f"{kind}/{id}")

    async def page(
        self, kind: str, *, prefix: str = "", after: str = "", before: str = "", limit: int = 100, reverse: bool = False
    ) -> tuple[Record, ...]:
        self._check(kind)
        check_id_bounds(prefix, after, before)
        check_limit(limit)
        records = self._kinds.get(kind, {})
        ids = [i for i in records if i.startswith(prefix) and i > after and (not before or i < before)]
        return tuple(records[i] for i in sorted(ids, reverse=reverse)[:limit])

    async def close(self) -> None:
        self._closed = True

    def _check(self, kind: str, id: str | None = None, data: bytes = b"") -> None:
        check_kind(kind)
        if id is not None:
            check_id(id)
            check_record_size(kind, id, data)
        _refuse_closed(self._closed)

    def _expect(self, kind: str, id: str, revision: int) -> None:
        found = self._kinds.get(kind, {}).get(id)
        if found is None or found.revision != revision:
            state = "absent" if found is None else f"at revision {found.revision}"
            raise Conflict(
                f"the record {kind}/{id} is {state}, not at revision {revision}", "Read it again and decide."
            )


@dataclass(slots=True)
class _Blobs:
    stats: dict[str, BlobStat] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)


class MemoryBlobStore:
    """`BlobStore` over two dicts. `clock` gives Unix seconds, for locks."""

    def __init__(self, *, clock: Callable[[], int] = lambda: int(time.time()), fault: Fault = no_fault) -> None:
        self.fault = fault
        self._clock = clock
        self._blobs = _Blobs()
        self._closed = False

    def reopen(self) -> Self:
        """Return a new open handle on the same data and clock, without a fault."""
        other = type(self)(clock=self._clock)
        other._blobs = self._blobs
        return other

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
        self._check(key)
        check_retain_until(retain_until)
        body = bytearray()
        async for piece in source:
            body += piece
            if len(body) > size:
                raise Damaged(
                    f"the blob {key} is longer than the declared {size} bytes", "Nothing was kept; send it anew."
                )
        if len(body) != size or hashlib.sha256(body).digest() != sha256:
            raise Damaged(
                f"the blob {key} is not what was declared (length or SHA-256)", "Nothing was kept; send it anew."
            )
        self.fault(Moment.BEFORE, "put_new", key)
        if key in self._blobs.stats:
            raise AlreadyExists(f"the blob {key} exists", "Compare its SHA-256 with yours.")
        version = secrets.token_hex(16)
        self._blobs.bodies[key] = bytes(body)
        self._blobs.stats[key] = BlobStat(
            key=key, version=version, size=size, sha256=sha256, retain_until=retain_until, hold=hold
        )
        self.fault(Moment.AFTER, "put_new", key)
        return version

    async def stat(self, key: str, version: str | None = None) -> BlobStat | None:
        self._check(key)
        found = self._blobs.stats.get(key)
        return found if found is not None and version in (None, found.version) else None

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None, version: str | None = None
    ) -> AsyncIterator[bytes]:
        self._check(key)
        check_range(start, end)
        self._find(key, version)
        body = self._blobs.bodies[key]
        stop = len(body) if end is None else min(end, len(body))
        for at in range(start, stop, PIECE_BYTES):
            yield body[at : min(at + PIECE_BYTES, stop)]

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[BlobStat, ...]:
        check_key_bounds(prefix, after)
        check_limit(limit)
        _refuse_closed(self._closed)
        keys = sorted(key for key in self._blobs.stats if key.startswith(prefix) and key > after)
        return tuple(self._blobs.stats[key] for key in keys[:limit])

    async def extend(self, key: str, version: str, retain_until: int) -> None:
        self._check(key)
        check_retain_until(retain_until)
        self.fault(Moment.BEFORE, "extend", key)
        found = self._find(key, version)
        refuse_shorter(found, retain_until)
        self._blobs.stats[key] = replace(found, retain_until=retain_until)
        self.fault(Moment.AFTER, "extend", key)

    async def set_hold(self, key: str, version: str, on: bool) -> None:
        self._check(key)
        self.fault(Moment.BEFORE, "set_hold", key)
        self._blobs.stats[key] = replace(self._find(key, version), hold=on)
        self.fault(Moment.AFTER, "set_hold", key)

    async def delete(self, key: str, version: str) -> None:
        self._check(key)
        self.fault(Moment.BEFORE, "delete", key)
        refuse_locked(self._find(key, version), self._clock())
        del self._blobs.stats[key], self._blobs.bodies[key]
        self.fault(Moment.AFTER, "delete", key)

    async def close(self) -> None:
        self._closed = True

    def _check(self, key: str) -> None:
        check_key(key)
        _refuse_closed(self._closed)

    def _find(self, key: str, version: str | None) -> BlobStat:
        found = self._blobs.stats.get(key)
        if found is None or version not in (None, found.version):
            raise NotFound(f"there is no blob {key}" + (f" of version {version}" if version else ""))
        return found


def _refuse_closed(closed: bool) -> None:
    if closed:
        raise Unavailable("the store is closed", "Open it again.")
