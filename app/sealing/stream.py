"""The payload of an age file: STREAM over ChaCha20-Poly1305, in chunks of 64 KiB (age v1, "Payload").

A chunk's nonce is an 11-byte counter and a byte that is 1 for the last chunk only. The last chunk may be short; it is
empty only when the whole payload is. So a cut, a repeat, a swap and an addition all fail the tag of some chunk.
"""

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.errors import Mismatch
from app.sealing.header import hkdf

CHUNK_BYTES = 65536
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
PAYLOAD_NONCE_BYTES = 16


def payload_cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    """Return the cipher of the payload under the 16-byte file key and the 16-byte nonce that precedes the payload."""
    return ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))


def chunk_nonce(index: int, last: bool) -> bytes:
    """Return the 12-byte nonce of the chunk at `index`."""
    return index.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def sealed_size(plain_size: int) -> int:
    """Return the size of the chunks of `plain_size` bytes, tags included."""
    return plain_size + TAG_BYTES * max(1, -(-plain_size // CHUNK_BYTES))


def plain_size(chunks_size: int) -> int | None:
    """Return the plaintext size of chunks of that size together, or None if no payload has it."""
    chunks = -(-chunks_size // SEALED_CHUNK_BYTES)
    plain = chunks_size - TAG_BYTES * chunks
    return plain if chunks and plain >= 0 and sealed_size(plain) == chunks_size else None


def encrypt_chunks(cipher: ChaCha20Poly1305, data: bytes) -> bytes:
    """Return all chunks of a payload that is small enough to be held in memory."""
    count = max(1, -(-len(data) // CHUNK_BYTES))
    view = memoryview(data)
    return b"".join(
        cipher.encrypt(chunk_nonce(i, i == count - 1), view[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES], None)
        for i in range(count)
    )


def decrypt_chunks(cipher: ChaCha20Poly1305, source: BinaryIO) -> Iterator[bytes]:
    """Yield the plaintext of each chunk up to the end of `source`.

    What was yielded is authentic but the payload is whole only when the iterator ends. Raises Mismatch (bad_payload).
    """
    chunk = source.read(SEALED_CHUNK_BYTES)
    index = 0
    while True:
        following = source.read(SEALED_CHUNK_BYTES) if len(chunk) == SEALED_CHUNK_BYTES else b""
        yield open_chunk(cipher, chunk, index, last=not following)
        if not following:
            return
        chunk = following
        index += 1


def open_chunk(cipher: ChaCha20Poly1305, chunk: bytes | memoryview, index: int, *, last: bool) -> bytes:
    """Return the plaintext of the chunk at `index`. Raises Mismatch (bad_payload)."""
    if len(chunk) < TAG_BYTES or (len(chunk) == TAG_BYTES and index > 0):
        raise bad_payload("ends inside a chunk" if len(chunk) < TAG_BYTES else "ends with an empty chunk")
    try:
        return cipher.decrypt(chunk_nonce(index, last), chunk, None)
    except InvalidTag:
        raise bad_payload(f"is altered, cut off or continued at chunk {index}") from None


def bad_payload(why: str) -> Mismatch:
    """The error for a payload that does not authenticate."""
    return Mismatch(f"the sealed content {why}", "Fetch the file again; keep this copy.", code="bad_payload")
