"""Merkle trees as in RFC 6962 §2.1 (= RFC 9162 §2.1): hashes, roots, proofs and their verification.

Hashes are SHA-256, 32 bytes. A tree of n leaves splits at the largest power of two below n. A *complete subtree* is
named (level, index): the leaves [index·2^level, (index+1)·2^level). Proofs are lists of hashes, from the leaf up.

The algorithms of the RFC do not say it, and real verifiers got it wrong: `size1 = 0` proves nothing and is refused, and
every hash must have exactly 32 bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.errors import BadProof, Malformed

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
"""The largest tree, in leaves: what fits a signed 64-bit integer, in the tlog APIs as in databases."""

EMPTY_ROOT = sha256(b"").digest()

_begun_leaf: Callable[[], Any] = sha256(b"\x00").copy
_begun_node: Callable[[], Any] = sha256(b"\x01").copy
"""Hashes that have their first byte. A copy of one is made faster than a new one; `update` gives None."""

HashLookup = Callable[[int, int], bytes]
"""(level, index) → the 32-byte hash of that complete subtree."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each entry, in order."""
    return [(hashed := _begun_leaf()).update(entry) or hashed.digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right) of two 32-byte hashes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes (32 bytes each); EMPTY_ROOT of none."""
    return EMPTY_FRONTIER.extend(leaf_hashes).root


def joined_root(hashes: bytes) -> bytes:
    """The root over 2^n joined hashes (32·2^n bytes)."""
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """All that appending needs: the complete subtrees into which a tree of `size` leaves falls, the largest first.

    There are as many as `size` has ones in binary. Raises Malformed when the number or the length of hashes is another.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise Malformed(f"a tree of {self.size} leaves is outside 0..2^63-1")
        if len(self.hashes) != self.size.bit_count():
            raise Malformed(
                f"a frontier of {self.size} leaves has {self.size.bit_count()} hashes, not {len(self.hashes)}"
            )
        for hash_ in self.hashes:
            if len(hash_) != HASH_BYTES:
                raise Malformed(f"a hash of {len(hash_)} bytes in a frontier")

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one more leaf hash (32 bytes)."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier with these leaf hashes (32 bytes each) appended in order."""
        nodes, hashes, rests = list(leaves), list(self.hashes), list[bytes]()
        for length in set(map(len, nodes)):
            if length != HASH_BYTES:
                raise Malformed(f"a leaf hash has {length} bytes instead of {HASH_BYTES}")
        size, carry = self.size + len(nodes), self.size
        # Level by level: what is new there, with the old subtree of that level before it, makes pairs, and a rest.
        while nodes:
            if carry & 1:
                nodes.insert(0, hashes.pop())
            carry >>= 1
            if len(nodes) & 1:
                rests.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [
                (hashed := _begun_node()).update(left + right) or hashed.digest()
                for left, right in zip(pairs, pairs, strict=True)
            ]
        return Frontier(size=size, hashes=(*hashes, *reversed(rests)))

    @property
    def root(self) -> bytes:
        """The root of the tree, 32 bytes."""
        return _fold(self.hashes)


EMPTY_FRONTIER = Frontier(size=0, hashes=())


