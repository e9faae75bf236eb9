"""The person at the command line: his folder, unlocked, connected to his registry; and what he types, read strictly.

Words for people come from files, never from the command line, where other users of the machine could read them.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.cli.output import note
from app.errors import BadInput, Refused

if TYPE_CHECKING:
    from app.client.home import Home, Keys
    from app.client.session import Client
    from app.rules.aggregates import Person
    from app.rules.view import WholeView

T = TypeVar("T")
MAX_PAPER_BYTES = 256 * 1024 * 1024
MAX_WORDS_BYTES = 32_768


def as_person(work: "Callable[[Client], Awaitable[T]]") -> T:
    """Unlock the keys, connect, and do `work`. Raises BadInput for what is not set up in MUNIMENT_HOME."""

    async def run() -> T:
        async with connected() as client:
            return await work(client)

    return asyncio.run(run())


@asynccontextmanager
async def connected() -> AsyncIterator["Client"]:
    """The person's client, unlocked and connected. Raises BadInput (missing, no_identity), Mismatch."""
    from app.client.session import Client  # noqa: PLC0415 - `--help` starts without it

    home = home_of()
    trust, settings = home.trust(), home.settings()
    async with Client(home, unlock(home), trust, settings.service, clock=clock) as client:
        try:
            yield client
        finally:
            _say_forgotten(client.forgotten)


def _say_forgotten(forgotten: "Sequence[str]") -> None:
    if forgotten:
        note("a deposit was erased under an order of the court; what this folder kept of it was destroyed:")
        for each in forgotten:
            note(f"  {each}")
        note("  files that you wrote elsewhere are yours to destroy: opened evidence, proofs, certificates, records")


def clock() -> int:
    """Unix seconds."""
    return int(time.time())


def home_of() -> "Home":
    """The person's folder: MUNIMENT_HOME, else the platform's place."""
    from app.client.home import Home, home_path  # noqa: PLC0415

    return Home(home_path())


def unlock(home: "Home") -> "Keys":
    """Open the keys with the passphrase of MUNIMENT_PASSPHRASE_FILE or the terminal. Raises BadInput (no_identity)."""
    from app.client.home import read_passphrase  # noqa: PLC0415
    from app.client.memory import no_dumps  # noqa: PLC0415

    no_dumps()
    if not home.identity_path.exists():
        raise BadInput(
            f"there is no identity in {home.path}",
            "Make one with `muniment identity new`, or name your folder in MUNIMENT_HOME.",
            code="no_identity",
        )
    return home.unlock(read_passphrase())


def confirm(lines: tuple[str, ...], *, ask: bool) -> None:
    """Say what is approved, before it is signed."""
    note("this act")
    for line in lines:
        note(f"  {line}")
    if ask and sys.stdin.isatty() and input("Approve it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("you did not approve the act", "Ask the registrar what it is for.", code="notconfirmed")


def write_result(path: Path, data: bytes) -> None:
    """Write a result to a new file, durably. Raises BadInput (output_exists, unwritable)."""
    from app.client.files import write_file  # noqa: PLC0415

    if path.exists():
        raise BadInput(f"{path} exists already", "Name another file, or move it away.", code="output_exists")
    try:
        write_file(path, data, mode=0o644)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}", "Name another place.", code="unwritable"
        ) from error


def id_of(text: str) -> bytes:
    """Read the id of a case or deposit: 32 digits of lowercase hex."""
    return _hex(text, 16)


def digest_of(text: str) -> bytes:
    """Read a digest, or a panel's id: 64 digits of lowercase hex."""
    return _hex(text, 32)


def seconds_of(text: str) -> int:
    """Read a length of time: a whole number and s, m, h or d, such as 36h or 7d."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 9:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a whole number and s, m, h or d, such as 36h or 7d")
    return int(number) * units[unit]


def day(time: int) -> str:
    """Unix seconds for people."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: int) -> str:
    """A length of time for people."""
    for name, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} seconds"


def member_of(view: "WholeView", text: str) -> "Person":
    """Find an active member by id or by exact name. Raises Refused (unknown_member, ambiguous_name)."""
    from app.rules.aggregates import Person  # noqa: PLC0415

    people = [each for each in view.aggregates.values() if isinstance(each, Person) and each.active]
    found = [each for each in people if each.id == text] or [each for each in people if each.name == text]
    if not found:
        raise Refused(f"no member has the id or name {text!r}", "Name one whom you may see.", code="unknown_member")
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise Refused(f"{len(found)} members are called {text!r}: {ids}", "Name the id.", code="ambiguous_name")
    return found[0]


def add_note(parser: argparse.ArgumentParser, flag: str = "--note", what: str = "words for the case's people") -> None:
    """Give a command an option for sealed words."""
    parser.add_argument(
        flag, dest="note", metavar="FILE", type=Path, help=f"{what}, sealed to them: a text file, or - for stdin"
    )


def words_of(path: Path | None) -> str | None:
    """Read sealed words (UTF-8, at most 32,768 bytes; a final newline is not part of them). Raises BadInput."""
    if path is None:
        return None
    data = sys.stdin.buffer.read(MAX_WORDS_BYTES + 1) if str(path) == "-" else _read(path, "the note", MAX_WORDS_BYTES)
    try:
        words = data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise BadInput(f"the note {path} is not UTF-8 text", "Write it as plain text.", code="not_utf8") from None
    if len(data) > MAX_WORDS_BYTES or not words:
        raise BadInput(f"the note {path} is empty or too long", "Write 1 to 32,768 bytes.", code="bad_note")
    return words


def paper_of(path: Path) -> bytes:
    """Read the court's paper. Raises BadInput."""
    return _read(path, "the court's paper", MAX_PAPER_BYTES)


def _read(path: Path, what: str, most: int) -> bytes:
    from app.client.files import read_file  # noqa: PLC0415

    return read_file(path, what, most=most)


def _hex(text: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != size or data.hex() != text:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not {2 * size} digits of lowercase hex")
    return data
