"""Two witnesses, as other courts run them: each its own folder, key and process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from app.client.founding import KnownWitness
from app.demo.process import free_port, running, witness_command
from app.witness.folder import make_folder
from ledger.note import VerifierKey

NAMES = ("north", "south")


async def make_witnesses(folder: Path, log: VerifierKey) -> tuple[KnownWitness, ...]:
    """Make both in `folder`; they cosign this log alone."""
    folder.mkdir(mode=0o700)
    made = []
    for name in NAMES:
        port = free_port()
        keys = await make_folder(
            folder / name,
            f"witness.example/{name}",
            listen=f"127.0.0.1:{port}",
            logs=[log.text],
            post_quantum=False,
        )
        made.append(KnownWitness(name=name, key=keys[0], url=f"http://127.0.0.1:{port}"))
    return tuple(made)


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[None]:
    """Run both until the block ends."""
    async with AsyncExitStack() as stack:
        for name in NAMES:
            await stack.enter_async_context(running(folder / name, witness_command(folder / name)))
        yield
