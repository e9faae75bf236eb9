"""One process of a person at a time, for the acts that must happen at most once (a deal, a contribution)."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from app.client.files import make_folder
from app.errors import Refused


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a home. Raises Refused (busy) when another process holds it; a crash releases it."""
    make_folder(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not there

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Refused(
            f"another process of yours is at work in {folder}", "Wait until it has ended.", code="busy"
        ) from error
