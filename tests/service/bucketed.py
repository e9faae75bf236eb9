"""A service over a bucket of its own on the real S3 server, and what the bucket's owner can do."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from app.service.arrivals import UploadMode
from app.service.places import blob_key
from storage.credentials import Credentials
from storage.memory import MemoryRecordStore
from storage.s3 import S3BlobStore
from storage.s3_names import object_name
from storage.urls import S3Place, parse_blob_place
from tests.app.rules.world import Release
from tests.servers import S3_SECRET, S3_USER
from tests.service.house import House, RealDeposit, court, open_house, terms_of

DAY = 86_400


@dataclass
class Bucketed:
    """A service over a fresh bucket, and what the bucket's owner can do."""

    house: House
    release: Release
    blobs: S3BlobStore
    records: MemoryRecordStore
    bucket: str
    port: int

    @property
    def deposit(self) -> RealDeposit:
        assert isinstance(self.release.deposit, RealDeposit)
        return self.release.deposit

    def key(self, item: int) -> str:
        return blob_key(self.deposit.claims.deposit_id, item, 0)

    def name(self, item: int) -> str:
        """What the object of an item's first segment is called in the bucket."""
        return object_name(self.key(item))

    async def begin(self) -> None:
        path = f"/v1/uploads/{self.deposit.claims.deposit_id.hex()}"
        begun = await self.house.send("PUT", path, {"case_id": self.release.case_id.hex()}, by="lawyer1")
        assert begun.status == 201

    async def places(self) -> list[dict[str, Any]]:
        answer = await self.house.places(self.deposit)
        assert answer.status == 200, answer.body
        return list(answer.json["places"])

    async def put(self, place: dict[str, Any], body: bytes, **changed: str | None) -> int:
        """Send a body to a place as the client would, with some headers changed or left out."""
        headers = {name: value for name, value in place["headers"].items() if name != "content-length"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        sent = {name: value for name, value in headers.items() if value is not None}
        base = "" if "://" in place["url"] else f"{self.house.url}/"
        async with self.house.session.put(
            URL(base + place["url"], encoded=True), data=body, headers=sent, skip_auto_headers=["Content-Type"]
        ) as answer:
            return answer.status


@asynccontextmanager
async def bucketed(s3_port: int, mode: UploadMode = UploadMode.AUTO) -> AsyncIterator[Bucketed]:
    release, records = court(), MemoryRecordStore()
    bucket = f"direct-{secrets.token_hex(4)}"
    place = parse_blob_place(f"s3+http://127.0.0.1:{s3_port}/{bucket}")
    assert isinstance(place, S3Place)
    blobs = await S3BlobStore.open(place, Credentials(name=S3_USER, secret=S3_SECRET), create=True)
    # The world's clock stands still and the S3 server's does not: locks must end in the future of both.
    days = max(0, int(time.time()) - release.world.now) // DAY + 7
    terms = replace(terms_of(release.world), uploads=mode, provisional_lock_days=days)
    try:
        async with open_house(release.world, records, blobs, terms=terms) as house:
            await house.push()
            yield Bucketed(house=house, release=release, blobs=blobs, records=records, bucket=bucket, port=s3_port)
    finally:
        await blobs.close()
