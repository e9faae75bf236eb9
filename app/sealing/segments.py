"""How an item's ciphertext is cut: 512 age chunks a segment, so that each segment holds whole chunks.

An item is an age file with exactly one X25519 stanza, so its header has 168 bytes; header and payload nonce (16) join
the first segment, and the last one is shorter. Every size follows from the plaintext's, and back. A segment is named by
the SHA-256 of its bytes; the item by its length and the RFC 6962 tree head over these hashes as entries.
"""

from collections.abc import Sequence

from app.errors import BadInput
from app.sealing.stream import CHUNK_BYTES, PAYLOAD_NONCE_BYTES, SEALED_CHUNK_BYTES, plain_size, sealed_size
from ledger.merkle import leaf_hash, root_of

SEGMENT_CHUNKS = 512
SEGMENT_BYTES = SEGMENT_CHUNKS * SEALED_CHUNK_BYTES
"""33,562,624: a segment that is neither the first nor the last."""
SEGMENT_PLAIN_BYTES = SEGMENT_CHUNKS * CHUNK_BYTES
HEADER_BYTES = 168
PRELUDE_BYTES = HEADER_BYTES + PAYLOAD_NONCE_BYTES
"""What precedes the chunks in the first segment."""
MAX_SEGMENT_BYTES = PRELUDE_BYTES + SEGMENT_BYTES


def item_length(plain_bytes: int) -> int:
    """Return the ciphertext length of an item whose plaintext has `plain_bytes` bytes."""
    return PRELUDE_BYTES + sealed_size(plain_bytes)


def item_plain_size(length: int) -> int:
    """Return the plaintext size of an item of that ciphertext length. Raises BadInput (impossible_length)."""
    size = plain_size(length - PRELUDE_BYTES)
    if size is None:
        raise BadInput(f"no item is {length} bytes long", "Ask for the original manifest.", code="impossible_length")
    return size


def segment_count(length: int) -> int:
    """Return the number of segments of an item of that ciphertext length, at least 1."""
    return max(1, -(-(length - PRELUDE_BYTES) // SEGMENT_BYTES))


def segment_sizes(length: int) -> tuple[int, ...]:
    """Return the size of each segment of an item of that ciphertext length."""
    count = segment_count(length)
    sizes = [MAX_SEGMENT_BYTES, *[SEGMENT_BYTES] * (count - 1)]
    sizes[-1] -= sum(sizes) - length
    return tuple(sizes)


def item_root(segment_hashes: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 tree head over the 32-byte segment hashes as entries."""
    return root_of(leaf_hash(each) for each in segment_hashes)
