"""Segments on S3 servers, looked at on arrival: straight from the client by requests for exactly one segment each where
the server holds their holder to what was signed (SeaweedFS), through the service where it does not (MinIO)."""

import hashlib
import io
import time
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from app.errors import BadInput
from app.service.arrivals import UploadMode, direct_store, stat_pinned
from app.service.audit import Audit
from app.service.places import blob_key
from storage.memory import MemoryBlobStore
from storage.s3_names import object_name
from tests.servers import S3Kind, s3_client
from tests.service.bucketed import DAY, bucketed
from tests.service.house import real_deposit

STORED = (200, 201)
straight = pytest.mark.parametrize("s3_kind", ["seaweedfs"], indirect=True)
"""For a test of presigned requests: the servers for which `auto` gives them away."""


@straight
async def test_segments_go_straight_to_the_store_and_the_deposit_is_accepted(s3_port: int) -> None:
    async with bucketed(s3_port) as town:
        await town.begin()
        places = await town.places()
        assert {URL(each["url"]).port for each in places} == {s3_port}
        for each, (_, body) in zip(places, town.deposit.segments, strict=True):
            signed = URL(each["url"]).query["X-Amz-SignedHeaders"].split(";")
            assert set(each["headers"]) | {"host"} == set(signed), "every header is signed"
            assert {"if-none-match", "x-amz-checksum-sha256", "x-amz-object-lock-mode", "content-length"} <= set(signed)
            assert await town.put(each, body) == 200
        assert [each["present"] for each in await town.places()] == [True] * 3
        await town.house.upload(town.deposit)  # manifest and box; the segments are played again, and stand
        town.release.world.do("lawyer1", town.deposit.claims)
        await town.house.push()
        for item in range(3):
            stat = await town.blobs.stat(town.key(item))
            assert stat is not None
            assert stat.retain_until > time.time() + 6 * DAY
            pins = town.house.registry.uploads.pins
            claims = town.deposit.claims
            assert await pins.version(claims.deposit_id, claims.manifest_hash, (item, 0)) == stat.version


@straight
async def test_what_a_place_is_not_for_is_refused_and_leaves_nothing(s3_port: int) -> None:
    async with bucketed(s3_port) as town:
        await town.begin()
        places = await town.places()
        bodies = [body for _, body in town.deposit.segments]
        first = places[0]
        assert await town.put(first, bodies[1]) >= 400, "another segment's bytes"
        assert await town.put(first, bodies[0][:-1]) >= 400, "short"
        assert await town.put(first, bodies[0] + b"x") >= 400, "long"
        assert await town.put(first, bodies[0][:-1] + b"x") == 400, "as long, and other bytes"
        for name in first["headers"]:
            if name != "content-length":
                assert await town.put(first, bodies[0], **{name.replace("-", "_"): None}) == 403, f"without {name}"
        for changed in (
            {"if_none_match": '"x"'},
            {"x_amz_object_lock_mode": "GOVERNANCE"},
            {"x_amz_object_lock_retain_until_date": "2027-01-01T00:00:00Z"},
            {"x_amz_meta_note": "added"},
            {"x_amz_copy_source": f"/{town.bucket}/other"},
            {"x_amz_tagging": "a=b"},
        ):
            assert await town.put(first, bodies[0], **changed) == 403, changed
        crossed = {**first, "url": places[1]["url"]}
        assert await town.put(crossed, bodies[0]) == 403, "one segment's headers at another's URL"
        other = real_deposit(town.release.world, town.release.ceremony, town.release.case_id, "another")
        key = blob_key(other.claims.deposit_id, 0, 0)
        moved = first["url"].replace(town.name(0), object_name(key))
        assert moved != first["url"]
        assert await town.put({**first, "url": moved}, bodies[0]) == 403, "another member's deposit"
        for method in ("GET", "HEAD", "DELETE", "POST"):
            async with town.house.session.request(method, URL(first["url"], encoded=True)) as answer:
                assert answer.status in (403, 405), method
        async with town.house.session.get(URL(first["url"].split("/deposits/")[0] + "?list-type=2")) as answer:
            assert answer.status == 403, "nobody lists"
        assert await town.blobs.list("") == ()
        assert (await town.house.places(town.deposit, "lawyer2")).status == 403
        assert (await town.house.places(other)).status == 404


