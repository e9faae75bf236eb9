"""A stretch of consecutive entries under one root: nothing between its first and its last is left out.

RFC 6962 §2.1 splits [0, size) at the largest power of two below its length. The proof holds the hashes of the largest
ranges of that recursion that hold no leaf of the stretch, from left to right. For one leaf these are the hashes of its
inclusion proof in another order; for [0, size) there are none.
"""

from collections.abc import Iterator, Sequence

from ledger.errors import BadProof, Malformed
from ledger.merkle import HASH_BYTES, MAX_SIZE, HashLookup, node_hash, range_root, root_of


def stretch_ranges(start: int, end: int, size: int) -> tuple[tuple[int, int], ...]:
    """The ranges whose hashes prove the leaves [start, end) in a tree of `size`, left to right. Raises Malformed."""
    if not 0 <= start < end <= size <= MAX_SIZE:
        raise Malformed(f"no stretch from {start} to {end} in a tree of {size} leaves", "Ask within the tree.")

    def walk(low: int, high: int) -> Iterator[tuple[int, int]]:
        if high <= start or low >= end:
            yield (low, high)
        elif not start <= low < high <= end:
            middle = low + _split(high - low)
            yield from walk(low, middle)
            yield from walk(middle, high)

    return tuple(walk(0, size))


def stretch_hashes(start: int, end: int, size: int, lookup: HashLookup) -> tuple[bytes, ...]:
    """The proof: 32 bytes for each of `stretch_ranges`."""
    return tuple(range_root(low, high, lookup) for low, high in stretch_ranges(start, end, size))


def verify_stretch(start: int, leaves: Sequence[bytes], size: int, hashes: Sequence[bytes], root: bytes) -> None:
    """Raise BadProof unless these leaf hashes stand at [start, start + len) in the tree (size, root)."""
    end = start + len(leaves)
    if not 0 <= start < end <= size <= MAX_SIZE:
        raise BadProof(f"a stretch from {start} to {end} is not in a tree of {size} leaves")
    if any(len(each) != HASH_BYTES for each in (root, *leaves, *hashes)):
        raise BadProof(f"a hash of the stretch from {start} to {end} has not {HASH_BYTES} bytes")
    wanted = len(stretch_ranges(start, end, size))
    if len(hashes) != wanted:
        raise BadProof(f"the proof of the stretch from {start} to {end} has {len(hashes)} hashes instead of {wanted}")
    given = iter(hashes)

    def node(low: int, high: int) -> bytes:
        if high <= start or low >= end:
            return next(given)
        if start <= low < high <= end:
            # A range of the recursion that lies in the stretch is a tree of its own.
            return root_of(leaves[low - start : high - start])
        middle = low + _split(high - low)
        left = node(low, middle)
        return node_hash(left, node(middle, high))

    if node(0, size) != root:
        raise BadProof(f"the stretch from {start} to {end} does not lead to the root of size {size}")


def _split(length: int) -> int:
    """The largest power of two below a length of at least 2."""
    return int(1 << (length - 1).bit_length() - 1)
