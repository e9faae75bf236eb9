"""Downloading the segments of items side by side, each into its place in a file and compared when it is there.

An item grows under `.part`, which may have holes. What is whole of it is found by its digests, so nothing else must be
remembered: a download that was killed goes on with exactly the segments that are missing, wherever they lie. Memory is
PARALLEL pieces of 1 MiB, however large segments and items are.

A segment that comes and is another one, or that the service has not, is asked for once more, then noted as damage; the
rest is fetched all the same. A network or a service that is lost ends the download, and everything whole stays.
"""

import asyncio
import hashlib
import hmac
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.client.api import Api
from app.client.files import unwritable
from app.client.problems import ServiceRefused
from app.errors import AppError, Full, Refused, Unreachable
from app.sealing.manifest import ManifestItem
from app.sealing.segments import segment_sizes

PARALLEL = 4
_READ_BYTES = 1 << 20
_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A segment that cannot be had: its place in the item's ciphertext, bytes [start, end), and what came instead."""

    item: int
    segment: int
    start: int
    end: int
    fault: AppError

    @property
    def text(self) -> str:
        """One line for people."""
        return f"segment {self.segment} of item {self.item} (bytes {self.start} to {self.end - 1}) {self.fault.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A segment to fetch into a file: bytes [start, start + size) of it, with that SHA-256."""

    item: int
    segment: int
    path: Path
    start: int
    size: int
    sha256: bytes


def missing_in(path: Path, index: int, item: ManifestItem, tell: Callable[[int], None]) -> Iterator[Wanted]:
    """Yield the segments of an item that do not stand at their places in a file (which need not exist).

    `tell` is given the size of each segment that was looked at. Blocking: reads all that is there.
    """
    start = 0
    file = None
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)) if path.exists() else None
        for segment, (size, sha256) in enumerate(zip(segment_sizes(item.length), item.segments, strict=True)):
            if file is None or not _stands(file, start, size, sha256):
                yield Wanted(item=index, segment=segment, path=path, start=start, size=size, sha256=sha256)
            tell(size)
            start += size
    finally:
        if file is not None:
            os.close(file)


async def download(
    api: Api, deposit_id: bytes, wanted: Sequence[Wanted], tell: Callable[[int], None], done: Callable[[Wanted], None]
) -> tuple[Damage, ...]:
    """Fetch segments into their files; return those that cannot be had, in order.

    `tell` is given bytes that came (negative: that were void); `done` is called in a thread with each segment that
    stands verified in its file. Raises Unreachable, Refused, BadInput (unwritable), Full.
    """
    rest = iter(wanted)
    damage: list[Damage] = []

    async def work() -> None:
        for each in rest:
            fault = await _one(api, deposit_id, each, tell)
            if fault is None:
                await asyncio.to_thread(done, each)
            else:
                found = Damage(
                    item=each.item, segment=each.segment, start=each.start, end=each.start + each.size, fault=fault
                )
                damage.append(found)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL, len(wanted))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(sorted(damage, key=lambda each: (each.item, each.segment)))


def check_room(folder: Path, wanted: Iterable[Wanted]) -> None:
    """Raise Full when the disk has visibly no room for what is to be fetched."""
    needed, free = sum(each.size for each in wanted), shutil.disk_usage(folder).free
    if needed > free:
        raise Full(
            f"{needed} bytes are to be fetched to {folder}, and its disk has {free} left",
            "Make room, or name a folder on another disk; what was fetched stays.",
            code="disk_full",
        )


async def _one(api: Api, deposit_id: bytes, wanted: Wanted, tell: Callable[[int], None]) -> AppError | None:
    """Fetch a segment; return what is wrong with it at last."""
    fault: AppError | None = None
    for _ in range(_TRIES):
        sink = _Place(wanted, tell)
        try:
            await api.segment_into(deposit_id, wanted.item, wanted.segment, sink)
        except ServiceRefused as error:
            if error.status != 404 and error.status < 500:
                raise
            fault = error
        except Refused as error:
            if error.code != "bad_answer":
                raise
            fault = error  # longer than any segment
        except Unreachable as error:
            # Does the service answer at all? Then it is this segment that it cannot give.
            await api.checkpoint()
            fault = error
        else:
            if await asyncio.to_thread(sink.right):
                return None
            fault = AppError("is not the one that the deposit committed to", code="segment_mismatch")
        finally:
            sink.close()
        await asyncio.to_thread(sink.blank)
    assert fault is not None  # noqa: S101 - at least one try was made
    if fault.code == "segment_mismatch":
        return fault
    return AppError(f"is not served: {fault.message}", fault.next_step, code="segment_missing")


class _Place:
    """Where a segment's bytes go as they come."""

    def __init__(self, wanted: Wanted, tell: Callable[[int], None]) -> None:
        self._wanted, self._tell = wanted, tell
        self._file: int | None = None
        self._count = 0
        self._sha256 = hashlib.sha256()

    def begin(self) -> None:
        """A try begins; what came in an earlier one is void."""
        self._tell(-min(self._count, self._wanted.size))
        self._count = 0
        self._sha256 = hashlib.sha256()

    async def take(self, piece: bytes | bytearray) -> None:
        """Write and hash a piece, in a thread. What is too long is counted, and goes nowhere."""
        await asyncio.to_thread(self._take, piece)

    def right(self) -> bool:
        """Whether exactly the segment came."""
        return self._count == self._wanted.size and hmac.compare_digest(self._sha256.digest(), self._wanted.sha256)

    def blank(self) -> None:
        """Put zeros in the place of what came: nobody shall take it for evidence."""
        came = min(self._count, self._wanted.size)
        self.begin()
        try:
            if came:
                with self._wanted.path.open("r+b") as file:
                    file.seek(self._wanted.start)
                    for at in range(0, came, _READ_BYTES):
                        file.write(bytes(min(_READ_BYTES, came - at)))
        except OSError as error:
            raise unwritable(self._wanted.path, error) from error

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, piece: bytes | bytearray) -> None:
        self._sha256.update(piece)
        room = max(0, self._wanted.size - self._count)
        view = memoryview(piece)[:room]
        at = self._wanted.start + min(self._count, self._wanted.size)
        self._tell(len(view))
        self._count += len(piece)
        try:
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._file = os.open(self._wanted.path, flags, 0o600)
            os.lseek(self._file, at, os.SEEK_SET)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise unwritable(self._wanted.path, error) from error


def _stands(file: int, start: int, size: int, sha256: bytes) -> bool:
    if hasattr(os, "SEEK_DATA"):
        try:
            if os.lseek(file, start, os.SEEK_DATA) >= start + size:
                return False  # a hole: nothing was ever written there
        except OSError:  # behind the end
            return False
    os.lseek(file, start, os.SEEK_SET)
    digest, left = hashlib.sha256(), size
    while left:
        piece = os.read(file, min(left, _READ_BYTES))
        if not piece:
            return False
        digest.update(piece)
        left -= len(piece)
    return hmac.compare_digest(digest.digest(), sha256)
