"""The read side of a log: entries, roots, proofs and tiles, out of stored batches.

Nothing here signs or extends. What is read from a batch is re-derived first, so a changed entry is found whenever it is
read; tiles are a shortcut, and a proof that they lead to is checked against the batches' own root before it is given.
Sizes are the caller's: ask only for sizes that were signed.
"""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable

from ledger.batch import Batch, check_extends, entry_in
from ledger.errors import BadProof, DamagedLog, Malformed
from ledger.merkle import (
    EMPTY_FRONTIER,
    HASH_BYTES,
    Frontier,
    consistency_path,
    consistency_ranges,
    inclusion_path,
    inclusion_ranges,
    joined_root,
    leaf_hash,
    subtrees,
    verify_consistency,
    verify_inclusion,
)
from ledger.ports import LogStore
from ledger.tiles import KEPT_WIDTH, TILE_HEIGHT, TILE_WIDTH, Bundle, Tile, encode_bundle, levels_of
from ledger.tip import decode_stored, frontier_before

_MASK = TILE_WIDTH - 1
_ENTRY_OVERHEAD = 64  # bytes that a small bytes object costs beyond its content
_INNER_HASHES = 65_536  # some 15 MB
MAX_RUN = 256
"""Batches that are read at one look, at the most."""
_BATCH_OVERHEAD = 512  # about what a batch costs beyond its entries and hashes


