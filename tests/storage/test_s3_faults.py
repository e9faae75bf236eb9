"""S3 on a bad line, with a dying server, in wrong hands: what was acknowledged stays, and nothing is ever half."""

import asyncio
import base64
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import yarl
from minio.commonconfig import COMPLIANCE
from minio.error import S3Error
from minio.retention import Retention

from storage.errors import AlreadyExists, BadName, Damaged, NotFound, Unavailable
from storage.hosts import S3Place
from storage.ports import SignedRequest
from storage.s3 import S3BlobStore
from storage.s3_errors import Denied
from storage.s3_names import object_name
from tests.conformance import blobs
from tests.faults.relay import Fault, relay_to
from tests.servers import S3Kind, free_ports, running, s3_client, s3_server
from tests.storage.test_s3 import WHO, S3World

FAR = 4_000_000_000
UNSIGNED = (400, 403)
"""To a request that is not what was signed: SeaweedFS 403; MinIO 400 where a signed header is not sent, else 403."""
LOCKED = "AccessDenied|WORM protected"
"""To whoever wants to take a locked version away: SeaweedFS's code; MinIO's text."""
BODY = hashlib.shake_256(b"segment").digest(300_000)
DIGEST = hashlib.sha256(BODY).digest()


def retention(until: int) -> Retention:
    return Retention(COMPLIANCE, datetime.fromtimestamp(until, UTC))


@pytest.fixture
def world(s3_port: int, s3_kind: S3Kind) -> S3World:
    return S3World(s3_port, s3_kind)


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_put_finishes_or_says_unknown_and_a_look_decides(world: S3World, fault: Fault) -> None:
    direct = await world.open_s3()
    async with relay_to(world.place.port) as relay:
        store = await S3BlobStore.open(replace(world.place, port=relay.port), WHO, answer_seconds=1)
        relay.plan.append(("PUT", fault))
        with contextlib.suppress(Unavailable):
            await blobs.put(store, "k", BODY, retain_until=FAR)
        assert relay.plan == [], "the fault happened"
        found = await direct.stat("k")
        if fault in (Fault.CUT_ANSWER, Fault.TRUNCATE_ANSWER):
            assert found is not None, "it landed, though nobody was told"
        if found is not None:
            assert (found.size, found.sha256, found.retain_until) == (len(BODY), DIGEST, FAR)
            with pytest.raises(AlreadyExists):
                await blobs.put(store, "k", BODY, retain_until=FAR)
        else:
            assert await blobs.put(store, "k", BODY, retain_until=FAR)
        assert await blobs.read(store, "k") == BODY
        await store.close()
    await direct.close()


async def test_a_cut_download_is_unavailable_and_never_short(world: S3World) -> None:
    direct = await world.open_s3()
    await blobs.put(direct, "k", BODY, retain_until=FAR)
    async with relay_to(world.place.port) as relay:
        store = await S3BlobStore.open(replace(world.place, port=relay.port), WHO, answer_seconds=1)
        for fault in (Fault.TRUNCATE_ANSWER, Fault.BUSY, Fault.SILENCE):
            relay.plan.append(("GET", fault))
            relay.answered = 100_000
            with pytest.raises(Unavailable):
                await blobs.read(store, "k")
        assert await blobs.read(store, "k") == BODY
        await store.close()
    await direct.close()


async def test_no_delete_goes_without_a_version(world: S3World) -> None:
    async with relay_to(world.place.port) as relay:
        store = await S3BlobStore.open(replace(world.place, port=relay.port), WHO, create=True)
        version = await blobs.put(store, "k", BODY, retain_until=0)
        for nothing in ("", "null"):
            with pytest.raises(NotFound):
                await store.delete("k", nothing)
        await store.delete("k", version)
        deletes = [line for line in relay.seen if line.startswith("DELETE")]
        assert deletes, "the probe and the blob were removed"
        assert all("versionId=" in line for line in deletes)
        await store.close()


async def test_a_server_killed_in_the_middle_of_a_put_keeps_no_part(tmp_path: Path, s3_kind: S3Kind) -> None:
    (port,) = free_ports(1)
    place = S3Place(host="127.0.0.1", port=port, tls=False, bucket="killed")
    big = hashlib.shake_256(b"big").digest(8 * blobs.MIB)
    with running(s3_server(tmp_path, port, s3_kind)) as server:
        store = await S3BlobStore.open(place, WHO, create=True, answer_seconds=5)
        kept = {f"kept/{index}": await blobs.put(store, f"kept/{index}", BODY, retain_until=FAR) for index in range(8)}

        async def source() -> AsyncIterator[bytes]:
            yield big[: 5 * blobs.MIB]
            yield big[5 * blobs.MIB : 6 * blobs.MIB]
            await asyncio.to_thread(server.kill)
            yield big[6 * blobs.MIB :]

        with pytest.raises(Unavailable):
            await store.put_new("big", source(), size=len(big), sha256=hashlib.sha256(big).digest(), retain_until=FAR)
        with pytest.raises(Unavailable):
            await store.stat("kept/0")
        await asyncio.to_thread(server.start)
        assert await store.stat("big") is None
        assert [stat.key for stat in await store.list("")] == sorted(kept)
        for key, version in kept.items():
            assert await blobs.read(store, key, version=version) == BODY
        await blobs.put(store, "big", big, retain_until=FAR)
        assert await blobs.read(store, "big") == big
        await store.close()


