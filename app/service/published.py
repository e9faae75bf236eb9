"""The newest published checkpoint, kept outside the record store, so that a store that lost entries is not extended.

An old backup of the record store is a whole, well-formed ledger: nothing inside it tells that there was more. This one
small file tells. It is written aside, synced, renamed, at the cadence of the upkeep and at an orderly end, and read at
the start. What it leaves open: entries published after its last writing (`checkpoint_seconds`, and what a crash cuts
off), and whoever puts back file and store together. Clients and witnesses remember too, and see those.
"""

import fcntl
import logging
import os
import secrets
from pathlib import Path

from app.errors import BadInput
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import LedgerError
from ledger.note import MAX_NOTE_BYTES, Note, VerifierKey

log = logging.getLogger("muniment.published")


class PublishedFile:
    """One file. Replicas may share it, or have one each."""

    def __init__(self, path: Path, key: VerifierKey) -> None:
        """`key` is the log's, under its origin."""
        self.path, self._key = path, key
        self._kept = (-1, 0)

    def read(self) -> str | None:
        """Return the checkpoint that was kept, signed by this log; None where no file is. Raises BadInput."""
        found = self._read()
        return None if found is None else found[0]

    def keep(self, text: str, size: int) -> bool:
        """Have the file hold this checkpoint, or a larger or better signed one; return whether it was written.

        Raises OSError.
        """
        offered = (size, len(Note.parse(text).signatures))
        if offered <= self._kept:
            return False
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Of replicas that share the file one at a time looks and writes, or an older checkpoint could come last.
            fcntl.flock(folder, fcntl.LOCK_EX)
            written = self._replace(text, offered)
            if written:
                os.fsync(folder)
        finally:
            os.close(folder)
        return written

    def _replace(self, text: str, offered: tuple[int, int]) -> bool:
        """Write the file unless it holds something as large and as well signed."""
        try:
            found = self._read()
        except BadInput:
            found = None  # damaged since the start: what is published now takes its place
        if found is not None:
            there = (found[1].size, len(Note.parse(found[0]).signatures))
            if there >= offered:
                self._kept = there
                return False
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        self._kept = offered
        return True

    def _read(self) -> tuple[str, Checkpoint] | None:
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._bad(f"cannot be read: {error.strerror}") from error
        try:
            text = data.decode("utf-8")
            return text, verify_checkpoint(text, [self._key])
        except UnicodeDecodeError as error:
            raise self._bad("is not UTF-8") from error
        except LedgerError as error:
            raise self._bad(f"is no checkpoint of {self._key.name} under its log key: {error.message}") from error

    def _bad(self, problem: str) -> BadInput:
        return BadInput(
            f"the kept checkpoint {self.path} {problem}",
            "Put there what this registry published last: its /checkpoint, as a client or a witness has it.",
            code="bad_published",
        )
