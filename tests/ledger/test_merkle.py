"""RFC 6962 trees against a direct reading of the RFC, known roots, and transparency-dev/merkle's public test data."""

import json
from base64 import b64decode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadProof, Malformed
from ledger.merkle import (
    EMPTY_FRONTIER,
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_root,
    root_of,
    subtrees,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[1] / "vectors/rfc6962"
INCLUSION: dict[str, dict[str, Any]] = json.loads((VECTORS / "inclusion.json").read_text(encoding="utf-8"))
CONSISTENCY: dict[str, dict[str, Any]] = json.loads((VECTORS / "consistency.json").read_text(encoding="utf-8"))
# The public data passes this one, whose roots are the words "don't care"; only 32 bytes are a root here.
STRICTER = {
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
}
SMALL = 33


def leaf(index: int) -> bytes:
    return leaf_hash(str(index).encode())


@cache
def mth(start: int, end: int) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    n = end - start
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return leaf(start)
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + mth(start, start + k) + mth(start + k, end)).digest()


def path(m: int, start: int, end: int) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    n = end - start
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*path(m, start, start + k), mth(start + k, end)]
    return [*path(m - k, start + k, end), mth(start, start + k)]


def subproof(m: int, start: int, end: int, known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2, word for word."""
    n = end - start
    if m == n:
        return [] if known else [mth(start, end)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, start, start + k, known), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, False), mth(start, start + k)]


def lookup(level: int, index: int) -> bytes:
    return mth(index << level, (index + 1) << level)


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (256, "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1"),
        (70000, "1a4cdfcb66374a0c0dcbef49acbd4976d13ee864fb3cb241fc943cad04f02f7e"),
    ],
)
def test_known_roots(size: int, root: str) -> None:
    assert root_of(leaf(i) for i in range(size)).hex() == root


def test_every_small_tree_agrees_with_the_rfc() -> None:
    frontier = EMPTY_FRONTIER
    for size in range(1, SMALL):
        frontier = frontier.append(leaf(size - 1))
        assert frontier.root == mth(0, size)
        assert range_root(0, size, lookup) == mth(0, size)
        for index in range(size):
            proof = inclusion_path(index, size, lookup)
            assert list(proof) == path(index, 0, size)
            verify_inclusion(index, size, leaf(index), proof, mth(0, size))
        for size1 in range(1, size + 1):
            proof = consistency_path(size1, size, lookup)
            assert list(proof) == subproof(size1, 0, size, True)
            verify_consistency(size1, mth(0, size1), size, mth(0, size), proof)


def test_no_inclusion_proof_holds_for_another_place_tree_or_leaf() -> None:
    for size in range(1, 18):
        for index in range(size):
            proof = inclusion_path(index, size, lookup)
            root = mth(0, size)
            for other in range(-1, size + 1):
                if other != index:
                    with pytest.raises(BadProof):
                        verify_inclusion(other, size, leaf(index), proof, root)
            with pytest.raises(BadProof):
                verify_inclusion(index, size, leaf(index + 1), proof, root)
            with pytest.raises(BadProof):
                verify_inclusion(index, size, leaf(index), (*proof, root), root)
            if proof:
                with pytest.raises(BadProof):
                    verify_inclusion(index, size, leaf(index), proof[:-1], root)


def test_no_consistency_proof_holds_for_other_roots_or_another_length() -> None:
    for size2 in range(2, 18):
        for size1 in range(1, size2):
            proof = consistency_path(size1, size2, lookup)
            root1, root2 = mth(0, size1), mth(0, size2)
            for arguments in (
                (size1, root2, size2, root2, proof),
                (size1, root1, size2, root1, proof),
                (size1, root1, size2, root2, (*proof, root2)),
                (size1, root1, size2, root2, proof[:-1]),
                (size2, root2, size1, root1, proof),
            ):
                with pytest.raises(BadProof):
                    verify_consistency(*arguments)


@given(st.data())
def test_one_flipped_bit_of_a_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    proof = list(inclusion_path(index, size, lookup))
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    number = int.from_bytes(proof[at], "big") ^ (1 << bit)
    proof[at] = number.to_bytes(32, "big")
    with pytest.raises(BadProof):
        verify_inclusion(index, size, leaf(index), proof, mth(0, size))


@given(st.integers(0, 300), st.lists(st.binary(max_size=8), max_size=40))
def test_a_frontier_grows_the_same_in_one_step_or_in_many(start: int, entries: list[bytes]) -> None:
    base = EMPTY_FRONTIER.extend(leaf(i) for i in range(start))
    one = base
    for entry in entries:
        one = one.append(leaf_hash(entry))
    assert one == base.extend(leaf_hash(entry) for entry in entries)
    assert one.size == start + len(entries)


@given(st.integers(0, 2**40))
def test_the_subtrees_of_a_size_are_its_binary_ones(size: int) -> None:
    parts = subtrees(0, size)
    assert sum(1 << level for level, _ in parts) == size
    assert len(parts) == size.bit_count()
    at = 0
    for level, index in parts:
        assert index << level == at
        at += 1 << level


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 5), (-1, 3), (4, 3), (1, MAX_SIZE + 1)])
def test_impossible_sizes_are_refused(size1: int, size2: int) -> None:
    with pytest.raises(BadProof):
        verify_consistency(size1, EMPTY_ROOT, size2, EMPTY_ROOT, [])
    with pytest.raises(Malformed):
        consistency_path(size1, size2, lookup)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (0, MAX_SIZE + 1)])
def test_impossible_places_are_refused(index: int, size: int) -> None:
    with pytest.raises(BadProof):
        verify_inclusion(index, size, leaf(0), [], leaf(0))
    with pytest.raises(Malformed):
        inclusion_path(index, size, lookup)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hashes_of_another_length_are_refused_everywhere(length: int) -> None:
    odd, good = b"x" * length, leaf(0)
    root = node_hash(good, good)
    for arguments in ((odd, [good], root), (good, [odd], root), (good, [good], odd)):
        with pytest.raises(BadProof, match="bytes instead of 32"):
            verify_inclusion(0, 2, *arguments)
    for root1, root2, proof in ((odd, root, [good]), (good, odd, [good]), (good, root, [odd])):
        with pytest.raises(BadProof, match="bytes instead of 32"):
            verify_consistency(1, root1, 2, root2, proof)
    with pytest.raises(BadProof, match="bytes instead of 32"):
        verify_consistency(1, odd, 1, odd, [])
    with pytest.raises(Malformed):
        EMPTY_FRONTIER.append(odd)
    with pytest.raises(Malformed):
        Frontier(size=1, hashes=(odd,))


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (2, 2), (3, 1), (-1, 1), (MAX_SIZE + 1, 1)])
def test_a_frontier_with_another_number_of_hashes_is_refused(size: int, count: int) -> None:
    with pytest.raises(Malformed):
        Frontier(size=size, hashes=(leaf(0),) * count)


def decoded(case: dict[str, Any], field: str) -> bytes:
    return b64decode(case[field] or "")


@pytest.mark.parametrize("name", sorted(INCLUSION))
def test_public_inclusion_case(name: str) -> None:
    case = INCLUSION[name]
    arguments = (
        case["leafIdx"],
        case["treeSize"],
        decoded(case, "leafHash"),
        [b64decode(hash_ or "") for hash_ in case["proof"] or []],
        decoded(case, "root"),
    )
    if case["wantErr"]:
        with pytest.raises(BadProof):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@pytest.mark.parametrize("name", sorted(CONSISTENCY))
def test_public_consistency_case(name: str) -> None:
    case = CONSISTENCY[name]
    arguments = (
        case["size1"],
        decoded(case, "root1"),
        case["size2"],
        decoded(case, "root2"),
        [b64decode(hash_ or "") for hash_ in case["proof"] or []],
    )
    if case["wantErr"] or name in STRICTER:
        with pytest.raises(BadProof):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)


def test_the_public_data_is_whole() -> None:
    assert len(INCLUSION) == len(CONSISTENCY) == 98
    assert all(CONSISTENCY[name]["wantErr"] is False for name in STRICTER)
