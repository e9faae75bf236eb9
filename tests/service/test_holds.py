"""Holds and longer terms carried out in the store: by a job that may die anywhere, run twice, and be behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.service.aggregates import DamagedProjection
from app.service.arrivals import UploadMode
from app.service.audit import Audit
from app.service.locks import LockJob
from app.service.owed import DONE, DUE, KEPT, LATE_SECONDS, parse_due
from app.service.places import blob_key
from app.statements.kinds import HoldLift, HoldPlace, RetentionExtend
from storage.errors import Locked
from storage.memory import MemoryBlobStore, Moment
from storage.ports import BlobStat, Record
from tests.app.rules.world import ORIGIN, Release
from tests.service.bucketed import DAY, bucketed
from tests.service.house import House, RealDeposit, court, open_house


class Died(Exception):
    """The process was killed at this point."""


@pytest.fixture
def release() -> Release:
    return court()


@pytest.fixture
async def house(release: Release) -> AsyncIterator[House]:
    async with open_house(release.world) as found:
        await found.push()
        await deposited(found, release)
        yield found


def deposit_of(release: Release) -> RealDeposit:
    assert isinstance(release.deposit, RealDeposit)
    return release.deposit


async def deposited(house: House, release: Release) -> None:
    await house.upload(deposit_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    await house.push()
    assert (await house.registry.locks.run()).failed == ()


def placing(release: Release) -> HoldPlace:
    return HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None)


def lifting(release: Release, hold: bytes) -> HoldLift:
    return HoldLift(deposit_id=release.deposit.claims.deposit_id, hold=hold, note=None)


async def stats(house: House, release: Release) -> list[BlobStat]:
    keys = [blob_key(release.deposit.claims.deposit_id, item, 0) for item in range(3)]
    found = [await house.registry.blobs.stat(key) for key in keys]
    return [each for each in found if each is not None]


async def holds(house: House, release: Release) -> list[bool]:
    return [each.hold for each in await stats(house, release)]


async def audit_of(house: House) -> list[str]:
    registry = house.registry
    audit = Audit(
        registry.records,
        registry.blobs,
        origin=ORIGIN,
        genesis=registry.terms.genesis,
        clock=lambda: house.clock[0],
    )
    return [f"{each.code} at {each.place.partition(' item ')[2] or each.place}" async for each in audit.findings()]


async def test_a_hold_is_placed_on_every_segment_and_lifted_only_with_the_last(house: House, release: Release) -> None:
    world, job = release.world, house.registry.locks
    first = world.do("clerk", placing(release))
    second = world.do("judge2", placing(release))
    await house.push()
    assert house.registry._locks_due.is_set(), "the upkeep is told"
    assert await holds(house, release) == [False] * 3
    assert await audit_of(house) == [], "what is due is no fault yet"
    await house.registry.maintain()
    assert await holds(house, release) == [True] * 3
    assert await house.registry.records.page(DUE) == ()
    world.do("clerk", lifting(release, first.digest))
    await house.push()
    await job.run()
    assert await holds(house, release) == [True] * 3
    world.do("clerk", lifting(release, second.digest))
    await house.push()
    await job.run()
    assert await holds(house, release) == [False] * 3
    assert await audit_of(house) == []


async def test_nothing_that_is_held_is_deleted_when_its_term_is_over(house: House, release: Release) -> None:
    hold = release.world.do("judge1", placing(release))
    await house.push()
    await house.registry.locks.run()
    house.clock[0] += 40_000 * DAY
    blobs = house.registry.blobs
    for each in await stats(house, release):
        assert each.retain_until < house.clock[0]
        with pytest.raises(Locked, match="hold"):
            await blobs.delete(each.key, each.version)
    release.world.now = house.clock[0]
    release.world.do("judge1", lifting(release, hold.digest))
    await house.push()
    await house.registry.locks.run()
    for each in await stats(house, release):
        await blobs.delete(each.key, each.version)


async def test_a_longer_term_is_carried_out_and_a_shorter_one_shortens_nothing(house: House, release: Release) -> None:
    (term,) = {each.retain_until for each in await stats(house, release)}
    deposit_id = release.deposit.claims.deposit_id
    for until in (term - DAY, term + DAY):
        release.world.do("clerk", RetentionExtend(deposit_id=deposit_id, until=until, note=None))
        await house.push()
        await house.registry.locks.run()
        assert {each.retain_until for each in await stats(house, release)} == {max(term, until)}
    assert await audit_of(house) == []


async def test_the_job_that_dies_anywhere_goes_on(house: House, release: Release) -> None:
    blobs, records, registry = house.registry.blobs, house.registry.records, house.registry
    assert isinstance(blobs, MemoryBlobStore)
    release.world.do("clerk", placing(release))
    await house.push()
    for deaths in range(6):  # before and after each of three segments
        for each in await stats(house, release):
            await blobs.set_hold(each.key, each.version, on=False)
        calls = 0

        def fault(_moment: Moment, operation: str, _name: str, least: int = deaths) -> None:
            nonlocal calls
            calls += operation == "set_hold"
            if calls > least:
                raise Died

        blobs.fault = fault
        with pytest.raises(Died):
            await registry.locks.run()
        blobs.fault = lambda *_: None
        assert len(await records.page(DUE)) == 1, "what was not finished stays due"
    assert (await registry.locks.run()).failed == ()
    assert await holds(house, release) == [True] * 3
    assert await records.page(DUE) == ()


async def test_the_job_waits_for_the_state_that_the_record_names(house: House, release: Release) -> None:
    """Records of one batch are written in any order: the job may see what is due before it can see the hold."""
    release.world.do("clerk", placing(release))
    await house.push()
    registry = house.registry
    size, registry.projections.size = registry.projections.size, registry.projections.size - 1
    report = await registry.locks.run()
    assert report.failed == (deposit_of(release).claims.deposit_id.hex(),)
    assert len(await registry.records.page(DUE)) == 1
    registry.projections.size = size
    assert (await registry.locks.run()).done == 1
    assert await holds(house, release) == [True] * 3


async def test_two_replicas_at_once_end_at_the_newest_state(house: House, release: Release) -> None:
    registry = house.registry
    other = LockJob(registry.records, registry.blobs, registry.projections, registry.uploads, registry.clock)
    for _ in range(3):
        placed = release.world.do("clerk", placing(release))
        await house.push()
        await asyncio.gather(registry.locks.run(), other.run(), registry.locks.run())
        assert await holds(house, release) == [True] * 3
        release.world.do("judge1", lifting(release, placed.digest))
        await house.push()
        await asyncio.gather(other.run(), registry.locks.run(), other.run())
        assert await holds(house, release) == [False] * 3
        assert await registry.records.page(DUE) == ()


async def test_a_replica_whose_state_moved_on_does_it_over(
    house: House, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold is placed while a replica carries out the lifting before it."""
    first = release.world.do("clerk", placing(release))
    await house.push()
    await house.registry.locks.run()
    release.world.do("clerk", lifting(release, first.digest))
    await house.push()
    registry, blobs = house.registry, house.registry.blobs
    other = LockJob(registry.records, blobs, registry.projections, registry.uploads, registry.clock)
    real, crossed = blobs.set_hold, False

    async def crossing(key: str, version: str, on: bool) -> None:
        nonlocal crossed
        if not crossed:
            crossed = True
            release.world.do("judge2", placing(release))
            await house.push()
            # The other replica does all that is due, and nothing is left that would have this one done over.
            assert (await other.run()).failed == ()
            assert await registry.records.page(DUE) == ()
        await real(key, version, on)

    monkeypatch.setattr(blobs, "set_hold", crossing)
    await house.registry.locks.run()
    assert crossed
    assert await holds(house, release) == [True] * 3


