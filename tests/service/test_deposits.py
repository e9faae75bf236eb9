"""Uploading, depositing, locking, and releasing: over HTTP, with a real panel, in memory and on disk."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.rules.aggregates import Request
from app.service.audit import Audit
from app.service.owed import DONE, DUE
from app.service.places import blob_key
from app.statements.kinds import CaseParty
from storage.files import FileBlobStore
from storage.ports import BlobStore, RecordStore
from storage.sqlite import SqliteRecordStore
from tests.app.rules.world import ORIGIN, Release
from tests.service.house import House, RealDeposit, court, open_house, real_deposit

DAY = 86_400


@asynccontextmanager
async def on_disk(folder: Path) -> AsyncIterator[tuple[RecordStore, BlobStore]]:
    async with AsyncExitStack() as stack:
        records = await SqliteRecordStore.open(folder / "records.sqlite")
        stack.push_async_callback(records.close)
        blobs = await FileBlobStore.open(folder / "blobs")
        stack.push_async_callback(blobs.close)
        yield records, blobs


@pytest.fixture
def release() -> Release:
    return court()


@pytest.fixture
async def house(release: Release) -> AsyncIterator[House]:
    async with open_house(release.world) as found:
        await found.push()
        yield found


def deposit_of(release: Release) -> RealDeposit:
    assert isinstance(release.deposit, RealDeposit)
    return release.deposit


async def audit_of(house: House) -> list[str]:
    registry = house.registry
    audit = Audit(registry.records, registry.blobs, origin=ORIGIN, genesis=registry.terms.genesis)
    return [f"{each.code} at {each.place}" async for each in audit.findings()]


async def deposited(house: House, release: Release) -> None:
    await house.upload(deposit_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    await house.push()


async def released(house: House, release: Release) -> None:
    """Deposit, order, request, and two judges' contributions."""
    await deposited(house, release)
    release.ask()
    for judge in ("judge1", "judge3"):
        release.world.do(judge, release.grant(judge))
        release.world.do(judge, release.contribute(judge))
    await house.push()


async def test_a_deposit_is_taken_only_whole(house: House, release: Release) -> None:
    deposit, world = deposit_of(release), release.world
    statement = world.sign("lawyer1", deposit.claims)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    assert (await house.post(statement)).code == "upload_missing"
    begun = await house.send("PUT", base, {"case_id": release.case_id.hex()}, by="lawyer1")
    assert begun.status == 201
    assert (await house.post(statement)).code == "manifest_missing"
    assert (await house.call("PUT", f"{base}/manifest", deposit.manifest.encode(), by="lawyer1")).status == 200
    assert (await house.post(statement)).code == "box_missing"
    box = f"{base}/boxes/{deposit.claims.capsules[0].ct_hash.hex()}"
    assert (await house.call("PUT", box, bytes(48), by="lawyer1")).status == 201
    assert (await house.post(statement)).code == "box_missing"
    assert (await house.call("PUT", box, deposit.box, by="lawyer1")).status == 201
    assert (await house.post(statement)).code == "segment_missing"
    await house.upload(deposit, leave_out=1)
    missing = await house.post(statement)
    assert missing.code == "segment_missing"
    assert "item 2, segment 0" in missing.json["detail"]
    size = house.registry.sequencer.size
    await house.upload(deposit)
    assert (await house.post(statement)).status == 201
    assert (await house.post(statement)).status == 200
    assert house.registry.sequencer.size == size + 1
    assert await audit_of(house) == []


