"""The file in which a store audit keeps how far it is: written whole, never older than the time it is given.

`{"format":"muniment-store-audit-progress/v1",…}`, canonical JSON of `Progress`. A kill leaves the file as it was last
written, at most a second ago; what was read since is read again. One audit uses a file at a time.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.canonical import format_json, parse_json
from app.errors import BadInput
from app.fields import read_record, write_record
from app.service.store_audit import Progress
from app.statements.store_report import MAX_REPORT_BYTES

FORMAT = "muniment-store-audit-progress/v1"
EVERY_SECONDS = 1.0


def format_progress(progress: Progress) -> bytes:
    """Return the file's bytes."""
    return format_json({"format": FORMAT, **write_record(progress)}).encode()


def parse_progress(data: bytes) -> Progress:
    """Read the file's bytes. Raises BadInput."""
    what = "the audit's progress"
    value = parse_json(data, what=what, max_bytes=MAX_REPORT_BYTES, max_depth=4)
    if not isinstance(value, dict) or next(iter(value.items()), None) != ("format", FORMAT):
        raise BadInput(f"{what} is not of the format {FORMAT}", _ANEW, code="not_progress")
    return read_record(Progress, {name: each for name, each in value.items() if name != "format"}, what)


class ProgressFile:
    """The progress at one path. Made by `held`."""

    def __init__(self, path: Path, *, every_seconds: float, monotonic: Callable[[], float]) -> None:
        self._path, self._every, self._monotonic = path, every_seconds, monotonic
        self._written_at: float | None = None
        self._newest: Progress | None = None

    def load(self) -> Progress | None:
        """Return what stands there, or None. Raises BadInput naming the file."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"{self._path} cannot be read: {error.strerror}", _ANEW, code="unreadable") from error
        try:
            return parse_progress(data)
        except BadInput as error:
            raise BadInput(f"{self._path}: {error.message}", _ANEW, code=error.code) from error

    def save(self, progress: Progress) -> None:
        """Keep it; write it unless something was written just now."""
        self._newest = progress
        now = self._monotonic()
        if self._written_at is None or now - self._written_at >= self._every:
            self.flush()
            self._written_at = now

    def flush(self) -> None:
        """Write what was kept last. Raises BadInput."""
        if self._newest is None:
            return
        aside = self._path.with_name(f".{self._path.name}.new")
        try:
            with aside.open("wb") as file:
                file.write(format_progress(self._newest))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
        except OSError as error:
            raise BadInput(
                f"{self._path} cannot be written: {error.strerror}", "Name another with --state.", code="unwritable"
            ) from error
        self._newest = None

    def remove(self) -> None:
        """The audit is done: its report is written."""
        self._newest = None
        self._path.unlink(missing_ok=True)


@contextmanager
def held(
    path: Path, *, every_seconds: float = EVERY_SECONDS, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[ProgressFile]:
    """Use the file alone until the block ends; leave there what was kept last. Raises BadInput (`audit_running`)."""
    guard = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadInput(
            f"{guard} cannot be written: {error.strerror}", "Name another file with --state.", code="unwritable"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                f"another audit uses {path}", "Wait for it, or name another file with --state.", code="audit_running"
            ) from error
        file = ProgressFile(path, every_seconds=every_seconds, monotonic=monotonic)
        try:
            yield file
        finally:
            file.flush()
    finally:
        os.close(descriptor)


_ANEW = "Remove it to begin anew, or name another with --state."
