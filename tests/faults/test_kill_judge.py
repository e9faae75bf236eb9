"""kill -9 of a judge's client at every step of a ceremony and of a grant: it goes on, and says nothing twice.

What shows that no secret nonce is used twice: the seed of a deal, the nonces of a contribution and of a blame are drawn
in memory and live in one call. A process that dies before its message is durable takes them with it, and they were in
nothing that left; once the message is durable, every later process sends those bytes. So whatever the moment of death,
the service hears one deal, one acknowledgment and one contribution of a judge, byte for byte.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.client.home import Home, Settings, Vault
from app.client.judge_keys import JudgeVault
from app.client.opening import Output, open_request
from app.client.registrar import propose
from app.rules.aggregates import Panel, Request
from tests.app.cli.running import PASSPHRASE, ROOT
from tests.app.client.panel_service import JUDGES, PAPER, Bench, bench, copy_of
from tests.app.client.test_betrayal import betray, newest
from tests.app.client.world_service import keys_of

THREE, ME = JUDGES[:3], "judge1"
POINTS = {
    "card": ("before put host", "amid put host", "after put host", "amid post panel.card"),
    "deal": ("before put deal", "amid put deal", "after put deal", "held post panel.deal", "amid post panel.deal"),
    "ack": ("before put ack", "amid put ack", "after put ack", "held post panel.ack", "amid post panel.ack"),
    "blame": ("before post panel.blame", "amid post panel.blame"),
    "grant": (
        "before put grant",
        "amid put grant",
        "after put grant",
        "held post release.decision",
        "amid post release.decision",
        "after post release.decision",
        "held post release.contribution",
        "amid post release.contribution",
        "before delete grant",
        "amid delete grant",
    ),
    "handed over": ("before delete host", "amid delete host"),
}


@dataclass
class Killer:
    """The process that forks judges."""

    process: asyncio.subprocess.Process

    async def run(self, court: Bench, point: str, *words: str) -> int:
        """Run judge 1's command; return its exit code, or minus the signal."""
        order = {
            "point": point,
            "home": str(court.homes / ME),
            "passphrase": str(court.homes.parent / "passphrase"),
            "now": court.world.now,
            "words": [*words, "--json"],
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(60):
            return int(await self.process.stdout.readline())


@asynccontextmanager
async def killer() -> AsyncIterator[Killer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.dying_judge",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Killer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


@dataclass
class Moments:
    """The court as it is before each of judge 1's steps; every death begins with a copy of one."""

    folder: Path
    kept: dict[str, tuple[Any, bytes, bytes, dict[str, Any]]] = field(default_factory=dict)
    asked: bytes = b""

    def keep(self, name: str, court: Bench) -> None:
        shutil.copytree(court.homes, self.folder / name)
        self.kept[name] = (copy_of(court.world), court.panel_id, court.case_id, dict(court.service.evidence))

    @asynccontextmanager
    async def at(self, name: str, folder: Path) -> AsyncIterator[Bench]:
        world, panel_id, case_id, evidence = self.kept[name]
        shutil.copytree(self.folder / name, folder / "homes")
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        async with bench(folder, copy_of(world)) as court:
            court.panel_id, court.case_id = panel_id, case_id
            court.service.evidence = evidence
            Home(court.homes / ME).set_settings(Settings(service=court.url))
            yield court


def furnish(court: Bench) -> None:
    """Give judge 1 a folder that the command line opens."""
    keys = keys_of(ME)
    draws = iter([keys.seed, keys.notes.seed])

    def rng(size: int) -> bytes:
        return next(draws, None) or os.urandom(size)

    home, made = Home.create(court.homes / ME, name=ME, passphrase=PASSPHRASE, rng=rng, log_n=4)
    assert made == keys
    home.set_trust(court.trust.text.encode())


async def make_moments(folder: Path) -> Moments:
    """A ceremony of three up to each step of judge 1; a request that waits for him; a handover that is certified."""
    moments = Moments(folder)
    async with bench(folder / "court") as court:
        furnish(court)
        async with court.client("registrar") as registrar:
            court.panel_id = (await propose(registrar, tuple(map(court.world.id, THREE)), 2)).panel_id
        moments.keep("card", court)
        for judge in THREE:
            await court.acts(judge)
        await court.approve_and_open()
        moments.keep("deal", court)
        for judge in THREE[:2]:
            assert await court.acts(judge) == ["panel.deal"]
        moments.keep("two dealt", court)
        for judge in ("judge3", "judge2"):
            await court.acts(judge)
        moments.keep("ack", court)
        await court.acts(ME)
        court.assign()
        court.deposit(("evidence.txt", b"It was raining."))
        moments.asked = await court.released("judge2")
        moments.keep("grant", court)
        later = ("judge2", "judge3", "judge4")
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(map(court.world.id, later)), 2, court.panel_id)
        for judge in later:
            await court.acts(judge)
        await court.approve_and_open()
        for judge in ("judge2", "judge3", *later):
            await court.acts(judge)
        moments.keep("handed over", court)
    async with moments.at("two dealt", folder / "betrayed") as court:
        betray(court, "judge3", victim=1, share=False)
        moments.keep("blame", court)
    return moments


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> Moments:
    return asyncio.run(make_moments(tmp_path_factory.mktemp("judge-killed")))


def paper_of(court: Bench) -> str:
    path = court.homes.parent / "paper"
    path.write_bytes(PAPER)
    return str(path)


def hosts(court: Bench) -> list[Any]:
    return list(JudgeVault(Vault(Home(court.homes / ME), keys_of(ME))).hosts())


def heard(court: Bench, kind: str) -> set[bytes]:
    """What judge 1 ever said of a kind: the messages, each once."""
    name = kind.rpartition(".")[2]
    mine = (b"\0\1", b"\1\x21\0\1", b"\1\x22\0\1", b"\1\x24\0\1")
    return {m for m in (getattr(each, name) for each in court.service.claims_heard(kind)) if m.startswith(mine)}


async def check(name: str, court: Bench, moments: Moments, folder: Path) -> None:
    """The step was made, and made once."""
    panel: Any = court.world.view.find(Panel, court.panel_id.hex())
    if name == "card":
        (card,) = [each.card for each in panel.proposal.cards]
        assert [each.card for each in hosts(court)] == [card]
    elif name == "deal":
        assert [deal.dealer for deal in newest(court).state.deals] == [1]
        assert len(heard(court, "panel.deal")) == 1
    elif name == "ack":
        assert panel.state.current is not None
        assert len(heard(court, "panel.ack")) == 1
    elif name == "blame":
        assert newest(court).state.blamed == (3,)
    elif name == "grant":
        asked: Any = court.world.view.find(Request, moments.asked.hex())
        assert [index for index, _ in asked.state.contributions] == [2, 1]
        assert len(heard(court, "release.contribution")) == 1
        assert len({each.contribution for each in court.service.claims_heard("release.decision")}) == 1
        assert JudgeVault(Vault(Home(court.homes / ME), keys_of(ME))).grants() == ()
        async with court.client("lawyer2") as lawyer:
            await open_request(lawyer, moments.asked, Output(folder=folder / "out"))
    else:
        assert hosts(court) == []
        for left in (court.homes / ME / "secrets").glob("*host-*"):
            assert set(left.read_bytes()) <= {0}  # overwritten, and its removal cut off


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
async def test_killed_at_every_named_step_the_judge_goes_on_and_says_nothing_twice(
    name: str, moments: Moments, tmp_path: Path
) -> None:
    async with killer() as kill:
        for number, point in enumerate(POINTS[name]):
            async with moments.at(name, tmp_path / str(number)) as court:
                words: tuple[str, ...] = ("act",)
                if name == "grant":
                    words = ("decide", moments.asked.hex(), "--grant", "--order", paper_of(court))
                held, _, step = point.partition(" ")
                if held == "held":
                    # A corrupt service hears the message, keeps it back, and never answers.
                    court.service.lost.add(step.removeprefix("post "))
                sprung = f"amid {step}" if held == "held" else point
                assert await kill.run(court, sprung, *words) == -signal.SIGKILL, point
                court.service.lost.clear()
                # A grant of which nothing was kept is the judge's to give again; `act` carries on what was begun.
                again = words if point in ("before put grant", "amid put grant") else ("act",)
                assert await kill.run(court, "", *again) == 0, point
                await check(name, court, moments, tmp_path / str(number))


@pytest.mark.slow
async def test_killed_at_every_change_of_a_file_the_ceremony_is_finished(moments: Moments, tmp_path: Path) -> None:
    """The N-th run dies at its N-th change, caches and checkpoint included, until one runs to its end."""
    async with killer() as kill, moments.at("deal", tmp_path) as court:
        deaths = 0
        while (code := await kill.run(court, f"before change {deaths + 1}", "act")) == -signal.SIGKILL:
            deaths += 1
        assert code == 0
        assert deaths >= 4
        for judge in ("judge2", "judge3"):
            await court.acts(judge)
        while (code := await kill.run(court, f"before change {deaths + 1}", "act")) == -signal.SIGKILL:
            deaths += 1
        await kill.run(court, "", "act")
        await court.acts("judge2")
        assert len(heard(court, "panel.deal")) == 1
        assert len(heard(court, "panel.ack")) == 1
        panel: Any = court.world.view.find(Panel, court.panel_id.hex())
        assert panel.state.current is not None
