"""An OpenTimestamps calendar, a block chain of its own, and sources of its headers, on loopback; for demonstration and
tests. The chain has the form of Bitcoin's and next to no work, so a trust file must name its floor to take it.

    async with serving_calendar() as calendar:
        calendar.uri                     # the calendar, as it stands in pending attestations
        calendar.sources                 # three header sources in the manner of Esplora, for the service
        calendar.node                    # a node: JSON-RPC for `ots verify --bitcoin-node`, REST for header bundles
        calendar.confirm()               # a block attests all that was submitted, and six follow

`tamper` sees each path with the answer's bytes and may return others (tests); what begins with a path in `faults` is
answered 503, and in `stalled` never.
"""

import asyncio
import hashlib
import secrets
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpSHA256
from opentimestamps.core.serialize import BytesSerializationContext
from opentimestamps.core.timestamp import Timestamp, make_merkle_tree

from ledger.anchors.headers import HEADER_BYTES, SUCCESSORS, Checkpoint, Header, Rules, parse_header, target

EASY = 0x207FFFFF
"""The easiest target of Bitcoin's regression tests: every second hash meets it."""
RULES = Rules(limit=EASY, floor=EASY, retarget=False)
_MEDIA = "application/vnd.opentimestamps.v1"


def mine(previous: bytes, merkle_root: bytes, when: int, bits: int = EASY) -> Header:
    """Find a nonce; return the header."""
    for nonce in range(1 << 32):
        header = parse_header(struct.pack("<I32s32sIII", 4, previous, merkle_root, when, bits, nonce))
        if int.from_bytes(header.hash, "little") <= target(bits):
            return header
    raise ValueError("no nonce was found")


@dataclass(slots=True)
class BlockChain:
    """Headers from height 0 on."""

    clock: Callable[[], float] = time.time
    headers: list[Header] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.extend(1)

    def add(self, merkle_root: bytes) -> int:
        """Mine a block with this Merkle root; return its height."""
        previous = self.headers[-1].hash if self.headers else bytes(32)
        self.headers.append(mine(previous, merkle_root, int(self.clock())))
        return len(self.headers) - 1

    def extend(self, count: int) -> None:
        """Mine blocks about nothing."""
        for _ in range(count):
            self.add(hashlib.sha256(b"empty block %d" % len(self.headers)).digest())

    @property
    def raw(self) -> bytes:
        """All headers, 80 bytes each."""
        return b"".join(each.raw for each in self.headers)

    @property
    def checkpoint(self) -> Checkpoint:
        """What a trust file says of this chain."""
        return Checkpoint(height=0, hash=self.headers[0].hash, rules=RULES)

    def find(self, text: str) -> tuple[int, Header] | None:
        """A header by its shown hash, with its height."""
        return next(((height, each) for height, each in enumerate(self.headers) if each.text == text), None)


