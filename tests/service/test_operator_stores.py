"""An operator with the store's credentials who deletes, overwrites or rolls back what is under lock.

On S3 the server itself refuses him, or what he lays before it hides nothing, and the audit says so. On local files
nothing refuses the owner of the disk (decision 0002): the audit finds every one of it.
"""

import hashlib
import io
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import COMPLIANCE, GOVERNANCE
from minio.error import S3Error
from minio.retention import Retention
from minio.versioningconfig import SUSPENDED, VersioningConfig

from app.service.arrivals import UploadMode
from storage.files import FileBlobStore
from storage.layout import place_of
from storage.lock_record import format_lock_record, parse_lock_record
from tests.app.rules.world import Release
from tests.servers import s3_client
from tests.service.auditing import deposit_of, kept, key_of, stores_of
from tests.service.bucketed import DAY, Bucketed, bucketed
from tests.service.house import House, court, open_house


class Disk:
    """The files of one segment, as the owner of the disk has them."""

    def __init__(self, root: Path, key: str) -> None:
        parts, name = place_of(key)
        self.key = key
        self.blob, self.record = root.joinpath("objects", *parts, name), root.joinpath("locks", *parts, name)

    def write(self, file: Path, data: bytes) -> None:
        file.chmod(0o600)
        file.write_bytes(data)

    def change_record(self, **changes: object) -> None:
        stat = parse_lock_record(self.key, self.record.read_bytes())
        self.write(self.record, format_lock_record(replace(stat, **changes)))  # type: ignore[arg-type]


def delete(disk: Disk, _whole: bytes) -> str:
    disk.blob.unlink()
    return "segment_missing"


def delete_with_its_record(disk: Disk, _whole: bytes) -> str:
    disk.blob.unlink()
    disk.record.unlink()
    return "segment_missing"


def delete_the_record(disk: Disk, _whole: bytes) -> str:
    disk.record.unlink()
    return "segment_damaged"


def overwrite(disk: Disk, whole: bytes) -> str:
    disk.write(disk.blob, bytes(each ^ 1 for each in whole))
    return "segment_damaged"


def overwrite_one_bit_and_forge_the_record(disk: Disk, whole: bytes) -> str:
    other = whole[:-1] + bytes([whole[-1] ^ 1])
    disk.write(disk.blob, other)
    disk.change_record(sha256=hashlib.sha256(other).digest())
    return "segment_damaged"


def truncate(disk: Disk, _whole: bytes) -> str:
    os.truncate(disk.blob, 10)
    return "segment_damaged"


def roll_the_lock_back(disk: Disk, _whole: bytes) -> str:
    disk.change_record(retain_until=int(time.time()) + DAY)
    return "lock_short"


def take_the_lock_away(disk: Disk, _whole: bytes) -> str:
    disk.change_record(retain_until=0)
    return "lock_short"


def lift_the_hold(disk: Disk, _whole: bytes) -> str:
    disk.change_record(hold=False)
    return "hold_missing"


@pytest.fixture
async def on_files(tmp_path: Path) -> AsyncIterator[tuple[House, Release]]:
    release = court()
    blobs = await FileBlobStore.open(tmp_path / "blobs", clock=lambda: release.world.now)
    try:
        async with open_house(release.world, blobs=blobs) as house:
            await house.push()
            await kept(house, release)
            yield house, release
    finally:
        await blobs.close()


@pytest.mark.parametrize(
    "attack",
    [
        delete,
        delete_with_its_record,
        delete_the_record,
        overwrite,
        overwrite_one_bit_and_forge_the_record,
        truncate,
        roll_the_lock_back,
        take_the_lock_away,
        lift_the_hold,
    ],
)
async def test_on_local_files_the_audit_finds_it(
    on_files: tuple[House, Release], tmp_path: Path, attack: Callable[[Disk, bytes], str]
) -> None:
    house, release = on_files
    assert await stores_of(house) == []
    whole = dict(deposit_of(release).segments)[(2, 0)]
    code = attack(Disk(tmp_path / "blobs", key_of(release, 2)), whole)
    assert await stores_of(house) == [f"{code} at 2 segment 0 bytes 0-{len(whole)}"]


async def test_on_local_files_a_segment_in_anothers_place_is_found(
    on_files: tuple[House, Release], tmp_path: Path
) -> None:
    house, release = on_files
    one, two = (Disk(tmp_path / "blobs", key_of(release, item)) for item in (1, 2))
    first, second = one.blob.read_bytes(), two.blob.read_bytes()
    one.write(one.blob, second)
    two.write(two.blob, first)
    assert [each.partition(" bytes")[0] for each in await stores_of(house)] == [
        "segment_damaged at 1 segment 0",
        "segment_damaged at 2 segment 0",
    ]


@pytest.fixture
async def town(s3_port: int) -> AsyncIterator[Bucketed]:
    async with bucketed(s3_port, UploadMode.PROXY) as found:
        await kept(found.house, found.release)
        yield found


