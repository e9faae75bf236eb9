"""Deposits through relays that cut, truncate, delay, refuse and repeat: client to service, client and service to an S3
store, service to MongoDB. Each deposit finishes, or says why not and is resumed; what was acknowledged stands, once.
"""

import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.client.deposit import Accepted, Depositor, Evidence
from app.client.session import Client
from app.errors import AppError
from app.rules.aggregates import Deposited
from app.service.arrivals import UploadMode
from storage.credentials import Credentials
from storage.hosts import MongoPlace
from storage.mongodb import MongoRecordStore
from storage.s3 import S3BlobStore
from storage.urls import S3Place, parse_blob_place
from tests.app.client.court import Court, court, terms_of
from tests.app.verify.proofs import panelled
from tests.faults.framed import HTTP_FAULTS, WIRE_FAULTS, Fault, Framed, framed, http_request, wire_message
from tests.faults.town import stands
from tests.servers import S3_SECRET, S3_USER, free_ports, running, s3_server

UPLOAD = "/v1/uploads/[0-9a-f]{32}"
STEPS = (
    "GET /checkpoint",
    "POST /v1/challenge",
    "POST /v1/token",
    f"PUT {UPLOAD}$",
    f"GET {UPLOAD}$",
    f"POST {UPLOAD}/places",
    f"PUT {UPLOAD}/segments/1",
    f"PUT {UPLOAD}/segments/0",
    f"PUT {UPLOAD}/manifest",
    f"PUT {UPLOAD}/boxes",
    "POST /v1/statements",
)
"""The requests of a deposit."""
SEGMENT = r"PUT /relayed-.*/00000"
"""In the store, before the item's number."""
COMMANDS = (("insert", 4), ("update", 1), ("find", 5))
"""A command to MongoDB, and how many of its kind pass before the one that is disturbed."""
DAY = 86_400
WHO = Credentials(name=S3_USER, secret=S3_SECRET)


class Depositing:
    """A person who deposits again and again through a relay, and what was acknowledged to him."""

    def __init__(self, place: Court, case_id: bytes, client: Client, file: Path) -> None:
        self.place, self.case_id, self.client, self.file = place, case_id, client, file
        self.accepted: list[Accepted] = []
        self.said: list[str] = []

    async def deposit(self, size: int = 3000) -> None:
        """Deposit fresh evidence; if it says why not, resume it."""
        self.file.write_bytes(secrets.token_bytes(size))
        depositor = Depositor(self.client)
        begun: list[bytes] = []
        try:
            done = await depositor.deposit(self.case_id, [Evidence(path=self.file)], planned=begun.append)
        except AppError as error:
            self.said.append(f"{error.code}: {error.message} {error.next_step}")
            done = await self.resumed(begun)
        self.accepted.append(done)

    async def fails(self, size: int = 3000) -> bytes:
        """Deposit what cannot be finished now; return the id that the person is told to resume."""
        self.file.write_bytes(secrets.token_bytes(size))
        begun: list[bytes] = []
        with pytest.raises(AppError) as caught:
            await Depositor(self.client).deposit(self.case_id, [Evidence(path=self.file)], planned=begun.append)
        assert caught.value.message
        assert caught.value.next_step
        assert Depositor(self.client).uploads.ids() == tuple(begun)
        return begun[0]

    async def resumed(self, begun: Sequence[bytes]) -> Accepted:
        depositor = Depositor(self.client)
        if not begun:  # it failed before there was anything to resume
            return await depositor.deposit(self.case_id, [Evidence(path=self.file)])
        return await depositor.resume(begun[-1])


async def check(place: Court, acknowledged: Sequence[Accepted]) -> None:
    """By a client that nothing disturbs: every acknowledged deposit stands, once, and nothing is left to resume."""
    async with place.client("lawyer1") as client:
        state = await client.sync()
        found = [each.id for each in state.view.aggregates.values() if isinstance(each, Deposited)]
        assert sorted(found) == sorted(each.deposit_id.hex() for each in acknowledged)
        for each in acknowledged:
            await stands(client, state, each)
        assert Depositor(client).uploads.ids() == ()


@contextlib.asynccontextmanager
async def depositing(
    place: Court, case_id: bytes, file: Path, relay: Framed | None = None
) -> AsyncIterator[Depositing]:
    url = place.url if relay is None else f"http://127.0.0.1:{relay.port}"
    async with place.client("lawyer1", url=url) as client:
        yield Depositing(place, case_id, client, file)


def port_of(place: Court) -> int:
    return int(place.url.rstrip("/").rsplit(":", 1)[1])


@pytest.mark.parametrize("fault", HTTP_FAULTS)
async def test_between_client_and_service_one_lost_message_troubles_nobody(tmp_path: Path, fault: Fault) -> None:
    world, _, case_id = panelled()
    async with court(world, tmp_path / "people") as place:
        acknowledged: list[Accepted] = []
        async with framed(port_of(place), http_request) as relay:
            # A client signs in once.
            for steps in (STEPS[:1], STEPS[1:2], STEPS[2:]):
                async with depositing(place, case_id, tmp_path / "file", relay) as person:
                    for step in steps:
                        if fault is Fault.DUPLICATE_PIECE and "/segments/" not in step:
                            continue  # JSON in which a piece comes twice is refused, as any other broken client is
                        relay.plan.append((step, fault))
                        await person.deposit()
                        assert relay.plan == [], step
                        assert person.said == [], step
                acknowledged += person.accepted
        await check(place, acknowledged)


