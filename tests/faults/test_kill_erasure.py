"""kill -9 of the service in the middle of an erasure: the next process carries it out to the end.

Each round: a deposit with words, an erasure that the authority approves, and the process dies at a named write of the
job. What the clients and the audit see afterwards is that of an erasure that was never interrupted.
"""

import asyncio
import hashlib
import signal
from pathlib import Path

import pytest

from app.client.deposit import Depositor, Evidence
from app.client.erasing import ask, certify, list_entries
from app.client.problems import ServiceRefused
from app.client.registrar import approve
from app.client.session import Client
from app.demo.cast import AUTHORITY, REQUIRED
from app.errors import Unreachable
from storage.sqlite import SqliteRecordStore
from tests.faults.town import PAPER, Service, Town, audit, make_town, start

POINTS = (
    "after insert erase-due 1",
    "after replace erase-due 1",
    "after delete box 1",
    "before delete statement 1",
    "after delete aggregate 1",
    "after insert erasure 1",
)
"""Writes of the erasing job, in its order (`app/service/erasing.py`)."""
LOOKS = 20_000


async def deposited(town: Town, url: str, file: Path) -> bytes:
    async with town.client("lawyer-1", url) as client:
        done = await Depositor(client).deposit(
            town.case_id, [Evidence(path=file)], approve=lambda _panels: None, words="what it is"
        )
    return done.deposit_id


async def erased(town: Town, url: str, deposit_id: bytes) -> bytes:
    """Have it erased, and approved up to the last key; return the act."""
    async with town.client("clerk", url) as clerk:
        listed = await list_entries(clerk, deposit_id)
    async with town.client("registrar", url) as registrar:
        act = (await ask(registrar, listed, "by order", PAPER)).statement.digest
        for name in AUTHORITY[: REQUIRED - 1]:
            await approve(registrar, act, town.cast[name].keys.seed)
    return act


async def last_key(town: Town, url: str, act: bytes) -> None:
    async with town.client("registrar", url) as registrar:
        try:
            await approve(registrar, act, town.cast[AUTHORITY[REQUIRED - 1]].keys.seed)
        except Unreachable:
            return


async def carried_out(town: Town, service: Service, deposit_id: bytes) -> None:
    """As for every reader of an erasure that is done: its statements are gone, its id is not known."""
    async with town.client("registrar", service.url) as registrar:
        for _ in range(LOOKS):
            made = await certify(registrar, hashlib.sha256(deposit_id).digest())
            if made.gone == len(made.entries):
                break
        else:
            pytest.fail("the erasure was not carried out to the end")
    async with town.client("lawyer-1", service.url) as depositor:
        await depositor.sync()
        await gone(depositor, deposit_id)


async def gone(client: Client, deposit_id: bytes) -> None:
    with pytest.raises(ServiceRefused) as caught:
        await client.api.deposit(deposit_id)
    assert caught.value.status in (404, 410)


async def left_in_the_store(town: Town, deposit_id: bytes) -> list[str]:
    """Records of the kinds that hold a deposit's secrets, by its id."""
    records = await SqliteRecordStore.open(str(town.registry / "records.sqlite"))
    try:
        id = deposit_id.hex()
        found = [each for kind in ("box", "manifest") for each in await records.page(kind, prefix=f"{id}/", limit=10)]
        due = await records.page("erase-due", limit=10)
    finally:
        await records.close()
    return [each.id for each in (*found, *due)]


@pytest.mark.slow
async def test_killed_at_every_write_of_an_erasure_the_next_process_finishes_it(tmp_path: Path) -> None:
    town = await make_town(tmp_path / "town")
    file = tmp_path / "evidence.txt"
    file.write_bytes(b"evidence")
    interrupted: list[bytes] = []
    for point in POINTS:
        service = await start(["tests.faults.dying", str(town.registry)], stdin=asyncio.subprocess.PIPE)
        for each in interrupted[-1:]:
            await carried_out(town, service, each)
        deposit_id = await deposited(town, service.url, file)
        act = await erased(town, service.url, deposit_id)
        assert service.process.stdin is not None
        assert service.process.stdout is not None
        service.process.stdin.write(f"{point}\n".encode())
        assert await service.process.stdout.readline() == b"armed\n"
        await last_key(town, service.url, act)
        async with asyncio.timeout(60):
            assert await service.process.wait() == -signal.SIGKILL, point
        interrupted.append(deposit_id)
    async with town.running() as service:
        for each in interrupted:
            await carried_out(town, service, each)
        survivor = await deposited(town, service.url, file)
    for each in interrupted:
        assert await left_in_the_store(town, each) == []
    assert await left_in_the_store(town, survivor) != []
    code, text = await audit(town)
    assert code == 0, text
