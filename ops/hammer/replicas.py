"""`muniment serve` as processes on one registry folder, each of which can be killed and started again at any moment."""

import asyncio
import random
import sys
from pathlib import Path

START_SECONDS = 60


class Replica:
    """One process. `url` is where it listens, or None while it is down."""

    def __init__(self, name: str, folder: Path, log: Path) -> None:
        self.name, self.url, self.kills = name, None, 0  # type: str, str | None, int
        self._folder, self._log = folder, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it listens. Raises RuntimeError with the end of its log when it does not."""
        command = [sys.executable, "-m", "app.cli.main", "serve", "--dir", str(self._folder), "--listen", "127.0.0.1:0"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        if not line.startswith(b"listening on "):
            raise RuntimeError(f"replica {self.name} did not start: {self._log.read_text(errors='replace')[-2000:]}")
        self.url = line.split()[-1].decode()

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is answered."""
        assert self._process is not None
        self.url = None
        self._process.kill()
        await self._process.wait()
        self.kills += 1

    async def stop(self) -> int:
        """SIGTERM; return the exit code."""
        if self._process is None:
            return 0
        self.url = None
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()


async def kill_at_random(replicas: list[Replica], rng: random.Random, every: float, until: asyncio.Event) -> None:
    """Kill one replica or the other every `every` seconds on average and start it again, until the event is set."""
    while not until.is_set():
        try:
            await asyncio.wait_for(until.wait(), rng.uniform(0.3, 1.7) * every)
        except TimeoutError:
            victim = rng.choice(replicas)
            await victim.kill()
            await victim.start()
