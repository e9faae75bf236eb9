"""Blobs on S3: the conformance suite on real servers, refused buckets, what an operator with the keys can do."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from storage.credentials import Credentials
from storage.hosts import S3Place
from storage.ports import BlobStore
from storage.s3 import S3BlobStore
from tests.conformance import blobs
from tests.servers import S3_SECRET, S3_USER, S3Kind

WHO = Credentials(name=S3_USER, secret=S3_SECRET)
_buckets = itertools.count()


class S3World:
    def __init__(self, port: int, kind: S3Kind) -> None:
        self.kind = kind
        self.place = S3Place(host="127.0.0.1", port=port, tls=False, bucket=f"test-{next(_buckets)}")

    async def open(self) -> BlobStore:
        return await self.open_s3()

    async def open_s3(self) -> S3BlobStore:
        return await S3BlobStore.open(self.place, WHO, create=True)

    def now(self) -> int:
        return int(time.time())

    async def pass_until(self, time_: int) -> None:
        await asyncio.sleep(max(0, time_ - time.time()))  # the server's clock is the machine's, and nobody can set it


@pytest.fixture
def world(s3_port: int, s3_kind: S3Kind) -> S3World:
    return S3World(s3_port, s3_kind)


@pytest.mark.parametrize("check", blobs.CHECKS, ids=lambda check: check.__name__)
async def test_blobs_conform(check: Callable[[blobs.BlobWorld], Awaitable[None]], world: S3World) -> None:
    await check(world)


async def test_streaming_memory(world: S3World) -> None:
    await blobs.check_streaming_memory(world)


def test_listing_agrees_with_the_model(world: S3World) -> None:
    blobs.check_listing_against_model(world)