async def send(request: SignedRequest, body: bytes = BODY, *, method: str = "", **changed: str | None) -> int:
    """Send a signed request, with another method, or headers changed, added or (None) left out; return the status."""
    headers = {**dict(request.headers), **{name.replace("_", "-"): value for name, value in changed.items()}}
    kept = {name: value for name, value in headers.items() if value is not None}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
        session.request(
            method or request.method, yarl.URL(request.url, encoded=True), data=body or None, headers=kept
        ) as response,
    ):
        await response.read()
        return response.status


async def test_a_presigned_put_serves_one_segment_once(world: S3World) -> None:
    store = await world.open_s3()
    pinned = {"size": len(BODY), "sha256": DIGEST, "retain_until": FAR}
    request = store.presign_put("k", **pinned, expires_in=600)
    assert WHO.secret not in request.url
    omitted = [{name.replace("-", "_"): None} for name, _ in request.headers if name != "content-length"]
    assert len(omitted) == 4
    for changed in omitted:
        assert await send(request, **changed) in UNSIGNED, changed
    other = hashlib.sha256(b"other").digest()
    for changed in (
        {"if_none_match": '"x"'},
        {"x_amz_object_lock_mode": "GOVERNANCE"},
        {"x_amz_object_lock_retain_until_date": "2027-01-01T00:00:00Z"},
        {"x_amz_checksum_sha256": base64.b64encode(other).decode()},
        {"x_amz_meta_note": "added"},
    ):
        assert await send(request, **changed) in UNSIGNED, changed
    assert await send(request, BODY[:-1] + b"x") == 400
    assert await send(request, BODY + b"x", content_length=str(len(BODY) + 1)) == 403
    assert await send(request, BODY[:-1], content_length=str(len(BODY) - 1)) == 403
    for method in ("GET", "HEAD", "DELETE"):
        assert await send(request, b"", method=method, content_length=None) == 403
    elsewhere = replace(request, url=request.url.replace("/k?", "/another?"))
    assert await send(elsewhere) == 403
    assert await store.list("") == (), "nothing of all this is stored"
    with pytest.raises(NotFound):
        await store.arrived("k", **pinned)

    assert await send(request) == 200
    version = (await store.arrived("k", **pinned)).version
    assert await send(request) == 412, "played again"
    assert (await store.arrived("k", **pinned)).version == version
    assert await blobs.read(store, "k", version=version) == BODY
    for wrong in ({"size": 1}, {"sha256": other}, {"retain_until": FAR + 1}, {"hold": True}):
        with pytest.raises(
            Damaged, match=next(iter(wrong)).replace("sha256", "digest").replace("retain_until", "lock")
        ):
            await store.arrived("k", **{**pinned, **wrong})
    await store.close()


@pytest.mark.parametrize(
    "added",
    [
        {"x_amz_object_lock_legal_hold": "ON"},
        {"x_amz_copy_source": "/BUCKET/another"},
        {"x_amz_tagging": "a=b"},
        {"x_amz_storage_class": "STANDARD"},
        {"x_amz_website_redirect_location": "/elsewhere"},
        {"x_amz_whatever": "1"},
    ],
    ids=lambda added: next(iter(added)),
)
async def test_the_probe_knows_whether_headers_can_be_added_to_a_request(world: S3World, added: dict[str, str]) -> None:
    """A server that takes one of them gets no presigned requests that leave this process."""
    store = await world.open_s3()
    assert store.refuses_unsigned_headers == (world.kind is S3Kind.SEAWEEDFS)
    await blobs.put(store, "another", b"another member's", retain_until=FAR)
    added = {name: value.replace("BUCKET", world.place.bucket) for name, value in added.items()}
    request = store.presign_put("k", size=len(BODY), sha256=DIGEST, retain_until=FAR, expires_in=600)
    if store.refuses_unsigned_headers:
        assert await send(request, **added) == 403
        assert await store.stat("k") is None
    else:
        assert await send(request, **added) != 403, "if it is refused now, perhaps more is: look at the probe"
    await store.close()


async def test_a_server_that_passes_over_unsigned_headers_is_found_out(world: S3World) -> None:
    """As one behind a proxy that takes unknown headers out before the server checks the signature."""
    for header in (
        "x-amz-meta-unsigned",
        "x-amz-muniment-unknown",
        "x-amz-copy-source",
        "x-amz-object-lock-legal-hold",
    ):
        async with relay_to(world.place.port) as relay:
            relay.removed = header.encode()
            store = await S3BlobStore.open(replace(world.place, port=relay.port), WHO, create=True)
            assert not store.refuses_unsigned_headers, header
            await store.close()


