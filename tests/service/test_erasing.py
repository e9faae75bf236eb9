"""Erasure in the stores: what is destroyed, what stays, who is told, and a crash at every write of the job."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.rules.aggregates import Deposited, Trail
from app.rules.deposits import trail_id
from app.rules.erasures import erasures_of
from app.service.audit import Audit
from app.service.erasing import ErasureReport
from app.service.registry import Registry
from app.service.scrub import Scrub
from app.statements.kinds import Approval, DepositAcknowledge, Erase
from app.statements.statement import Statement, parse_statement
from storage.memory import MemoryBlobStore, MemoryRecordStore, no_fault
from tests.app.rules.world import ORIGIN, Release, World, fresh
from tests.service.house import RealDeposit, court, open_house, real_deposit, terms_of
from tests.service.test_crashes import Crash, Faults, Way, store_of

DAY = 86_400


def erasure(release: Release) -> Erase:
    trail = release.world.view.find(Trail, trail_id(release.deposit.claims.deposit_id))
    assert trail is not None
    return Erase(
        deposit=bytes.fromhex(trail.id),
        entries=trail.entries,
        reason="order of the court",
        document=fresh("erase", 32),
    )


def secrets_of(release: Release) -> list[bytes]:
    """What nobody may find in the stores afterwards."""
    claims = release.deposit.claims
    assert release.request is not None
    found = [release.deposit.box, claims.capsules[0].public, claims.manifest_hash]
    return [*found, release.request.claims.request, release.contribution("judge1")]  # type: ignore[union-attr]


async def used(records: MemoryRecordStore, blobs: MemoryBlobStore) -> tuple[Release, RealDeposit]:
    """Two deposits in one order; the first was acknowledged, asked for, served and opened, in a real service."""
    release = court()
    world = release.world
    first = release.deposit
    assert isinstance(first, RealDeposit)
    other = real_deposit(world, release.ceremony, release.case_id, "other")
    async with open_house(world, records, blobs) as house:
        await house.push()
        for each in (first, other):
            await house.upload(each)
            world.do("lawyer1", each.claims)
            await house.push()
        world.do("clerk", DepositAcknowledge(deposit_id=first.claims.deposit_id))
        both = replace(release.order_claims(), deposits=(first.claims.deposit_id, other.claims.deposit_id))
        release.order = world.do("judge1", both)
        release.request = world.do("lawyer2", release.request_claims())
        for judge in ("judge1", "judge3"):
            world.do(judge, release.grant(judge))
            world.do(judge, release.contribute(judge))
        await house.push()
        served = await house.send("POST", "/v1/downloads", {"request": release.request.digest.hex()}, by="lawyer2")
        assert served.status == 200, served.body
        text = await house.registry.statements.read(bytes.fromhex(served.json["access"]))
        assert text is not None
        world.offer(parse_statement(text))
        house.pushed += 1
        world.do("lawyer2", release.opening())
        await house.push()
        await house.registry.maintain()
    return release, other


async def act_of(release: Release, records: MemoryRecordStore, blobs: MemoryBlobStore) -> Statement:
    """The act with all approvals on the ledger; the job has not run."""
    world = release.world
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        house.registry.eraser.run = _nothing  # type: ignore[method-assign]
        act = world.do("registrar", erasure(release))
        world.approve(act)
        await house.push()
    return act


async def _nothing() -> int:
    return 0


async def audited(world: World, records: MemoryRecordStore, blobs: MemoryBlobStore) -> list[tuple[str, str]]:
    assert world.genesis is not None
    audit = Audit(records, blobs, origin=ORIGIN, genesis=world.genesis.digest)
    try:
        return [(each.code, each.place) async for each in audit.findings()]
    finally:
        audit.close()


async def everything(records: MemoryRecordStore) -> bytes:
    """All records, as bytes to be searched and compared."""
    found = []
    for kind in sorted(records._kinds):
        after = ""
        while page := await records.page(kind, after=after, limit=1000):
            after = page[-1].id
            found += [f"{kind} {each.id} ".encode() + each.data for each in page]
    return b"\n".join(found)


async def test_what_is_erased_is_gone_and_everything_else_is_served_as_before() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, other = await used(records, blobs)
    world = release.world
    gone = erasure(release).entries
    await act_of(release, records, blobs)
    assert await audited(world, records, blobs) == []  # the job is due, which is no fault
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        await house.registry.maintain()
        report = await house.registry.eraser.report(bytes.fromhex(trail_id(release.deposit.claims.deposit_id)))
        assert isinstance(report, ErasureReport)
        assert (report.statements, report.boxes, report.segments, report.locked) == (len(gone), 1, 0, 3)
        listed = await house.call("GET", f"/v1/cases/{release.case_id.hex()}/statements?limit=200", by="clerk")
        shown = [each["index"] for each in listed.json["statements"]]
        assert not set(shown) & set(gone)
        for index in gone:
            digest = json.loads(world.entries[index].leaf)["digest"]
            answer = await house.call("GET", f"/v1/statements/{digest}", by="clerk")
            assert (answer.status, answer.code) == (410, "statement_erased")
        missing = await house.call("GET", f"/v1/deposits/{release.deposit.claims.deposit_id.hex()}", by="lawyer1")
        assert missing.status == 404
        whole = await house.call("GET", f"/v1/deposits/{other.claims.deposit_id.hex()}", by="lawyer1")
        assert whole.status == 200
        # Offered once more, an erased statement gets its old place, and is not stored again.
        again = await house.post(world.entries[gone[0]].statement)
        assert (again.status, again.json["index"]) == (200, gone[0])
        assert (await house.call("GET", f"/v1/statements/{again.json['digest']}", by="clerk")).status == 410
        # The order, which names the other deposit too, still serves it.
        asked = replace(release, deposit=other)
        asked.request = world.do("lawyer2", asked.request_claims(asked.message(sk="other")))
        await house.push()
    left = await everything(records)
    assert [each for each in secrets_of(release) if each in left or each.hex().encode() in left] == []
    assert await audited(world, records, blobs) == []


async def test_a_rebuild_without_the_erased_statements_gives_the_same_state() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    await act_of(release, records, blobs)
    world = release.world
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.start()
    await registry.maintain()
    await registry.close()
    before = await everything(records)
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.rebuild()
    await registry.start()
    await registry.maintain()
    found = await registry.projections.ask(lambda view: view.find(Deposited, release.deposit.claims.deposit_id.hex()))
    assert found is None
    await registry.close()
    assert _state(before) == _state(await everything(records))
    assert await audited(world, records, blobs) == []


def _state(found: bytes) -> list[bytes]:
    """The records without the report of the job, whose counts are those of its last try, and without lock jobs."""
    jobs = (b"erasure ", b"lock-due ", b"locked ", b"kept ", b"access ")
    return [line for line in found.split(b"\n") if not line.startswith(jobs)]


async def test_a_missing_statement_without_an_act_is_a_fault_and_one_that_stays_is_another() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    world = release.world
    index = erasure(release).entries[0]
    digest = json.loads(world.entries[index].leaf)["digest"]
    kept = await records.get("statement", digest)
    assert kept is not None
    await records.delete("statement", digest, revision=kept.revision)
    assert ("statement_missing", f"entry {index}") in await audited(world, records, blobs)
    await records.insert("statement", digest, kept.data)
    assert await audited(world, records, blobs) == []
    # One approval is not enough for it to be missing.
    act = world.sign("registrar", erasure(release))
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        world.offer(act)
        world.do("authority1", Approval(act=act.digest))
        await house.push()
        found = await records.get("statement", digest)
        assert found is not None
        await records.delete("statement", digest, revision=found.revision)
    assert ("statement_missing", f"entry {index}") in await audited(world, records, blobs)
    await records.insert("statement", digest, kept.data)
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        world.do("authority2", Approval(act=act.digest))
        await house.push()
        await house.registry.maintain()
    await records.insert("statement", digest, kept.data)
    assert await audited(world, records, blobs) == [("not_erased", f"entry {index}")]


async def test_the_scrub_knows_what_was_erased() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    await act_of(release, records, blobs)
    world = release.world
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.start()
    await registry.maintain()
    scrub: Scrub = registry.scrub
    while await scrub.step():
        pass
    status = await scrub.status()
    await registry.close()
    assert status is not None
    assert status.count == 0, status.findings


async def test_the_door_takes_no_act_on_what_is_not_on_the_deposit() -> None:
    """A registrar and the authority together still cannot have anything else destroyed here."""
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    world = release.world
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        good = erasure(release)
        for claims, code in (
            (replace(good, entries=(1, *good.entries)), "wrong_entries"),
            (replace(good, deposit=fresh("?", 32)), "unknown_deposit"),
            (replace(good, entries=good.entries[1:]), "entries_left_out"),
        ):
            answer = await house.post(world.sign("registrar", claims))
            assert (answer.status, answer.code) == (409, code)
        assert (await house.post(world.sign("registrar", good))).status == 201


async def test_locked_segments_stay_until_their_term_and_go_then() -> None:
    records = MemoryRecordStore()
    clock = [0]
    blobs = MemoryBlobStore(clock=lambda: clock[0])
    release, _ = await used(records, blobs)
    world = release.world
    await act_of(release, records, blobs)
    registry = Registry(terms_of(world), records, blobs, lambda: world.now)
    await registry.start()
    await registry.maintain()
    prefix = f"{release.deposit.claims.deposit_id.hex()}"
    report = await registry.eraser.report(bytes.fromhex(trail_id(release.deposit.claims.deposit_id)))
    assert report is not None
    assert report.locked == 3
    assert report.until > world.now
    held = [each for each in await blobs.list("") if prefix in each.key]
    assert len(held) == 3
    clock[0] = world.now = report.until + DAY
    await registry.upload_sweep.run(world.now)
    assert [each for each in await blobs.list("") if prefix in each.key] == []
    await registry.close()
    for kind in ("upload", "manifest", "box", "pins", "lock-due", "locked"):
        assert await records.page(kind, prefix=prefix) == ()


@pytest.mark.parametrize("way", [Way.CRASH_BEFORE, Way.CRASH_AFTER])
async def test_a_crash_at_any_write_leaves_a_job_that_finishes(way: Way) -> None:
    start, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(start, blobs)
    await act_of(release, start, blobs)
    world = release.world

    async def attempt(records: MemoryRecordStore, fault: Any) -> bool:
        registry = Registry(terms_of(world), records, blobs, lambda: world.now)
        await registry.start()
        records.fault = fault
        try:
            await registry.eraser.run()
        except Crash:
            return False
        finally:
            records.fault = no_fault
            await registry.close()
        return True

    expected: list[bytes] | None = None
    count, kinds = 0, start._kinds
    while True:
        records = store_of(kinds)
        if await attempt(records, Faults(count, way)):
            break
        assert await audited(world, records, blobs) == [], count
        assert await attempt(records, no_fault)
        left = await everything(records)
        assert [each for each in secrets_of(release) if each.hex().encode() in left] == []
        found = _state(left)
        assert expected is None or expected == found, count
        expected, count = found, count + 7
    assert count > 30
    assert erasures_of(parse_statement(each.statement) for each in world.entries).acts
