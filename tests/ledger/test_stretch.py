"""A stretch of entries: what is left out, moved or added between its ends does not lead to the root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadProof, Malformed
from ledger.merkle import inclusion_path, leaf_hash, node_hash, root_of
from ledger.stretch import stretch_hashes, stretch_ranges, verify_stretch

LEAVES = [leaf_hash(b"%d" % i) for i in range(70)]


def lookup(level: int, index: int) -> bytes:
    """The hash of a complete subtree, by the definition."""
    if level == 0:
        return LEAVES[index]
    return node_hash(lookup(level - 1, 2 * index), lookup(level - 1, 2 * index + 1))


@st.composite
def stretches(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(st.integers(1, len(LEAVES)))
    start = draw(st.integers(0, size - 1))
    return start, draw(st.integers(start + 1, size)), size


@given(stretches())
def test_every_stretch_of_every_tree_verifies(at: tuple[int, int, int]) -> None:
    start, end, size = at
    hashes = stretch_hashes(start, end, size, lookup)
    verify_stretch(start, LEAVES[start:end], size, hashes, root_of(LEAVES[:size]))
    covered = sorted([*stretch_ranges(start, end, size), (start, end)])
    assert [low for low, _ in covered] + [size] == [0] + [high for _, high in covered]


@given(st.integers(1, len(LEAVES)), st.data())
def test_one_leaf_takes_the_hashes_of_its_inclusion_proof(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert sorted(stretch_hashes(index, index + 1, size, lookup)) == sorted(inclusion_path(index, size, lookup))


def test_a_whole_tree_takes_no_hash() -> None:
    assert stretch_hashes(0, 70, 70, lookup) == ()


@given(stretches(), st.data())
def test_a_changed_dropped_added_or_moved_leaf_does_not_lead_to_the_root(
    at: tuple[int, int, int], data: st.DataObject
) -> None:
    start, end, size = at
    root, hashes = root_of(LEAVES[:size]), stretch_hashes(start, end, size, lookup)
    where = data.draw(st.integers(start, end - 1)) - start
    leaves = LEAVES[start:end]
    changed = [*leaves[:where], leaf_hash(b"another"), *leaves[where + 1 :]]
    dropped = [*leaves[:where], *leaves[where + 1 :]]
    added = [*leaves[:where], leaf_hash(b"another"), *leaves[where:]]
    for at_, other in ((start, changed), (start, dropped), (start, added), (start + 1, leaves)):
        with pytest.raises(BadProof):
            verify_stretch(at_, other, size, hashes, root)


@given(stretches(), st.data())
def test_a_changed_missing_or_surplus_hash_is_refused(at: tuple[int, int, int], data: st.DataObject) -> None:
    start, end, size = at
    root, hashes = root_of(LEAVES[:size]), list(stretch_hashes(start, end, size, lookup))
    leaves = LEAVES[start:end]
    with pytest.raises(BadProof):
        verify_stretch(start, leaves, size, [*hashes, bytes(32)], root)
    if hashes:
        where = data.draw(st.integers(0, len(hashes) - 1))
        for other in (hashes[:-1], [*hashes[:where], bytes(32), *hashes[where + 1 :]], [*hashes[:-1], b"short"]):
            with pytest.raises(BadProof):
                verify_stretch(start, leaves, size, other, root)
    with pytest.raises(BadProof):
        verify_stretch(start, leaves, size, hashes, bytes(32))


@pytest.mark.parametrize(
    ("start", "end", "size"), [(0, 0, 1), (1, 1, 1), (2, 1, 3), (0, 4, 3), (-1, 1, 2), (0, 1, 2**63)]
)
def test_what_is_no_stretch_is_refused(start: int, end: int, size: int) -> None:
    with pytest.raises(Malformed):
        stretch_ranges(start, end, size)
    if end <= start or end > size:
        with pytest.raises(BadProof):
            verify_stretch(start, LEAVES[: max(end - start, 0)], size, (), bytes(32))
