"""Tile coordinates, paths, widths and bytes as the specification's examples give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.merkle import leaf_hash, root_of
from ledger.tiles import (
    Bundle,
    Tile,
    decode_bundle,
    encode_bundle,
    parse_path,
    split_tile,
    tile_bytes,
    tiles_of,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=1, index=1234067), "tile/1/x001/x234/067"),
        (Tile(level=0, index=1000, width=1), "tile/0/x001/000.p/1"),
        (Tile(level=63, index=999, width=255), "tile/63/999.p/255"),
        (Bundle(index=273, width=112), "tile/entries/273.p/112"),
        (Bundle(index=1000000), "tile/entries/x001/x000/000"),
    ],
)
def test_paths(tile: Tile | Bundle, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@given(st.integers(0, 63), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_paths_read_back(level: int, index: int, width: int) -> None:
    for tile in (Tile(level=level, index=index, width=width), Bundle(index=index, width=width)):
        assert parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/tile/0/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x001",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1\n",
        "tile/0/٠٠٠",
        "tile/data/000",
        "tile/0/../../etc",
        "tile/entries/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 40 + "000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_path(path)


@given(st.text(alphabet="tile/0123x.p ens", max_size=30) | st.text())
def test_any_text_is_a_path_exactly_or_refused(text: str) -> None:
    try:
        assert parse_path(text).path == text
    except Malformed:
        return


def test_the_tiles_of_seventy_thousand_leaves() -> None:
    tiles = list(tiles_of(70000))
    assert [t for t in tiles if t.level == 0][-1] == Tile(level=0, index=273, width=112)
    assert sum(t.width == 256 for t in tiles if t.level == 0) == 273
    assert [t for t in tiles if t.level == 1] == [Tile(level=1, index=0), Tile(level=1, index=1, width=17)]
    assert [t for t in tiles if t.level == 2] == [Tile(level=2, index=0, width=1)]
    assert all(tile.is_in(70000) for tile in tiles)
    assert not Tile(level=0, index=273, width=113).is_in(70000)
    assert not Tile(level=1, index=1, width=18).is_in(70000)
    assert Bundle(index=273, width=112).is_in(70000)
    assert not Bundle(index=273, width=113).is_in(70000)
    assert list(tiles_of(0)) == []
    assert list(tiles_of(256)) == [Tile(level=0, index=0), Tile(level=1, index=0, width=1)]


def test_a_tile_joins_the_hashes_of_full_tiles_below() -> None:
    leaves = [leaf_hash(str(i).encode()) for i in range(768)]
    data = tile_bytes(Tile(level=1, index=0, width=3), lambda level, n: root_of(leaves[n << level : (n + 1) << level]))
    assert split_tile(data, 3) == tuple(root_of(leaves[at : at + 256]) for at in (0, 256, 512))
    assert data[:32].hex() == "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1"
    with pytest.raises(Malformed):
        split_tile(data, 2)
    with pytest.raises(Malformed):
        split_tile(data[:-1], 3)


def test_the_worked_bundle() -> None:
    data = bytes.fromhex("00076465706f736974000772656c65617365")
    assert encode_bundle([b"deposit", b"release"]) == data
    assert decode_bundle(data, 2) == (b"deposit", b"release")
    for width, other in ((1, data), (3, data), (2, data[:-1]), (2, data + b"\0"), (1, b""), (1, b"\0"), (1, b"\0\2x")):
        with pytest.raises(Malformed):
            decode_bundle(other, width)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_read_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == tuple(entries)


@given(st.binary(max_size=60), st.integers(1, 5))
def test_any_bytes_are_a_bundle_exactly_or_refused(data: bytes, width: int) -> None:
    try:
        assert encode_bundle(decode_bundle(data, width)) == data
    except Malformed:
        return


def test_sizes_have_limits() -> None:
    assert decode_bundle(encode_bundle([bytes(65535)]), 1) == (bytes(65535),)
    for entries in ([], [b""] * 257, [bytes(65536)]):
        with pytest.raises(Malformed):
            encode_bundle(entries)
    for level, index, width in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(Malformed):
            Tile(level=level, index=index, width=width)
