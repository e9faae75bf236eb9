"""Several replicas of one registry: processes over the same stores, one of which is killed on the way."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from app.client.addresses import Service, checked_service
from app.client.session import Client
from app.demo.cast import Person, connected
from app.demo.process import Process, free_port, serve_command, started
from app.demo.story import Story
from app.errors import Mismatch


@dataclass
class Replicas:
    """Replicas that run, by address. Made by `serving`."""

    folder: Path
    processes: dict[str, Process] = field(default_factory=dict)
    killed: str | None = None

    @property
    def service(self) -> Service:
        """What people write into their settings."""
        return checked_service(tuple(self.processes))

    def killer(self, client: Client, total: int) -> Callable[[int], None]:
        """Return a watcher of an upload's progress that kills, half way, the replica which the client is using.

        With SIGKILL, from whatever thread reports: the process ends within the call, with nothing finished or flushed.
        """

        def watch(done: int) -> None:
            if self.killed is None and len(self.processes) > 1 and 2 * done >= total:
                self.killed = client.api.addresses.current.rstrip("/")
                os.kill(self.processes[self.killed].pid, signal.SIGKILL)

        return watch

    def tell_of_failover(self, client: Client, story: Story) -> None:
        """Say what became of the client whose replica was killed. Raises Mismatch if that one went on."""
        if self.killed is None:
            return
        now = client.api.addresses.current.rstrip("/")
        if now == self.killed:
            raise Mismatch(f"{self.killed} was killed, and the client still uses it", code="demo_failed")
        story.say(f"half way the replica {self.killed} was killed with SIGKILL; the deposit went on at {now}")

    async def restart(self, stack: AsyncExitStack, person: Person, story: Story) -> None:
        """Start the replica that was killed, and let a person's client prove that both show the same ledger."""
        if self.killed is None:
            return
        await self.processes[self.killed].wait()
        listen = self.killed.removeprefix("http://")
        process = await stack.enter_async_context(started(self.folder, _command(self.folder, listen), log="again.log"))
        self.processes[self.killed] = process
        shown: list[tuple[int, bytes]] = []
        for url in self.processes:
            async with connected([person], url) as clients:
                # In one home: a checkpoint that contradicted the last one would be a fork.
                checkpoint = (await clients[person.name].sync()).checkpoint
            shown.append((checkpoint.size, checkpoint.root))
        story.say(f"{self.killed} runs again; {one_ledger(shown)}")


def one_ledger(shown: Sequence[tuple[int, bytes]]) -> str:
    """Say what two or more checkpoints (size, root), accepted one after the other by one client, have in common.

    The registry may append meanwhile, for instance an anchor; that the larger tree extends the smaller one was then
    proven by the client. Raises Mismatch for a smaller one after a larger, or two roots at one size.
    """
    for (size, root), (later, other) in pairwise(shown):
        if later < size or (later == size and root != other):
            raise Mismatch(
                f"the replicas show different ledgers: size {size} with the root {root.hex()}, then size {later} with "
                f"the root {other.hex()}",
                code="demo_failed",
            )
    (first, _), (last, _) = shown[0], shown[-1]
    if first == last:
        return f"both show the ledger of size {last}, with the same root"
    return f"both show the ledger of size {first}, which had grown to {last} when the other was asked"


@asynccontextmanager
async def serving(folder: Path, count: int) -> AsyncIterator[Replicas]:
    """Run `count` replicas of the registry in `folder` until the block ends; the first where it is configured."""
    async with AsyncExitStack() as stack:
        replicas = Replicas(folder=folder)
        for number in range(count):
            command = serve_command(folder) if number == 0 else _command(folder, f"127.0.0.1:{free_port()}")
            log = "service.log" if number == 0 else f"service-{number + 1}.log"
            process = await stack.enter_async_context(started(folder, command, log=log))
            replicas.processes[process.url] = process
        yield replicas


def _command(folder: Path, listen: str) -> list[str]:
    return [*serve_command(folder), "--listen", listen]
