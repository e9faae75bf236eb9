"""The batch document byte for byte; what does not extend a tree is refused."""

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.batch import (
    MAX_BATCH_BYTES,
    Batch,
    batch_id,
    check_extends,
    entry_in,
    how_many_fit,
    next_batch,
    parse_batch_id,
)
from ledger.errors import DamagedLog, Malformed
from ledger.merkle import EMPTY_FRONTIER, leaf_hash, node_hash

TWO = next_batch(EMPTY_FRONTIER, [b"deposit", b"release"])
ROOT = node_hash(leaf_hash(b"deposit"), leaf_hash(b"release"))


def test_the_bytes_are_as_written_down() -> None:
    assert TWO.encode() == (
        b"muniment-batch/v1\n\0\0\0\0\0\0\0\0\0\0\0\x02\0\x07deposit\0\x07release\x01" + ROOT + ROOT
    )
    assert ROOT.hex() == "e2b6090a5f16efc97bde1d3d5ebd9ddd17344edac19f6c3f1c8d31230a6f8dba"
    third = next_batch(TWO.frontier, [b"x"])
    assert third.encode()[18:26] == (2).to_bytes(8, "big")
    assert third.encode()[-97:-32] == b"\x02" + ROOT + leaf_hash(b"x")
    assert (third.start, third.end) == (2, 3)


entries_lists = st.lists(st.binary(max_size=200), min_size=1, max_size=20)


@given(entries_lists, entries_lists)
def test_batches_read_back_and_extend(first: list[bytes], second: list[bytes]) -> None:
    one = next_batch(EMPTY_FRONTIER, first)
    two = next_batch(one.frontier, second)
    for batch in (one, two):
        assert Batch.decode(batch.encode()) == batch
    check_extends(EMPTY_FRONTIER, one)
    check_extends(one.frontier, two)
    with pytest.raises(DamagedLog):
        check_extends(EMPTY_FRONTIER, two)


@given(entries_lists, st.data())
def test_one_flipped_bit_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    raw = bytearray(next_batch(EMPTY_FRONTIER, entries).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((Malformed, DamagedLog)):
        check_extends(EMPTY_FRONTIER, Batch.decode(bytes(raw)))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: TWO.encode()[:30] + tail))
def test_any_bytes_are_a_batch_exactly_or_refused(raw: bytes) -> None:
    try:
        assert Batch.decode(raw).encode() == raw
    except Malformed:
        return


@pytest.mark.parametrize("cut", range(len(TWO.encode())))
def test_every_truncation_is_refused(cut: int) -> None:
    with pytest.raises(Malformed):
        Batch.decode(TWO.encode()[:cut])


def test_a_claim_of_four_billion_entries_ends_where_the_bytes_end() -> None:
    with pytest.raises(Malformed, match="end inside entry"):
        Batch.decode(b"muniment-batch/v1\n" + bytes(8) + b"\xff" * 4 + bytes(100))


def test_sizes_have_limits() -> None:
    with pytest.raises(Malformed):
        next_batch(EMPTY_FRONTIER, [])
    with pytest.raises(Malformed):
        next_batch(EMPTY_FRONTIER, [bytes(65536)])
    large = [bytes(65535)] * 200
    fit = how_many_fit(large)
    assert fit < 200
    assert MAX_BATCH_BYTES - 65537 < len(next_batch(EMPTY_FRONTIER, large[:fit]).encode()) + 64 * 32 <= MAX_BATCH_BYTES
    with pytest.raises(Malformed):
        next_batch(EMPTY_FRONTIER, large[: fit + 1])
    with pytest.raises(Malformed):
        Batch.decode(bytes(MAX_BATCH_BYTES + 1))
    with pytest.raises(Malformed):
        dataclasses.replace(TWO, start=1)
    assert how_many_fit([]) == 0


def test_ids_sort_as_sizes_do() -> None:
    starts = [0, 1, 9, 10, 99, 2**40, 2**63 - 1]
    assert [parse_batch_id(batch_id(start)) for start in starts] == starts
    assert sorted(map(batch_id, starts)) == list(map(batch_id, starts))
    assert batch_id(7) == "00000000000000000007"
    for bad in (-1, 2**63):
        with pytest.raises(Malformed):
            batch_id(bad)
    for text in ("", "7", "0" * 19, "0" * 21, "9" * 20, "-" + "0" * 19, "٠" * 20):
        with pytest.raises(Malformed):
            parse_batch_id(text)


@given(entries_lists, st.data())
def test_one_entry_is_found_without_the_others(entries: list[bytes], data: st.DataObject) -> None:
    batch = next_batch(TWO.frontier, entries)
    encoded = batch.encode()
    for place, entry in enumerate(entries):
        assert entry_in(encoded, 2 + place) == entry
    for index in (0, 1, batch.end, 2**63):
        with pytest.raises(Malformed, match="no batch that holds"):
            entry_in(encoded, index)
    junk = data.draw(st.binary(max_size=100) | st.integers(0, len(encoded)).map(lambda end: encoded[:end]))
    with contextlib.suppress(Malformed):
        assert entry_in(junk, batch.end - 1) in junk
