"""kill -9 of the service during deposits, at every named write of one and at random moments.

Each round serves, with a new process on the same folder, what the round before left: all that was acknowledged must
stand, the interrupted deposit is resumed and finished. Then the next deposit is begun, and the process dies in it.
"""

import asyncio
import os
import random
import secrets
import signal
from pathlib import Path

import pytest

from app.client.deposit import Accepted, Depositor, Evidence
from app.client.opening import Output, open_request
from app.demo.process import serve_elsewhere
from app.errors import Refused, Unreachable
from app.rules.aggregates import Deposited
from tests.faults.town import Service, Town, audit, make_town, stands, start

POINTS = (
    "after insert upload 1",
    "before put segment 1",
    "amid put segment 1",
    "after sidecar segment 1",
    "after put segment 1",
    "after put segment 2",
    "after insert manifest 1",
    "after replace upload 1",
    "after insert box 1",
    "before insert statement 1",
    "after insert statement 1",
    "before insert batch 1",
    "after insert batch 1",
    "after insert aggregate 1",
    "after insert entry 1",
    "after insert timeline 1",
    "after insert lock-due 1",
    "before replace watermark 1",
    "after replace watermark 1",
    "after extend segment 1",
    "after sidecar segment 3",
    "before insert locked 1",
    "after insert locked 1",
    "after delete lock-due 1",
)
AT_RANDOM = 8


class Life:
    """What has been acknowledged, and what was interrupted, over many lives of the service."""

    def __init__(self, town: Town, file: Path) -> None:
        self.town, self.file = town, file
        self.accepted: list[Accepted] = []
        self.begun: bytes | None = None
        self.resumed = 0

    async def recover(self, service: Service) -> None:
        """All that was acknowledged stands; what was interrupted is all there or not at all, and is finished."""
        async with self.town.client("lawyer-1", service.url) as client:
            state = await client.sync()
            seen = {each.id for each in state.view.aggregates.values() if isinstance(each, Deposited)}
            known = {each.deposit_id.hex() for each in self.accepted}
            assert known <= seen
            for each in self.accepted:
                await stands(client, state, each)
            if self.begun is None:
                assert seen == known
                return
            assert seen - known <= {self.begun.hex()}
            if self.begun.hex() in seen:
                await client.api.deposit(self.begun)
            else:
                with pytest.raises(Refused) as caught:
                    await client.api.deposit(self.begun)
                assert caught.value.code in ("not_found", "forbidden")
            done = await Depositor(client).resume(self.begun)
            assert done.deposit_id == self.begun
            await stands(client, done.state, done)
            self.accepted.append(done)
            self.begun, self.resumed = None, self.resumed + 1
            assert Depositor(client).uploads.ids() == ()

    async def deposit(self, url: str) -> None:
        """Begin a deposit; the service may die in it."""
        self.file.write_bytes(secrets.token_bytes(3000))

        def planned(deposit_id: bytes) -> None:
            self.begun = deposit_id

        async with self.town.client("lawyer-1", url) as client:
            try:
                done = await Depositor(client).deposit(
                    self.town.case_id, [Evidence(path=self.file)], description="small", planned=planned
                )
            except Unreachable:
                return
        self.accepted.append(done)
        self.begun = None

    async def clean(self) -> None:
        code, text = await audit(self.town)
        assert code == 0, text


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return asyncio.run(make_town(tmp_path_factory.mktemp("killed") / "town"))


async def opens(town: Town, url: str, accepted: Accepted, content: bytes, out: Path) -> None:
    """Two of the three judges open it."""
    asked = await town.ask(url, accepted.deposit_id)
    await town.grant(url, asked, "judge-2", "judge-3")
    async with town.client("lawyer-2", url) as lawyer:
        opened = await open_request(lawyer, asked, Output(folder=out))
    assert [each.verdict for each in opened.items] == ["equal"]
    assert opened.items[0].path is not None
    assert opened.items[0].path.read_bytes() == content


@pytest.mark.slow
async def test_killed_at_every_named_write_nothing_acknowledged_is_lost(town: Town, tmp_path: Path) -> None:
    life = Life(town.copy(tmp_path / "town"), tmp_path / "evidence.bin")
    for number, point in enumerate(POINTS):
        command = ["tests.faults.dying", str(life.town.registry)]
        service = await start(command, stdin=asyncio.subprocess.PIPE)
        await life.recover(service)
        if number % 10 == 9:
            await life.clean()
        assert service.process.stdin is not None
        assert service.process.stdout is not None
        service.process.stdin.write(f"{point}\n".encode())
        assert await service.process.stdout.readline() == b"armed\n"
        await life.deposit(service.url)
        async with asyncio.timeout(60):
            assert await service.process.wait() == -signal.SIGKILL, point
    async with life.town.running() as service:
        await life.recover(service)
        assert len(life.accepted) == len(POINTS)
        assert life.resumed >= len(POINTS) // 2
        await life.clean()
        await opens(life.town, service.url, life.accepted[-1], life.file.read_bytes(), tmp_path / "out")
    await life.clean()


@pytest.mark.slow
async def test_killed_at_random_moments_nothing_acknowledged_is_lost(town: Town, tmp_path: Path) -> None:
    seed = int(os.environ.get("MUNIMENT_KILL_SEED", secrets.randbits(32)))
    print(f"MUNIMENT_KILL_SEED={seed}")
    rng = random.Random(seed)
    life = Life(town.copy(tmp_path / "town"), tmp_path / "evidence.bin")
    loop = asyncio.get_running_loop()
    async with life.town.running() as service:
        began = loop.time()
        await life.deposit(service.url)
        usual = loop.time() - began
    for _ in range(AT_RANDOM):
        service = await start(serve_elsewhere(life.town.registry))
        await life.recover(service)
        work = asyncio.create_task(life.deposit(service.url))
        await asyncio.wait({work}, timeout=rng.uniform(0.05, 1.2) * usual)
        await service.kill()
        await work
    async with life.town.running() as service:
        await life.recover(service)
        await life.clean()
        await opens(life.town, service.url, life.accepted[-1], life.file.read_bytes(), tmp_path / "out")