@pytest.mark.parametrize("fault", [each for each in HTTP_FAULTS if each not in (Fault.DELAY, Fault.DUPLICATE)])
async def test_a_line_that_stays_bad_is_named_and_the_deposit_is_resumed_when_it_is_good(
    tmp_path: Path, fault: Fault
) -> None:
    world, _, case_id = panelled()
    async with court(world, tmp_path / "people") as place:
        acknowledged: list[Accepted] = []
        async with framed(port_of(place), http_request) as relay:
            for step in STEPS[5:]:
                if fault is Fault.DUPLICATE_PIECE and "/segments/" not in step:
                    continue
                async with depositing(place, case_id, tmp_path / "file", relay) as person:
                    relay.plan += [(step, fault)] * 20
                    begun = await person.fails()
                    assert len(relay.plan) < 20, step
                    relay.plan.clear()
                    acknowledged.append(await Depositor(person.client).resume(begun))
        await check(place, acknowledged)


@contextlib.asynccontextmanager
async def stored(port: int, through: int, tmp_path: Path) -> AsyncIterator[tuple[Court, bytes]]:
    """A court over a bucket of the server at `port`, which service and client reach by the port `through`."""
    world, _, case_id = panelled()
    place = parse_blob_place(f"s3+http://127.0.0.1:{port}/relayed-{secrets.token_hex(4)}")
    assert isinstance(place, S3Place)
    blobs = await S3BlobStore.open(place, WHO, create=True)
    await blobs.close()
    blobs = await S3BlobStore.open(replace(place, port=through), WHO, answer_seconds=5)
    # The world's clock stands still and the S3 server's does not: locks must end in the future of both.
    days = max(0, int(time.time()) - world.now) // DAY + 7
    terms = replace(terms_of(world), uploads=UploadMode.AUTO, provisional_lock_days=days)
    try:
        async with court(world, tmp_path / "people", blobs=blobs, terms=terms) as found:
            yield found, case_id
    finally:
        await blobs.close()


@pytest.mark.parametrize("fault", HTTP_FAULTS)
async def test_between_client_and_store(tmp_path: Path, s3_port: int, fault: Fault) -> None:
    async with framed(s3_port, http_request) as relay, stored(s3_port, relay.port, tmp_path) as (place, case_id):
        async with depositing(place, case_id, tmp_path / "file") as person:
            for step in (f"{SEGMENT}1.?/", f"{SEGMENT}0.?/", "HEAD "):
                if fault in (Fault.DUPLICATE_PIECE, Fault.CUT_HALF) and not step.startswith("PUT"):
                    continue
                relay.plan.append((step, fault))
                await person.deposit()
                assert relay.plan == [], step
        await check(place, person.accepted)


async def test_a_store_killed_in_the_middle_of_a_segment_is_named_and_the_deposit_is_resumed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "s3").mkdir()
    with running(s3_server(tmp_path / "s3", port)) as server:
        async with framed(port, http_request) as relay, stored(port, relay.port, tmp_path) as (place, case_id):
            async with depositing(place, case_id, tmp_path / "file") as person:
                await person.deposit()
                relay.plan += [(f"{SEGMENT}1.?/", Fault.CUT_HALF)]
                relay.when = server.kill
                begun = await person.fails(size=40_000_000)
                server.start()
                person.accepted.append(await Depositor(person.client).resume(begun))
            await check(place, person.accepted)


@pytest.mark.slow
async def test_between_service_and_records(tmp_path: Path, mongo_port: int) -> None:
    world, _, case_id = panelled()
    at = MongoPlace(
        hosts=(("127.0.0.1", mongo_port),),
        database=f"relayed-{secrets.token_hex(4)}",
        options=(("directConnection", "true"),),
        motor=False,
    )
    acknowledged: list[Accepted] = []
    async with framed(mongo_port, wire_message) as relay:
        records = await MongoRecordStore.open(replace(at, hosts=(("127.0.0.1", relay.port),)), answer_seconds=2)
        try:
            async with court(world, tmp_path / "people", records=records) as place:
                async with depositing(place, case_id, tmp_path / "file") as person:
                    for fault, (command, nth) in itertools.product(WIRE_FAULTS, COMMANDS):
                        relay.skip, relay.plan = nth, [(command, fault)]
                        await person.deposit()
                        assert relay.plan == [], (fault, command, nth)
                await check(place, person.accepted)
                acknowledged = person.accepted
        finally:
            await records.close()
    # Another service, on what is really in the database.
    records = await MongoRecordStore.open(at)
    try:
        async with court(world, tmp_path / "people", records=records, blobs=place.blobs) as again:
            await check(again, acknowledged)
    finally:
        await records.close()
