"""Blobs as write-once files below one folder. What they can promise, and what not: decision 0002.

    muniment-blobs-1     an empty file: this folder is ours, in this format
    objects/…            the blobs, mode 0444, at the places that `storage.layout` gives
    locks/…              for each blob, at the same place, its lock record (`storage.lock_record`)
    guards/00…ff         lock files: one process at a time changes the keys that hash to one of them
    drafts/              what is being written

A blob becomes visible by one link, when its bytes and its lock record are already durable. A record without a blob is
what a kill between the two leaves: it means nothing, and the next writer of that key replaces it. Several processes on
one machine may open the same folder.
"""

import asyncio
import hashlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from storage.errors import AlreadyExists, Damaged, Unavailable
from storage.file_tree import FileTree, open_tree
from storage.folders import translated
from storage.locks import check_retain_until, refuse_locked, refuse_shorter
from storage.names import check_key, check_key_bounds, check_limit, check_range
from storage.ports import BlobStat

PIECE_BYTES = 1024 * 1024
THREADS = 8

_Result = TypeVar("_Result")


class FileBlobStore:
    """`BlobStore` in one folder. Made by `open`."""

    def __init__(self, tree: FileTree, clock: Callable[[], int]) -> None:
        self._tree = tree
        self._clock = clock
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="blob-files")

    @classmethod
    async def open(
        cls, root: str | Path, *, clock: Callable[[], int] = lambda: int(time.time()), anonymous: bool | None = None
    ) -> Self:
        """Open the folder, made if absent (its parent must exist), and sweep what kills left there.

        `clock` gives Unix seconds. `anonymous` False never uses files without a name; None tries whether it can.
        Raises BadName when the folder is another program's or a later version's.
        """

        def start() -> FileTree:
            try:
                return open_tree(Path(root), anonymous=anonymous)
            except OSError as error:
                raise translated(error) from error

        return cls(await asyncio.to_thread(start), clock)

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
        check_key(key)
        check_retain_until(retain_until)
        if await self._call(lambda: self._tree.stands(key)):  # spares a sender that retries the writing
            raise _exists(key)
        draft = self._tree.draft()
        try:
            async for piece in _gathered(source):
                if draft.size + len(piece) > size:
                    raise Damaged(f"the blob {key} is longer than the declared {size} bytes", "Nothing was kept.")
                await self._call(partial(draft.write, piece))
            if draft.size != size or draft.sha256.digest() != sha256:
                raise Damaged(f"the blob {key} is not what was declared (length or SHA-256)", "Nothing was kept.")
            stat = BlobStat(
                key=key,
                version=secrets.token_hex(16),
                size=size,
                sha256=sha256,
                retain_until=retain_until,
                hold=hold,
            )
            if not await self._call(lambda: self._tree.publish(draft, stat)):
                raise _exists(key)
            return stat.version
        finally:
            self._later(draft.discard)

    async def stat(self, key: str, version: str | None = None) -> BlobStat | None:
        check_key(key)
        found = await self._call(lambda: self._tree.look(key))
        return found if found is not None and version in (None, found.version) else None

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None, version: str | None = None
    ) -> AsyncIterator[bytes]:
        """Stream bytes [start, end). A whole blob is compared with its digest before its last piece is given out."""
        check_key(key)
        check_range(start, end)
        reader = _Reader(self._tree, key, version, start, end)
        try:
            while piece := await self._call(reader.next):
                yield piece
        finally:
            self._later(reader.close)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[BlobStat, ...]:
        check_key_bounds(prefix, after)
        check_limit(limit)
        return await self._call(lambda: self._tree.page(prefix, after, limit))

    async def extend(self, key: str, version: str, retain_until: int) -> None:
        check_key(key)
        check_retain_until(retain_until)

        def change(stat: BlobStat) -> BlobStat:
            refuse_shorter(stat, retain_until)
            return replace(stat, retain_until=retain_until)

        await self._call(lambda: self._tree.change(key, version, change))

    async def set_hold(self, key: str, version: str, on: bool) -> None:
        check_key(key)
        await self._call(lambda: self._tree.change(key, version, lambda stat: replace(stat, hold=on)))

    async def delete(self, key: str, version: str) -> None:
        check_key(key)
        await self._call(lambda: self._tree.remove(key, version, lambda stat: refuse_locked(stat, self._clock())))

    async def close(self) -> None:
        """Finish what threads are doing, end them, close the folders. Safe to call twice."""
        await asyncio.to_thread(self._threads.shutdown)
        self._tree.close()

    async def _call(self, act: Callable[[], _Result]) -> _Result:
        """Do blocking work in a thread; a caller that is cancelled does not stop it."""
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, act)
        except RuntimeError as error:  # the threads were shut down
            raise Unavailable("the store is closed", "Open it again.") from error
        try:
            return await answer
        except OSError as error:
            raise translated(error) from error

    def _later(self, act: Callable[[], None]) -> None:
        """Do it in a thread without waiting, so that it runs when the caller is being cancelled too."""
        try:
            self._threads.submit(act)
        except RuntimeError:
            act()


class _Reader:
    """One blob being read: opened at the first piece, checked as a whole where all of it is asked for."""

    def __init__(self, tree: FileTree, key: str, version: str | None, start: int, end: int | None) -> None:
        self._tree, self._key, self._version = tree, key, version
        self._at, self._end = start, end
        self._file: tuple[int, BlobStat] | None = None
        self._sha256 = hashlib.sha256()
        self._whole = False
        self._over = False
        self._busy = threading.Lock()  # a cancelled task closes while a thread may still be reading

    def next(self) -> bytes:
        """Return the next piece of at most 1 MiB, or b"" at the end. Raises NotFound, Damaged."""
        with self._busy:
            if self._over:
                return b""
            if self._file is None:
                self._file = self._tree.open_blob(self._key, self._version)
                size = self._file[1].size
                self._end = size if self._end is None else min(self._end, size)
                self._whole = (self._at, self._end) == (0, size)
            descriptor, stat = self._file
            assert self._end is not None  # noqa: S101
            wanted = min(PIECE_BYTES, self._end - self._at)
            if wanted <= 0:
                return b""
            piece = os.pread(descriptor, wanted, self._at)
            self._at += len(piece)
            if self._whole:
                self._sha256.update(piece)
            broken = self._whole and self._at == self._end and self._sha256.digest() != stat.sha256
            if not piece or broken:
                raise Damaged(f"the bytes of {self._key} are not those that were stored", "Restore it from a copy.")
            return piece

    def close(self) -> None:
        with self._busy:
            self._over = True
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError):
                    os.close(file[0])


async def _gathered(source: AsyncIterable[bytes]) -> AsyncIterator[bytes | bytearray]:
    """Join small pieces to 1 MiB, so that a thread is asked once a MiB and not once a packet."""
    waiting = bytearray()
    async for piece in source:
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            full, waiting = waiting, bytearray()
            yield full
    yield waiting


def _exists(key: str) -> AlreadyExists:
    return AlreadyExists(f"the blob {key} exists", "Compare its SHA-256 with yours.")
