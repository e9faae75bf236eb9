"""Every write of an acceptance, lost, kept but reported lost, kept twice, or the last before a crash: all or nothing.

The table is made by counting the writes of one acceptance. After each fault the same statement is offered again, in the
same process and then in a new one: one entry, one answer, and the audit finds nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import pytest

from app.errors import AppError
from app.service.aggregates import DamagedProjection
from app.service.audit import Audit
from app.service.registry import Registry
from app.statements.kinds import CaseOpen, CaseParty
from app.statements.statement import Statement, parse_leaf
from app.web.problems import status_of
from ledger.errors import DamagedLog, LedgerError
from storage.errors import StorageError, Unavailable
from storage.memory import Fault, MemoryBlobStore, MemoryRecordStore, Moment, no_fault
from tests.app.rules.world import ORIGIN, World, fresh, peopled
from tests.service.house import House, RealDeposit, court, open_house, terms_of

Kinds = dict[str, dict[str, Any]]
Answer = TypeVar("Answer")


class Crash(Exception):
    """The process is gone."""


class Way(StrEnum):
    """What happens to one write."""

    LOST = "lost"
    REPORTED_LOST = "kept, but reported lost"
    TWICE = "kept, and sent again on the way: the second answer is heard"
    TWICE_LATE = "kept, and the same request arrives once more before the next write, or after the restart"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"


class Faults:
    """Lets writes happen up to number `at`, and does `way` there. Counts from 0."""

    def __init__(self, at: int, way: Way) -> None:
        self.at, self.way, self.count, self.dead = at, way, -1, False
        self.names: list[str] = []
        self.doubled = False
        """The write that is under way is sent again."""

    def __call__(self, moment: Moment, operation: str, name: str) -> None:
        if self.dead:
            raise Crash
        if moment is Moment.BEFORE:
            self.count += 1
            self.names.append(f"{operation} {name.split('/', maxsplit=1)[0]}")
        due = Moment.BEFORE if self.way in (Way.LOST, Way.CRASH_BEFORE) else Moment.AFTER
        if self.count != self.at or moment is not due:
            return
        if self.way in (Way.TWICE, Way.TWICE_LATE):
            self.doubled = True
            return
        if self.way in (Way.CRASH_BEFORE, Way.CRASH_AFTER):
            self.dead = True
            raise Crash
        raise Unavailable("the store did not answer")


class Resending(MemoryRecordStore):
    """Sends the writes again that its faults say."""

    def __init__(self, *, fault: Fault = no_fault) -> None:
        super().__init__(fault=fault)
        self.late: list[Callable[[], Awaitable[object]]] = []

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        await self._write(partial(super().insert, kind, id, data))

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        return await self._write(partial(super().replace, kind, id, data, revision=revision))

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        await self._write(partial(super().delete, kind, id, revision=revision))

    async def arrive(self) -> None:
        """What was sent again arrives now; nobody hears the answers."""
        fault, self.fault = self.fault, no_fault
        late, self.late = self.late, []
        for write in late:
            with contextlib.suppress(StorageError):
                await write()
        self.fault = fault

    async def _write(self, write: Callable[[], Awaitable[Answer]]) -> Answer:
        await self.arrive()
        answer = await write()
        fault = self.fault
        if isinstance(fault, Faults) and fault.doubled:
            fault.doubled = False
            if fault.way is Way.TWICE:
                self.fault = no_fault
                try:
                    return await write()
                finally:
                    self.fault = fault
            self.late.append(write)
        return answer


def store_of(kinds: Kinds) -> Resending:
    store = Resending()
    store._kinds = {kind: dict(found) for kind, found in kinds.items()}
    return store


@asynccontextmanager
async def running(world: World, records: MemoryRecordStore, blobs: MemoryBlobStore) -> AsyncIterator[Registry]:
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.start()
    try:
        await registry.maintain()
        yield registry
    finally:
        records.fault = no_fault
        await registry.close()


async def pushed(world: World, records: MemoryRecordStore, blobs: MemoryBlobStore) -> Kinds:
    async with open_house(world, records, blobs) as house:
        await house.push()
        await house.registry.maintain()
    return records._kinds


async def offered(registry: Registry, statement: Statement) -> int | None:
    """Offer; return the index, or None where the answer was a fault of the store (503, never 500)."""
    try:
        return (await registry.door.admit(statement)).index
    except (AppError, LedgerError, StorageError) as error:
        if status_of(error) != 503:
            raise
    except Crash:
        pass
    return None


async def findings(records: MemoryRecordStore, blobs: MemoryBlobStore, world: World) -> list[str]:
    assert world.genesis is not None
    audit = Audit(records, blobs, origin=ORIGIN, genesis=world.genesis.digest)
    return [f"{each.code} {each.place} {each.message}" async for each in audit.findings()]


async def run_table(world: World, kinds: Kinds, blobs: MemoryBlobStore, statement: Statement) -> list[str]:
    """Do every fault at every write; return the names of the writes."""
    size = len(world.entries)
    names: list[str] = []
    at = 0
    while True:
        for way in Way:
            records = store_of(kinds)
            async with running(world, records, blobs) as registry:
                faults = Faults(at, way)
                records.fault = faults
                index = await offered(registry, statement)
                if faults.count < at:
                    assert index == size
                    return names
                if not faults.dead:
                    records.fault = no_fault
                    await registry.maintain()
                    assert await offered(registry, statement) == size, (at, way, faults.names)
                    assert registry.sequencer.size == size + 1
                names = faults.names
            again = records.reopen()
            again.late = records.late  # the write that arrives late is on the same data
            await again.arrive()
            async with running(world, again, blobs) as registry:
                assert registry.sequencer.size in (size, size + 1)
                assert registry.projections.size == registry.sequencer.size
                placed = await registry.projections.placed(statement.digest)
                assert (placed is not None) == (registry.sequencer.size == size + 1)
                assert await offered(registry, statement) == size, (at, way, faults.names)
                assert registry.sequencer.size == size + 1
                await registry.maintain()
                assert await findings(again, blobs, world) == [], (at, way, faults.names)
        at += 1


async def test_every_fault_while_a_case_is_opened() -> None:
    world, blobs = peopled(), MemoryBlobStore()
    kinds = await pushed(world, MemoryRecordStore(), blobs)
    names = await run_table(world, kinds, blobs, world.sign("clerk", CaseOpen(case_id=fresh("c"), note=None)))
    assert names[:2] == ["insert statement", "insert batch"]
    assert names[-1] == "replace watermark"
    assert {"insert aggregate", "insert entry", "insert timeline", "insert link"} <= set(names)


async def test_every_fault_while_a_party_joins() -> None:
    """What changes here stood before, and could not be decided a second time on the state after."""
    world, blobs = peopled(), MemoryBlobStore()
    case_id = world.open_case("c", "lawyer1")
    kinds = await pushed(world, MemoryRecordStore(), blobs)
    claims = CaseParty(case_id=case_id, member=world.id("lawyer2"), note=None)
    names = await run_table(world, kinds, blobs, world.sign("clerk", claims))
    assert "replace aggregate" in names


@pytest.mark.slow
async def test_every_fault_while_a_deposit_is_accepted() -> None:
    release = court()
    world, records = release.world, MemoryRecordStore()
    blobs = MemoryBlobStore(clock=lambda: world.now)
    async with open_house(world, records, blobs) as house:
        await house.push()
        await house.registry.maintain()
        assert isinstance(release.deposit, RealDeposit)
        await house.upload(release.deposit)
    names = await run_table(world, records._kinds, blobs, world.sign("lawyer1", release.deposit.claims))
    assert "insert lock-due" in names


async def test_projections_rebuilt_from_statements_equal_those_that_were_kept() -> None:
    release = court()
    records, blobs = MemoryRecordStore(), MemoryBlobStore()
    await pushed(release.world, records, blobs)
    kept = {kind: {id: each.data for id, each in found.items()} for kind, found in records._kinds.items()}
    async with running(release.world, records, blobs) as registry:
        await registry.projections.rebuild(registry.sequencer.size)
    assert {k: {id: each.data for id, each in found.items()} for k, found in records._kinds.items()} == kept


@pytest.mark.parametrize(
    ("kind", "data"), [("aggregate", b"9\nx"), ("aggregate", b"no size\n{}"), ("watermark", b"?"), ("entry", b"{}")]
)
async def test_damaged_projections_are_named_with_the_remedy_and_the_remedy_heals(kind: str, data: bytes) -> None:
    world, records, blobs = peopled(), MemoryRecordStore(), MemoryBlobStore()
    await pushed(world, records, blobs)
    kept = {id: each.data for id, each in records._kinds[kind].items()}
    for id, record in list(records._kinds[kind].items()):
        records._kinds[kind][id] = replace(record, data=data)
    statement = world.sign("clerk", CaseOpen(case_id=fresh("c"), note=None))
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    with pytest.raises(DamagedProjection) as caught:  # noqa: PT012 - which of the two meets it first is no promise
        await registry.start()
        await registry.projections.placed(parse_leaf(world.entries[0].leaf).digest)
        await registry.door.admit(statement)
    assert "--rebuild" in caught.value.next_step
    assert status_of(caught.value) == 500
    await registry.close()
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.rebuild()
    assert {id: each.data for id, each in records._kinds[kind].items()} == kept
    async with running(world, records, blobs) as again:
        assert await offered(again, statement) == len(world.entries)
    assert await findings(records, blobs, world) == []


async def test_a_rebuild_that_was_interrupted_anywhere_is_finished_at_the_next_start() -> None:
    world, blobs = peopled(), MemoryBlobStore()
    kinds = await pushed(world, MemoryRecordStore(), blobs)
    kept = {kind: {id: each.data for id, each in found.items()} for kind, found in kinds.items()}
    at, finished = 0, False
    while not finished:
        records = store_of(kinds)
        async with running(world, records, blobs) as registry:
            records.fault = faults = Faults(at, Way.CRASH_AFTER)
            try:
                await registry.projections.rebuild(registry.sequencer.size)
                finished = True
            except Crash:
                assert faults.dead
        again = records.reopen()
        async with running(world, again, blobs):
            pass
        assert {k: {id: each.data for id, each in found.items()} for k, found in again._kinds.items()} == kept
        at += 7


async def test_two_processes_on_one_store_make_one_ledger() -> None:
    world, blobs = peopled(), MemoryBlobStore()
    records = MemoryRecordStore()
    await pushed(world, records, blobs)
    size = len(world.entries)
    statements = [world.sign("clerk", CaseOpen(case_id=fresh(f"{n}"), note=None)) for n in range(40)]
    async with running(world, records, blobs) as one, running(world, records.reopen(), blobs) as two:
        offers = [(one if n % 3 else two).door.admit(each) for n, each in enumerate(statements)]
        twice = [(two if n % 3 else one).door.admit(each) for n, each in enumerate(statements)]
        receipts = await asyncio.gather(*offers, *twice)
        assert len({receipt.digest for receipt in receipts}) == 40
        assert {receipt.index for receipt in receipts} == set(range(size, size + 40))
        assert sum(receipt.created for receipt in receipts) == 40
        await one.maintain()
        await two.maintain()
        assert one.sequencer.checkpoint == two.sequencer.checkpoint
    assert await findings(records, blobs, world) == []


async def test_a_changed_byte_in_the_last_batch_is_named_and_nothing_starts() -> None:
    world, blobs = peopled(), MemoryBlobStore()
    kinds = await pushed(world, MemoryRecordStore(), blobs)
    last = max(kinds["batch"])
    data = kinds["batch"][last].data
    for at in range(len(data)):
        records = store_of(kinds)
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        await records.replace("batch", last, changed, revision=1)
        with pytest.raises((DamagedLog, DamagedProjection)) as caught:
            async with running(world, records, blobs):
                pass
        assert caught.value.message


async def test_a_key_that_is_not_the_geneses_is_named_and_nothing_starts() -> None:
    world, blobs = peopled(), MemoryBlobStore()
    records = MemoryRecordStore()
    await pushed(world, records, blobs)
    for name in ("log_seed", "service_seed"):
        registry = Registry(replace(terms_of(world), **{name: bytes(32)}), records, blobs, lambda: world.now)
        with pytest.raises(AppError) as caught:
            await registry.start()
        assert caught.value.code == "wrong_key"


async def test_over_http_a_store_that_does_not_answer_is_503_and_heals(house_of_clerks: House) -> None:
    house = house_of_clerks
    records: Any = house.registry.records
    statement = house.world.sign("clerk", CaseOpen(case_id=fresh("z"), note=None))

    def always(_moment: Moment, _operation: str, _name: str) -> None:
        raise Unavailable("the store did not answer")

    records.fault = always
    answer = await house.post(statement)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    records.fault = no_fault
    await house.registry.maintain()
    assert (await house.post(statement)).status == 201
    assert (await house.call("GET", "/readyz")).status == 200


@pytest.fixture
async def house_of_clerks() -> AsyncIterator[House]:
    async with open_house(peopled()) as house:
        await house.push()
        yield house