class LoopbackCalendar:
    """The calendar and the faces of its chain; `application` serves them under `base`."""

    def __init__(self, base: str, chain: BlockChain) -> None:
        self.base, self.chain = base.rstrip("/"), chain
        self.uri = self.base
        self.node = f"{self.base}/node"
        self.sources = tuple(f"{self.base}/source-{number}" for number in (1, 2, 3))
        self.asked: list[str] = []
        self.faults: set[str] = set()
        self.stalled: set[str] = set()
        self.tamper: Callable[[str, bytes], bytes] = lambda _path, data: data
        self._waiting: list[Timestamp] = []
        self._complete: dict[bytes, Timestamp] = {}

    def submit(self, digest: bytes) -> bytes:
        """Take a digest; return the reply: a pending attestation."""
        stamp = Timestamp(digest)
        commitment = stamp.ops.add(OpAppend(secrets.token_bytes(16))).ops.add(OpSHA256())
        commitment.attestations.add(PendingAttestation(self.uri))
        self._waiting.append(Timestamp(commitment.msg))
        return _written(stamp)

    def confirm(self) -> int | None:
        """Have a block attest all that waits, and six more follow; return its height, None when nothing waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return None
        # A block holds more than what was submitted here, as a real one does.
        tip = make_merkle_tree([*waiting, Timestamp(hashlib.sha256(b"others" + waiting[0].msg).digest())])
        height = self.chain.add(tip.msg)
        tip.attestations.add(BitcoinBlockHeaderAttestation(height))
        self._complete.update((each.msg, each) for each in waiting)
        self.chain.extend(SUCCESSORS)
        return height

    def application(self) -> web.Application:
        """Routes of the calendar (at the root: stock `ots` wants it there), below /source-N and /node."""
        application = web.Application(client_max_size=65_536)
        application.router.add_post("/digest", self._digest)
        application.router.add_get("/timestamp/{digest}", self._timestamp)
        application.router.add_get("/{source:source-[123]}/blocks/tip/height", self._tip)
        application.router.add_get("/{source:source-[123]}/block-height/{height:[0-9]+}", self._hash)
        application.router.add_get("/{source:source-[123]}/block/{hash}/header", self._header)
        application.router.add_post("/node", self._rpc)
        application.router.add_post("/node/", self._rpc)
        application.router.add_get("/node/rest/headers/{count:[0-9]+}/{hash:[0-9a-f]+}.bin", self._rest)
        return application

    async def _digest(self, request: web.Request) -> web.Response:
        digest = await request.read()
        if len(digest) > 64:
            raise web.HTTPBadRequest
        return await self._answer(request, self.submit(digest), _MEDIA)

    async def _timestamp(self, request: web.Request) -> web.Response:
        try:
            found = self._complete.get(bytes.fromhex(request.match_info["digest"]))
        except ValueError:
            found = None
        if found is None:
            raise web.HTTPNotFound(text="Pending confirmation in the chain")
        return await self._answer(request, _written(found), _MEDIA)

    async def _tip(self, request: web.Request) -> web.Response:
        return await self._answer(request, str(len(self.chain.headers) - 1).encode(), "text/plain")

    async def _hash(self, request: web.Request) -> web.Response:
        height = int(request.match_info["height"])
        if height >= len(self.chain.headers):
            raise web.HTTPNotFound
        return await self._answer(request, self.chain.headers[height].text.encode(), "text/plain")

    async def _header(self, request: web.Request) -> web.Response:
        found = self.chain.find(request.match_info["hash"])
        if found is None:
            raise web.HTTPNotFound
        return await self._answer(request, found[1].raw.hex().encode(), "text/plain")

    async def _rest(self, request: web.Request) -> web.Response:
        found = self.chain.find(request.match_info["hash"])
        if found is None:
            raise web.HTTPNotFound
        start, count = found[0] * HEADER_BYTES, min(int(request.match_info["count"]), 2000) * HEADER_BYTES
        return await self._answer(request, self.chain.raw[start : start + count], "application/octet-stream")

    async def _rpc(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response(
            {"result": self._call(asked["method"], asked["params"]), "error": None, "id": asked["id"]}
        )

    def _call(self, method: str, params: list[Any]) -> object:
        headers = self.chain.headers
        if method == "getblockcount":
            return len(headers) - 1
        if method == "getblockhash":
            return headers[params[0]].text
        found = self.chain.find(params[0])
        if method != "getblockheader" or found is None:
            raise web.HTTPNotFound
        return found[1].raw.hex()

    async def _answer(self, request: web.Request, body: bytes, media: str) -> web.Response:
        self.asked.append(request.path)
        if any(request.path.startswith(each) for each in self.faults):
            raise web.HTTPServiceUnavailable
        if any(request.path.startswith(each) for each in self.stalled):
            await asyncio.Event().wait()
        return web.Response(body=self.tamper(request.path, body), content_type=media)


@asynccontextmanager
async def serving_calendar(
    *, clock: Callable[[], float] = time.time, chain: BlockChain | None = None
) -> AsyncIterator[LoopbackCalendar]:
    """Serve a calendar on a free port of 127.0.0.1 until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    calendar = LoopbackCalendar(f"http://127.0.0.1:{listening.getsockname()[1]}", chain or BlockChain(clock))
    runner = web.AppRunner(calendar.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield calendar
    finally:
        await runner.cleanup()


def _written(stamp: Timestamp) -> bytes:
    context = BytesSerializationContext()
    stamp.serialize(context)
    return bytes(context.getbytes())
