"""The tree of files below `storage.files`, in blocking calls, each under the guard of its key.

Order of a new blob: bytes durable → lock record durable → link → folder durable. Order of a removal: blob, then record.
So at every moment a visible blob has a whole lock record, and what a kill leaves behind is at most a record without a
blob. OSError goes up to `storage.files`, which translates it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import BadName, Damaged, NotFound
from storage.folders import Draft, Folder, can_be_anonymous, sweep
from storage.layout import Parts, keys_in_order, place_of
from storage.lock_record import MAX_BYTES, format_lock_record, parse_lock_record
from storage.ports import BlobStat

MARK = "muniment-blobs-1"
MAX_REMEMBERED = 10_000
"""Folders remembered as durable; beyond, all are forgotten and flushed again when met."""


class FileTree:
    """The open folders of one store. Safe to use from many threads; made by `open_tree`."""

    def __init__(self, root: Folder, *, anonymous: bool) -> None:
        self._root = root
        self._objects = root.enter("objects")
        self._locks = root.enter("locks")
        self._guards = root.enter("guards")
        self._drafts = root.enter("drafts")
        self._anonymous = anonymous
        self._durable: set[tuple[Folder, Parts]] = set()
        """Folders whose own names this process has made durable; none is ever removed."""

    def close(self) -> None:
        for folder in (self._objects, self._locks, self._guards, self._drafts, self._root):
            folder.close()

    def draft(self) -> Draft:
        """Return a new draft of a blob; nothing is opened yet."""
        return Draft(self._drafts, anonymous=self._anonymous)

    def stands(self, key: str) -> bool:
        """Say whether something stands under the key; if so, it is durable when this returns."""
        parts, name = place_of(key)
        with self._guard(key, exclusive=True):
            return self._stands(parts, name)

    def publish(self, draft: Draft, stat: BlobStat) -> bool:
        """Make the drafted blob visible with its lock record. Return False, changing nothing, when the key is taken."""
        draft.seal()
        parts, name = place_of(stat.key)
        with self._guard(stat.key, exclusive=True):
            if self._stands(parts, name):
                return False
            with self._deep(self._objects, parts) as objects:
                self._record(parts, name, stat)
                draft.link(objects, name)
                objects.sync()
        return True

    def look(self, key: str) -> BlobStat | None:
        """Return what stands under the key. Raises Damaged when blob and record do not fit each other."""
        with self._guard(key, exclusive=False):
            try:
                descriptor, stat = self._open(key)
            except FileNotFoundError:
                return None
            os.close(descriptor)
            return stat

    def open_blob(self, key: str, version: str | None) -> tuple[int, BlobStat]:
        """Return a descriptor for reading, which the caller closes, and the record. Raises NotFound, Damaged."""
        with self._guard(key, exclusive=False):
            return self._find(key, version)

    def page(self, prefix: str, after: str, limit: int) -> tuple[BlobStat, ...]:
        found: list[BlobStat] = []
        for key in keys_in_order(self._names_in, prefix=prefix, after=after):
            stat = self.look(key)
            if stat is not None:  # else it was removed meanwhile
                found.append(stat)
                if len(found) == limit:
                    break
        return tuple(found)

    def change(self, key: str, version: str, change: Callable[[BlobStat], BlobStat]) -> None:
        """Replace the lock record in one step by what `change` makes of it. Raises NotFound, and what `change` does."""
        parts, name = place_of(key)
        with self._guard(key, exclusive=True):
            descriptor, old = self._find(key, version)
            os.close(descriptor)
            new = change(old)
            if new != old:
                self._record(parts, name, new)

    def remove(self, key: str, version: str, allow: Callable[[BlobStat], None]) -> None:
        """Remove blob and record unless `allow` raises. Raises NotFound."""
        parts, name = place_of(key)
        with self._guard(key, exclusive=True):
            descriptor, stat = self._find(key, version)
            os.close(descriptor)
            allow(stat)
            with self._objects.enter(*parts) as objects, self._locks.enter(*parts) as locks:
                os.unlink(name, dir_fd=objects.descriptor)
                objects.sync()
                os.unlink(name, dir_fd=locks.descriptor)

    @contextmanager
    def _guard(self, key: str, *, exclusive: bool) -> Iterator[None]:
        number = hashlib.sha256(key.encode()).digest()[0]
        with self._guards.guard(f"{number:02x}", exclusive=exclusive):
            yield

    @contextmanager
    def _deep(self, tree: Folder, parts: Parts) -> Iterator[Folder]:
        """Enter a folder, made where it is absent, when its own name and those above are durable."""
        here = tree.enter()
        try:
            for depth, name in enumerate(parts, start=1):
                # Not only folders that are new: whoever made this one may have been killed before its flush.
                if (tree, parts[:depth]) not in self._durable:
                    here.make(name)
                    if len(self._durable) >= MAX_REMEMBERED:
                        self._durable.clear()
                    self._durable.add((tree, parts[:depth]))
                above, here = here, here.enter(name)
                above.close()
            yield here
        finally:
            here.close()

    def _stands(self, parts: Parts, name: str) -> bool:
        try:
            with self._objects.enter(*parts) as objects:
                os.stat(name, dir_fd=objects.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        # Its writer may have been killed between link and flush, and our caller will rely on what stands here.
        with self._deep(self._objects, parts) as objects:
            objects.sync()
        return True

    def _record(self, parts: Parts, name: str, stat: BlobStat) -> None:
        draft = Draft(self._drafts, anonymous=False)
        try:
            draft.write(format_lock_record(stat))
            draft.seal()
            with self._deep(self._locks, parts) as locks:
                draft.replace(locks, name)
                locks.sync()
        finally:
            draft.discard()

    def _open(self, key: str) -> tuple[int, BlobStat]:
        """Return the blob's descriptor and its record. Raises FileNotFoundError when there is no blob, Damaged."""
        parts, name = place_of(key)
        with self._objects.enter(*parts) as objects:
            descriptor = objects.open_file(name)
        try:
            stat = self._read_record(key, parts, name)
            size = os.fstat(descriptor).st_size
            if size != stat.size:
                raise Damaged(f"the blob {key} has {size} bytes, not {stat.size} as stored", "Restore it from a copy.")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, stat

    def _read_record(self, key: str, parts: Parts, name: str) -> BlobStat:
        try:
            with self._locks.enter(*parts) as locks:
                descriptor = locks.open_file(name)
        except FileNotFoundError as error:
            raise Damaged(f"the blob {key} has no lock record", "Restore the record from a backup.") from error
        try:
            return parse_lock_record(key, os.read(descriptor, MAX_BYTES + 1))
        finally:
            os.close(descriptor)

    def _find(self, key: str, version: str | None) -> tuple[int, BlobStat]:
        missing = f"there is no blob {key}" + (f" of version {version}" if version else "")
        try:
            descriptor, stat = self._open(key)
        except FileNotFoundError as error:
            raise NotFound(missing) from error
        if version not in (None, stat.version):
            os.close(descriptor)
            raise NotFound(missing)
        return descriptor, stat

    def _names_in(self, parts: Parts) -> list[str]:
        try:
            with self._objects.enter(*parts) as folder:
                return os.listdir(folder.descriptor)
        except FileNotFoundError:
            return []


def open_tree(root: Path, *, anonymous: bool | None) -> FileTree:
    """Open or make the folders, sweep what kills left, and find out how drafts can be made. Raises BadName, OSError."""
    try:
        with suppress(FileExistsError):
            os.mkdir(root, 0o700)
        # The root itself may be a symbolic link: where the store lies is for its operator to say.
        folder = Folder(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadName(f"{root} is not a folder, nor can it be made", "Name a folder whose parent exists.") from error
    try:
        _make_ours(folder, root)
        with folder.enter("drafts") as drafts:
            sweep(drafts)
            if anonymous is None:
                anonymous = can_be_anonymous(drafts)
        return FileTree(folder, anonymous=anonymous)
    except BaseException:
        folder.close()
        raise


def _make_ours(folder: Folder, root: Path) -> None:
    names = os.listdir(folder.descriptor)
    if MARK not in names:
        if names:
            raise BadName(f"{root} is not empty and has no {MARK}", "Name another folder; this one was not touched.")
        os.close(os.open(MARK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444, dir_fd=folder.descriptor))
        with folder.enter("..") as above:
            above.sync()
    for name in ("objects", "locks", "guards", "drafts"):
        if name not in names:
            folder.make(name)
