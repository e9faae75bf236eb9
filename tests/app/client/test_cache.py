"""The cache of private statements is not made durable: whatever a power cut left of it is loaded anew."""

from pathlib import Path

import pytest

from app.client.cache import Cache, Private
from app.client.home import Home, Vault
from tests.app.client.world_service import keys_of


@pytest.mark.parametrize("left", [b"", b"\0" * 500, b"age-encryption.org/v1\n-> mlkem", None])
def test_a_torn_cache_is_none(tmp_path: Path, left: bytes | None) -> None:
    home = Home(tmp_path)
    cache = Cache(home, Vault(home, keys_of("lawyer1")))
    kept = Private(genesis=bytes(32), size=7, cases=(bytes(16),), entries=())
    cache.set_private(kept)
    assert cache.private(bytes(32)) == kept
    (file,) = (tmp_path / "cache").glob("private*")
    file.write_bytes(file.read_bytes()[:-1] if left is None else left)
    assert cache.private(bytes(32)) == Private(genesis=bytes(32), size=0, cases=(), entries=())
