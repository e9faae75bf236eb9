"""What commands share: the person's folder, his keys, a connected client, and names for members, cases and ids."""

import argparse
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.output import add_json
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.home import Home, Keys
    from app.client.session import Client, State
    from app.rules.aggregates import Person


def add_person(parser: argparse.ArgumentParser) -> None:
    """Give a command `--home`, `--service` and `--json`."""
    parser.add_argument("--home", type=Path, help="your folder (default: MUNIMENT_HOME, else the platform's place)")
    parser.add_argument("--service", metavar="URL", help="the registry's service (default: the one in your settings)")
    add_json(parser)


def home_of(args: argparse.Namespace) -> "Home":
    """The person's folder."""
    from app.client.home import Home, home_path  # noqa: PLC0415

    return Home(args.home or home_path())


def unlock(home: "Home") -> "Keys":
    """Ask for the passphrase (MUNIMENT_PASSPHRASE_FILE, or the terminal) and open the keys."""
    from app.client.home import read_passphrase  # noqa: PLC0415

    if not home.identity_path.exists():
        raise BadInput(
            f"there is no identity in {home.path}",
            "Make one with `muniment identity new`, or name your folder in MUNIMENT_HOME.",
            code="no_identity",
        )
    return home.unlock(read_passphrase())


def clock() -> int:
    """Unix seconds."""
    return int(time.time())


@asynccontextmanager
async def connected(args: argparse.Namespace) -> AsyncIterator["Client"]:
    """The person's client, unlocked and connected."""
    from app.client.session import Client  # noqa: PLC0415

    home = home_of(args)
    trust = home.trust()
    service = args.service or home.settings().service
    async with Client(home, unlock(home), trust, service, clock=clock) as client:
        yield client


def hex_argument(size: int, what: str) -> "type[bytes]":
    """An argparse type: `size` bytes in lowercase hex."""

    def parse(text: str) -> bytes:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = b""
        if len(data) != size or data.hex() != text:
            raise argparse.ArgumentTypeError(f"{text[:80]!r} is not {what}: {2 * size} lowercase hex digits")
        return data

    return parse  # type: ignore[return-value]


def member_named(state: "State", text: str) -> "Person":
    """A member by his id or, where only one has it, by his name. Raises BadInput (unknown_member, ambiguous)."""
    from app.rules.aggregates import Person  # noqa: PLC0415

    person = state.view.find(Person, text)
    if person is not None:
        return person
    found = [each for each in state.view.aggregates.values() if isinstance(each, Person) and each.name == text]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(
            f"{len(found)} members are called {text!r}: {', '.join(each.id for each in found)}",
            "Name one by his id.",
            code="ambiguous",
        )
    raise BadInput(
        f"no member that you can see has the id or name {text!r}",
        "`muniment member list` shows those that you can see.",
        code="unknown_member",
    )


def write_result(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a result to a new file, durably. Raises BadInput (output_exists, unwritable)."""
    from app.client.files import write_file  # noqa: PLC0415

    if path.exists():
        raise BadInput(f"{path} exists already", "Name another file, or move it away.", code="output_exists")
    try:
        write_file(path, data, mode=mode)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}", "Name another place.", code="unwritable"
        ) from error
