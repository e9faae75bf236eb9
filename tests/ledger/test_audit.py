"""The audit finds every kind of change to what is stored, by name, and nothing where nothing is wrong."""

import dataclasses
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit import Finding, audit
from ledger.batch import Batch, batch_id, next_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.merkle import EMPTY_FRONTIER, EMPTY_ROOT, leaf_hash, root_of
from ledger.note import NoteSigner
from ledger.tree import Tree
from tests.ledger.stores import DictStore
from tests.ledger.test_tree import filled, root, word

SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def signed(size: int, of: bytes | None = None) -> str:
    checkpoint = Checkpoint(origin=SIGNER.name, size=size, root=root(size) if of is None else of)
    return sign_checkpoint(checkpoint, SIGNER)


async def findings(store: DictStore, checkpoints: Sequence[str] = ()) -> list[Finding]:
    return [finding async for finding in audit(store, SIGNER.key, checkpoints)]


async def tiled(sizes: Sequence[int]) -> DictStore:
    store = filled(sizes)
    await Tree(store).write_tiles(sum(sizes))
    return store


async def test_a_sound_log_has_no_findings() -> None:
    store = await tiled([200, 100, 1, 300])
    assert await findings(store, [signed(size) for size in (601, 0, 1, 200, 250, 300, 301)]) == []
    assert await findings(DictStore(), [signed(0, EMPTY_ROOT)]) == []


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
async def test_any_flipped_bit_of_a_batch_is_found_in_that_batch(sizes: list[int], data: st.DataObject) -> None:
    store = filled(sizes)
    start = data.draw(st.sampled_from(sorted(store.batches)))
    raw = bytearray(store.batches[start])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    store.batches[start] = bytes(raw)
    found = await findings(store)
    assert found
    assert (found[0].code, found[0].place) == ("bad_batch", batch_id(start))


async def test_a_changed_hash_of_an_unfinished_tile_is_named() -> None:
    store = await tiled([1000] * 13)
    (path,) = (path for path in store.tiles if ".p/" in path)
    assert path == "tile/1/000.p/48"
    assert await findings(store) == []
    store.tiles[path] = store.tiles[path][:70] + bytes([store.tiles[path][70] ^ 1]) + store.tiles[path][71:]
    (found,) = await findings(store)
    assert (found.code, found.place, found.span) == ("bad_tile", path, (64, 96))


async def test_small_and_large_batches_are_read_in_runs_without_a_gap() -> None:
    sizes = [1] * 300 + [400] * 3 + [1] * 50 + [3] * 200
    store = await tiled(sizes)
    reads = 0

    class Counting(DictStore):
        async def run(self, start: int, limit: int) -> list[tuple[int, bytes]]:
            nonlocal reads
            reads += 1
            return await super().run(start, limit)

    counting = Counting()
    counting.batches, counting.tiles = store.batches, store.tiles
    assert await findings(counting, [signed(size) for size in (1, 300, 1501, sum(sizes))]) == []
    assert reads < 12
    del store.batches[1601]
    assert [(each.code, each.index) for each in await findings(counting)][:1] == [("gap", 1601)]


async def test_a_changed_entry_is_named_by_its_index() -> None:
    store = await tiled([200, 100])
    batch = Batch.decode(store.batches[200])
    entries = (*batch.entries[:7], b"999", *batch.entries[8:])
    store.batches[200] = dataclasses.replace(batch, entries=entries).encode()
    found = await findings(store, [signed(300)])
    assert [(one.code, one.place, one.index) for one in found] == [
        ("bad_batch", batch_id(200), 200),
        ("bad_tile", "tile/0/000", 207),
        ("forked", "checkpoint of size 300 of ledger.example/notary", None),
    ]
    assert "do not re-derive" in found[0].message


async def test_a_changed_entry_is_told_once_and_not_on_the_levels_above() -> None:
    store = await tiled([100] * 660)
    batch = Batch.decode(store.batches[100])
    store.batches[100] = dataclasses.replace(batch, entries=(b"x", *batch.entries[1:])).encode()
    found = await findings(store)
    assert [(one.code, one.place, one.index) for one in found] == [
        ("bad_batch", batch_id(100), 100),
        ("bad_tile", "tile/0/000", 100),
    ]


