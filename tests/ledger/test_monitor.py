"""Comparing two checkpoints of another's log by its tiles: what is a prefix, what is evidence, what proves nothing."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import sign_checkpoint
from ledger.errors import BadProof, BadSignature, LedgerError, Malformed
from ledger.merkle import leaf_hash
from ledger.monitor import SplitView, bundles_to_read, compare, tiles_to_compare
from ledger.policy import Policy
from ledger.tiles import Tile, tile_bytes
from tests.ledger.growing import GrowingLog, root_by_recursion

LOG = GrowingLog(entries=600)
FORK = GrowingLog(entries=600)
FORK.entries[300] = b"another"
POLICY = Policy.parse(f"log {LOG.signer.key.text}\nquorum none\n")
SIZES = st.integers(min_value=0, max_value=600)


def tiles_for(log: GrowingLog, size1: int, size2: int) -> dict[Tile, bytes]:
    leaves = [leaf_hash(entry) for entry in log.entries[: max(size1, size2)]]

    def lookup(level: int, index: int) -> bytes:
        return root_by_recursion(leaves[index << level : (index + 1) << level])

    return {tile: tile_bytes(tile, lookup) for tile in tiles_to_compare(min(size1, size2), max(size1, size2))}


@given(SIZES, SIZES)
@settings(deadline=None)
def test_any_two_sizes_of_one_log_agree_whichever_was_first(size1: int, size2: int) -> None:
    tiles = tiles_for(LOG, size1, size2)
    assert compare(LOG.signed(size1), LOG.signed(size2), tiles) is None
    assert compare(LOG.signed(size2), LOG.signed(size1), tiles) is None


@given(st.integers(min_value=301, max_value=600), st.integers(min_value=301, max_value=600))
@settings(deadline=None)
def test_a_fork_gives_evidence_that_convinces_whoever_has_the_policy(size1: int, size2: int) -> None:
    larger, smaller = max(size1, size2), min(size1, size2)
    tiles = tiles_for(FORK, smaller, larger)
    found = compare(LOG.signed(smaller), FORK.signed(larger), tiles)
    assert found is not None
    assert found.root == FORK.checkpoint(smaller).root
    found.verify(POLICY)
    with pytest.raises(LedgerError):  # the same accusation with an honest checkpoint in it proves nothing
        replace(found, smaller=FORK.signed(smaller)).verify(POLICY)
    with pytest.raises(LedgerError):
        replace(found, root=bytes(32)).verify(POLICY)


def test_before_the_fork_both_are_one_log() -> None:
    assert compare(LOG.signed(300), FORK.signed(600), tiles_for(FORK, 300, 600)) is None


def test_an_accusation_needs_the_signatures_of_one_log() -> None:
    other = GrowingLog("other.example/log", entries=5, seed=3)
    with pytest.raises(BadSignature):
        SplitView(smaller=LOG.signed(5), larger=other.signed(5), root=other.checkpoint(5).root, proof=()).verify(POLICY)
    both = Policy.parse(f"log {LOG.signer.key.text}\nlog {other.signer.key.text}\nquorum none\n")
    other.entries[0] = b"different"
    with pytest.raises(BadProof, match="two logs"):
        SplitView(smaller=LOG.signed(5), larger=other.signed(5), root=other.checkpoint(5).root, proof=()).verify(both)


@given(st.data())
@settings(deadline=None)
def test_a_changed_tile_accuses_nobody(data: st.DataObject) -> None:
    size1 = data.draw(st.integers(min_value=0, max_value=599))
    size2 = data.draw(st.integers(min_value=size1 + 1, max_value=600))
    tiles = tiles_for(LOG, size1, size2)
    victim = data.draw(st.sampled_from(sorted(tiles, key=lambda tile: tile.path)))
    at = data.draw(st.integers(min_value=0, max_value=len(tiles[victim]) - 1))
    changed = bytearray(tiles[victim])
    changed[at] ^= data.draw(st.integers(min_value=1, max_value=255))
    tiles[victim] = bytes(changed)
    with suppress(BadProof):  # or else it is a hash that is not needed
        assert compare(LOG.signed(size1), LOG.signed(size2), tiles) is None


def test_missing_and_short_tiles_are_named() -> None:
    tiles = tiles_for(LOG, 3, 600)
    with pytest.raises(Malformed, match="is missing"):
        compare(LOG.signed(3), LOG.signed(600), {})
    tiles[next(iter(tiles))] = b""
    with pytest.raises(Malformed, match="bytes"):
        compare(LOG.signed(3), LOG.signed(600), tiles)
    with pytest.raises(Malformed):
        tiles_to_compare(2, 1)


def test_few_tiles_are_wanted_of_a_large_log() -> None:
    wanted = tiles_to_compare(7_654_321, 1_000_000_007)
    assert len(wanted) <= 8
    assert all(tile.is_in(1_000_000_007) for tile in wanted)
    assert tiles_to_compare(5, 5) == tiles_to_compare(0, 0) == ()


@given(SIZES, SIZES)
def test_bundles_cover_exactly_what_is_new(start: int, size: int) -> None:
    places = [bundle.index * 256 + place for bundle in bundles_to_read(start, size) for place in range(bundle.width)]
    assert places == list(range(start // 256 * 256, size) if start < size else [])


def test_extension_lines_count_as_part_of_what_was_signed() -> None:
    extended = sign_checkpoint(replace(LOG.checkpoint(7), extensions=("more",)), LOG.signer)
    assert compare(LOG.signed(7), extended, {}) is None