async def test_a_hold_that_an_operator_lifted_in_the_store_is_found_and_placed_again(
    house: House, release: Release
) -> None:
    release.world.do("clerk", placing(release))
    await house.push()
    await house.registry.locks.run()
    one = (await stats(house, release))[1]
    await house.registry.blobs.set_hold(one.key, one.version, on=False)
    assert await audit_of(house) == ["hold_missing at 1 segment 0"]
    await house.registry.locks.run()
    assert await audit_of(house) == ["hold_missing at 1 segment 0"], "nothing is due"
    house.clock[0] += 2 * DAY
    await house.registry.maintain()
    assert await audit_of(house) == []
    assert len(await house.registry.records.page(KEPT)) == 1


async def test_a_hold_of_which_no_statement_says_anything_is_left_alone(house: House, release: Release) -> None:
    """An operator may hold by hand what the registry never held."""
    one = (await stats(house, release))[0]
    await house.registry.blobs.set_hold(one.key, one.version, on=True)
    await house.registry.locks.look_again()
    await house.registry.records.insert(DUE, one.key.split("/")[1], b"1 1")
    await house.registry.locks.run()
    assert await holds(house, release) == [True, False, False]


async def test_a_lag_is_an_alarm_in_log_readyz_and_audit(
    house: House, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    blobs: Any = house.registry.blobs
    key = blob_key(release.deposit.claims.deposit_id, 2, 0)
    hidden = blobs._blobs.stats.pop(key)
    release.world.do("clerk", placing(release))
    await house.push()
    assert (await house.registry.locks.run()).failed == (deposit_of(release).claims.deposit_id.hex(),)
    told = (await house.call("GET", "/readyz")).json["locks"]
    assert told == {"due": 1, "oldest_seconds": 0, "late": False}
    assert "ALARM" not in caplog.text
    house.clock[0] += LATE_SECONDS
    for _ in range(3):
        await house.registry.locks.run()
    assert caplog.text.count("ALARM: locks and holds lag: 1 are due, the oldest for 3600 seconds") == 1
    assert caplog.text.count("segment 0 is not in the store") == 1, "said once"
    ready = await house.call("GET", "/readyz")
    assert ready.status == 200, "the rest can be served"
    assert ready.json["locks"] == {"due": 1, "oldest_seconds": 3600, "late": True}
    id = deposit_of(release).claims.deposit_id.hex()
    assert await audit_of(house) == [f"lock_late at deposit {id}", "segment_missing at 2 segment 0"]
    blobs._blobs.stats[key] = hidden
    await house.registry.locks.run()
    assert (await house.call("GET", "/readyz")).json["locks"]["due"] == 0
    assert await audit_of(house) == []


async def test_other_bytes_are_not_locked_in_a_segments_place(house: House, release: Release) -> None:
    blobs: Any = house.registry.blobs
    key = blob_key(release.deposit.claims.deposit_id, 2, 0)
    other = await blobs.stat(blob_key(release.deposit.claims.deposit_id, 1, 0))
    blobs._blobs.stats[key] = BlobStat(
        key=key, version="other", size=other.size, sha256=other.sha256, retain_until=0, hold=False
    )
    release.world.do("clerk", placing(release))
    await house.push()
    assert len((await house.registry.locks.run()).failed) == 1
    assert blobs._blobs.stats[key].retain_until == 0


@pytest.mark.parametrize("data", [b"", b"1", b"1 2 3", b"01 2", b"-1 2", b"1 2\n", "٣ 2".encode(), b"1  2"])
async def test_a_damaged_record_is_named_and_stops_nothing_else(house: House, release: Release, data: bytes) -> None:
    with pytest.raises(DamagedProjection):
        parse_due(Record(id="00" * 16, revision=1, data=data))
    await house.registry.records.insert(DUE, "00" * 16, data)
    release.world.do("clerk", placing(release))
    await house.push()
    report = await house.registry.locks.run()
    assert (report.done, report.failed) == (1, ("00" * 16,))
    assert await holds(house, release) == [True] * 3


async def test_a_damaged_term_is_found(house: House, release: Release) -> None:
    id = deposit_of(release).claims.deposit_id.hex()
    done = await house.registry.records.get(DONE, id)
    assert done is not None
    await house.registry.records.replace(DONE, id, b" 1", revision=done.revision)
    assert await audit_of(house) == [f"lock_missing at deposit {id}"]


async def test_on_s3_holds_and_terms_are_the_servers_own(s3_port: int) -> None:
    async with bucketed(s3_port, UploadMode.PROXY) as town:
        release, registry = town.release, town.house.registry
        await deposited(town.house, release)
        placed = release.world.do("judge1", placing(release))
        term = (await stats(town.house, release))[0].retain_until
        longer = RetentionExtend(deposit_id=release.deposit.claims.deposit_id, until=term + DAY, note=None)
        release.world.do("clerk", longer)
        await town.house.push()
        assert (await registry.locks.run()).failed == ()
        for each in await stats(town.house, release):
            assert (each.hold, each.retain_until) == (True, term + DAY)
            with pytest.raises(Locked):
                await town.blobs.delete(each.key, each.version)
        assert await audit_of(town.house) == []
        release.world.do("judge1", lifting(release, placed.digest))
        await town.house.push()
        assert (await registry.locks.run()).failed == ()
        assert await holds(town.house, release) == [False] * 3
        assert {each.retain_until for each in await stats(town.house, release)} == {term + DAY}
