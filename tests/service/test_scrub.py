"""The background scrub finds what rotted, says where, goes on where it was, and leaves everybody else alone."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from app.service.logstore import RecordLogStore
from app.service.scrub import LEASE_SECONDS, SAVE_SECONDS, Scrub, ScrubState
from app.service.statements import StatementStore
from app.statements.statement import parse_leaf
from ledger.batch import Batch
from storage.memory import MemoryBlobStore, MemoryRecordStore
from tests.app.rules.world import World, peopled
from tests.service.house import open_house, terms_of
from tests.service.test_crashes import pushed

HOUR = 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


def scrub_of(records: MemoryRecordStore, clock: Clock) -> Scrub:
    return Scrub(records, RecordLogStore(records), StatementStore(records), clock, every_seconds=HOUR)


async def whole_pass(scrub: Scrub) -> ScrubState:
    while await scrub.step():
        pass
    state = await scrub.status()
    assert state is not None
    assert state.finished
    return state


async def filled(world: World) -> MemoryRecordStore:
    records = MemoryRecordStore()
    await pushed(world, records, MemoryBlobStore())
    return records


def flip(records: MemoryRecordStore, kind: str, id: str, at: int) -> None:
    record = records._kinds[kind][id]
    data = record.data[:at] + bytes([record.data[at] ^ 1]) + record.data[at + 1 :]
    records._kinds[kind][id] = replace(record, data=data)


async def test_a_changed_byte_is_found_and_named(caplog: pytest.LogCaptureFixture) -> None:
    world = peopled()
    records, clock = await filled(world), Clock()
    scrub = scrub_of(records, clock)
    state = await whole_pass(scrub)
    assert (state.at, state.count, state.findings) == (len(world.entries), 0, ())
    assert not await scrub.step(), "nothing is due"
    id = sorted(records._kinds["batch"])[2]
    raw = records._kinds["batch"][id].data
    flip(records, "batch", id, raw.index(Batch.decode(raw).entries[0]) + 30)
    digest = parse_leaf(world.entries[4].leaf).digest.hex()
    flip(records, "statement", digest, len(records._kinds["statement"][digest].data) // 2)
    clock.now += HOUR
    with caplog.at_level(logging.ERROR, "muniment.scrub"):
        state = await whole_pass(scrub)
    assert (state.at, state.count) == (len(world.entries), 2)
    assert state.findings[0].startswith(f"bad_batch {id}: ")
    assert state.findings[1].startswith("statement_changed entry 4: ")
    assert any(id in record.getMessage() and "Restore" in record.getMessage() for record in caplog.records)
    clock.now += HOUR
    assert await scrub.step()
    status = await scrub.status()
    assert status is not None
    assert (status.count, status.before) == (0, 2), (
        "what the last pass found is not forgotten while the next one goes on"
    )


@pytest.mark.parametrize(("at", "code"), [(0, "bad_batch"), (-1, "bad_batch"), (20, "bad_batch")])
async def test_a_batch_that_cannot_be_read_does_not_end_the_pass(at: int, code: str) -> None:
    world = peopled()
    records, clock = await filled(world), Clock()
    ids = sorted(records._kinds["batch"])
    flip(records, "batch", ids[1], at % len(records._kinds["batch"][ids[1]].data))
    del records._kinds["batch"][ids[3]]
    state = await whole_pass(scrub_of(records, clock))
    assert [each.split(":")[0] for each in state.findings] == [f"{code} {ids[1]}", f"gap {ids[3]}"]
    assert state.at == len(world.entries)


async def test_it_goes_on_where_it_was_and_only_one_does() -> None:
    world = peopled()
    records, clock = await filled(world), Clock()
    first, other = scrub_of(records, clock), scrub_of(records, clock)
    assert await first.step()
    assert not await other.step(), "somebody is at it"
    clock.now += SAVE_SECONDS
    assert await first.step()
    assert await first.step()  # not written down yet, and then it is killed
    clock.now += LEASE_SECONDS
    assert await other.step()
    status = await other.status()
    assert status is not None
    assert status.at == 2, "two steps were written down"
    await other.close()
    third = scrub_of(records, clock)
    assert await third.step(), "after an orderly end nobody waits"
    status = await third.status()
    assert status is not None
    assert status.at == 3
    clock.now += SAVE_SECONDS
    await first.step()
    await first.step()
    assert (await whole_pass(third)).at == len(world.entries)


async def test_a_damaged_record_of_the_scrub_is_begun_anew() -> None:
    world = peopled()
    records, clock = await filled(world), Clock()
    await records.insert("scrub", "it", b"rot")
    assert (await whole_pass(scrub_of(records, clock))).at == len(world.entries)


async def test_the_service_scrubs_while_it_serves_and_says_so() -> None:
    world, records = peopled(), MemoryRecordStore()
    async with open_house(world, records) as house:
        await house.push()
        await whole_pass_of(house.registry.scrub, house)
        id = sorted(records._kinds["batch"])[0]
        flip(records, "batch", id, len(records._kinds["batch"][id].data) - 1)
        await whole_pass_of(house.registry.scrub, house)
        answer = await house.call("GET", "/readyz")
        assert answer.status == 200
        told: dict[str, Any] = answer.json["scrub"]
        assert (told["findings"], told["at"]) == (1, len(world.entries))
        assert told["finished"] >= told["begun"]


async def test_the_service_does_it_by_itself() -> None:
    world = peopled()
    records = await filled(world)
    terms = replace(terms_of(world), scrub_seconds=HOUR)
    async with open_house(world, records, terms=terms, pushed=len(world.entries)) as house, asyncio.timeout(60):
        told: dict[str, Any] | None = None
        while told is None or not told["finished"]:
            told = (await house.call("GET", "/readyz")).json["scrub"]
        assert (told["at"], told["findings"], told["findings_before"]) == (len(world.entries), 0, 0)


async def whole_pass_of(scrub: Scrub, house: Any) -> None:
    """Statements are taken between the steps of a pass."""
    steps = 0
    while await scrub.step():
        if steps == 1:
            house.world.open_case(f"case {len(house.world.entries)}")
            await house.push()
        steps += 1
    assert steps
