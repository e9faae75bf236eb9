"""Seal one item in constant memory: read, hash the plaintext, encrypt, hash each segment, on two balanced threads.

The caller's thread reads a block of 1 MiB, hashes it and encrypts the first part of its chunks; a second thread
encrypts the rest into the same buffer and hashes the segment. Chunks are independent (the nonce is a counter), so where
a block is split is free, and both threads have about the same to do. Hashing, encryption and reading release the GIL.
Every byte is hashed twice in all: plaintext, and ciphertext by segment.

**Resuming.** The same keys over a changed plaintext would give away the XOR of both. So a segment whose hash was
recorded is handed out only when it is equal byte for byte to what it was (equal SHA-256), and a segment that was never
recorded only after all recorded ones were found equal. The caller keeps its part: record a segment's hash durably
*before* the first byte of it leaves the machine, and never use the keys again after SourceChanged.
"""

import contextlib
import hashlib
import mmap
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.errors import BadInput
from app.sealing.keys import ItemKeys
from app.sealing.segments import (
    MAX_SEGMENT_BYTES,
    PRELUDE_BYTES,
    SEGMENT_CHUNKS,
    item_length,
    segment_count,
    segment_sizes,
)
from app.sealing.sources import Source, source_changed
from app.sealing.stream import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, chunk_nonce
from app.sealing.x25519 import Recipient

BLOCK_CHUNKS = 16
BLOCK_BYTES = BLOCK_CHUNKS * CHUNK_BYTES
_RING = 8
_READER_CHUNKS = (5, 6, 6, 7, 8)
"""How many of a block's 16 chunks the reading thread encrypts when 0, 1, … 4 or more blocks wait for the other thread.

Six make both threads equally long where SHA-256 runs at 1.8 GB/s and encryption at 3; the length of the queue corrects
it for other machines and for a core that is busy elsewhere."""

_Buffer = bytearray | mmap.mmap
_BUFFER_TYPES = (bytearray, mmap.mmap)


