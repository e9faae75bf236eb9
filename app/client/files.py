"""Files that survive a crash: written aside, synced, then renamed; readable by their owner alone."""

import errno
import os
import secrets
from pathlib import Path

from app.errors import AppError, BadInput, Full

MAX_FILE_BYTES = 160 * 1024 * 1024


def unwritable(path: Path, error: OSError) -> AppError:
    """The error for a place that cannot be written: Full without room, BadInput (unwritable) otherwise."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Full(
            f"there is no room for {path}: {error.strerror}",
            "Make room and do the same again: what was done before stays done.",
            code="disk_full",
        )
    return BadInput(
        f"{path} cannot be written: {error.strerror or error}",
        "Check its permissions, or name another place.",
        code="unwritable",
    )


def make_folder(path: Path) -> None:
    """Make a folder (and its parents) that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_file(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace a file at once and durably: after a crash, or without room, it has the old or the new content.

    Not `durable`, it may be old, torn or gone after the machine lost its power: for what can be made again, by a reader
    that sees such a file for what it is. Raises what `unwritable` gives.
    """
    try:
        _write_file(path, data, mode, durable=durable)
    except OSError as error:
        raise unwritable(path, error) from error


def _write_file(path: Path, data: bytes, mode: int, *, durable: bool) -> None:
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def read_file(path: Path, what: str, *, most: int = MAX_FILE_BYTES) -> bytes:
    """Read a file of at most `most` bytes. Raises BadInput (missing, unreadable, too_large)."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise BadInput(f"{what} is not there: {path}", "Check the path.", code="missing") from None
    except OSError as error:
        raise BadInput(
            f"{what} cannot be read: {path}: {error.strerror}", "Check its permissions.", code="unreadable"
        ) from error
    if len(data) > most:
        raise BadInput(f"{what} has more than {most} bytes: {path}", "Name the right file.", code="too_large")
    return data


def destroy_file(path: Path, *, last: bool = True) -> None:
    """Overwrite a file once and remove it; nothing happens where there is none.

    Where it is not the `last` of several in its folder, its removal may wait for theirs: its content is gone already.

    Overwriting is an attempt: a journal, a copy-on-write file system, a flash translation layer or a backup may keep
    the old bytes. What lies in a person's folder is therefore encrypted at all times, and only the disk's own
    encryption and the passphrase protect what such a layer keeps.
    """
    try:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return
    if last:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and removals in a folder durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