async def test_what_somebody_else_put_there_is_not_accepted(s3_port: int) -> None:
    """With the store's own keys: right bytes with a header that nobody signed, and other bytes."""
    async with bucketed(s3_port) as town:
        await town.begin()
        places = await town.places()
        bodies = [body for _, body in town.deposit.segments]
        admin = s3_client(town.port)
        admin.put_object(town.bucket, town.name(0), io.BytesIO(bodies[0]), len(bodies[0]), metadata={"note": "x"})
        refused = await town.house.places(town.deposit)
        assert (refused.status, refused.code) == (409, "segment_conflict")
        for each, body in list(zip(places, bodies, strict=True))[1:]:
            assert await town.put(each, body) in STORED
        path = f"/v1/uploads/{town.deposit.claims.deposit_id.hex()}"
        await town.house.call("PUT", f"{path}/manifest", town.deposit.manifest.encode(), by="lawyer1")
        ct_hash = town.deposit.claims.capsules[0].ct_hash.hex()
        await town.house.call("PUT", f"{path}/boxes/{ct_hash}", town.deposit.box, by="lawyer1")
        statement = town.release.world.sign("lawyer1", town.deposit.claims)
        answer = await town.house.post(statement)
        assert (answer.status, answer.code) == (409, "segment_conflict")
        stat = await town.blobs.stat(town.key(0))
        assert stat is not None
        await town.blobs.delete(town.key(0), stat.version)  # the administrator's had no lock
        answer = await town.house.post(statement)
        assert (answer.status, answer.code) == (409, "segment_missing")
        assert await town.put(places[0], bodies[0]) in STORED
        assert (await town.house.post(statement)).status == 201


async def test_an_accepted_segment_is_reached_whatever_is_laid_before_it(s3_port: int) -> None:
    async with bucketed(s3_port) as town:
        await town.begin()
        for each, (_, body) in zip(await town.places(), town.deposit.segments, strict=True):
            assert await town.put(each, body) in STORED
        await town.house.upload(town.deposit)
        town.release.world.do("lawyer1", town.deposit.claims)
        await town.house.push()
        admin = s3_client(town.port)
        admin.remove_object(town.bucket, town.name(1))  # a delete marker
        admin.put_object(town.bucket, town.name(2), io.BytesIO(b"other"), 5)
        assert await town.blobs.stat(town.key(1)) is None
        claims, pins = town.deposit.claims, town.house.registry.uploads.pins
        for (item, segment), body in town.deposit.segments:
            version = await pins.version(claims.deposit_id, claims.manifest_hash, (item, segment))
            stat = await stat_pinned(town.blobs, town.key(item), version)
            assert stat is not None
            assert (stat.version, stat.sha256) == (version, hashlib.sha256(body).digest())
            got = b"".join([piece async for piece in town.blobs.get(stat.key, version=stat.version)])
            assert got == body
        report = await town.house.registry.locks.run()
        assert (report.done, report.failed) == (1, ()), "the lock job extends the pinned versions"
        terms = town.house.registry.terms
        audit = Audit(town.records, town.blobs, origin=terms.origin, genesis=terms.genesis)
        found = [each async for each in audit.findings()]
        assert sorted((each.code, each.place[-16:]) for each in found) == [
            ("segment_hidden", "item 1 segment 0"),
            ("segment_hidden", "item 2 segment 0"),
        ]


