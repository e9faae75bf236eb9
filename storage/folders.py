"""Folders held open by descriptor, and files that come into being whole: the system calls under `storage.files`.

Every step is relative to an open folder and follows no symbolic link, so nobody who can write into the tree can lead
a write or a read out of it. A draft is a file without a visible name until `link` (new names only) or `replace`.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from storage.errors import Damaged, Full, StorageError, Unavailable

STALE_SECONDS = 3600
"""A draft with a name is swept only when it is so old and nobody holds it."""

_DRAFT = re.compile(r"draft-[0-9a-f]{32}\Z")
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)  # Linux only
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """One open folder. Closed, its `descriptor` is -1, so that a late call fails instead of hitting a stranger."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def enter(self, *names: str) -> "Folder":
        """Return the folder below, opened anew. Raises FileNotFoundError."""
        # Not dup: a duplicate shares the reading position, and two threads that list would disturb each other.
        here = Folder(os.open(".", _FOLDER, dir_fd=self.descriptor))
        for name in names:
            with here:
                here = Folder(os.open(name, _FOLDER, dir_fd=here.descriptor))
        return here

    def make(self, name: str) -> None:
        """Make a folder for the owner only, if it is absent, and make its name durable."""
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
        self.sync()

    def sync(self) -> None:
        """Make durable what names stand here."""
        os.fsync(self.descriptor)

    def open_file(self, name: str) -> int:
        """Open a regular file for reading. Raises FileNotFoundError, and Damaged when it is something else."""
        try:
            # NONBLOCK: opening a pipe that somebody put there must not hang.
            descriptor = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor
            )
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise Damaged(f"{name} is not a regular file", "Find out who put it there.") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Damaged(f"{name} is not a regular file", "Find out who put it there.")
        return descriptor

    @contextmanager
    def guard(self, name: str, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock file `name` against other threads and processes; a killed holder lets go of it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        # Opened each time: flock belongs to the open file, so two threads with one descriptor would both pass.
        descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


class Draft:
    """A file in the making, in `folder`: without any name where the system can (`anonymous`), else a temporary one.

    Nothing is opened before the first `write`. Methods may be called from any thread, `discard` at any time.
    """

    def __init__(self, folder: Folder, *, anonymous: bool) -> None:
        self.size = 0
        self.sha256 = hashlib.sha256()
        self._folder = folder
        self._name = None if anonymous else f"draft-{secrets.token_hex(16)}"
        self._descriptor = -1
        self._over = False
        self._lock = threading.Lock()  # a cancelled task discards while a thread may still be writing

    def write(self, piece: bytes | bytearray) -> None:
        """Append and hash."""
        with self._lock:
            descriptor = self._opened()
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
            self.sha256.update(piece)
            self.size += len(piece)

    def seal(self) -> None:
        """Make the bytes durable and the file read-only."""
        with self._lock:
            descriptor = self._opened()
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)

    def link(self, folder: Folder, name: str) -> None:
        """Give the sealed file a name that nothing bears yet. Raises FileExistsError."""
        with self._lock:
            if self._name is None:
                # With a folder's descriptor CPython calls linkat with AT_SYMLINK_FOLLOW, which this path needs;
                # without one it would link the symbolic link in /proc itself.
                os.link(f"/proc/self/fd/{self._opened()}", name, dst_dir_fd=folder.descriptor, follow_symlinks=True)
            else:
                here, there = self._folder.descriptor, folder.descriptor
                os.link(self._name, name, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)

    def replace(self, folder: Folder, name: str) -> None:
        """Put the sealed file in the place of whatever bears the name, in one step. Not for an anonymous draft."""
        with self._lock:
            assert self._name is not None  # noqa: S101
            here, there = self._folder.descriptor, folder.descriptor
            os.replace(self._name, name, src_dir_fd=here, dst_dir_fd=there)

    def discard(self) -> None:
        """Close it, and remove its temporary name. What was linked stays. Safe to call twice."""
        with self._lock:
            self._over = True
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor < 0:
                return
            if self._name is not None:
                with suppress(OSError):  # replaced: gone already
                    os.unlink(self._name, dir_fd=self._folder.descriptor)
            os.close(descriptor)

    def _opened(self) -> int:
        if self._over:
            raise Unavailable("the writing was given up", "Begin anew.")
        if self._descriptor < 0:
            if self._name is None:
                flags, name = _O_TMPFILE | os.O_WRONLY, "."
            else:
                flags, name = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, self._name
            self._descriptor = os.open(name, flags | os.O_CLOEXEC, 0o600, dir_fd=self._folder.descriptor)
            # Tells a sweeper that somebody is at work here.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self._descriptor


def can_be_anonymous(folder: Folder) -> bool:
    """Say whether the system can make a file without a name here and name it later (Linux with /proc)."""
    draft = Draft(folder, anonymous=True)
    name = f"draft-{secrets.token_hex(16)}"
    try:
        if not _O_TMPFILE:
            return False
        draft.write(b"")
        draft.link(folder, name)
        os.unlink(name, dir_fd=folder.descriptor)
    except OSError:
        return False
    finally:
        draft.discard()
    return True


def sweep(folder: Folder, *, stale_seconds: int = STALE_SECONDS) -> int:
    """Remove drafts that a killed process left under a name; return how many. Nothing else is touched."""
    swept = 0
    for name in os.listdir(folder.descriptor):
        if _DRAFT.match(name):
            with suppress(OSError, Damaged):  # gone meanwhile, held by its writer, or not a file: leave it
                swept += _sweep_one(folder, name, stale_seconds)
    return swept


def _sweep_one(folder: Folder, name: str, stale_seconds: int) -> bool:
    descriptor = folder.open_file(name)
    try:
        if time.time() - os.fstat(descriptor).st_mtime < stale_seconds:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only the name goes: the file may be a published blob, if the kill came between its two names.
        os.unlink(name, dir_fd=folder.descriptor)
        return True
    finally:
        os.close(descriptor)


def translated(error: OSError) -> StorageError:
    """Return what a failed system call means to the port."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return Damaged(
            f"a link or a file stands where the store keeps a folder ({reason})", "Find out who put it there."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Full(f"the disk of the blobs is full ({reason})", "Make room, look what stands there, try again.")
    return Unavailable(f"the disk of the blobs does not answer ({reason})", "Look at its folder and permissions.")
