"""The one document that a commit inserts: entries, and the tree after them, unsigned.

    ASCII `muniment-batch/v1\\n` | u64 start | u32 count | count × (u16 length ‖ entry)
    | u8 h | h × 32-byte frontier AFTER the batch, the largest subtree first | 32-byte root

Integers are big-endian. A batch's id is the tree size that it extends, in 20 decimal digits, so of two writers at one
size the second finds the id taken. Pure: no store, no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import DamagedLog, Malformed
from ledger.merkle import HASH_BYTES, MAX_SIZE, Frontier, leaf_hashes
from ledger.tiles import MAX_ENTRY_BYTES, decode_entries, encode_entries

MAGIC = b"muniment-batch/v1\n"
MAX_BATCH_BYTES = 8 * 1024 * 1024

_START_AT = len(MAGIC)
_COUNT_AT = _START_AT + 8
_ENTRIES_AT = _COUNT_AT + 4
_FRAME_BYTES = _ENTRIES_AT + 1 + 63 * HASH_BYTES + HASH_BYTES
"""All but the entries, with the largest frontier that there can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """`entries` (1 or more, each up to 65,535 bytes) at index `start`, and the frontier of the tree with them."""

    start: int
    entries: tuple[bytes, ...]
    frontier: Frontier

    def __post_init__(self) -> None:
        if not self.entries:
            raise Malformed("a batch without entries")
        if self.start < 0 or self.frontier.size != self.start + len(self.entries):
            raise Malformed(
                f"a batch of {len(self.entries)} entries from {self.start} has a frontier of size {self.frontier.size}"
            )
        if _FRAME_BYTES + 2 * len(self.entries) + sum(map(len, self.entries)) > MAX_BATCH_BYTES:
            raise Malformed(f"a batch of more than {MAX_BATCH_BYTES} bytes")
        if max(map(len, self.entries)) > MAX_ENTRY_BYTES:
            raise Malformed(f"a batch with an entry of more than {MAX_ENTRY_BYTES} bytes")

    @property
    def end(self) -> int:
        """The tree's size after the batch."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """The tree's root after the batch."""
        return self.frontier.root

    def encode(self) -> bytes:
        """The batch's bytes."""
        return b"".join(
            (
                MAGIC,
                self.start.to_bytes(8, "big"),
                len(self.entries).to_bytes(4, "big"),
                encode_entries(self.entries),
                bytes([len(self.frontier.hashes)]),
                *self.frontier.hashes,
                self.root,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "Batch":
        """Read a batch; `encode` gives the same bytes back. Raises Malformed.

        The root must be that of the frontier; that both are those of the entries is for `check_extends` to say.
        """
        if len(data) > MAX_BATCH_BYTES:
            raise Malformed(f"a batch of more than {MAX_BATCH_BYTES} bytes")
        if not data.startswith(MAGIC) or len(data) < _ENTRIES_AT:
            raise Malformed("the bytes are not a batch")
        start = int.from_bytes(data[_START_AT:_COUNT_AT], "big")
        count = int.from_bytes(data[_COUNT_AT:_ENTRIES_AT], "big")
        entries, at = decode_entries(data, _ENTRIES_AT, count)
        hashes_at = at + 1
        root_at = hashes_at + HASH_BYTES * int.from_bytes(data[at:hashes_at], "big")
        if root_at + HASH_BYTES != len(data):
            raise Malformed(f"the batch from {start} has another length than its counts say")
        hashes = tuple(data[at : at + HASH_BYTES] for at in range(hashes_at, root_at, HASH_BYTES))
        batch = cls(start=start, entries=entries, frontier=Frontier(size=start + count, hashes=hashes))
        if batch.root != data[root_at:]:
            raise Malformed(f"the root of the batch from {start} is not that of its frontier")
        return batch


def next_batch(frontier: Frontier, entries: Sequence[bytes]) -> Batch:
    """The batch that appends `entries` to the tree of `frontier`. Raises Malformed (none, too large, too many)."""
    after = frontier.extend(leaf_hashes(entries))
    return Batch(start=frontier.size, entries=tuple(entries), frontier=after)


def check_extends(frontier: Frontier, batch: Batch, leaves: Sequence[bytes] | None = None) -> None:
    """Raise DamagedLog unless `batch` stands right after `frontier` and its entries re-derive its own frontier.

    `leaves` are the hashes of its entries, where the caller needs them too.
    """
    if batch.start != frontier.size:
        raise DamagedLog(f"the batch from {batch.start} does not extend the tree of size {frontier.size}")
    if frontier.extend(leaf_hashes(batch.entries) if leaves is None else leaves) != batch.frontier:
        raise DamagedLog(
            f"the entries {batch.start} to {batch.end - 1} do not re-derive the stored frontier of size {batch.end}",
            "Run the audit; restore the store from a backup that passes it.",
        )


def entry_in(data: bytes, index: int) -> bytes:
    """Entry `index` of an encoded batch, without reading the others: for who proves it against a root anyway.

    Raises Malformed when the bytes are no batch or do not reach so far.
    """
    start = int.from_bytes(data[_START_AT:_COUNT_AT], "big")
    if not data.startswith(MAGIC) or not start <= index < start + int.from_bytes(data[_COUNT_AT:_ENTRIES_AT], "big"):
        raise Malformed(f"the bytes are no batch that holds entry {index}")
    at = _ENTRIES_AT
    for _ in range(index - start):
        at += 2 + (data[at] << 8 | data[at + 1]) if at + 2 <= len(data) else 2
    return decode_entries(data, at, 1)[0][0]


def entry_span(batch: Batch, index: int) -> tuple[int, int]:
    """Where entry `index` stands in the batch's bytes, its length included: [start, end)."""
    at = _ENTRIES_AT + sum(2 + len(entry) for entry in batch.entries[: index - batch.start])
    return at, at + 2 + len(batch.entries[index - batch.start])


def how_many_fit(entries: Sequence[bytes]) -> int:
    """How many of `entries`, from the first, make one batch of at most MAX_BATCH_BYTES."""
    room = MAX_BATCH_BYTES - _FRAME_BYTES
    if 2 * len(entries) + sum(map(len, entries)) <= room:
        return len(entries)
    for count, entry in enumerate(entries):
        room -= 2 + len(entry)
        if room < 0:
            return count
    return len(entries)


def batch_id(start: int) -> str:
    """The id of the batch that extends the tree of size `start`: 20 decimal digits, so ids sort as sizes do."""
    if not 0 <= start <= MAX_SIZE:
        raise Malformed(f"no batch starts at {start}")
    return f"{start:020}"


def parse_batch_id(text: str) -> int:
    """The start that a batch's id names. Raises Malformed."""
    if len(text) != 20 or not (text.isascii() and text.isdigit()) or int(text) > MAX_SIZE:
        raise Malformed(f"not the id of a batch: {text[:80]!a}")
    return int(text)
