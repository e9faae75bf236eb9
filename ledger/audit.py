"""Re-derives everything from stored bytes and names what is wrong; reads once from the first batch to the last.

Memory stays bounded: a run of batches of some 8 MiB, and up to 256 hashes a level. Looked at are every batch's form,
place and frontier; gaps between batches; every tile that is stored, hash by hash (which names the changed entry's
index); and signed checkpoints (the log's own and any that others kept): their signature, and that their tree is a
prefix of what stands.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from ledger.batch import MAX_BATCH_BYTES, Batch, batch_id, check_extends, entry_span
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import DamagedLog, LedgerError
from ledger.merkle import EMPTY_FRONTIER, HASH_BYTES, Frontier, joined_root, leaf_hash, leaf_hashes
from ledger.note import Note, VerifierKey
from ledger.ports import LogStore
from ledger.tiles import KEPT_WIDTH, TILE_WIDTH, Tile
from ledger.tip import decode_stored

MAX_RUN = 256
"""Batches that are read at one look, at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a stable code, where (a batch's id, a tile's path, a checkpoint), and what."""

    code: str
    """`bad_batch`, `gap`, `bad_tile`, `bad_checkpoint`, `truncated` or `forked`."""
    place: str
    message: str
    index: int | None = None
    """The entry concerned, where one can be told."""
    span: tuple[int, int] | None = None
    """The first bytes that are wrong, [start, end) within what `place` names, as closely as it can be told."""


async def audit(
    store: LogStore,
    key: VerifierKey | None = None,
    checkpoints: Iterable[str] = (),
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> AsyncIterator[Finding]:
    """Check a whole log; yields nothing when all is well. `checkpoints` are signed notes, checked with `key`.

    Without `key` the checkpoints' signatures are not checked. Raises only what the store raises. What is appended
    meanwhile may be looked at or not; it is no finding. `tell` takes (entries done, start of the last batch).
    """
    pending: list[Checkpoint] = []
    for number, text in enumerate(checkpoints):
        try:
            pending.append(_read_checkpoint(text, key))
        except LedgerError as error:
            yield Finding(code="bad_checkpoint", place=f"checkpoint {number}", message=error.message)
    pending.sort(key=lambda checkpoint: checkpoint.size)

    tiles = _Tiles(store)
    before: Frontier | None = EMPTY_FRONTIER  # None where it is not known, after damage
    at = 0
    batches = _Batches(store)
    last = await store.last()
    while last is not None and at <= last[0]:
        data = await batches.under(at)
        following = None if data is not None else await next_start(store, at, last[0])
        if data is None:
            message = f"the entries from {at} on are missing; the next stored batch starts at {following}"
            yield Finding(code="gap", place=batch_id(at), message=message, index=at)
        else:
            try:
                batch = decode_stored(at, data)
            except DamagedLog as error:
                yield Finding(
                    code="bad_batch", place=batch_id(at), message=error.message, index=at, span=(0, len(data))
                )
                following = await next_start(store, at, last[0])
                if following is None:
                    break
        if following is not None:
            before, at = None, following
            continue
        derived = before is not None
        leaves = leaf_hashes(batch.entries)
        if before is not None:
            try:
                check_extends(before, batch, leaves)
            except DamagedLog as error:
                derived = False
                span = entry_span(batch, batch.start)[0], entry_span(batch, batch.end - 1)[1]
                yield Finding(code="bad_batch", place=batch_id(at), message=error.message, index=at, span=span)
        async for finding in tiles.add(batch.start, leaves, trusted=derived):
            yield finding
        while pending and pending[0].size <= batch.end:
            root = _root_at(pending[0].size, before, batch)
            if root != pending[0].root:
                yield _forked(pending[0], root)
            pending.pop(0)
        before, at = batch.frontier, batch.end
        tell(at, max(at, last[0]))
    for checkpoint in pending:
        if checkpoint.size > 0:
            message = f"a checkpoint of size {checkpoint.size} was signed, and only {at} entries can be read"
            yield Finding(code="truncated", place=_place(checkpoint), message=message, index=at)


class _Batches:
    """Reads batches in runs: one look at the store for many small ones."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._limit = 8

    async def under(self, start: int) -> bytes | None:
        """What stands under `start`, which only grows."""
        while self._waiting and self._waiting[0][0] < start:
            self._waiting.popleft()
        if not self._waiting:
            self._waiting.extend(await self._store.run(start, self._limit))
            if self._waiting:
                mean = sum(len(data) for _, data in self._waiting) // len(self._waiting)
                self._limit = max(1, min(2 * self._limit, MAX_RUN, MAX_BATCH_BYTES // mean))
        if self._waiting and self._waiting[0][0] == start:
            return self._waiting.popleft()[1]
        return None


class _Tiles:
    """Compares stored full tiles with the leaves that pass by, keeping the unfinished tile of each level."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._levels: list[list[bytes]] = []
        self._doubtful: set[int] = set()
        """Levels whose unfinished tile holds a hash that was not re-derived."""

    async def add(self, start: int, fresh: Sequence[bytes], level: int = 0, *, trusted: bool) -> AsyncIterator[Finding]:
        """Take the hashes of a level from the `start`-th on. After a gap a level goes on with its next whole tile.

        What is `trusted` was re-derived; from anything else the stored tile is believed on the levels above, so that
        one wrong entry is told once, and not again on every level.
        """
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        index, end = start, start + len(fresh)
        while index < end:
            first, index = index, min(end, (index // TILE_WIDTH + 1) * TILE_WIDTH)
            if len(hashes) != first % TILE_WIDTH:
                hashes.clear()
                self._doubtful.discard(level)
                if first % TILE_WIDTH:
                    continue
            hashes += fresh[first - start : index - start]
            if not trusted:
                self._doubtful.add(level)
            if len(hashes) == TILE_WIDTH:
                async for finding in self._full(level, first // TILE_WIDTH):
                    yield finding
            elif (
                level and len(hashes) % KEPT_WIDTH == 0 and level not in self._doubtful
            ):  # above 0 hashes come one by one, so that none is passed over
                tile = Tile(level=level, index=first // TILE_WIDTH, width=len(hashes))
                derived, stored = b"".join(hashes), await self._store.get_tile(tile.path)
                if stored is not None and stored != derived:
                    yield _bad_tile(tile, stored, derived)

    async def _full(self, level: int, index: int) -> AsyncIterator[Finding]:
        """Compare the tile of a level that has become full, and hand its root to the level above."""
        trusted = level not in self._doubtful
        self._doubtful.discard(level)
        tile = Tile(level=level, index=index)
        derived = b"".join(self._levels[level])
        self._levels[level].clear()
        stored = await self._store.get_tile(tile.path)
        if stored is not None and stored != derived:
            yield _bad_tile(tile, stored, derived)
            if not trusted and len(stored) == len(derived):
                derived = stored
        root = joined_root(derived)
        async for finding in self.add(tile.index, (root,), level + 1, trusted=trusted):
            yield finding


def _bad_tile(tile: Tile, stored: bytes, derived: bytes) -> Finding:
    if len(stored) != len(derived):
        message = f"it has {len(stored)} bytes, not {len(derived)}"
        return Finding(code="bad_tile", place=tile.path, message=message, span=(0, len(stored)))
    place = next(at for at in range(len(derived)) if stored[at] != derived[at]) // HASH_BYTES
    span = place * HASH_BYTES, (place + 1) * HASH_BYTES
    index = tile.index * TILE_WIDTH + place
    if tile.level == 0:
        message = f"its hash of entry {index} is not that of the entry"
        return Finding(code="bad_tile", place=tile.path, message=message, index=index, span=span)
    message = f"its hash {place} is not that of the tile below it"
    return Finding(code="bad_tile", place=tile.path, message=message, span=span)


async def next_start(store: LogStore, at: int, last_start: int) -> int | None:
    """The smallest start above `at` under which a batch stands, found by halving."""
    if last_start <= at:
        return None
    low, high = at + 1, last_start
    while low < high:
        middle = (low + high) // 2
        found = await store.covering(middle)
        if found is not None and found[0] > at:
            high = found[0]
        else:
            low = middle + 1
    return high


def _read_checkpoint(text: str, key: VerifierKey | None) -> Checkpoint:
    return Checkpoint.parse_body(Note.parse(text).text) if key is None else verify_checkpoint(text, [key])


def _root_at(size: int, before: Frontier | None, batch: Batch) -> bytes | None:
    """The root of `size` entries, re-derived from the entries where the frontier before them is known."""
    count = size - batch.start
    if before is None or count < 0:
        return batch.root if count == len(batch.entries) else None
    return before.extend(leaf_hash(entry) for entry in batch.entries[:count]).root


def _forked(checkpoint: Checkpoint, root: bytes | None) -> Finding:
    what = "has another root" if root is not None else "cannot be re-derived"
    return Finding(
        code="forked",
        place=_place(checkpoint),
        message=f"the tree of size {checkpoint.size} that was signed {what} in what is stored",
    )


def _place(checkpoint: Checkpoint) -> str:
    return f"checkpoint of size {checkpoint.size} of {checkpoint.origin}"
