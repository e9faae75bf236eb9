"""Watching another's log: is what it shows now an extension of what it showed before? C2SP tlog-tiles, O(log n) tiles.

Pure: `tiles_to_compare` names what to download, `compare` judges it. Two trees are compared inside the larger one: the
hashes of the downloaded tiles must lead to its signed root (else they prove nothing, and BadProof is raised); the root
of its first entries, which follows from the same hashes, is then certain. If it is not the one that was signed for that
size, the two checkpoints and those hashes convince anybody: see `SplitView.verify`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.errors import BadProof, Malformed
from ledger.merkle import (
    HashLookup,
    consistency_path,
    consistency_ranges,
    range_root,
    root_of,
    subtrees,
    verify_consistency,
)
from ledger.policy import Policy
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, Bundle, Tile, split_tile


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitView:
    """Two signed checkpoints of one log that contradict each other: `smaller` is no prefix of `larger`.

    `root` (32 bytes) is that of the first `smaller` entries in the tree of `larger`, and `proof` the consistency proof
    that shows it. With equal sizes `root` is that of `larger`, and the proof is empty.
    """

    smaller: str
    larger: str
    root: bytes
    proof: tuple[bytes, ...]

    def verify(self, policy: Policy) -> None:
        """Return when the log of `policy` signed both and they contradict each other.

        Raises Malformed, BadSignature, or BadProof when this is no evidence. Witnesses do not matter for it.
        """
        smaller, larger = policy.verify(self.smaller).checkpoint, policy.verify(self.larger).checkpoint
        if smaller.origin != larger.origin:
            raise BadProof(f"checkpoints of two logs, {smaller.origin} and {larger.origin}, contradict nothing")
        verify_consistency(smaller.size, self.root, larger.size, larger.root, self.proof)
        if self.root == smaller.root:
            raise BadProof(f"the tree of size {smaller.size} is a prefix of that of size {larger.size}")


def tiles_to_compare(size1: int, size2: int) -> tuple[Tile, ...]:
    """The tiles of a log of `size2` entries that show the root of its first `size1`, each as wide as that log has it.

    At most about two a level. With `size1` = 0 those that show the root of `size2` itself; none for equal sizes.
    Raises Malformed unless 0 <= size1 <= size2.
    """
    found = dict.fromkeys(_tile_of(level, index, size2) for level, index in _nodes(size1, size2))
    return tuple(found)


def bundles_to_read(start: int, size: int) -> tuple[Bundle, ...]:
    """The bundles that hold the entries [start, size) of a log of `size`; the first may begin before `start`."""
    return tuple(
        Bundle(index=index, width=min(TILE_WIDTH, size - index * TILE_WIDTH))
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH) if start < size else 0)
    )


def compare(signed1: str, signed2: str, tiles: Mapping[Tile, bytes]) -> SplitView | None:
    """Compare two verified checkpoints of one log by the tiles of `tiles_to_compare(smaller size, larger size)`.

    Returns None when one is a prefix of the other, else the evidence. Raises BadProof when the tiles do not lead to the
    larger one's root (they are not those of the log that was signed), Malformed when one has another length.
    """
    (smaller, text1), (larger, text2) = sorted(
        ((Checkpoint.parse_signed(signed), signed) for signed in (signed1, signed2)), key=lambda pair: pair[0].size
    )
    lookup = _lookup(larger.size, tiles)
    root, proof = larger.root, tuple[bytes, ...]()
    if smaller.size == 0:  # any tree extends the empty one
        check_shown(larger, tiles)
    elif smaller.size < larger.size:
        root = range_root(0, smaller.size, lookup)
        proof = consistency_path(smaller.size, larger.size, lookup)
        try:
            verify_consistency(smaller.size, root, larger.size, larger.root, proof)
        except BadProof as error:
            raise BadProof(f"the log's tiles do not lead to its signed root of size {larger.size}") from error
    if smaller.size == 0 or root == smaller.root:
        return None
    return SplitView(smaller=text1, larger=text2, root=root, proof=proof)


def check_shown(checkpoint: Checkpoint, tiles: Mapping[Tile, bytes]) -> None:
    """Raise BadProof unless the tiles of `tiles_to_compare(0, size)` lead to the checkpoint's root."""
    if checkpoint.size and range_root(0, checkpoint.size, _lookup(checkpoint.size, tiles)) != checkpoint.root:
        raise BadProof(f"the log's tiles do not lead to its signed root of size {checkpoint.size}")


def _nodes(size1: int, size2: int) -> Sequence[tuple[int, int]]:
    if not 0 <= size1 <= size2:
        raise Malformed(f"the tree of size {size1} is not inside that of size {size2}")
    if size1 == size2:
        return ()
    ranges = [(0, size1), *consistency_ranges(size1, size2)] if size1 else [(0, size2)]
    return [node for start, end in ranges for node in subtrees(start, end)]


def _tile_of(level: int, index: int, size: int) -> Tile:
    """The tile in which the complete subtree (level, index) stands, as a log of `size` entries has it."""
    tile_level, height = divmod(level, TILE_HEIGHT)
    tile_index = (index << height) // TILE_WIDTH
    width = (size >> (TILE_HEIGHT * tile_level)) - tile_index * TILE_WIDTH
    return Tile(level=tile_level, index=tile_index, width=min(TILE_WIDTH, width))


def _lookup(size: int, tiles: Mapping[Tile, bytes]) -> HashLookup:
    def lookup(level: int, index: int) -> bytes:
        tile = _tile_of(level, index, size)
        if tile not in tiles:
            raise Malformed(f"the tile {tile.path} is missing")
        height = level % TILE_HEIGHT
        place = (index << height) % TILE_WIDTH
        return root_of(split_tile(tiles[tile], tile.width)[place : place + (1 << height)])

    return lookup