class Tree:
    """Reads one log through its store, with bounded caches of what never changes. Safe for concurrent tasks."""

    def __init__(self, store: LogStore, *, cached_batch_bytes: int = 32 * 2**20, cached_tiles: int = 2048) -> None:
        """The caches hold about `cached_batch_bytes` of entries and `cached_tiles` × 8 KiB of hashes."""
        self._store = store
        self._batches: OrderedDict[int, Batch] = OrderedDict()
        self._starts: list[int] = []
        """The keys of `_batches`, sorted; there it is the age that orders."""
        self._batches_room = cached_batch_bytes
        self._hashes: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._cached_tiles = cached_tiles
        self._inner: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        """Hashes of complete subtrees that lie inside tiles: without them a proof costs 255 hashes a level."""
        self._written: dict[int, int] = {}
        self._kept: dict[int, Tile] = {}
        self._looked_for: dict[int, tuple[int, int]] = {}

    async def size(self) -> int:
        """How many entries are stored, signed or not."""
        last = await self._store.last()
        return 0 if last is None else decode_stored(*last).end

    async def frontier_at(self, size: int) -> Frontier:
        """The frontier of the first `size` entries. Raises Malformed beyond what is stored, DamagedLog."""
        if size == 0:
            return EMPTY_FRONTIER
        batch = await self._batch(size - 1)
        if batch.end == size:
            return batch.frontier
        before = await self._frontier_before(batch.start)
        return before.extend(leaf_hash(entry) for entry in batch.entries[: size - batch.start])

    async def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries, 32 bytes. Raises Malformed beyond what is stored, DamagedLog."""
        return (await self.frontier_at(size)).root

    async def entry(self, index: int) -> bytes:
        """One entry. Raises Malformed beyond what is stored, DamagedLog."""
        batch = await self._batch(index)
        return batch.entries[index - batch.start]

    async def entries(self, start: int, end: int) -> tuple[bytes, ...]:
        """The entries [start, end). Raises Malformed beyond what is stored, DamagedLog."""
        found: list[bytes] = []
        at = start
        while at < end:
            if found and self._cached(at) is None:
                await self._load(at, min(end - at, MAX_RUN))
            batch = await self._batch(at)
            found.extend(batch.entries[at - batch.start : end - batch.start])
            at = batch.end
        return tuple(found)

    async def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """The inclusion proof of entry `index` in the tree of `size`. Raises Malformed, DamagedLog."""
        nodes = await self._nodes(inclusion_ranges(index, size), size)
        path = inclusion_path(index, size, lambda level, place: nodes[level, place])
        root = await self.root_at(size)
        try:
            verify_inclusion(index, size, leaf_hash(await self._raw_entry(index)), path, root)
        except (BadProof, Malformed):
            try:
                verify_inclusion(index, size, leaf_hash(await self.entry(index)), path, root)
            except BadProof as error:
                raise _tiles_differ(size) from error
        return path

    async def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        """The consistency proof from `size1` (1 or more) to `size2`. Raises Malformed, DamagedLog."""
        nodes = await self._nodes(consistency_ranges(size1, size2), size2)
        path = consistency_path(size1, size2, lambda level, place: nodes[level, place])
        try:
            verify_consistency(size1, await self.root_at(size1), size2, await self.root_at(size2), path)
        except BadProof as error:
            raise _tiles_differ(size2) from error
        return path

    async def tile(self, tile: Tile) -> bytes:
        """The bytes of a full or partial tile (32·width). Raises Malformed beyond what is stored, DamagedLog."""
        return (await self._tile_hashes(tile.level, tile.index, tile.width))[: tile.width * HASH_BYTES]

    async def bundle(self, bundle: Bundle) -> bytes:
        """The bytes of a full or partial bundle. Raises Malformed beyond what is stored, DamagedLog."""
        start = bundle.index * TILE_WIDTH
        return encode_bundle(await self.entries(start, start + bundle.width))

    async def write_tiles(self, size: int) -> int:
        """Store every full tile of the tree of `size` that is not stored yet; return how many were written.

        Idempotent, in order, each level after the one below it: what a crash cut short is continued. Above level 0 the
        unfinished tile is stored too, at each multiple of KEPT_WIDTH: every hash of it stands for a tile below.
        """
        written, level = 0, 0
        while (count := size >> (TILE_HEIGHT * (level + 1))) > 0:
            if level not in self._written:
                self._written[level] = await self._first_unwritten(level, count)
            while self._written[level] < count:
                tile = Tile(level=level, index=self._written[level])
                await self._store.put_tile(tile.path, await self.tile(tile))
                self._written[level] += 1
                written += 1
            level += 1
        for upper in range(1, level + 1):
            await self._keep_unfinished(upper, size)
        return written

    async def _keep_unfinished(self, level: int, size: int) -> None:
        index, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
        if width < KEPT_WIDTH:
            return
        kept = Tile(level=level, index=index, width=width - width % KEPT_WIDTH)
        if self._kept.get(level) != kept:
            await self._store.put_tile(kept.path, await self.tile(kept))
            self._kept[level] = kept

    async def _first_unwritten(self, level: int, count: int) -> int:
        """Tiles are written in order, so the first missing one is found by halving."""
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if await self._store.get_tile(Tile(level=level, index=middle).path) is None:
                high = middle
            else:
                low = middle + 1
        return low

    async def _batch(self, index: int) -> Batch:
        """The batch that holds entry `index`, re-derived from the frontier before it."""
        cached = self._cached(index)
        if cached is not None:
            return cached
        found = await self._store.covering(index) if index >= 0 else None
        if found is None or (batch := decode_stored(*found)).end <= index:
            raise Malformed(f"there is no entry {index} in the log", "Ask for an index below the log's size.")
        check_extends(await self._frontier_before(batch.start), batch)
        self._keep(batch)
        return batch

    async def _load(self, start: int, limit: int) -> None:
        """Have the batches from `start` on cached, up to `limit`, where they follow one that is: at one look."""
        frontier = await self._frontier_before(start)
        for at, data in await self._store.run(start, limit):
            if at != frontier.size:
                return  # a gap, which is named when it is read
            batch = decode_stored(at, data)
            check_extends(frontier, batch)
            self._keep(batch)
            frontier = batch.frontier

    async def _raw_entry(self, index: int) -> bytes:
        """An entry as it is stored. Its batch is not derived again: the caller has a proof."""
        cached = self._cached(index)
        if cached is not None:
            return cached.entries[index - cached.start]
        found = await self._store.covering(index)
        return b"" if found is None else entry_in(found[1], index)

    async def _frontier_before(self, start: int) -> Frontier:
        cached = self._cached(start - 1)
        if cached is not None and cached.end == start:
            return cached.frontier
        return await frontier_before(self._store, start)

    def _cached(self, index: int) -> Batch | None:
        """The cached batch that holds entry `index`."""
        place = bisect_right(self._starts, index)
        batch = self._batches[self._starts[place - 1]] if place else None
        return batch if batch is not None and index < batch.end else None

    def _keep(self, batch: Batch) -> None:
        if batch.start not in self._batches:
            self._batches[batch.start] = batch
            insort(self._starts, batch.start)
            self._batches_room -= _weight(batch)
        while self._batches_room < 0 and len(self._batches) > 1:
            start, oldest = self._batches.popitem(last=False)
            del self._starts[bisect_left(self._starts, start)]
            self._batches_room += _weight(oldest)

    async def _nodes(self, ranges: Iterable[tuple[int, int]], size: int) -> dict[tuple[int, int], bytes]:
        await self._load_edge(size)
        return {node: await self._node(*node) for start, end in ranges for node in subtrees(start, end)}

    async def _node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree (level, index), from the tile that it stands in."""
        known = self._inner.get((level, index))
        if known is not None:
            self._inner.move_to_end((level, index))
            return known
        tile_level, height = divmod(level, TILE_HEIGHT)
        first, count = index << height, 1 << height
        place = first & _MASK
        hashes = await self._tile_hashes(tile_level, first >> TILE_HEIGHT, place + count)
        root = joined_root(hashes[place * HASH_BYTES : (place + count) * HASH_BYTES])
        if height > 0:
            self._inner[level, index] = root
            if len(self._inner) > _INNER_HASHES:
                self._inner.popitem(last=False)
        return root

    async def _tile_hashes(self, level: int, index: int, width: int) -> bytes:
        """At least `width` hashes of a tile: cached, stored, or derived from what stands below."""
        key = level, index
        hashes = self._hashes.get(key, b"")
        if not hashes:
            stored = await self._store.get_tile(Tile(level=level, index=index).path)
            if stored is not None and len(stored) != TILE_WIDTH * HASH_BYTES:
                raise DamagedLog(f"the stored tile {Tile(level=level, index=index).path} has {len(stored)} bytes")
            hashes = stored or b""
        have = len(hashes) // HASH_BYTES
        if have < width:
            first = index * TILE_WIDTH
            if level == 0:
                more = [leaf_hash(entry) for entry in await self.entries(first + have, first + width)]
            else:
                more = [
                    joined_root(await self._tile_hashes(level - 1, first + place, TILE_WIDTH))
                    for place in range(have, width)
                ]
            hashes += b"".join(more)
        if len(hashes) >= len(self._hashes.get(key, b"")):  # another task may have got further meanwhile
            self._hashes[key] = hashes
        self._hashes.move_to_end(key)
        while len(self._hashes) > self._cached_tiles:
            self._hashes.popitem(last=False)
        return hashes

    async def _load_edge(self, size: int) -> None:
        """Take what is stored of the unfinished tiles above level 0: the first time that this edge is asked for."""
        for level in range(1, levels_of(size)):
            index, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
            kept_width = width - width % KEPT_WIDTH
            if (level, index) in self._hashes or self._looked_for.get(level) == (index, kept_width):
                continue
            self._looked_for[level] = index, kept_width
            # The newest may not be written yet; then the one before it is.
            for fewer in range(kept_width, max(0, kept_width - 2 * KEPT_WIDTH), -KEPT_WIDTH):
                kept = Tile(level=level, index=index, width=fewer)
                stored = await self._store.get_tile(kept.path)
                if stored is not None:
                    if len(stored) != fewer * HASH_BYTES:
                        raise DamagedLog(f"the stored tile {kept.path} has {len(stored)} bytes")
                    self._hashes.setdefault((level, index), stored)
                    break


def _weight(batch: Batch) -> int:
    hashes = len(batch.frontier.hashes) * (HASH_BYTES + _ENTRY_OVERHEAD)  # most of a batch of one entry
    return _BATCH_OVERHEAD + hashes + sum(len(entry) + _ENTRY_OVERHEAD for entry in batch.entries)


def _tiles_differ(size: int) -> DamagedLog:
    return DamagedLog(
        f"the stored tiles do not lead to the root of size {size} that the batches give",
        "Run the audit: it names the tile. Tiles can be deleted; they are derived again from the batches.",
    )
