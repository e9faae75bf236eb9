"""The people of the demonstration: each with a folder, keys and a passphrase of his own.

Nobody's secrets leave his folder. The passphrases are written down beside the folders, which only a demonstration does.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.client.addresses import Service
from app.client.home import Home, Keys, Settings
from app.client.session import Client
from app.rules.decide import Law, decide
from app.statements.trust import parse_trust

AUTHORITY = ("authority-1", "authority-2", "authority-3")
REQUIRED = 2
"""m: how many of the authority appoint."""


def now() -> int:
    """Unix seconds."""
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person: name in the story, folder, keys, passphrase."""

    name: str
    home: Home
    keys: Keys
    passphrase: str

    @property
    def id(self) -> str:
        """His member id, once he is enrolled."""
        return self.keys.signer.kid


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Everybody, by name."""

    people: dict[str, Person]
    judges: tuple[str, ...]

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def everybody(self) -> tuple[Person, ...]:
        return tuple(self.people.values())


async def gather_cast(folder: Path, judges: int) -> Cast:
    """Make everybody's folder and keys in `folder`; the passphrases take their time, on all cores."""
    seats = tuple(f"judge-{index}" for index in range(1, judges + 1))
    names = (*AUTHORITY, "registrar", "clerk", *seats, "lawyer-1", "lawyer-2")
    loop = asyncio.get_running_loop()
    # Each takes 256 MiB while it works: no more at once than there are cores.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        people = await asyncio.gather(*(loop.run_in_executor(pool, _make, folder, name) for name in names))
    return Cast(people={person.name: person for person in people}, judges=seats)


def _make(folder: Path, name: str) -> Person:
    passphrase = "-".join(secrets.token_hex(2) for _ in range(4))
    home, keys = Home.create(folder / name, name=name.replace("-", " ").title(), passphrase=passphrase)
    return Person(name=name, home=home, keys=keys, passphrase=passphrase)


def write_passphrases(folder: Path, cast: Cast) -> dict[str, str]:
    """Write each person's passphrase to a file of his own; return the paths by name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = {}
    for person in cast.everybody():
        path = folder / person.name
        path.touch(mode=0o600)
        path.write_text(person.passphrase + "\n", encoding="utf-8")
        found[person.name] = str(path)
    return found


def hand_out(cast: Cast, trust: str, service: Service) -> None:
    """Give everybody the trust file, as the court's gazette would, and where the service is."""
    for person in cast.everybody():
        person.home.set_trust(trust.encode())
        person.home.set_settings(Settings(service=service))


@asynccontextmanager
async def connected(people: Sequence[Person], service: Service, law: Law = decide) -> AsyncIterator[dict[str, Client]]:
    """Open a client for each person, at his own folder, until the block ends."""
    async with AsyncExitStack() as stack:
        clients = {}
        for person in people:
            trust = parse_trust((person.home.path / "trust.json").read_bytes())
            client = Client(person.home, person.keys, trust, service, clock=now, law=law)
            clients[person.name] = await stack.enter_async_context(client)
        yield clients
