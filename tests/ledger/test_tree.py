"""The read side against the whole tree at once: every size and proof, tiles stored or not, damage found."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.batch import next_batch
from ledger.errors import DamagedLog, Malformed
from ledger.merkle import EMPTY_FRONTIER, EMPTY_ROOT, leaf_hash, root_of, verify_consistency, verify_inclusion
from ledger.tiles import Bundle, Tile, decode_bundle, parse_path, tile_bytes, tiles_of
from ledger.tree import Tree
from tests.ledger.stores import DictStore


def word(index: int) -> bytes:
    return str(index).encode()


def filled(sizes: Sequence[int]) -> DictStore:
    store, frontier = DictStore(), EMPTY_FRONTIER
    for size in sizes:
        batch = next_batch(frontier, [word(frontier.size + i) for i in range(size)])
        store.batches[batch.start] = batch.encode()
        frontier = batch.frontier
    return store


class Counting(DictStore):
    """Remembers what was read."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.batches, self.reads = filled(sizes).batches, list[str]()

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        self.reads.append(f"batch of {index}")
        return await super().covering(index)

    async def run(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        self.reads.append(f"batches from {start}")
        return await super().run(start, limit)

    async def get_tile(self, path: str) -> bytes | None:
        self.reads.append(path)
        return await super().get_tile(path)


def root(size: int) -> bytes:
    return root_of(leaf_hash(word(i)) for i in range(size))


async def test_every_proof_of_a_small_log() -> None:
    tree = Tree(filled([1, 2, 3, 1, 6, 4]))
    assert await tree.size() == 17
    assert await tree.root_at(0) == EMPTY_ROOT
    for size in range(1, 18):
        assert await tree.root_at(size) == root(size)
        for index in range(size):
            verify_inclusion(index, size, leaf_hash(word(index)), await tree.inclusion(index, size), root(size))
        for size1 in range(1, size + 1):
            verify_consistency(size1, root(size1), size, root(size), await tree.consistency(size1, size))


async def test_the_known_root_of_seventy_thousand_and_all_its_tiles() -> None:
    store = filled([1000] * 70)
    tree = Tree(store)
    assert (await tree.root_at(70000)).hex() == "1a4cdfcb66374a0c0dcbef49acbd4976d13ee864fb3cb241fc943cad04f02f7e"
    assert (await tree.tile(Tile(level=1, index=0, width=1))).hex().startswith("828515d033c19d8c")
    assert await tree.write_tiles(70000) == 274
    assert set(store.tiles) == {tile.path for tile in tiles_of(70000) if tile.width == 256} | {"tile/1/001.p/16"}
    fresh = Tree(store, cached_tiles=3, cached_batch_bytes=1)
    assert await fresh.write_tiles(70000) == 0
    for index in (0, 255, 256, 65535, 65536, 69999):
        for reader in (tree, fresh):
            path = await reader.inclusion(index, 70000)
            verify_inclusion(index, 70000, leaf_hash(word(index)), path, await tree.root_at(70000))
    verify_consistency(
        300, await fresh.root_at(300), 70000, await fresh.root_at(70000), await fresh.consistency(300, 70000)
    )


@settings(max_examples=60)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=14), st.booleans(), st.data())
async def test_readings_agree_with_the_whole_tree(sizes: list[int], stored: bool, data: st.DataObject) -> None:
    store, total = filled(sizes), sum(sizes)
    tree = Tree(
        store, cached_batch_bytes=data.draw(st.sampled_from([1, 10**6])), cached_tiles=data.draw(st.integers(1, 9))
    )
    if stored:
        assert await tree.write_tiles(data.draw(st.integers(0, total))) <= total // 256
        await tree.write_tiles(total)
        assert len(store.tiles) == total // 256
        for path, raw in store.tiles.items():
            assert raw == await Tree(filled(sizes)).tile(parse_path(path))  # type: ignore[arg-type]
    leaves = [leaf_hash(word(i)) for i in range(total)]
    for tile in tiles_of(total):
        expected = tile_bytes(tile, lambda level, n: root_of(leaves[n << level : (n + 1) << level]))
        assert await tree.tile(tile) == expected
        assert await tree.tile(Tile(level=tile.level, index=tile.index, width=1)) == expected[:32]
        if tile.level == 0:
            bundle = await tree.bundle(Bundle(index=tile.index, width=tile.width))
            assert [leaf_hash(entry) for entry in decode_bundle(bundle, tile.width)] == leaves[tile.index * 256 :][
                : tile.width
            ]
    for _ in range(5):
        size = data.draw(st.integers(1, total))
        index, size1 = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
        verify_inclusion(index, size, leaves[index], await tree.inclusion(index, size), root_of(leaves[:size]))
        path = await tree.consistency(size1, size)
        verify_consistency(size1, root_of(leaves[:size1]), size, root_of(leaves[:size]), path)
        assert await tree.entries(index, size) == tuple(word(i) for i in range(index, size))
        assert await tree.entry(index) == word(index)