class Segment:
    """One sealed segment. `data` stays valid until `release()`, which gives its 33.5 MB to the next segment."""

    def __init__(self, index: int, data: memoryview, sha256: bytes, free: "queue.SimpleQueue[_Buffer]") -> None:
        self.index = index
        self.data = data
        self.sha256 = sha256
        self._free = free

    def release(self) -> None:
        """Give the memory back; `data` cannot be read afterwards. Without it the memory is freed with the object."""
        buffer = self.data.obj
        self.data.release()
        if isinstance(buffer, _BUFFER_TYPES):
            self._free.put(buffer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What is known when an item is sealed: plaintext size and SHA-256, ciphertext length, all segment hashes."""

    size: int
    sha256: bytes
    length: int
    segments: tuple[bytes, ...]


class ItemSealer:
    """Seals one source; iterate over `segments()` once, to the end, then read `result`.

    `recorded` are the hashes of the first segments of an earlier run with the same keys; `skip` the indices of those
    that need not be handed out again (they are checked all the same). `progress` is called with the plaintext bytes
    done so far. Raises SourceChanged, BadInput.
    """

    def __init__(
        self,
        source: Source,
        *,
        keys: ItemKeys,
        recipient: Recipient,
        recorded: Sequence[bytes] = (),
        skip: Collection[int] = (),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._source = source
        self._prelude = keys.prelude(recipient)
        self._cipher = keys.cipher()
        self._recorded = tuple(recorded)
        self._skip = frozenset(skip)
        self._progress = progress
        self._result: Sealed | None = None
        self.size = source.stat.size
        self.length = item_length(self.size)
        self.count = segment_count(self.length)
        if len(self._recorded) > self.count or not self._skip <= set(range(len(self._recorded))):
            raise BadInput("the recorded segments are not those of this file", "Start over.", code="bad_resume_state")

    @property
    def result(self) -> Sealed:
        """Raises BadInput (not_finished) before `segments()` has come to its end."""
        if self._result is None:
            raise BadInput("the item is not sealed yet", "Take all segments first.", code="not_finished")
        return self._result

    def segments(self) -> Iterator[Segment]:
        """Yield the segments in order. At most one more than the caller holds is in memory."""
        if self.size <= BLOCK_BYTES:
            yield from self._small()
            return
        plain = hashlib.sha256()
        hashes: list[bytes] = []
        tail = _Tail(self._cipher)
        tail.start()
        try:
            for done in self._run(plain, tail):
                hashes.append(done.sha256)
                if done.index < len(self._recorded) and self._recorded[done.index] != done.sha256:
                    raise source_changed(self._source.name, f"segment {done.index} is not what was recorded")
                # Before any segment leaves: a source that moved meanwhile is no evidence of anything.
                self._source.check()
                if done.index in self._skip:
                    done.release()
                else:
                    yield done
        finally:
            tail.stop()
        self._result = Sealed(size=self.size, sha256=plain.digest(), length=self.length, segments=tuple(hashes))

    def _small(self) -> Iterator[Segment]:
        """One block: there is nothing to share between threads."""
        plain, buffer = bytearray(self.size), bytearray(self.length)
        view = memoryview(plain)
        self._source.fill(view)
        count = max(1, -(-self.size // CHUNK_BYTES))
        buffer[:PRELUDE_BYTES] = self._prelude
        part = _Part(
            plain=view,
            sealed=memoryview(buffer),
            at=PRELUDE_BYTES,
            first=0,
            count=count,
            beyond=count,
            block=plain,
        )
        part.encrypt(self._cipher, 0, count)
        sha256 = hashlib.sha256(buffer).digest()
        if self._progress is not None:
            self._progress(self.size)
        if self._recorded and self._recorded[0] != sha256:
            raise source_changed(self._source.name, "segment 0 is not what was recorded")
        self._source.check()
        digest = hashlib.sha256(plain).digest()
        if 0 not in self._skip:
            yield Segment(0, memoryview(buffer), sha256, queue.SimpleQueue())
        self._result = Sealed(size=self.size, sha256=digest, length=self.length, segments=(sha256,))

    def _run(self, plain: "hashlib._Hash", tail: "_Tail") -> Iterator[Segment]:
        read = 0
        chunks = max(1, -(-self.size // CHUNK_BYTES))
        for index, size in enumerate(segment_sizes(self.length)):
            buffer = tail.take_buffer()
            at = PRELUDE_BYTES if index == 0 else 0
            if index == 0:
                buffer[:PRELUDE_BYTES] = self._prelude
            first = index * SEGMENT_CHUNKS
            beyond = min(chunks, first + SEGMENT_CHUNKS)
            while first < beyond:
                count = min(BLOCK_CHUNKS, beyond - first)
                length = min(self.size - read, count * CHUNK_BYTES)
                block = tail.take_block()
                view = memoryview(block)[:length]
                self._source.fill(view)
                plain.update(view)
                split = min(count, _READER_CHUNKS[min(tail.parts.qsize(), len(_READER_CHUNKS) - 1)])
                part = _Part(
                    plain=view, sealed=memoryview(buffer), at=at, first=first, count=count, beyond=chunks, block=block
                )
                part.encrypt(self._cipher, 0, split)
                ends = first + count == beyond
                tail.parts.put((part, split, _End(index, buffer, size) if ends else None))
                at += length + count * TAG_BYTES
                first += count
                read += length
                if self._progress is not None:
                    self._progress(read)
                if (done := tail.finished(wait=False)) is not None:
                    yield done
        while (done := tail.finished(wait=True)) is not None:
            yield done


def _new_buffer() -> _Buffer:
    """Memory for one segment; in huge pages where the system has them: 17 page faults, not 8,194."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(MAX_SEGMENT_BYTES)
    buffer = mmap.mmap(-1, MAX_SEGMENT_BYTES)
    with contextlib.suppress(OSError):  # a kernel built without them
        buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One block: plaintext, the segment's buffer, where the block begins in it, and its place in the file."""

    plain: memoryview = field(repr=False)
    sealed: memoryview = field(repr=False)
    at: int
    first: int
    count: int
    beyond: int
    block: bytearray = field(repr=False)

    def encrypt(self, cipher: ChaCha20Poly1305, start: int, end: int) -> None:
        """Encrypt the chunks [start, end) of the block into place."""
        for i in range(start, end):
            chunk = self.plain[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
            at = self.at + i * SEALED_CHUNK_BYTES
            nonce = chunk_nonce(self.first + i, self.first + i == self.beyond - 1)
            cipher.encrypt_into(nonce, chunk, None, self.sealed[at : at + len(chunk) + TAG_BYTES])

    @property
    def sealed_end(self) -> int:
        return self.at + len(self.plain) + self.count * TAG_BYTES


@dataclass(frozen=True, slots=True)
class _End:
    """The part is the last of its segment."""

    index: int
    buffer: _Buffer = field(repr=False)
    size: int


class _Tail:
    """The second thread: encrypts the rest of each block and hashes the segments."""

    def __init__(self, cipher: ChaCha20Poly1305) -> None:
        self.parts: queue.SimpleQueue[tuple[_Part, int, _End | None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Segment | BaseException] = queue.SimpleQueue()
        self._blocks: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._buffers: queue.SimpleQueue[_Buffer] = queue.SimpleQueue()
        self._cipher = cipher
        self._thread = threading.Thread(target=self._work, name="seal-tail", daemon=True)
        self._unfinished = 0
        for _ in range(_RING):
            self._blocks.put(bytearray(BLOCK_BYTES))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it still had to do is dropped."""
        while True:
            try:
                self.parts.get_nowait()
            except queue.Empty:
                break
        self.parts.put(None)
        self._thread.join()

    def take_block(self) -> bytearray:
        """Wait for a free block of 1 MiB."""
        block = self._blocks.get()
        if block is None:
            self.finished(wait=True)
            raise RuntimeError("the sealing thread ended without an error")
        return block

    def take_buffer(self) -> _Buffer:
        """Return the memory of a segment: one given back, or new."""
        self._unfinished += 1
        try:
            return self._buffers.get_nowait()
        except queue.Empty:
            return _new_buffer()

    def finished(self, *, wait: bool) -> Segment | None:
        """Return the next finished segment, or None when there is none (with `wait`: when none is under way)."""
        if self._unfinished == 0:
            return None
        try:
            done = self._done.get(block=wait)
        except queue.Empty:
            return None
        if isinstance(done, BaseException):
            raise done
        self._unfinished -= 1
        return done

    def _work(self) -> None:
        digest = hashlib.sha256()
        hashed = 0
        try:
            while (entry := self.parts.get()) is not None:
                part, split, end = entry
                part.encrypt(self._cipher, split, part.count)
                digest.update(part.sealed[hashed : part.sealed_end])
                hashed = part.sealed_end
                self._blocks.put(part.block)
                if end is not None:
                    data = memoryview(end.buffer)[: end.size]
                    self._done.put(Segment(end.index, data, digest.digest(), self._buffers))
                    digest = hashlib.sha256()
                    hashed = 0
        except BaseException as error:  # handed to the thread that waits
            self._done.put(error)
            self._blocks.put(None)
