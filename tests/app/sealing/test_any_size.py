"""A terabyte by arithmetic: sizes, manifest, keys in the store, records and answers, for segments that never were."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.api import MAX_JSON_BYTES
from app.client.uploadstate import Journal
from app.sealing.manifest import (
    MAX_MANIFEST_BYTES,
    ItemSlots,
    Manifest,
    ManifestItem,
    format_manifest,
    manifest_item,
    parse_manifest,
)
from app.sealing.segments import (
    MAX_SEGMENT_BYTES,
    PRELUDE_BYTES,
    SEGMENT_BYTES,
    SEGMENT_PLAIN_BYTES,
    item_length,
    item_plain_size,
    segment_count,
    segment_sizes,
)
from app.service.places import MAX_NUMBER, blob_key, expected_segments
from app.statements.disclosure import make_disclosure, slot_of
from app.statements.kinds import MAX_ITEMS
from storage.names import check_key
from storage.ports import MAX_RECORD_BYTES

TB = 10**12
SLOTS = ItemSlots(**dict.fromkeys(("name", "type", "size", "sha256", "parts"), slot_of(make_disclosure(1, bytes(16)))))


def simulated(size: int, *, inventory: bool = False) -> ManifestItem:
    """An item of that plaintext size, with hashes of nothing for its segments."""
    length = item_length(size)
    hashes = tuple(hashlib.sha256(index.to_bytes(8, "big")).digest() for index in range(segment_count(length)))
    return manifest_item(length, hashes, None if inventory else SLOTS)


@given(
    st.integers(0, 2 * TB)
    | st.sampled_from([0, 1, TB])
    | st.builds(lambda n, by: max(0, n * SEGMENT_PLAIN_BYTES + by), st.integers(0, 59_604), st.integers(-2, 2))
    | st.builds(lambda n, by: max(0, n * 65_536 + by), st.integers(0, 1 << 24), st.integers(-2, 2))
)
def test_every_size_is_cut_into_segments_and_comes_back(size: int) -> None:
    length = item_length(size)
    assert item_plain_size(length) == size
    count = segment_count(length)
    assert count == max(1, -(-size // SEGMENT_PLAIN_BYTES))
    first, last = PRELUDE_BYTES + SEGMENT_BYTES, length - PRELUDE_BYTES - (count - 1) * SEGMENT_BYTES
    assert 0 < last <= SEGMENT_BYTES
    sizes = segment_sizes(length) if count < 100 else ()
    if sizes:
        assert (len(sizes), sum(sizes), max(sizes) <= MAX_SEGMENT_BYTES) == (count, length, True)
        assert sizes[0] == (first if count > 1 else length)


@pytest.mark.parametrize("sizes", [(TB,), (TB // 4,) * 4, (TB, 0, 1)])
def test_a_terabyte_fits_manifest_store_records_and_answers(sizes: tuple[int, ...], tmp_path: Path) -> None:
    manifest = Manifest(items=(simulated(1000, inventory=True), *(simulated(size) for size in sizes)))
    text = format_manifest(manifest)
    assert parse_manifest(text) == manifest
    assert len(text) < MAX_MANIFEST_BYTES
    segments = expected_segments(manifest)
    assert len(segments) >= 29_000
    assert sum(each.size for each in segments) == manifest.total_bytes == sum(each.length for each in manifest.items)
    # In the store: keys sort as the segments do, and none is too long.
    assert max(each.segment for each in segments) <= MAX_NUMBER
    keys = [blob_key(bytes(16), each.item, each.segment) for each in segments]
    assert keys == sorted(set(keys))
    check_key(keys[-1])
    # In the records: the manifest, and the version of each segment (36 characters at S3 servers).
    assert len(text) < MAX_RECORD_BYTES
    assert len(segments) * (36 + 3) < MAX_RECORD_BYTES
    # In the answer to a client that resumes.
    names = [
        {"item": each.item, "segment": each.segment, "size": each.size, "sha256": each.sha256.hex()}
        for each in segments
    ]
    assert len(json.dumps({"segments": names})) < MAX_JSON_BYTES
    # On the depositor's disk: the journal of all of it.
    path = tmp_path / "journal"
    path.write_text("".join(f"{each.item} {each.segment} {each.sha256.hex()}\n" for each in segments))
    journal = Journal(path)
    for index, item in enumerate(manifest.items):
        assert journal.recorded(index) == item.segments


def test_the_most_items_fit() -> None:
    manifest = Manifest(items=(simulated(MAX_ITEMS * 500, inventory=True), *[simulated(0)] * MAX_ITEMS))
    assert parse_manifest(format_manifest(manifest)) == manifest
