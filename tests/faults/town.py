"""A founded registry in a folder, with people, a panel of 2 of 3 and a case: made once, copied for each test.

Everybody acts through his own client, against the real service as a process of its own.
"""

import asyncio
import contextlib
import io
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.cli.main import main
from app.client.deposit import Accepted
from app.client.founding import found
from app.client.home import Home, Settings
from app.client.judge import Judge
from app.client.release import order, request
from app.client.session import Client, State
from app.demo.cast import AUTHORITY, REQUIRED, Cast, Person, now
from app.demo.founding import appoint, consent_of, hold_ceremony
from app.demo.process import serve_elsewhere
from app.sealing.manifest import format_manifest
from app.service.found import registry_settings, write_registry
from app.statements.kinds import Authority, CaseAssign, CaseOpen, CaseParty, Role

ROOT = Path(__file__).parents[2]
ORIGIN = "ledger.example/faults"
JUDGES = ("judge-1", "judge-2", "judge-3")
NAMES = (*AUTHORITY, "registrar", "clerk", *JUDGES, "lawyer-1", "lawyer-2")
PASSPHRASE = "correct horse battery"
PAPER = b"ORDER: the deposit shall be opened to Lawyer 2."
START_SECONDS = 60


@dataclass(frozen=True)
class Town:
    """The folder (`registry/`, `people/`, `passphrase`), everybody, and the case of both lawyers."""

    folder: Path
    cast: Cast
    case_id: bytes

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    def environ(self, name: str) -> dict[str, str]:
        """What a person's commands need."""
        home, secret = self.cast[name].home.path, self.folder / "passphrase"
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MUNIMENT_HOME": str(home),
            "MUNIMENT_PASSPHRASE_FILE": str(secret),
        }

    def copy(self, folder: Path) -> "Town":
        """Copy everything; no process may run on it."""
        shutil.copytree(self.folder, folder)
        people = {each.name: replace(each, home=Home(folder / "people" / each.name)) for each in self.cast.everybody()}
        return Town(folder=folder, cast=Cast(people=people, judges=JUDGES), case_id=self.case_id)

    @asynccontextmanager
    async def client(self, name: str, url: str) -> AsyncIterator[Client]:
        person = self.cast[name]
        async with Client(person.home, person.keys, person.home.trust(), url, clock=now, pause=at_once) as client:
            yield client

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Service"]:
        """The ordinary service; ended by SIGTERM."""
        service = await start(serve_elsewhere(self.registry))
        try:
            yield service
        finally:
            await service.stop()

    async def ask(self, url: str, deposit_id: bytes) -> bytes:
        """An order by judge 1 for lawyer 2, and his request; return its digest."""
        async with self.client("judge-1", url) as presiding:
            ordered = await order(
                presiding,
                case_id=self.case_id,
                deposits=[deposit_id],
                recipients=[self.cast["lawyer-2"].id],
                paper=PAPER,
                words="For Monday.",
            )
        async with self.client("lawyer-2", url) as lawyer:
            made = await request(lawyer, order=ordered.statement.digest, deposit_id=deposit_id, words="As ordered.")
        return made.statement.digest

    async def grant(self, url: str, asked: bytes, *judges: str) -> None:
        """Have judges grant a request, contributions and all."""
        for judge in judges:
            async with self.client(judge, url) as client:
                await Judge(client).grant(asked, PAPER)


@dataclass
class Service:
    """A process that serves."""

    process: asyncio.subprocess.Process
    url: str

    async def stop(self) -> None:
        """End it by SIGTERM if it lives."""
        with contextlib.suppress(ProcessLookupError):
            if self.process.returncode is None:
                self.process.terminate()
        async with asyncio.timeout(60):
            await self.process.wait()

    async def kill(self) -> None:
        """End it by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def at_once(_seconds: float) -> None:
    """No pause between attempts."""


async def start(command: Sequence[str], *, stdin: int = asyncio.subprocess.DEVNULL) -> Service:
    """Start `python -m command…`, which prints where it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        line = (await process.stdout.readline()).decode()
    assert line.startswith("listening on "), line
    return Service(process=process, url=line.removeprefix("listening on ").strip())


async def audit(town: Town) -> tuple[int, str]:
    """Run `muniment audit --dir`, in this process, for it is run often; return exit code and output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = await asyncio.to_thread(main, ["audit", "--dir", str(town.registry)])
    return code, out.getvalue()


async def make_town(folder: Path) -> Town:
    """Found it: genesis, appointments, key ceremony, case."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    people = {name: _person(folder / "people" / name, name) for name in NAMES}
    cast = Cast(people=people, judges=JUDGES)
    log_seed, service_seed = os.urandom(32), os.urandom(32)
    founding = found(
        origin=ORIGIN,
        registrar=cast["registrar"].keys,
        authority=Authority(keys=tuple(cast[name].keys.signer.public for name in AUTHORITY), m=REQUIRED),
        log_seed=log_seed,
        service_seed=service_seed,
        now=now(),
        rng=os.urandom,
    )
    settings = registry_settings(folder / "registry", origin=ORIGIN, genesis=founding.genesis.digest)
    settings = replace(settings, shutdown_seconds=1, publication_milliseconds=20)
    write_registry(folder / "registry", settings, log_seed=log_seed, service_seed=service_seed)
    for person in cast.everybody():
        person.home.set_trust(founding.trust.encode())
        person.home.set_settings(Settings(service="http://127.0.0.1:1"))
    case_id = os.urandom(16)
    town = Town(folder=folder, cast=cast, case_id=case_id)
    async with town.running() as service, contextlib.AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(town.client(name, service.url)) for name in NAMES}
        await clients["registrar"].submit(founding.genesis)
        consent = consent_of([(clients[name], cast[name]) for name in AUTHORITY[:REQUIRED]])
        roles: list[tuple[str, Role]] = [("clerk", "clerk"), *((judge, "judge") for judge in JUDGES)]
        for name, role in [*roles, ("lawyer-1", "depositor"), ("lawyer-2", "party")]:
            await appoint(clients["registrar"], consent, cast[name], role)
        panel_id = await hold_ceremony(
            clients["registrar"], consent, [(clients[name], cast[name]) for name in JUDGES], 2
        )
        clerk = clients["clerk"]
        await clerk.post(CaseOpen(case_id=case_id, note=None))
        await clerk.post(CaseAssign(case_id=case_id, panel_id=panel_id, presiding=cast["judge-1"].id))
        for name in ("lawyer-1", "lawyer-2"):
            await clerk.post(CaseParty(case_id=case_id, member=cast[name].id, note=None))
    return town


def _person(path: Path, name: str) -> Person:
    home, keys = Home.create(path, name=name.replace("-", " ").title(), passphrase=PASSPHRASE, log_n=4)
    return Person(name=name, home=home, keys=keys, passphrase=PASSPHRASE)


async def stands(client: Client, state: State, accepted: Accepted) -> None:
    """An acknowledged deposit is there: its receipt's entry in the replayed ledger, its statement, its manifest.

    `state` is synced, so its checkpoint extends every one that this home has accepted, the receipt's among them.
    """
    assert state.leaves.texts[accepted.receipt.index] == accepted.receipt.leaf
    served = await client.api.deposit(accepted.deposit_id)
    assert (served.statement, served.index) == (accepted.receipt.statement.text, accepted.receipt.index)
    assert (served.leaf, served.manifest) == (accepted.receipt.leaf, format_manifest(accepted.manifest))
