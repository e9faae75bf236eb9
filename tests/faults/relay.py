"""A TCP relay of the tests' own, between a client and a server: it cuts, answers 503, truncates, swallows the answer.

Each `Fault` is used up by the next request that it fits; all else passes. Of HTTP it reads only the first line of
a request.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto


class Fault(StrEnum):
    """What happens to one request."""

    CUT_BEFORE = auto()
    """The connection ends before the server has seen a byte."""
    CUT_BODY = auto()
    """The server gets half of the bytes, then the connection ends on both sides."""
    CUT_ANSWER = auto()
    """The server gets everything and acts; its answer is lost."""
    TRUNCATE_ANSWER = auto()
    """Of the answer, only the beginning arrives."""
    BUSY = auto()
    """A proxy in between answers 503; the server has seen nothing."""
    SILENCE = auto()
    """Nothing is passed on and nothing answered."""


_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Relay:
    """Listens on `port`. `plan` holds (method, fault) pairs, used in order; `seen` the first lines of requests."""

    target: int
    port: int = 0
    plan: list[tuple[str, Fault]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    half: int = 1000
    """How many bytes CUT_BODY lets through."""
    answered: int = 20
    """How many bytes of the answer TRUNCATE_ANSWER lets through."""
    strike: Callable[[], None] | None = None
    """Called once, when `half` bytes of one PUT have gone to the server."""
    removed: bytes = b""
    """The name of a header, in lower case, that requests lose on the way; the whole head must come in one piece."""
    instead: dict[bytes, bytes] = field(default_factory=dict)
    """Of a request whose first line ends in one of these targets, the server sees nothing: this answer is given."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        answers: asyncio.Task[None] | None = None
        fault: Fault | None = None
        faults: list[Fault] = []  # shared with the task that passes the answers on
        passed, puts = 0, False
        try:
            while piece := await reader.read(65536):
                method = piece.split(b" ", 1)[0]
                if method in (b"GET", b"HEAD", b"PUT", b"DELETE", b"POST"):
                    self.seen.append(piece.split(b"\r\n", 1)[0].decode("latin-1"))
                    passed, puts = 0, method == b"PUT"
                    if self.removed:
                        head, blank, body = piece.partition(b"\r\n\r\n")
                        assert blank
                        lines = head.split(b"\r\n")
                        kept = [line for line in lines if not line.lower().startswith(self.removed + b":")]
                        piece = b"\r\n".join(kept) + blank + body
                    line = piece.split(b"\r\n", 1)[0].removesuffix(b" HTTP/1.1")
                    answer = next((answer for end, answer in self.instead.items() if line.endswith(end)), None)
                    if answer is not None:
                        writer.write(answer)
                        await writer.drain()
                        return
                    if self.plan and self.plan[0][0].encode() == method:
                        fault = self.plan.pop(0)[1]
                        faults.append(fault)
                if fault is Fault.CUT_BEFORE:
                    return
                if fault is Fault.BUSY:
                    writer.write(_BUSY)
                    await writer.drain()
                    return
                if fault is Fault.SILENCE:
                    continue
                if there is None:
                    back, there = await asyncio.open_connection("127.0.0.1", self.target)
                    answers = asyncio.create_task(self._answer(back, writer, faults))
                if fault is Fault.CUT_BODY:
                    piece = piece[: self.half - passed]
                passed += len(piece)
                there.write(piece)
                await there.drain()
                if self.strike is not None and puts and passed >= self.half:
                    strike, self.strike = self.strike, None
                    strike()
                if fault is Fault.CUT_BODY and passed >= self.half:
                    return
            if answers is not None and fault is None:
                await answers
        except OSError:
            return
        finally:
            if answers is not None:
                answers.cancel()
            for each in (writer, there):
                if each is not None:
                    each.close()

    async def _answer(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: list[Fault]) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := await back.read(65536):
                if Fault.CUT_ANSWER in faults:
                    break
                if Fault.TRUNCATE_ANSWER in faults:
                    piece = piece[: self.answered - passed]
                passed += len(piece)
                writer.write(piece)
                await writer.drain()
                if Fault.TRUNCATE_ANSWER in faults and passed >= self.answered:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def relay_to(target: int) -> AsyncIterator[Relay]:
    """Run a relay to a port of this machine until the block ends."""
    relay = Relay(target=target)
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await relay.serve(reader, writer)
        except asyncio.CancelledError:  # the block has ended; asyncio's own callback cannot take a cancelled task
            return
        finally:
            connections.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
