"""A relay of the tests' own that knows where a message ends: HTTP requests, and messages of MongoDB's wire protocol.

So it can do to a whole message what `tests.faults.relay` does to a stream, and more: deliver it twice, hold it, repeat
a piece of its body. Each planned (pattern, fault) is used up by the next message whose name the pattern matches: for
HTTP `METHOD /path`, for MongoDB the command. All else passes.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import TypeVar

T = TypeVar("T")


class Fault(StrEnum):
    """What happens to one message."""

    CUT_BEFORE = auto()
    """The connection ends before the server has seen a byte."""
    CUT_HALF = auto()
    """The server gets half of the message, then both connections end."""
    CUT_ANSWER = auto()
    """The server gets everything and acts; its answer is lost."""
    TRUNCATE_ANSWER = auto()
    """Of the answer, twenty bytes arrive."""
    BUSY = auto()
    """HTTP alone: a proxy in between answers 503; the server has seen nothing."""
    DELAY = auto()
    """The message is held for a moment; what other connections send overtakes it."""
    DUPLICATE = auto()
    """The message is delivered twice, by two connections; the sender gets the second answer."""
    DUPLICATE_PIECE = auto()
    """HTTP alone: a piece of the body comes twice."""


HTTP_FAULTS = tuple(Fault)
WIRE_FAULTS = tuple(each for each in Fault if each not in (Fault.BUSY, Fault.DUPLICATE_PIECE))
DELAY_SECONDS = 0.1
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Read = Callable[[asyncio.StreamReader], Awaitable[tuple[str, bytes, int]]]
"""Reads one message: its name, its bytes, and where its body begins."""


async def http_request(reader: asyncio.StreamReader) -> tuple[str, bytes, int]:
    """A request with Content-Length, or without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(":", 1) for line in lines[1:] if line)
    assert "transfer-encoding" not in fields
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return " ".join(lines[0].split(" ")[:2]), head + body, len(head)


async def wire_message(reader: asyncio.StreamReader) -> tuple[str, bytes, int]:
    """A message of MongoDB: header of 16 bytes; in OP_MSG the first key of the first document is the command."""
    header = await reader.readexactly(16)
    body = await reader.readexactly(int.from_bytes(header[:4], "little") - 16)
    name = ""
    if int.from_bytes(header[12:16], "little") == 2013:  # OP_MSG: flags (4), kind (1), length (4), type (1), name
        name = body[10 : body.index(b"\0", 10)].decode()
    return name, header + body, 16


@dataclass
class Framed:
    """Listens on `port`. `seen`: the names of all messages; `done`: faults that happened."""

    target: int
    read: Read
    port: int = 0
    plan: list[tuple[str, Fault]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    done: list[Fault] = field(default_factory=list)
    skip: int = 0
    """So many messages that a pattern matches pass before the fault."""
    when: Callable[[], object] = field(default=lambda: None)
    """Called when a fault has happened to a message, before the connection ends."""

    def fault_for(self, name: str) -> Fault | None:
        self.seen.append(name)
        for index, (pattern, fault) in enumerate(self.plan):
            if re.match(pattern, name):
                if self.skip:
                    self.skip -= 1
                    return None
                del self.plan[index]
                self.done.append(fault)
                return fault
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self.target)
        answered: list[Fault] = []  # shared with the task that passes the answers on
        answers = asyncio.create_task(_pass_back(back, writer, answered))
        try:
            while True:
                name, message, body = await self.read(reader)
                fault = self.fault_for(name)
                if fault in (Fault.CUT_ANSWER, Fault.TRUNCATE_ANSWER):
                    answered.append(fault)
                if fault is Fault.CUT_BEFORE:
                    return
                if fault is Fault.BUSY:
                    writer.write(_BUSY)
                    await writer.drain()
                    return
                if fault is Fault.DELAY:
                    await asyncio.sleep(DELAY_SECONDS)
                if fault is Fault.DUPLICATE:
                    await self._deliver(message)
                if fault is Fault.CUT_HALF:
                    message = message[: len(message) // 2]
                if fault is Fault.DUPLICATE_PIECE:
                    middle = (body + len(message)) // 2
                    message = message[:middle] + message[max(body, middle - 1000) :]
                there.write(message)
                await there.drain()
                if fault is not None:
                    self.when()
                if fault is Fault.CUT_HALF:
                    return
                if fault in (Fault.CUT_ANSWER, Fault.TRUNCATE_ANSWER, Fault.DUPLICATE_PIECE):
                    await answers  # it ends the connection
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            answers.cancel()
            for each in (writer, there):
                each.close()

    async def _deliver(self, message: bytes) -> None:
        """By a connection of its own; what is answered is read, and goes to nobody."""
        back, there = await asyncio.open_connection("127.0.0.1", self.target)
        there.write(message)
        await there.drain()
        await back.read(65536)
        there.close()


async def _pass_back(back: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: list[Fault]) -> None:
    with contextlib.suppress(OSError):
        while piece := await back.read(65536):
            if Fault.CUT_ANSWER in faults:
                break
            writer.write(piece[:20] if Fault.TRUNCATE_ANSWER in faults else piece)
            await writer.drain()
            if Fault.TRUNCATE_ANSWER in faults:
                break
    writer.close()


@contextlib.asynccontextmanager
async def framed(target: int, read: Read) -> AsyncIterator[Framed]:
    """Run a relay to a port of this machine until the block ends."""
    relay = Framed(target=target, read=read)
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError, OSError):  # the block has ended; the server is not there
                await relay.serve(reader, writer)
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
