"""A witness in this process on a free port of the loopback, and requests to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.witness.memory import Witness
from app.witness.server import serve_witness
from ledger.cosignature import Cosigner, Ed25519Cosigner
from ledger.note import VerifierKey
from ledger.witness import AddCheckpoint
from storage.memory import MemoryRecordStore
from storage.ports import RecordStore
from tests.ledger.growing import GrowingLog

NOW = 1_700_000_000


def cosigner(number: int) -> Ed25519Cosigner:
    """A witness's key."""
    name = f"witness.example/w{number}"
    return Ed25519Cosigner(name, Ed25519PrivateKey.from_private_bytes(bytes([100 + number]) * 32))


def request(old: int, new: int, log: GrowingLog) -> bytes:
    """An honest request's body."""
    return AddCheckpoint(old_size=old, proof=log.consistency(old, new), checkpoint=log.signed(new)).format()


@asynccontextmanager
async def serving(
    logs: Sequence[VerifierKey], cosigners: Sequence[Cosigner], records: RecordStore | None = None
) -> AsyncIterator[str]:
    """Run a witness; yields its URL."""
    witness = Witness(records or MemoryRecordStore(), logs, cosigners, lambda: NOW)
    runner, host, port = await serve_witness(witness, "127.0.0.1", 0)
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def post(url: str, body: bytes) -> tuple[int, str, str]:
    """Status, Content-Type and text of the answer to an add-checkpoint request."""
    async with aiohttp.ClientSession() as session, session.post(url + "/add-checkpoint", data=body) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def get(url: str) -> tuple[int, str, str]:
    """Status, Content-Type and text."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()
