"""A registry as its own operating-system process, as an operator would start it."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.errors import Unreachable

READY = "http://"
START_SECONDS = 60
STOP_SECONDS = 40


class Process:
    """A process that printed where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url, self.pid = url, process.pid
        self._process = process

    async def wait(self) -> None:
        """Wait for its end."""
        await self._process.wait()


@asynccontextmanager
async def running(folder: Path, command: Sequence[str]) -> AsyncIterator[str]:
    """Start `python -m command…`; yield the URL that it prints; end it by SIGTERM. Its log goes to `folder`."""
    async with started(folder, command) as process:
        yield process.url


@asynccontextmanager
async def started(folder: Path, command: Sequence[str], *, log: str = "service.log") -> AsyncIterator[Process]:
    """The same, with the process itself, which somebody may kill; its log goes to a file of that name in `folder`."""
    with (folder / log).open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
        )
    try:
        yield Process(process, await _ready(process, folder / log))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def witness_command(folder: Path) -> list[str]:
    """A witness of another court."""
    return ["app.cli.main", "witness", "--dir", str(folder)]


def serve_command(folder: Path) -> list[str]:
    """The ordinary service over a registry's folder, where its configuration says."""
    return ["app.cli.main", "serve", "--dir", str(folder)]


def serve_elsewhere(folder: Path) -> list[str]:
    """The same on a free port of loopback: for a copy."""
    return [*serve_command(folder), "--listen", "127.0.0.1:0"]


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


async def _ready(process: asyncio.subprocess.Process, log: Path) -> str:
    stream = process.stdout
    if stream is None:
        raise AssertionError("standard output is a pipe")
    line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            line = await stream.readline()
    text = line.decode("utf-8", "replace").strip()
    if READY not in text:
        raise Unreachable(f"the service did not start: {text or 'it printed nothing'}", f"Read {log}.")
    return text[text.index(READY) :]