@given(st.lists(st.integers(min_value=0, max_value=399), min_size=1, max_size=60), st.integers(1, 60_000))
@settings(deadline=None, max_examples=30)
async def test_many_small_batches_in_a_cache_that_forgets(wanted: list[int], room: int) -> None:
    tree = Tree(filled([1, 3, 1, 1, 2] * 50), cached_batch_bytes=room)
    for index in wanted:
        assert await tree.entry(index) == word(index)
        assert await tree.entries(index, min(400, index + 5)) == tuple(map(word, range(index, min(400, index + 5))))
        assert await tree.root_at(index) == root(index)
        verify_inclusion(index, 400, leaf_hash(word(index)), await tree.inclusion(index, 400), root(400))


async def test_a_proof_reads_one_batch_and_a_tile_for_each_level() -> None:
    store = Counting([1000] * 70)
    await Tree(store).write_tiles(70000)
    tree = Tree(store)
    await tree.inclusion(69_999, 70000)  # the right edge is derived once, and extended as the log grows
    for index in (5, 33_333, 60_000, 66_000):
        store.reads.clear()
        await tree.inclusion(index, 70000)
        assert len(store.reads) <= 3, store.reads


@pytest.mark.parametrize("sizes", [[1000] * 65, [7] * 9285 + [1] * 5], ids=["large batches", "small batches"])
async def test_the_first_proof_after_a_start_derives_little(sizes: list[int]) -> None:
    size = sum(sizes)
    assert size % 65_536 > 65_536 - 1000 or size < 65_536, "as many unfinished tiles as there can be"
    store = Counting(sizes)
    await Tree(store).write_tiles(size)
    for index in (size - 1, 1000):
        tree = Tree(store)
        store.reads.clear()
        path = await tree.inclusion(index, size)
        verify_inclusion(index, size, leaf_hash(word(index)), path, root(size))
        assert len(store.reads) <= 30, store.reads


async def test_a_damaged_unfinished_tile_gives_no_proof() -> None:
    store = filled([1000] * 65)
    await Tree(store).write_tiles(65_000)
    (path,) = (path for path in store.tiles if ".p/" in path)
    store.tiles[path] = store.tiles[path][:-1] + bytes([store.tiles[path][-1] ^ 1])
    with pytest.raises(DamagedLog, match="tiles do not lead to the root"):
        await Tree(store).inclusion(64_999, 65_000)
    store.tiles[path] = store.tiles[path][:-1]
    with pytest.raises(DamagedLog, match="bytes"):
        await Tree(store).inclusion(64_999, 65_000)
    del store.tiles[path]
    assert await Tree(store).inclusion(64_999, 65_000)


async def test_what_is_not_there_is_refused() -> None:
    tree = Tree(filled([3, 2]))
    calls = [
        tree.entry(5),
        tree.entry(-1),
        tree.entries(4, 6),
        tree.root_at(6),
        tree.inclusion(5, 5),
        tree.inclusion(0, 6),
        tree.consistency(0, 5),
        tree.consistency(5, 6),
        tree.tile(Tile(level=0, index=0, width=6)),
        tree.tile(Tile(level=1, index=0, width=1)),
        tree.bundle(Bundle(index=0, width=6)),
        tree.bundle(Bundle(index=1, width=1)),
    ]
    for call in calls:
        with pytest.raises(Malformed):
            await call
    empty = Tree(DictStore())
    assert await empty.size() == 0
    with pytest.raises(Malformed):
        await empty.entry(0)


@pytest.mark.parametrize("start", [0, 3])
async def test_a_changed_batch_is_found_whenever_it_is_read(start: int) -> None:
    store = filled([3, 2])
    good = store.batches[start]
    for at in range(len(good)):
        store.batches[start] = good[:at] + bytes([good[at] ^ 2]) + good[at + 1 :]
        with pytest.raises(DamagedLog):
            await Tree(store).entry(start)
        with pytest.raises(DamagedLog):
            await Tree(store).root_at(start + 1)


async def test_a_changed_tile_is_found_when_a_proof_uses_it() -> None:
    store = filled([300])
    await Tree(store).write_tiles(300)
    good = store.tiles["tile/0/000"]
    store.tiles["tile/0/000"] = good[:40] + bytes([good[40] ^ 1]) + good[41:]
    with pytest.raises(DamagedLog, match="tiles"):
        await Tree(store).inclusion(0, 300)
    with pytest.raises(DamagedLog, match="tiles"):
        await Tree(store).consistency(1, 300)
    store.tiles["tile/0/000"] = good[:-32]
    with pytest.raises(DamagedLog, match="bytes"):
        await Tree(store).inclusion(0, 300)
    del store.tiles["tile/0/000"]
    verify_inclusion(0, 300, leaf_hash(b"0"), await Tree(store).inclusion(0, 300), root(300))
