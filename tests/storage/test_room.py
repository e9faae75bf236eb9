"""What each server says when it has no room is `Full`, which is `Unavailable` that somebody must act upon first."""

import sqlite3
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from storage.errors import Full, Unavailable
from storage.group_commit import translated
from storage.s3_errors import error_for, parse_refusal
from tests.storage.test_mongodb import MongoWorld, fail, raw, world

__all__ = ["raw", "world"]


@pytest.mark.parametrize(
    ("status", "code", "full"),
    [
        (507, b"XMinioStorageFull", True),
        (507, b"", True),
        (400, b"XMinioAdminBucketQuotaExceeded", True),
        (403, b"QuotaExceeded", True),
        (503, b"SlowDown", False),
        (500, b"InternalError", False),
        (599, b"", False),
    ],
)
def test_s3(status: int, code: bytes, full: bool) -> None:
    error = error_for(parse_refusal(status, b"<Error><Code>" + code + b"</Code></Error>"), "the blob k")
    assert isinstance(error, Unavailable)
    assert isinstance(error, Full) == full
    if full:
        assert error.code == "store_full"
        assert error.next_step


def test_sqlite() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 4")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert isinstance(translated(caught.value), Full)
    connection.close()


async def test_mongodb(world: MongoWorld, raw: AsyncMongoClient[dict[str, Any]]) -> None:
    store = await world.open()
    await raw.admin.command(fail(["insert"], errorCode=14031))
    with pytest.raises(Full):
        await store.insert("kind", "id", b"data")
    await store.insert("kind", "id", b"data")
    await store.close()
