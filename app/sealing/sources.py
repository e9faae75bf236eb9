"""What is sealed: a file that must not change meanwhile, or bytes in memory."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import BadInput, Mismatch


class SourceChanged(Mismatch):
    """The file is not what it was when sealing began; its keys must not be used again."""

    code = "source_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStat:
    """What was seen of a file at the start: size in bytes, time of last change in nanoseconds."""

    size: int
    modified_ns: int


class Source:
    """An open file to be sealed, or bytes. Reads once from start to end; a context manager.

    `path` must be a regular file. With `expected`, a file that differs from it is refused before anything is read.
    Raises BadInput (not_a_file, unreadable), SourceChanged.
    """

    def __init__(self, what: Path | bytes, *, expected: SourceStat | None = None) -> None:
        self._path = None if isinstance(what, bytes) else what
        if isinstance(what, bytes):
            self.name = "the text"
            self._file: io.BytesIO | io.FileIO = io.BytesIO(what)
            self.stat = SourceStat(size=len(what), modified_ns=0)
            return
        self.name = str(what)
        try:
            descriptor = os.open(what, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise BadInput(
                f"{what} cannot be read: {error.strerror}", "Check the path and its permissions.", code="unreadable"
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadInput(f"{what} is not a file", "Name the files themselves.", code="not_a_file")
        self._file = io.FileIO(descriptor, "rb")
        self.stat = self._look()
        if expected is not None and self.stat != expected:
            self._file.close()
            raise self._changed("its size or its time of change is another")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def fill(self, view: memoryview) -> None:
        """Read exactly `len(view)` bytes. Raises SourceChanged when the file ends before."""
        while view:
            count = self._file.readinto(view)
            if not count:
                raise self._changed("it became shorter")
            view = view[count:]

    def check(self) -> None:
        """Raise SourceChanged unless the file still looks as it did at the start, and is still the one of that name.

        Whoever saves a file anew mostly writes another one and renames it: the open one would never show that.
        """
        if self._path is None:
            return
        if self._look() != self.stat:
            raise self._changed("its size or its time of change is another")
        here = os.fstat(self._file.fileno())
        try:
            there = os.stat(self._path)
        except OSError:
            raise self._changed("it was moved or removed") from None
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise self._changed("another file has its name now")

    def _look(self) -> SourceStat:
        seen = os.fstat(self._file.fileno())
        return SourceStat(size=seen.st_size, modified_ns=seen.st_mtime_ns)

    def _changed(self, how: str) -> SourceChanged:
        return source_changed(self.name, how)


def source_changed(name: str, how: str) -> SourceChanged:
    """The error for a source that is not what it was."""
    return SourceChanged(
        f"{name} changed since sealing began: {how}", "Let nobody write to it, and start this deposit over."
    )
