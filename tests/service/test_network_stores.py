"""A registry's stores on the network, picked by their URLs, with credentials from the environment."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.config import Settings, parse_settings
from app.wiring import open_stores
from storage.errors import BadName
from storage.mongodb import MongoRecordStore
from storage.s3 import S3BlobStore
from tests.servers import S3_SECRET, S3_USER


def settings(folder: Path, mongo_port: int, s3_port: int, scheme: str, name: str) -> Settings:
    table: dict[str, object] = {
        "origin": "court.example/log",
        "genesis": "00" * 32,
        "records": f"{scheme}://127.0.0.1:{mongo_port}/{name}?directConnection=true",
        "blobs": f"s3+http://127.0.0.1:{s3_port}/{name}",
    }
    return parse_settings(table, {}, folder=folder)


async def body() -> AsyncIterator[bytes]:
    yield b"evidence"


@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+motor"])
async def test_stores_on_the_network(
    tmp_path: Path, mongo_port: int, s3_port: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_S3_ACCESS_KEY", S3_USER)
    monkeypatch.setenv("MUNIMENT_S3_SECRET_KEY", S3_SECRET)
    asked = settings(tmp_path, mongo_port, s3_port, scheme, f"wired-{s3_port}-" + scheme.replace("+", "-"))
    with pytest.raises(BadName, match="no records"):
        async with open_stores(asked, must_exist=True):
            pass
    for turn in range(2):
        async with open_stores(asked, must_exist=turn > 0) as stores:
            assert isinstance(stores.records, MongoRecordStore)
            assert isinstance(stores.blobs, S3BlobStore)
            if turn == 0:
                digest = hashlib.sha256(b"evidence").digest()
                await stores.records.insert("kind", "x", b"1")
                await stores.blobs.put_new("k", body(), size=8, sha256=digest, retain_until=0)
            assert await stores.records.get("kind", "x") is not None
            assert await stores.blobs.stat("k") is not None
    assert list(tmp_path.iterdir()) == [], "nothing lies beside"


async def test_a_bucket_without_credentials_is_refused(
    tmp_path: Path, mongo_port: int, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUNIMENT_S3_ACCESS_KEY", raising=False)
    monkeypatch.delenv("MUNIMENT_S3_SECRET_KEY", raising=False)
    with pytest.raises(BadName, match="credentials"):
        async with open_stores(settings(tmp_path, mongo_port, s3_port, "mongodb", "wired-bare")):
            pass