async def version_of(town: Bucketed, item: int) -> str:
    stat = await town.blobs.stat(town.key(item))
    assert stat is not None
    assert stat.hold
    assert stat.retain_until > time.time() + 10_000 * DAY
    return stat.version


def refused(act: Callable[[], object]) -> None:
    with pytest.raises(S3Error) as caught:
        act()
    assert caught.value.response.status in (400, 403, 409)


async def test_on_s3_deleting_a_version_is_refused_by_the_server(town: Bucketed) -> None:
    admin: Minio = s3_client(town.port)
    version = await version_of(town, 1)
    refused(lambda: admin.remove_object(town.bucket, town.name(1), version_id=version))
    admin.disable_object_legal_hold(town.bucket, town.name(1), version_id=version)
    refused(lambda: admin.remove_object(town.bucket, town.name(1), version_id=version))
    refused(lambda: admin.remove_bucket(town.bucket))
    # The hold's owner may lift it, and the lock still stands; that it was lifted is found.
    size = len(dict(town.deposit.segments)[(1, 0)])
    assert await stores_of(town.house) == [f"hold_missing at 1 segment 0 bytes 0-{size}"]
    assert (await town.house.registry.locks.look_again()).failed == ()
    assert await stores_of(town.house) == []


async def test_on_s3_a_lock_is_not_rolled_back(town: Bucketed) -> None:
    admin = s3_client(town.port)
    version = await version_of(town, 1)
    soon = datetime.fromtimestamp(int(time.time()) + DAY, UTC)
    far = datetime.fromtimestamp(int(time.time()) + 20_000 * DAY, UTC)
    for lock in (Retention(COMPLIANCE, soon), Retention(GOVERNANCE, soon), Retention(GOVERNANCE, far)):
        refused(lambda lock=lock: admin.set_object_retention(town.bucket, town.name(1), lock, version_id=version))
    assert await version_of(town, 1) == version
    assert await stores_of(town.house) == []


@pytest.mark.parametrize("attack", ["delete", "overwrite", "roll back"])
async def test_on_s3_what_is_laid_before_a_segment_hides_nothing_and_is_found(town: Bucketed, attack: str) -> None:
    """An S3 store with versions never overwrites: it lays a version or a delete marker before what stands."""
    admin, name = s3_client(town.port), town.name(1)
    body = dict(town.deposit.segments)[(1, 0)]
    version = await version_of(town, 1)
    if attack == "delete":
        admin.remove_object(town.bucket, name)
    elif attack == "overwrite":
        admin.put_object(town.bucket, name, io.BytesIO(b"other"), 5)
    else:
        admin.put_object(town.bucket, name, io.BytesIO(b"older"), 5)
        admin.put_object(town.bucket, name, io.BytesIO(body), len(body))  # the same bytes, and no lock
    got = b"".join([piece async for piece in town.blobs.get(town.key(1), version=version)])
    assert got == body
    assert await stores_of(town.house) == [f"segment_hidden at 1 segment 0 bytes 0-{len(body)}"]


async def test_on_s3_versioning_that_is_suspended_frees_nothing(town: Bucketed) -> None:
    admin, version = s3_client(town.port), await version_of(town, 1)
    with suppress(S3Error):  # AWS and MinIO refuse it, which is better still
        admin.set_bucket_versioning(town.bucket, VersioningConfig(SUSPENDED))
    refused(lambda: admin.remove_object(town.bucket, town.name(1), version_id=version))
    admin.put_object(town.bucket, town.name(1), io.BytesIO(b"other"), 5)
    body = dict(town.deposit.segments)[(1, 0)]
    assert b"".join([piece async for piece in town.blobs.get(town.key(1), version=version)]) == body
    assert await stores_of(town.house) == [f"segment_hidden at 1 segment 0 bytes 0-{len(body)}"]


async def test_on_s3_pins_that_were_changed_do_not_pass_other_bytes(town: Bucketed) -> None:
    """Who can write the records, too, pins a version of his own: its digest is not the ledger's."""
    admin, name = s3_client(town.port), town.name(1)
    made = admin.put_object(town.bucket, name, io.BytesIO(b"other"), 5)
    assert made.version_id is not None
    (pins,) = await town.records.page("pins")
    data = pins.data.replace((await hidden_version(town, 1)).encode(), made.version_id.encode())
    assert data != pins.data
    await town.records.replace("pins", pins.id, data, revision=pins.revision)
    codes = [each.partition(" ")[0] for each in await stores_of(town.house)]
    assert codes == ["segment_damaged", "lock_short", "hold_missing"]


async def hidden_version(town: Bucketed, item: int) -> str:
    claims, pins = town.deposit.claims, town.house.registry.uploads.pins
    found = await pins.version(claims.deposit_id, claims.manifest_hash, (item, 0))
    assert found is not None
    return found
