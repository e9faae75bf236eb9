"""Records on MongoDB: the conformance suite through both drivers, refused servers and collections, lost answers."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern

from storage.credentials import Credentials
from storage.errors import AlreadyExists, BadName, Conflict, Damaged, Unavailable
from storage.hosts import MongoPlace
from storage.mongodb import MongoRecordStore
from storage.mongodb_start import COLLECTION, MARK
from storage.ports import Record, RecordStore
from tests.conformance import records
from tests.servers import free_ports, mongo_server, running

_databases = itertools.count()


class MongoWorld:
    def __init__(self, port: int, *, motor: bool = False) -> None:
        self.place = MongoPlace(
            hosts=(("127.0.0.1", port),),
            database=f"test-{next(_databases)}",
            options=(("directConnection", "true"),),
            motor=motor,
        )

    async def open(self) -> RecordStore:
        return await MongoRecordStore.open(self.place)


@pytest.fixture(params=["pymongo", "motor"])
def world(request: pytest.FixtureRequest, mongo_port: int) -> MongoWorld:
    return MongoWorld(mongo_port, motor=request.param == "motor")


@pytest.fixture
async def raw(mongo_port: int) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """A client that is not the adapter's: somebody else's program, or the administrator."""
    async with AsyncMongoClient(f"mongodb://127.0.0.1:{mongo_port}/?directConnection=true") as client:
        yield client


@pytest.mark.parametrize("check", records.CHECKS, ids=lambda check: check.__name__)
async def test_records_conform(check: Callable[[records.RecordWorld], Awaitable[None]], world: MongoWorld) -> None:
    await check(world)


@pytest.mark.parametrize("motor", [False, True], ids=["pymongo", "motor"])
def test_paging_agrees_with_the_model(mongo_port: int, motor: bool) -> None:
    records.check_paging_against_model(MongoWorld(mongo_port, motor=motor))


async def test_every_write_asks_for_majority_and_journal(world: MongoWorld) -> None:
    store = await MongoRecordStore.open(world.place)
    assert store._collection.write_concern == WriteConcern(w="majority", j=True)
    assert store._collection.read_concern.level == "majority"
    await store.close()


async def test_the_mark_is_on_no_page(world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]) -> None:
    store = await world.open()
    assert await store.page("-", reverse=True) == await store.page("0") == ()
    assert (await raw[world.place.database][COLLECTION].find_one({})) == MARK
    await store.close()


@pytest.mark.parametrize("name", ["collation", "capped", "expiring", "foreign", "later"])
async def test_other_collections_are_refused_and_not_touched(
    world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]], name: str
) -> None:
    database = raw[world.place.database]
    options: dict[str, Any] = {
        "collation": {"collation": {"locale": "en"}},
        "capped": {"capped": True, "size": 100_000},
    }.get(name, {})
    collection = await database.create_collection(COLLECTION, **options)
    if name == "expiring":
        await collection.create_index("at", expireAfterSeconds=3600)
    if name == "foreign":
        await collection.insert_one({"_id": "somebody's"})
    if name == "later":
        await collection.insert_one({**MARK, "data": b"muniment records 2"})
    before = await collection.find().to_list()
    with pytest.raises(BadName) as caught:
        await world.open()
    assert world.place.database in caught.value.message
    assert caught.value.next_step
    assert await collection.find().to_list() == before


async def test_what_is_no_record_is_damaged(world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]) -> None:
    store = await world.open()
    collection = raw[world.place.database][COLLECTION]
    foreign = {"_id": "kind/x", "revision": 1, "data": "text"}
    await collection.insert_one(foreign, bypass_document_validation=True)
    for attempt in (store.get("kind", "x"), store.page("kind")):
        with pytest.raises(Damaged, match="kind"):
            await attempt
    await store.close()


def fail(commands: list[str], **how: Any) -> dict[str, Any]:
    return {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": {"failCommands": commands, **how}}


async def test_a_server_without_a_journal_is_refused(world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]) -> None:
    # What mongod answers to j: true without a journal (code 2, BadValue).
    await raw.admin.command(fail(["update"], errorCode=2))
    with pytest.raises(BadName, match="durably") as caught:
        await world.open()
    assert "journal" in caught.value.next_step


async def test_a_standalone_with_a_journal_will_do(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running(mongo_server(tmp_path, port, "--standalone")):
        store = await MongoRecordStore.open(MongoPlace(hosts=(("127.0.0.1", port),), database="alone"))
        await store.insert("kind", "x", b"1")
        assert await store.replace("kind", "x", b"2", revision=1) == 2
        await store.close()


async def test_a_driver_repeats_a_write_that_lost_its_answer_and_it_counts_once(
    world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]
) -> None:
    store = await world.open()
    await store.insert("kind", "x", b"1")
    await raw.admin.command(fail(["update"], closeConnection=True))
    assert await store.replace("kind", "x", b"2", revision=1) == 2
    await raw.admin.command(fail(["insert"], closeConnection=True))
    await store.insert("kind", "y", b"1")
    assert await store.get("kind", "x") == Record(id="x", revision=2, data=b"2")
    await store.close()


async def test_an_unconfirmed_write_is_unavailable(world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]) -> None:
    """The document landed, the majority did not confirm: the outcome is unknown, and a look decides."""
    store = await world.open()
    concern = {"code": 64, "errmsg": "waiting for replication timed out", "codeName": "WriteConcernFailed"}
    await raw.admin.command(fail(["insert"], writeConcernError=concern))
    with pytest.raises(Unavailable):
        await store.insert("kind", "x", b"1")
    assert await store.get("kind", "x") == Record(id="x", revision=1, data=b"1")
    await store.close()


async def test_no_server_and_a_server_that_dies(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    place = MongoPlace(hosts=(("127.0.0.1", port),), database="killed")
    with pytest.raises(Unavailable, match=str(port)):
        await MongoRecordStore.open(place, answer_seconds=0.5)
    with running(mongo_server(tmp_path, port)) as server:
        store = await MongoRecordStore.open(place, answer_seconds=3)
        told: dict[str, str] = {}

        async def write(writer: int) -> None:
            for count in itertools.count():
                name = f"{writer}-{count}"
                body = hashlib.shake_256(name.encode()).digest(2000)
                await store.insert("killed", name, body)
                told[name] = hashlib.sha256(body).hexdigest()
                if len(told) == 120:
                    await asyncio.to_thread(server.kill)

        outcomes = await asyncio.gather(*(write(index) for index in range(4)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
        with pytest.raises(Unavailable):
            await store.get("killed", "0-0")
        await asyncio.to_thread(server.start)
        for name, digest in told.items():
            found = await store.get("killed", name)
            assert found is not None, f"{name} was acknowledged and is gone"
            assert hashlib.sha256(found.data).hexdigest() == digest
        with pytest.raises(AlreadyExists):
            await store.insert("killed", "0-0", b"")
        with pytest.raises(Conflict):
            await store.delete("killed", "0-0", revision=2)
        await store.close()


async def test_wrong_credentials_are_named_and_not_repeated(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    place = MongoPlace(hosts=(("127.0.0.1", port),), database="guarded")
    with running(mongo_server(tmp_path, port, "--auth")):
        for credentials in (None, Credentials(name="clerk", secret="hunter2")):
            with pytest.raises(BadName, match="refuses this user") as caught:
                await MongoRecordStore.open(place, credentials)
            assert "hunter2" not in str(caught.value) + repr(credentials)
            assert "MUNIMENT_MONGODB_USER" in caught.value.next_step
