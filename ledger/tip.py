"""Reading the newest state of a log from stored bytes, verified: used at the start, after a fault, and to catch up."""

from ledger.batch import Batch, check_extends
from ledger.checkpoint import Checkpoint
from ledger.errors import DamagedLog, Forked, Malformed
from ledger.merkle import EMPTY_FRONTIER, Frontier, leaf_hash
from ledger.ports import LogStore

_RESTORE = "Run the audit; restore the store from a backup that passes it."


def decode_stored(start: int, data: bytes) -> Batch:
    """The batch that stands under `start`. Raises DamagedLog when the bytes are not that batch."""
    try:
        batch = Batch.decode(data)
    except Malformed as error:
        raise DamagedLog(f"the stored batch {start} cannot be read: {error.message}", _RESTORE) from error
    if batch.start != start:
        raise DamagedLog(f"under the batch id {start} stands the batch from {batch.start}", _RESTORE)
    return batch


async def load_frontier(store: LogStore) -> Frontier:
    """The frontier after the last batch, re-derived from its entries and the frontier before it.

    Raises DamagedLog, and whatever the store raises.
    """
    last = await store.last()
    if last is None:
        return EMPTY_FRONTIER
    batch = decode_stored(*last)
    check_extends(await frontier_before(store, batch.start), batch)
    return batch.frontier


async def frontier_before(store: LogStore, start: int) -> Frontier:
    """The frontier that the batch from `start` extends, as the batch before it holds it. Raises DamagedLog."""
    if start == 0:
        return EMPTY_FRONTIER
    found = await store.covering(start - 1)
    if found is None:
        raise DamagedLog(f"there is a batch {start} but none before it", _RESTORE)
    before = decode_stored(*found)
    if before.end != start:
        raise DamagedLog(f"the batch {before.start} ends at {before.end}, and the next one starts at {start}", _RESTORE)
    return before.frontier


async def check_stands(store: LogStore, frontier: Frontier) -> None:
    """Raise Forked unless the tree of `frontier`, which was signed, is still what the store holds up to that size."""
    if frontier.size == 0:
        return
    found = await store.covering(frontier.size - 1)
    if found is None or decode_stored(*found).frontier != frontier:
        raise Forked(
            f"the store no longer holds the tree of size {frontier.size} that was signed",
            "Do not serve this store: it lost or replaced signed entries. Restore it from the replica that has them.",
        )


async def check_published(store: LogStore, checkpoint: Checkpoint) -> None:
    """Raise Forked unless the tree of `checkpoint`, which was published, is what the store holds up to its size."""
    if checkpoint.size == 0:
        return
    found = await store.covering(checkpoint.size - 1)
    root = None
    if found is not None:
        batch = decode_stored(*found)
        before = await frontier_before(store, batch.start)
        if checkpoint.size <= batch.end:
            root = before.extend(leaf_hash(entry) for entry in batch.entries[: checkpoint.size - batch.start]).root
    if root != checkpoint.root:
        raise Forked(
            f"the store does not hold the tree of size {checkpoint.size} that was published",
            "Do not serve this store: it lost or replaced published entries. Restore it from a replica that has them.",
        )


async def read_next(store: LogStore, frontier: Frontier) -> Batch | None:
    """The batch that stands right after `frontier`, re-derived, or None. Raises DamagedLog."""
    data = await store.read(frontier.size)
    if data is None:
        return None
    batch = decode_stored(frontier.size, data)
    check_extends(frontier, batch)
    return batch