async def test_a_log_rewritten_as_a_whole_is_found_by_a_checkpoint_that_somebody_kept() -> None:
    store, frontier = DictStore(), EMPTY_FRONTIER
    for words in ([b"0", b"forged"], [b"2", b"3"]):
        batch = next_batch(frontier, words)
        store.batches[batch.start], frontier = batch.encode(), batch.frontier
    assert await findings(store) == []
    assert [one.code for one in await findings(store, [signed(1), signed(2), signed(3), signed(4)])] == ["forked"] * 3


async def test_missing_batches_are_named_and_what_follows_is_still_checked() -> None:
    store = filled([10, 10, 10, 10, 10])
    del store.batches[10], store.batches[20]
    raw = bytearray(store.batches[40])
    raw[32] ^= 1  # the first byte of its first entry
    store.batches[40] = bytes(raw)
    found = await findings(store, [signed(10), signed(15), signed(40), signed(45)])
    assert [(one.code, one.index) for one in found] == [
        ("gap", 10),
        ("forked", None),
        ("bad_batch", 40),
        ("forked", None),
    ]
    assert "starts at 30" in found[0].message


async def test_a_missing_end_is_found_by_a_checkpoint() -> None:
    store = filled([10, 10])
    del store.batches[10]
    found = await findings(store, [signed(10), signed(20)])
    assert [(one.code, one.index) for one in found] == [("truncated", 10)]
    assert [one.code for one in await findings(DictStore(), [signed(3)])] == ["truncated"]


async def test_an_unreadable_batch_does_not_hide_the_next() -> None:
    store = filled([5, 5, 5])
    store.batches[5] = b"nothing of the kind"
    store.batches[10] = store.batches[10][:-1]
    assert [(one.code, one.index) for one in await findings(store)] == [("bad_batch", 5), ("bad_batch", 10)]


async def test_a_batch_under_another_id_is_found() -> None:
    store = filled([5, 5])
    store.batches[7] = store.batches.pop(5)
    assert [(one.code, one.place) for one in await findings(store)] == [
        ("gap", batch_id(5)),
        ("bad_batch", batch_id(7)),
    ]


@pytest.mark.parametrize("level", [0, 1])
async def test_a_changed_tile_is_named_once(level: int) -> None:
    store = await tiled([6000] * 11)
    path = f"tile/{level}/000"
    store.tiles[path] = store.tiles[path][:64] + bytes(32) + store.tiles[path][96:]
    found = await findings(store, [signed(66000)])
    assert [(one.code, one.place, one.index) for one in found] == [("bad_tile", path, 2 if level == 0 else None)]
    store.tiles[path] = b"short"
    assert (await findings(store))[0].message == "it has 5 bytes, not 8192"
    del store.tiles[path]
    assert await findings(store) == []


async def test_tiles_after_a_gap_are_still_checked() -> None:
    store = await tiled([100] * 11)
    del store.batches[300]
    store.tiles["tile/0/003"] = bytes(8192)
    found = await findings(store)
    assert [(one.code, one.place) for one in found] == [("gap", batch_id(300)), ("bad_tile", "tile/0/003")]


async def test_checkpoints_that_are_not_the_logs_are_told() -> None:
    store = filled([3])
    other = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
    stranger = sign_checkpoint(Checkpoint(origin=other.name, size=3, root=root(3)), other)
    found = await findings(store, ["nonsense", stranger, signed(3)])
    assert [(one.code, one.place) for one in found] == [
        ("bad_checkpoint", "checkpoint 0"),
        ("bad_checkpoint", "checkpoint 1"),
    ]
    assert [one async for one in audit(store, None, [stranger])] == []


def test_the_words_are_those_of_the_tree() -> None:
    assert root(3) == root_of(leaf_hash(word(i)) for i in range(3))