def subtrees(start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The complete subtrees (level, index) that make up the leaves [start, end), from left to right.

    `start` must be a multiple of the largest power of two that is at most end - start, as it is in all ranges below.
    """
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return tuple(found)


def range_root(start: int, end: int, lookup: HashLookup) -> bytes:
    """The hash of the leaves [start, end) as one node of the tree, from its complete subtrees."""
    return _fold([lookup(level, index) for level, index in subtrees(start, end)])


def inclusion_ranges(index: int, size: int) -> tuple[tuple[int, int], ...]:
    """The leaf ranges whose hashes are PATH(index, D[size]), in order (RFC 6962 §2.1.1). Raises Malformed."""
    if not 0 <= index < size <= MAX_SIZE:
        raise Malformed(f"no entry {index} in a tree of {size} leaves", "Ask for an index below the tree's size.")
    ranges: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return tuple(reversed(ranges))


def consistency_ranges(size1: int, size2: int) -> tuple[tuple[int, int], ...]:
    """The leaf ranges whose hashes are PROOF(size1, D[size2]), in order (RFC 6962 §2.1.2). Raises Malformed."""
    if not 1 <= size1 <= size2 <= MAX_SIZE:
        raise Malformed(
            f"no consistency proof from size {size1} to size {size2}", "Ask from a size of at least 1 to a larger one."
        )
    ranges: list[tuple[int, int]] = []
    start, end = 0, size2
    while end != size1:
        middle = start + _split(end - start)
        if size1 <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start != 0:
        ranges.append((start, end))
    return tuple(reversed(ranges))


def inclusion_path(index: int, size: int, lookup: HashLookup) -> tuple[bytes, ...]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves. Raises Malformed off the tree."""
    return tuple(range_root(start, end, lookup) for start, end in inclusion_ranges(index, size))


def consistency_path(size1: int, size2: int, lookup: HashLookup) -> tuple[bytes, ...]:
    """The proof that the tree of `size1` leaves is a prefix of that of `size2`; empty when they are equal."""
    return tuple(range_root(start, end, lookup) for start, end in consistency_ranges(size1, size2))


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise BadProof unless `proof` shows the leaf hash at `index` in the tree (size, root). RFC 9162 §2.1.3.2."""
    if not 0 <= index < size <= MAX_SIZE:
        raise BadProof(f"index {index} is not in a tree of {size} leaves")
    _check_hashes(leaf, root, *proof)
    position, last, node = index, size - 1, leaf
    for hash_ in proof:
        if last == 0:
            raise BadProof(f"the inclusion proof of entry {index} has too many hashes: {len(proof)}")
        if position & 1 or position == last:
            node = node_hash(hash_, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, hash_)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise BadProof(f"the inclusion proof of entry {index} has too few hashes: {len(proof)}")
    if node != root:
        raise BadProof(f"the inclusion proof of entry {index} does not lead to the root of size {size}")


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> None:
    """Raise BadProof unless `proof` shows the tree (size1, root1) to be a prefix of (size2, root2). RFC 9162 §2.1.4.2.

    Equal sizes need equal roots and an empty proof. `size1 = 0` is refused: every tree extends the empty one.
    """
    if not 1 <= size1 <= size2 <= MAX_SIZE:
        raise BadProof(f"a consistency proof from size {size1} to size {size2} proves nothing")
    _check_hashes(root1, root2, *proof)
    if size1 == size2:
        if proof:
            raise BadProof(f"the consistency proof from size {size1} to itself is not empty")
        if root1 != root2:
            raise BadProof(f"two different roots of size {size1}")
        return
    if not proof:
        raise BadProof(f"the consistency proof from size {size1} to size {size2} is empty")
    steps = list(proof)
    if size1 & (size1 - 1) == 0:
        steps.insert(0, root1)
    position, last = size1 - 1, size2 - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = steps[0]
    for hash_ in steps[1:]:
        if last == 0:
            raise BadProof(f"the consistency proof from size {size1} to size {size2} has too many hashes")
        if position & 1 or position == last:
            old, new = node_hash(hash_, old), node_hash(hash_, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, hash_)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise BadProof(f"the consistency proof from size {size1} to size {size2} has too few hashes")
    if old != root1:
        raise BadProof(f"the consistency proof does not lead to the root of size {size1}")
    if new != root2:
        raise BadProof(f"the consistency proof does not lead to the root of size {size2}")


def _split(size: int) -> int:
    """The largest power of two below `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Join complete subtrees, the largest first, into one node."""
    if not hashes:
        return EMPTY_ROOT
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = node_hash(left, node)
    return node


def _check_hashes(*hashes: bytes) -> None:
    for hash_ in hashes:
        if len(hash_) != HASH_BYTES:
            raise BadProof(f"a hash of {len(hash_)} bytes instead of {HASH_BYTES}")