async def test_an_upload_resumes_and_says_what_is_there(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    await house.upload(deposit, leave_out=1)
    found = (await house.call("GET", base, by="lawyer1")).json
    assert found["case_id"] == release.case_id.hex()
    assert [(each["item"], each["segment"]) for each in found["segments"]] == [(0, 0), (1, 0)]
    assert found["segments"][1]["sha256"] == hashlib.sha256(deposit.segments[1][1]).hexdigest()
    assert found["manifest"] == deposit.claims.manifest_hash.hex()
    assert found["boxes"] == [deposit.claims.capsules[0].ct_hash.hex()]
    places = (await house.places(deposit)).json["places"]
    assert [each["present"] for each in places] == [True, True, False]
    again = await house.call("PUT", places[0]["url"], deposit.segments[0][1], **places[0]["headers"])
    assert again.status == 200


async def test_segments_that_are_not_as_declared_are_refused_and_not_kept(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    await house.send("PUT", base, {"case_id": release.case_id.hex()}, by="lawyer1")
    (place, *_), data = (await house.places(deposit)).json["places"], deposit.segments[0][1]
    wrong = bytes([data[0] ^ 1]) + data[1:]

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        yield body

    async def chunked(body: bytes) -> int:
        async with house.session.put(
            f"{house.url}/{place['url']}", data=pieces(body), headers=place["headers"]
        ) as answer:
            return answer.status

    for body in (wrong, data + b"x", data[:-1], b""):
        answer = await house.call("PUT", place["url"], body, **place["headers"])
        assert (answer.status, answer.code) == (422, "digest_mismatch")
        assert await chunked(body) == 422
    assert (await house.call("GET", base, by="lawyer1")).json["segments"] == []
    assert await chunked(data) == 201
    other = {"item": 0, "segment": 0, "size": len(wrong), "sha256": hashlib.sha256(wrong).hexdigest()}
    conflict = await house.send("POST", f"{base}/places", {"segments": [other]}, by="lawyer1")
    assert (conflict.status, conflict.code) == (409, "segment_conflict")


async def test_a_place_is_for_one_segment_one_hour_and_this_service(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    await house.upload(deposit, leave_out=3)
    places, bodies = (await house.places(deposit)).json["places"], [body for _, body in deposit.segments]
    crossed = await house.call("PUT", places[0]["url"], bodies[0], **places[1]["headers"])
    assert (crossed.status, crossed.code) == (401, "bad_token")
    assert (await house.call("PUT", places[0]["url"], bodies[0])).code == "bad_token"
    token = await house.token("lawyer1")
    assert (await house.call("PUT", places[0]["url"], bodies[0], Muniment_Place=token)).code == "bad_token"
    house.clock[0] += 3601
    late = await house.call("PUT", places[0]["url"], bodies[0], **places[0]["headers"])
    assert (late.status, late.code) == (401, "token_expired")


async def test_nothing_is_laid_beside_an_accepted_deposit(house: House, release: Release) -> None:
    """A place that was given before the acceptance is good for an hour; it ends with the acceptance all the same."""
    deposit = deposit_of(release)
    await house.upload(deposit)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    more = {"item": 9, "segment": 0, "size": 4, "sha256": hashlib.sha256(b"more").hexdigest()}
    (stray,) = (await house.send("POST", f"{base}/places", {"segments": [more]}, by="lawyer1")).json["places"]
    (first, *_) = (await house.places(deposit)).json["places"]
    assert (await house.post(release.world.sign("lawyer1", deposit.claims))).status == 201
    late = await house.call("PUT", stray["url"], b"more", **stray["headers"])
    assert (late.status, late.code) == (409, "id_in_use")
    assert len((await house.call("GET", base, by="lawyer1")).json["segments"]) == len(deposit.segments)
    # A segment that stands there is there: an answer that was lost is given again.
    assert (await house.call("PUT", first["url"], deposit.segments[0][1], **first["headers"])).status == 200
    assert (await house.call("PUT", f"{base}/manifest", deposit.manifest.encode(), by="lawyer1")).code == "id_in_use"


async def test_an_upload_is_its_owners_alone(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    begin = {"case_id": release.case_id.hex()}
    assert (await house.send("PUT", base, begin)).code == "unauthorized"
    for name in ("lawyer2", "outsider", "judge1", "clerk", "registrar", "auditor"):
        assert (await house.send("PUT", base, begin, by=name)).code == "forbidden"
    unknown = await house.send("PUT", base, {"case_id": "00" * 16}, by="lawyer1")
    assert unknown.code == "unknown_case"
    assert (await house.send("PUT", base, begin, by="lawyer1")).status == 201
    assert (await house.send("PUT", base, begin, by="lawyer1")).status == 200
    release.world.do("clerk", CaseParty(case_id=release.case_id, member=release.world.id("outsider"), note=None))
    await house.push()
    assert (await house.send("PUT", base, begin, by="outsider")).code == "id_in_use"
    for method, path, body in (
        ("GET", base, None),
        ("PUT", f"{base}/manifest", deposit.manifest.encode()),
        ("PUT", f"{base}/boxes/{'00' * 32}", deposit.box),
    ):
        assert (await house.call(method, path, body, by="outsider")).code == "forbidden"
    assert (await house.places(deposit, "outsider")).code == "forbidden"
    await house.upload(deposit)
    stolen = release.world.sign("outsider", deposit.claims)
    assert (await house.post(stolen)).code == "upload_missing"
    assert (await house.post(release.world.sign("lawyer1", deposit.claims))).status == 201
    assert (await house.send("PUT", base, begin, by="lawyer1")).code == "id_in_use"
    assert (await house.places(deposit)).code == "id_in_use"


async def test_manifests_and_boxes_are_limited_and_strict(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
    await house.send("PUT", base, {"case_id": release.case_id.hex()}, by="lawyer1")

    async def put(path: str, body: bytes) -> Any:
        return await house.call("PUT", f"{base}/{path}", body, by="lawyer1")

    assert (await put("manifest", b"{}")).status == 422
    assert (await put("manifest", deposit.manifest.encode() + b"\n")).code == "not_canonical"
    assert (await put("manifest", bytes(4 * 1024 * 1024 + 1))).status == 413
    assert (await put("boxes/00", deposit.box)).status == 422
    assert (await put(f"boxes/{'00' * 32}", deposit.box[:-1])).code == "wrong_length"
    assert (await put(f"boxes/{'00' * 32}", deposit.box + b"x")).status == 413
    for number in range(64):
        assert (await put(f"boxes/{number:064x}", bytes(48))).status == 201
    assert (await put(f"boxes/{64:064x}", bytes(48))).code == "too_many"
    world, ceremony = release.world, release.ceremony
    others = [real_deposit(world, ceremony, release.case_id, f"other {number}").manifest for number in range(5)]
    assert [(await put("manifest", text.encode())).status for text in others] == [200, 200, 200, 200, 409]
    named = (await house.call("GET", base, by="lawyer1")).json["manifest"]
    assert named == hashlib.sha256(others[3].encode()).hexdigest()
    assert (await put("manifest", others[0].encode())).status == 200
    named = (await house.call("GET", base, by="lawyer1")).json["manifest"]
    assert named == hashlib.sha256(others[0].encode()).hexdigest()


async def test_a_deposit_is_shown_to_the_case_and_nobody_else(house: House, release: Release) -> None:
    await deposited(house, release)
    deposit, path = deposit_of(release), f"/v1/deposits/{release.deposit.claims.deposit_id.hex()}"
    entry = release.world.entries[-1]
    for name in ("lawyer1", "lawyer2", "clerk", "judge1", "judge2"):
        found = (await house.call("GET", path, by=name)).json
        assert found["manifest"] == deposit.manifest
        assert (found["statement"], found["index"], found["leaf"]) == (entry.statement, entry.index, entry.leaf)
    for name in ("registrar", "outsider", "auditor"):
        assert (await house.call("GET", path, by=name)).code == "forbidden"
    assert (await house.call("GET", path)).code == "unauthorized"
    assert (await house.call("GET", f"/v1/deposits/{'00' * 16}", by="lawyer1")).code == "not_found"


async def test_segments_get_a_short_lock_and_after_acceptance_the_full_one(house: House, release: Release) -> None:
    deposit, registry = deposit_of(release), house.registry
    key = blob_key(deposit.claims.deposit_id, 1, 0)
    await house.upload(deposit)
    stat = await registry.blobs.stat(key)
    assert stat is not None
    assert stat.retain_until == house.clock[0] + 7 * DAY
    release.world.do("lawyer1", deposit.claims)
    at = release.world.now
    await house.push()
    assert await registry.records.get(DUE, deposit.claims.deposit_id.hex()) is not None
    await registry.maintain()
    stat = await registry.blobs.stat(key)
    assert stat is not None
    assert stat.retain_until == at + 10_950 * DAY
    assert await registry.records.get(DUE, deposit.claims.deposit_id.hex()) is None
    assert await registry.records.get(DONE, deposit.claims.deposit_id.hex()) is not None
    assert await audit_of(house) == []


async def test_a_lock_that_is_about_to_end_is_moved_on_when_the_deposit_comes(house: House, release: Release) -> None:
    deposit = deposit_of(release)
    await house.upload(deposit)
    house.clock[0] = release.world.now = release.world.now + 7 * DAY - 60
    assert (await house.post(release.world.sign("lawyer1", deposit.claims))).status == 201
    stat = await house.registry.blobs.stat(blob_key(deposit.claims.deposit_id, 0, 0))
    assert stat is not None
    assert stat.retain_until == house.clock[0] + 7 * DAY


@pytest.mark.parametrize("where", ["memory", "disk"])
async def test_a_recipient_is_served_once_k_judges_contributed_and_nobody_else(
    release: Release, where: str, tmp_path: Path
) -> None:
    deposit = deposit_of(release)
    async with AsyncExitStack() as stack:
        stores: tuple[RecordStore | None, BlobStore | None] = (None, None)
        if where == "disk":
            stores = await stack.enter_async_context(on_disk(tmp_path))
        house = await stack.enter_async_context(open_house(release.world, *stores))
        await house.push()
        await deposited(house, release)
        release.ask()
        world = release.world
        world.do("judge1", release.grant("judge1"))
        world.do("judge1", release.contribute("judge1"))
        await house.push()
        assert release.request is not None
        asked = {"request": release.request.digest.hex()}
        segment = f"/v1/deposits/{deposit.claims.deposit_id.hex()}/segments/1/0"
        early = await house.send("POST", "/v1/downloads", asked, by="lawyer2")
        assert (early.status, early.code) == (409, "not_released")
        assert (await house.call("GET", segment, by="lawyer2")).code == "forbidden"
        world.do("judge3", release.grant("judge3"))
        world.do("judge3", release.contribute("judge3"))
        await house.push()
        assert (await house.call("GET", segment, by="lawyer2")).code == "forbidden"
        for name in ("lawyer1", "judge1", "clerk", "registrar", "outsider"):
            assert (await house.send("POST", "/v1/downloads", asked, by=name)).code == "forbidden"
        assert (await house.send("POST", "/v1/downloads", {"request": "00" * 32}, by="lawyer2")).code == "not_found"
        size = house.registry.sequencer.size
        answers = await asyncio.gather(
            *(house.send("POST", "/v1/downloads", asked, by="lawyer2") for _ in range(5)),
        )
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert house.registry.sequencer.size == size + 1
        found = answers[0].json
        assert found["deposit_id"] == deposit.claims.deposit_id.hex()
        assert [each["ct_hash"] for each in found["boxes"]] == [deposit.claims.capsules[0].ct_hash.hex()]
        access = await house.call("GET", f"/v1/statements/{found['access']}", by="lawyer1")
        assert access.status == 200
        body = await house.call("GET", segment, by="lawyer2")
        assert (body.status, body.body) == (200, deposit.segments[1][1])
        assert (await house.call("GET", segment.replace("/1/0", "/1/1"), by="lawyer2")).code == "not_found"
        assert (await house.call("GET", segment, by="lawyer1")).code == "forbidden"
        assert (await house.call("GET", segment)).code == "unauthorized"
        await house.registry.maintain()
        assert await audit_of(house) == []


async def test_an_access_that_perished_unadmitted_is_signed_anew(house: House, release: Release) -> None:
    await released(house, release)
    registry = house.registry
    assert release.request is not None
    digest = release.request.digest
    asked = {"request": digest.hex()}
    signed = await registry.downloads._signed(digest, await _request(house, digest))
    house.clock[0] += 2 * 3600
    answer = await house.send("POST", "/v1/downloads", asked, by="lawyer2")
    assert answer.status == 200, answer.body
    assert answer.json["access"] != signed.digest.hex()
    again = await house.send("POST", "/v1/downloads", asked, by="lawyer2")
    assert again.json == answer.json


async def _request(house: House, digest: bytes) -> Any:
    return await house.registry.projections.ask(lambda view: view.find(Request, digest.hex()))


async def test_the_audit_names_what_was_changed_or_lost(house: House, release: Release) -> None:
    await deposited(house, release)
    await house.registry.maintain()
    deposit, registry = deposit_of(release), house.registry
    id = deposit.claims.deposit_id.hex()
    assert await audit_of(house) == []
    blobs: Any = registry.blobs
    records: Any = registry.records
    key = blob_key(deposit.claims.deposit_id, 1, 0)
    whole = blobs._blobs.bodies[key]
    blobs._blobs.bodies[key] = whole[:-1] + bytes([whole[-1] ^ 1])
    assert await audit_of(house) == [f"segment_damaged at deposit {id} item 1 segment 0"]
    blobs._blobs.bodies[key] = whole
    for kind, code, at in (
        ("box", "box_damaged", f"deposit {id}"),
        ("manifest", "manifest_damaged", f"deposit {id}"),
        ("locked", "lock_missing", f"deposit {id}"),
        ("aggregate", "projection_differs", None),
        ("statement", "statement_missing", None),
    ):
        name, kept = sorted(records._kinds[kind].items())[0]
        del records._kinds[kind][name]
        found = await audit_of(house)
        assert found[0].startswith(code), found
        assert at is None or found == [f"{code} at {at}"]
        records._kinds[kind][name] = kept
    assert await audit_of(house) == []
    swapped = records._kinds["statement"]
    (one, first), (two, second) = sorted(swapped.items())[:2]
    swapped[one] = second
    assert any(each.startswith("statement_changed") for each in await audit_of(house))
    swapped[one] = first
    assert swapped[two] == second
