"""What a client keeps so that it need not load it again. Losing or altering it costs a download, never a wrong answer.

`cache/leaves` and `cache/statements` are lines of public texts; `cache/private.age` holds what concerns the person's
cases, encrypted. Everything read from here is checked against a signed checkpoint or a digest, as if it came from the
service.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from app.canonical import format_json, parse_json
from app.client.files import make_folder, unwritable, write_file
from app.client.home import Home, Vault
from app.errors import AppError
from app.fields import Int, Parsed, read_record, write_record
from app.statements.kinds import Digest, Id
from app.statements.statement import MAX_STATEMENT_BYTES, digest_of

MAX_PRIVATE_BYTES = 256 * 1024 * 1024


def _any_text(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateEntry:
    """A private statement at its index."""

    index: Annotated[int, Int()]
    statement: Annotated[str, Parsed(_any_text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """What was listed for this person when the ledger had `size` entries, and for which cases."""

    genesis: Digest
    size: Annotated[int, Int()]
    cases: tuple[Id, ...]
    entries: tuple[PrivateEntry, ...]


class Cache:
    """The cache folder of a home."""

    def __init__(self, home: Home, vault: Vault) -> None:
        self._folder, self._vault = home.path / "cache", vault

    def leaves(self) -> list[str]:
        """The leaf texts that were kept, from index 0."""
        return _lines(self._folder / "leaves")

    def set_leaves(self, texts: list[str], *, kept: int) -> None:
        """Keep leaf texts, of which the first `kept` are there already (0: write all anew)."""
        _keep(self._folder / "leaves", texts, kept)

    def statements(self) -> dict[bytes, str]:
        """The public statements that were kept, by digest."""
        return {digest_of(line): line for line in _lines(self._folder / "statements") if line.isascii()}

    def add_statements(self, texts: list[str]) -> None:
        """Keep more public statements."""
        _keep(self._folder / "statements", ["", *texts], 1)

    def private(self, genesis: bytes) -> Private:
        """What was listed before, or nothing."""
        with contextlib.suppress(AppError):
            data = self._vault.get("cache", "private")
            if data is not None:
                value = parse_json(data, what="the cache", max_bytes=MAX_PRIVATE_BYTES)
                found = read_record(Private, value, "the cache")
                if found.genesis == genesis:
                    return found
        return Private(genesis=genesis, size=0, cases=(), entries=())

    def set_private(self, private: Private) -> None:
        """Keep what was listed."""
        self._vault.put("cache", "private", format_json(write_record(private)).encode(), durable=False)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    # What follows the last newline was cut off by a crash.
    return [line for line in text.split("\n")[:-1] if len(line) <= MAX_STATEMENT_BYTES]


def _keep(path: Path, texts: list[str], kept: int) -> None:
    more = "".join(f"{text}\n" for text in texts[kept:]).encode()
    if kept == 0:
        write_file(path, more)
    elif more:
        before = 0
        try:
            make_folder(path.parent)
            with path.open("ab", buffering=0) as file:
                before = file.tell()
                path.chmod(0o600)
                left = memoryview(more)
                while left:
                    left = left[file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(path, before)  # a line without its end would spoil the next one
            raise unwritable(path, error) from error