async def test_urls_expire_and_reading_ones_read_one_version(world: S3World) -> None:
    store = await world.open_s3()
    version = await blobs.put(store, "k", BODY, retain_until=FAR)
    await blobs.put(store, "other", b"other", retain_until=FAR)
    request = store.presign_get("k", version, expires_in=600)
    assert await send(request, b"") == 200
    assert await send(request, b"", range="bytes=0-9") == 206
    for method in ("HEAD", "PUT", "DELETE"):
        assert await send(request, b"", method=method) == 403
    assert await send(replace(request, url=request.url.replace("/k?", "/other?")), b"") == 403
    another = version[:-1] + ("0" if version[-1] != "0" else "1")
    assert await send(replace(request, url=request.url.replace(version, another)), b"") == 403
    past = S3BlobStore(store._bucket, store._http, clock=store._clock, refuses_unsigned=True)
    past._http._clock = lambda: world.now() - 601  # signed ten minutes ago, by the service's own clock
    late = past.presign_put("late", size=len(BODY), sha256=DIGEST, retain_until=FAR, expires_in=600)
    assert late.expires_at < world.now()
    assert await send(late) == 403
    past._http._clock = world.now
    assert await store.stat("late") is None
    await store.close()


async def test_an_operator_with_the_keys_can_hide_but_not_remove(world: S3World) -> None:
    store = await world.open_s3()
    version = await blobs.put(store, "k", BODY, retain_until=FAR)
    name, bucket, operator = object_name("k"), world.place.bucket, s3_client(world.place.port)
    with pytest.raises(S3Error, match=LOCKED):
        operator.remove_object(bucket, name, version_id=version)
    soon = retention(world.now() + 60)
    with pytest.raises(S3Error, match=LOCKED):
        operator.set_object_retention(bucket, name, soon, version_id=version)
    operator.put_object(bucket, name, io.BytesIO(b"forged"), 6)
    found = await store.stat("k")
    assert found is not None
    assert (found.version == version, found.sha256, found.retain_until) == (False, b"", 0), "a forgery shows"
    with pytest.raises(Damaged, match="digest"):
        await store.arrived("k", size=6, sha256=DIGEST, retain_until=0)
    operator.remove_object(bucket, name)
    assert await store.stat("k") is None
    assert await blobs.read(store, "k", version=version) == BODY, "the pinned version is there"
    await store.close()


async def test_what_somebody_adds_to_an_object_is_named(world: S3World) -> None:
    store = await world.open_s3()
    operator = s3_client(world.place.port)
    operator.put_object(
        world.place.bucket, "k", io.BytesIO(BODY), len(BODY), metadata={"note": "added"}, retention=retention(FAR)
    )
    with pytest.raises(Damaged, match="x-amz-meta-note"):
        await store.arrived("k", size=len(BODY), sha256=DIGEST, retain_until=FAR)
    await store.close()


async def test_buckets_that_cannot_keep_evidence_are_refused(world: S3World) -> None:
    with pytest.raises(BadName, match="no bucket") as absent:
        await S3BlobStore.open(world.place, WHO)
    s3_client(world.place.port).make_bucket(world.place.bucket)
    with pytest.raises(BadName, match="no object lock") as plain:
        await S3BlobStore.open(world.place, WHO, create=True)
    assert all("--with-lock" in caught.value.next_step for caught in (absent, plain))


@pytest.mark.parametrize(("status", "said"), [("<Status>Suspended</Status>", "suspended"), ("", "off")])
async def test_a_bucket_that_keeps_no_versions_is_refused(world: S3World, status: str, said: str) -> None:
    """Servers that follow S3 let nobody switch versions off where there is a lock; one that does not is found out."""
    body = f"<VersioningConfiguration>{status}</VersioningConfiguration>".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    await (await world.open_s3()).close()
    async with relay_to(world.place.port) as relay:
        place = replace(world.place, port=relay.port)
        await (await S3BlobStore.open(place, WHO)).close()
        asked, relay.instead[b"?versioning="] = len(relay.seen), answer
        with pytest.raises(BadName, match=f"does not keep versions .versioning is {said}") as caught:
            await S3BlobStore.open(place, WHO)
        assert f"mc version enable ALIAS/{place.bucket}" in caught.value.next_step
        assert not any(line.startswith("PUT") for line in relay.seen[asked:]), "nothing is written first"


async def test_wrong_keys_and_no_server(world: S3World) -> None:
    await (await world.open_s3()).close()
    with pytest.raises(Denied) as caught:
        await S3BlobStore.open(world.place, replace(WHO, secret="hunter2"))
    assert "hunter2" not in caught.value.message + caught.value.next_step
    (port,) = free_ports(1)
    with pytest.raises(Unavailable):
        await S3BlobStore.open(replace(world.place, port=port), WHO, answer_seconds=1)