@pytest.mark.parametrize("mode", [UploadMode.PROXY, UploadMode.AUTO])
async def test_through_the_service_a_place_takes_exactly_its_segment(
    s3_port: int, s3_kind: S3Kind, mode: UploadMode
) -> None:
    """Wrong checksum, short, long, another's place, another member, replayed: nothing else ever stands there."""
    if (s3_kind, mode) == (S3Kind.SEAWEEDFS, UploadMode.AUTO):
        return  # those go straight to the store: see above
    async with bucketed(s3_port, mode) as town:
        await town.begin()
        places = await town.places()
        for each in places:
            assert each["url"].startswith("v1/uploads/")
            assert list(each["headers"]) == ["Muniment-Place"], "nothing names the store"
        bodies = [body for _, body in town.deposit.segments]
        first = places[0]
        for wrong in (bodies[1], bodies[0][:-1], bodies[0] + b"x", bodies[0][:-1] + b"x", b""):
            assert await town.put(first, wrong) in (400, 409, 422), wrong[:10]
        assert await town.put(first, bodies[0], Muniment_Place=None) == 401
        assert await town.put(first, bodies[0], Muniment_Place=places[1]["headers"]["Muniment-Place"]) == 401
        assert await town.put({**first, "url": places[1]["url"]}, bodies[0]) == 401
        other = real_deposit(town.release.world, town.release.ceremony, town.release.case_id, "another")
        moved = first["url"].replace(town.deposit.claims.deposit_id.hex(), other.claims.deposit_id.hex())
        assert await town.put({**first, "url": moved}, bodies[0]) == 401
        for method in ("GET", "HEAD", "DELETE", "POST"):
            async with town.house.session.request(
                method, f"{town.house.url}/{first['url']}", headers=first["headers"]
            ) as answer:
                assert answer.status in (401, 404, 405), method
        assert await town.blobs.list("") == ()
        now = town.house.clock[0]
        town.house.clock[0] = now + 86_400
        assert await town.put(first, bodies[0]) == 401, "its time has passed"
        town.house.clock[0] = now
        assert await town.put(first, bodies[0], x_amz_object_lock_legal_hold="ON", x_amz_meta_note="x") == 201
        stat = await town.blobs.stat(town.key(0))
        assert stat is not None
        assert not stat.hold
        assert (await town.blobs.arrived(stat.key, size=stat.size, sha256=stat.sha256, retain_until=0)) == stat
        for again in (bodies[0], bodies[0][:-1] + b"x"):
            assert await town.put(first, again) == 200, "played again, with whatever bytes: what was declared stands"
            assert await town.blobs.list("") == (stat,)
            assert b"".join([piece async for piece in town.blobs.get(stat.key, version=stat.version)]) == bodies[0]
        await town.house.upload(town.deposit)
        town.release.world.do("lawyer1", town.deposit.claims)
        await town.house.push()


async def test_no_request_is_given_away_where_the_server_holds_nobody_to_it(s3_port: int, s3_kind: S3Kind) -> None:
    async with bucketed(s3_port) as town:
        blobs = town.blobs
        assert direct_store(blobs, UploadMode.PROXY) is None
        if s3_kind is S3Kind.SEAWEEDFS:
            assert direct_store(blobs, UploadMode.AUTO) is blobs
            assert direct_store(blobs, UploadMode.PRESIGNED) is blobs
        else:
            assert direct_store(blobs, UploadMode.AUTO) is None
            with pytest.raises(BadInput, match="does not sign"):
                direct_store(blobs, UploadMode.PRESIGNED)


def test_stores_that_take_no_requests() -> None:
    local = MemoryBlobStore(clock=lambda: 0)
    assert direct_store(local, UploadMode.AUTO) is None
    with pytest.raises(BadInput, match="not S3"):
        direct_store(local, UploadMode.PRESIGNED)


async def test_what_arrived_without_a_lock_is_locked_before_it_is_accepted(s3_port: int) -> None:
    """Somebody with the store's keys put the right bytes, without a lock: they are COMPLIANCE-locked, then accepted."""
    async with bucketed(s3_port, UploadMode.PROXY) as town:
        await town.begin()
        for (item, _), body in town.deposit.segments:

            async def pieces(data: bytes = body) -> AsyncIterator[bytes]:
                yield data

            digest = hashlib.sha256(body).digest()
            await town.blobs.put_new(town.key(item), pieces(), size=len(body), sha256=digest, retain_until=0)
            stat = await town.blobs.stat(town.key(item))
            assert stat is not None
            assert stat.retain_until == 0
        await town.house.upload(town.deposit)
        town.release.world.do("lawyer1", town.deposit.claims)
        await town.house.push()
        admin = s3_client(town.port)
        for item in range(3):
            stat = await town.blobs.stat(town.key(item))
            assert stat is not None
            assert stat.retain_until > time.time() + 6 * DAY
            lock = admin.get_object_retention(town.bucket, town.name(item), version_id=stat.version)
            assert lock is not None
            assert lock.mode == "COMPLIANCE"
