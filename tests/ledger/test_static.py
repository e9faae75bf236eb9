"""A log as files: every tile and bundle of its size, each led to by the checkpoint, or an error that names it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint
from ledger.errors import DamagedLog, Malformed
from ledger.static import static_files
from ledger.tiles import Bundle, Tile, decode_bundle, levels_of, split_tile, tiles_at, tiles_of
from ledger.tree import Tree
from tests.ledger.stores import DictStore
from tests.ledger.test_tree import filled, root, word

ORIGIN = "ledger.example/notary"


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=root(size))


async def files(store: DictStore, size: int, since: int = 0) -> dict[str, bytes]:
    return {each.path: data async for each, data in static_files(Tree(store), checkpoint(size), since)}


@settings(max_examples=25)
@given(st.integers(0, 1100), st.integers(0, 1100))
async def test_all_that_two_sizes_have_between_them_is_what_the_larger_one_has(one: int, two: int) -> None:
    small, large = sorted((one, two))
    store = filled([1100])
    first, more, all_ = await files(store, small), await files(store, large, small), await files(store, large)
    tiles = [tile.path for tile in tiles_of(large)]
    bundles = [Bundle(index=tile.index, width=tile.width).path for tile in tiles_at(0, large)]
    assert sorted(all_) == sorted(tiles + bundles)
    assert all_.items() <= (first | more).items()
    assert not {path for path in first if ".p/" not in path} & set(more), "nothing that was whole comes again"
    entries = [word for at in range(0, large, 256) for word in _bundle(all_, at // 256, min(256, large - at))]
    assert entries == [word(index) for index in range(large)]


def _bundle(found: dict[str, bytes], index: int, width: int) -> tuple[bytes, ...]:
    return decode_bundle(found[Bundle(index=index, width=width).path], width)


async def test_three_levels() -> None:
    store = filled([65536, 300])
    await Tree(store).write_tiles(65836)
    found = await files(store, 65836)
    assert levels_of(65836) == 3
    assert {"tile/2/000.p/1", "tile/1/000", "tile/1/001.p/1", "tile/0/257.p/44", "tile/entries/257.p/44"} <= set(found)
    assert len(split_tile(found["tile/1/000"], 256)) == 256
    assert len(await files(store, 65836, 65536)) == 6, "what the older copy has in full is left alone"


@pytest.mark.parametrize(("path", "named"), [("tile/0/001", "tile/0/001"), ("tile/1/000", "size 65836")])
async def test_a_stored_tile_that_does_not_lead_to_the_checkpoint_is_named(path: str, named: str) -> None:
    store = filled([65536, 300])
    await Tree(store).write_tiles(65836)
    store.tiles[path] = bytes([store.tiles[path][0] ^ 1]) + store.tiles[path][1:]
    with pytest.raises(DamagedLog, match=named):
        await files(store, 65836)


async def test_another_root_and_a_larger_size_are_refused_before_anything_comes() -> None:
    other = Checkpoint(origin=ORIGIN, size=300, root=bytes(32))
    with pytest.raises(DamagedLog, match="size 300"):
        await anext(static_files(Tree(filled([300])), other))
    with pytest.raises(Malformed):
        await anext(static_files(Tree(filled([300])), checkpoint(301)))


def test_levels() -> None:
    assert [levels_of(size) for size in (0, 1, 255, 256, 65535, 65536, 2**24)] == [0, 1, 1, 2, 2, 3, 4]
    assert all(max((tile.level for tile in tiles_of(size)), default=-1) + 1 == levels_of(size) for size in range(700))
    assert list(tiles_at(0, 700, 300)) == [Tile(level=0, index=1), Tile(level=0, index=2, width=188)]
