"""A writer: posts one statement after the other to any replica, the same bytes until there is an answer."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from app.statements.kinds import CaseOpen
from app.statements.statement import Seen, Signer, Statement
from ledger.checkpoint import Checkpoint
from ledger.note import Note
from ledger.proof import Proof
from ops.hammer.replicas import Replica

VALID_SECONDS = 3600
ANSWER_SECONDS = 30
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a writer was told: the statement's digest, its index and leaf, and the proof under a checkpoint."""

    digest: bytes
    index: int
    leaf: str
    proof: Proof


@dataclass(slots=True, kw_only=True)
class Written:
    """All that one writer knows at the end."""

    receipts: list[Receipt] = field(default_factory=list)
    offered: list[bytes] = field(default_factory=list)
    """Digests in the order of writing; the last one may be unanswered."""
    retries: int = 0
    answered_again: int = 0
    """Statements whose first answer was lost: the entry stood when the same bytes came again."""
    longest: float = 0.0
    """Seconds that a statement waited for its receipt, at most."""


async def write(
    signer: Signer,
    origin: str,
    first: Receipt,
    replicas: list[Replica],
    *,
    until: Callable[[], bool],
) -> Written:
    """Write until `until` says so; the statement under way is finished. Raises RuntimeError on a refusal."""
    written, last = Written(), first
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not until():
            statement = _next(signer, origin, last)
            written.offered.append(statement.digest)
            began = time.monotonic()
            last = await _post(session, statement, replicas, written)
            written.longest = max(written.longest, time.monotonic() - began)
            written.receipts.append(last)
    return written


async def post(replica: Replica, statement: Statement) -> Receipt:
    """Post one statement to one replica, once."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{replica.url}/v1/statements", data=statement.text.encode()) as answer,
    ):
        return _read(statement, answer.status, await answer.read())


def _next(signer: Signer, origin: str, last: Receipt) -> Statement:
    """A new case, on the state that the last receipt shows."""
    seen = Checkpoint.parse_body(Note.parse(last.proof.checkpoint).text)
    now = int(time.time())
    return signer.sign(
        CaseOpen(case_id=secrets.token_bytes(16), note=None),
        aud=origin,
        iat=now,
        exp=now + VALID_SECONDS,
        jti=secrets.token_bytes(16),
        seen=Seen(size=seen.size, root=seen.root),
    )


async def _post(
    session: aiohttp.ClientSession, statement: Statement, replicas: list[Replica], written: Written
) -> Receipt:
    tries = 0
    while True:
        replica = secrets.choice(replicas)
        url = replica.url
        try:
            if url is not None:
                async with session.post(f"{url}/v1/statements", data=statement.text.encode()) as answer:
                    body = await answer.read()
                    if answer.status < 500:
                        written.answered_again += answer.status == 200
                        return _read(statement, answer.status, body)
        except (aiohttp.ClientError, TimeoutError):
            pass  # killed under way: whether it stands is unknown, so the same bytes are sent again
        tries += 1
        written.retries += 1
        await asyncio.sleep(PAUSE_SECONDS * min(tries, 10))


def _read(statement: Statement, status: int, body: bytes) -> Receipt:
    if status not in (200, 201):
        raise RuntimeError(f"the statement {statement.digest.hex()} was answered {status}: {body[:500]!r}")
    found = json.loads(body)
    assert found["digest"] == statement.digest.hex()
    return Receipt(
        digest=statement.digest,
        index=found["index"],
        leaf=found["leaf"],
        proof=Proof.parse(found["tlog_proof"]),
    )
