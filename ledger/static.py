"""A log as files that any plain web server can serve: which they are, each checked against the checkpoint.

The checkpoint's root vouches for every byte: the tiles at the right edge must give it, each full tile must give the
hash that the tile above has for it, and each bundle's entries the hashes of the tile that they lie under. So a copy
that was begun wrong is not finished, whatever the stored tiles say.
"""

from collections.abc import AsyncIterator

from ledger.checkpoint import Checkpoint
from ledger.errors import DamagedLog
from ledger.merkle import HASH_BYTES, Frontier, leaf_hash, root_of, subtrees
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, Bundle, Tile, encode_bundle, levels_of, split_tile, tiles_at
from ledger.tree import Tree


async def static_files(
    tree: Tree, checkpoint: Checkpoint, since: int = 0
) -> AsyncIterator[tuple[Tile | Bundle, bytes]]:
    """Every tile and bundle of the log of `checkpoint`, the highest level first, with its bytes.

    `since` leaves out what a copy of that (published) size has in full. Whoever writes them writes the checkpoint after
    the last of them. Raises DamagedLog where they do not lead to the checkpoint, Malformed beyond what is stored.
    """
    size = checkpoint.size
    if (await _edge(tree, size)).root != checkpoint.root:
        raise DamagedLog(f"the stored tiles or entries do not lead to the checkpoint of size {size}", "Run the audit.")
    for level in reversed(range(levels_of(size))):
        for tile in tiles_at(level, size, since):
            data = await tree.tile(tile)
            hashes = split_tile(data, tile.width)
            if tile.width == TILE_WIDTH and root_of(hashes) != await _above(tree, tile):
                raise DamagedLog(
                    f"the tile {tile.path} does not lead to the checkpoint of size {size}", "Run the audit."
                )
            yield tile, data
            if level == 0:
                first = tile.index * TILE_WIDTH
                entries = await tree.entries(first, first + tile.width)
                if tuple(map(leaf_hash, entries)) != hashes:
                    raise DamagedLog(f"the tile {tile.path} is not that of its entries", "Run the audit.")
                yield Bundle(index=tile.index, width=tile.width), encode_bundle(entries)


async def _edge(tree: Tree, size: int) -> Frontier:
    """The frontier of `size` leaves as the partial tiles at the right edge give it."""
    found: list[bytes] = []
    for level in reversed(range(levels_of(size))):
        index, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
        if width:
            hashes = split_tile(await tree.tile(Tile(level=level, index=index, width=width)), width)
            found += [root_of(hashes[at << height : (at + 1) << height]) for height, at in subtrees(0, width)]
    return Frontier(size=size, hashes=tuple(found))


async def _above(tree: Tree, tile: Tile) -> bytes:
    """The hash that stands for a full tile in the tile above it."""
    index, place = divmod(tile.index, TILE_WIDTH)
    return (await tree.tile(Tile(level=tile.level + 1, index=index, width=place + 1)))[-HASH_BYTES:]
