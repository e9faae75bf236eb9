"""What was never accepted goes, after its time; what a deposit or a statement names stays, whatever crosses it."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.errors import Refused
from app.service.audit import Audit
from app.service.sweeping import SweepReport
from app.statements.kinds import CaseOpen
from storage.errors import Unavailable
from storage.memory import MemoryBlobStore, MemoryRecordStore, Moment, no_fault
from tests.app.rules.world import ORIGIN, Release, fresh
from tests.service.house import House, RealDeposit, court, open_house, real_deposit

DAY = 86_400
ENDED, SWEPT, NOTHING = SweepReport(ended=1, swept=0), SweepReport(ended=0, swept=1), SweepReport(ended=0, swept=0)


@pytest.fixture
def release() -> Release:
    return court()


@pytest.fixture
async def house(release: Release) -> AsyncIterator[House]:
    async with open_house(release.world) as found:
        await found.push()
        yield found


def first_of(release: Release) -> RealDeposit:
    assert isinstance(release.deposit, RealDeposit)
    return release.deposit


async def accepted_and_abandoned(house: House, release: Release) -> RealDeposit:
    """One deposit that was accepted, and a whole upload that nobody posts."""
    await house.upload(first_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    await house.push()
    await house.registry.locks.run()
    left = real_deposit(release.world, release.ceremony, release.case_id, "left")
    await house.upload(left)
    return left


async def swept(house: House) -> SweepReport:
    return await house.registry.upload_sweep.run(house.clock[0])


async def kept_of(house: House, deposit: RealDeposit) -> list[str]:
    """What the stores hold of a deposit."""
    id, found = deposit.claims.deposit_id.hex(), []
    found += [each.key for each in await house.registry.blobs.list(f"deposits/{id}/")]
    for kind in ("upload", "manifest", "box"):
        found += [f"{kind} {each.id}" for each in await house.registry.records.page(kind, prefix=id)]
    return found


async def audit_of(house: House) -> list[str]:
    registry = house.registry
    audit = Audit(registry.records, registry.blobs, origin=ORIGIN, genesis=registry.terms.genesis)
    return [f"{each.code} at {each.place}" async for each in audit.findings()]


async def test_an_abandoned_upload_is_ended_then_swept_and_an_accepted_one_never(
    house: House, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="muniment.sweeping")
    left = await accepted_and_abandoned(house, release)
    accepted, whole = await kept_of(house, first_of(release)), await kept_of(house, left)
    assert len(whole) == 6
    house.clock[0] += 7 * DAY - 1
    assert await swept(house) == NOTHING
    house.clock[0] += 1
    assert await swept(house) == ENDED
    assert await kept_of(house, left) == whole, "what is ended still stands"
    base = f"/v1/uploads/{left.claims.deposit_id.hex()}"
    house.tokens.clear()
    assert (await house.places(left)).code == "upload_ended"
    assert (await house.call("PUT", f"{base}/manifest", left.manifest.encode(), by="lawyer1")).code == "upload_ended"
    begun = await house.send("PUT", base, {"case_id": left.claims.case_id.hex()}, by="lawyer1")
    assert begun.code == "upload_ended"
    with pytest.raises(Refused) as caught:
        await house.registry.uploads.check_deposit(left.claims, release.world.signer("lawyer1").kid, house.clock[0])
    assert caught.value.code == "upload_ended"
    house.clock[0] += DAY - 1
    assert await swept(house) == NOTHING
    house.clock[0] += 1
    assert await swept(house) == SWEPT
    assert await kept_of(house, left) == []
    assert f"swept the upload {left.claims.deposit_id.hex()}: segments 3, boxes 1, manifests 1" in caplog.text
    house.clock[0] += 20_000 * DAY  # longer than any term: even then it is not the sweep's to take
    assert await swept(house) == NOTHING
    assert await kept_of(house, first_of(release)) == accepted
    assert await audit_of(house) == []


async def test_the_upkeep_sweeps(house: House, release: Release) -> None:
    left = await accepted_and_abandoned(house, release)
    for _ in range(2):
        house.clock[0] += 8 * DAY
        await house.registry.maintain()
    assert await kept_of(house, left) == []


async def test_an_upload_that_was_only_begun_goes_and_one_with_a_late_segment_waits(
    house: House, release: Release
) -> None:
    deposit = first_of(release)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    await house.send("PUT", base, {"case_id": deposit.claims.case_id.hex()}, by="lawyer1")
    house.clock[0] += 7 * DAY
    house.tokens.clear()
    place = (await house.places(deposit)).json["places"][0]
    assert await swept(house) == ENDED
    late = await house.call("PUT", place["url"], deposit.segments[0][1], **place["headers"])
    assert late.status == 201, "the place was given before"
    house.clock[0] += DAY
    assert await swept(house) == NOTHING
    house.clock[0] += 6 * DAY
    assert await swept(house) == SWEPT
    assert await kept_of(house, deposit) == []


async def test_an_upload_that_ends_while_the_door_looks_is_refused(house: House, release: Release) -> None:
    deposit, registry = first_of(release), house.registry
    await house.upload(deposit)
    house.clock[0] = release.world.now = release.world.now + 7 * DAY
    blobs: Any = registry.blobs
    extend, reports = blobs.extend, list[SweepReport]()

    async def swept_first(*args: Any) -> None:
        if not reports:
            reports.append(await swept(house))
        await extend(*args)

    blobs.extend = swept_first
    assert (await house.post(release.world.sign("lawyer1", deposit.claims))).code == "upload_ended"
    assert reports == [ENDED]


async def test_what_passed_the_door_is_not_ended_any_more(house: House, release: Release) -> None:
    deposit, registry = first_of(release), house.registry
    await house.upload(deposit)
    house.clock[0] = release.world.now = release.world.now + 7 * DAY
    statements: Any = registry.door._statements
    write, reports = statements.write, list[SweepReport]()

    async def swept_first(*args: Any) -> int:
        reports.append(await swept(house))
        return int(await write(*args))

    statements.write = swept_first
    try:
        assert (await house.post(release.world.sign("lawyer1", deposit.claims))).status == 201
    finally:
        statements.write = write
    assert reports == [NOTHING]
    house.clock[0] += 9 * DAY
    assert await swept(house) == NOTHING
    assert len(await kept_of(house, deposit)) == 6


async def test_a_sweep_that_is_broken_off_anywhere_is_finished_by_the_next(release: Release) -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: clock[0])
    clock = [release.world.now]
    async with open_house(release.world, records, blobs) as house:
        clock = house.clock
        await house.push()
        left = await accepted_and_abandoned(house, release)
        house.clock[0] += 7 * DAY
        assert await swept(house) == ENDED
        house.clock[0] += DAY
        accepted, broken = await kept_of(house, first_of(release)), 0
        while True:
            allowed = [1]  # one write more, then the store does not answer

            def fault(moment: Moment, _operation: str, _name: str, allowed: list[int] = allowed) -> None:
                if moment is Moment.BEFORE:
                    allowed[0] -= 1
                    if allowed[0] < 0:
                        raise Unavailable("the store did not answer")

            records.fault = blobs.fault = fault
            try:
                report = await swept(house)
            except Unavailable:
                broken += 1
                continue
            finally:
                records.fault = blobs.fault = no_fault
            break
        assert broken >= 4
        assert report == SWEPT
        assert await kept_of(house, left) == []
        assert await kept_of(house, first_of(release)) == accepted
        assert await audit_of(house) == []


async def put_note(house: House, words: bytes) -> bytes:
    note = b"age-encryption.org/v1\n" + words
    name = hashlib.sha256(note).digest()
    assert (await house.call("PUT", f"/v1/notes/{name.hex()}", note, by="clerk")).status in (200, 201)
    return name


async def notes_of(house: House) -> set[str]:
    return {each.id for each in await house.registry.records.page("note")}


async def test_a_note_that_no_statement_names_goes_after_a_day(house: House, release: Release) -> None:
    named, left = await put_note(house, b"named"), await put_note(house, b"left")
    release.world.do("clerk", CaseOpen(case_id=fresh("noted"), note=named))
    await house.push()
    house.clock[0] += DAY
    assert await house.registry.notes.sweep(house.clock[0]) == 0
    house.clock[0] += 1
    assert await house.registry.notes.sweep(house.clock[0]) == 1
    assert await notes_of(house) == {named.hex()}
    assert left.hex() not in "".join(each.id for each in await house.registry.records.page("note-owner"))
    assert await audit_of(house) == []


@pytest.mark.parametrize("again", ["stored", "named"])
async def test_a_note_that_is_wanted_at_that_moment_stays(house: House, again: str) -> None:
    name = await put_note(house, b"words")
    house.clock[0] += DAY + 1
    house.tokens.clear()
    projections: Any = house.registry.notes._projections
    linked = projections.linked

    async def wanted_first(start: str) -> tuple[str, ...]:
        found: tuple[str, ...] = await linked(start)
        if again == "stored":
            await put_note(house, b"words")
        else:
            await house.registry.notes.check(name)
        return found

    projections.linked = wanted_first
    assert await house.registry.notes.sweep(house.clock[0]) == 0
    projections.linked = linked
    assert await house.registry.notes.sweep(house.clock[0]) == 0
    assert await notes_of(house) == {name.hex()}
