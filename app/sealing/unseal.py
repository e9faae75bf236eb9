"""Open one item: check each segment against the manifest, decrypt it, and show the file only when all of it is right.

A segment's hash is compared before anything of it is decrypted. The plaintext goes to a temporary name beside the
output, is flushed to disk, and gets its own name only after the last chunk and the declared digest were checked; an
existing file is never overwritten, and after a failure nothing is left.
"""

import contextlib
import hashlib
import hmac
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.errors import BadInput, Mismatch
from app.sealing.header import AnyIdentity, bad_header, find_file_key, read_header
from app.sealing.segments import HEADER_BYTES, PRELUDE_BYTES, item_plain_size, segment_sizes
from app.sealing.stream import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, bad_payload, chunk_nonce, payload_cipher

_BLOCK_CHUNKS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """What was opened: size in bytes and SHA-256 of the plaintext."""

    size: int
    sha256: bytes


class Unsealer:
    """Takes the segments of one item in order and hands the plaintext to `write`; `finish` says what it was.

    `length` and `segments` (hashes) are those of the manifest. What `write` got is whole only after `finish`. Raises
    Mismatch (segment_mismatch, no_matching_key, bad_header_mac, bad_payload, missing_segments), BadInput
    (bad_age_header, impossible_length, wrong_segment_count).
    """

    def __init__(
        self,
        *,
        length: int,
        segments: Sequence[bytes],
        identity: AnyIdentity,
        write: Callable[[memoryview], object],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.size = item_plain_size(length)
        self._sizes = segment_sizes(length)
        if len(segments) != len(self._sizes):
            raise BadInput(
                f"{len(segments)} segment hashes for {len(self._sizes)} segments",
                "Ask for the original manifest.",
                code="wrong_segment_count",
            )
        self._hashes = tuple(segments)
        self._identity = identity
        self._write = write
        self._progress = progress
        self._cipher: ChaCha20Poly1305 | None = None
        self._next = 0
        self._skipped = 0
        self._chunk = 0
        self._chunks = max(1, -(-self.size // CHUNK_BYTES))
        self._plain = hashlib.sha256()
        self._block = memoryview(bytearray(_BLOCK_CHUNKS * CHUNK_BYTES))
        self._done = 0

    def add(self, segment: bytes | bytearray | memoryview) -> None:
        """Take the next segment, whole."""
        index = self._next
        if index == len(self._sizes):
            raise self._bad_segment(index, "is one more than the manifest lists")
        view = memoryview(segment)
        if len(view) != self._sizes[index]:
            raise self._bad_segment(index, f"has {len(view)} bytes, not {self._sizes[index]}")
        if not hmac.compare_digest(hashlib.sha256(view).digest(), self._hashes[index]):
            raise self._bad_segment(index, "is not the one that the manifest names")
        if index == 0:
            self._cipher = self._open_header(bytes(view[:PRELUDE_BYTES]))
            view = view[PRELUDE_BYTES:]
        assert self._cipher is not None  # noqa: S101 - set with the first segment
        self._decrypt(self._cipher, view)
        self._next += 1

    def skip(self) -> int:
        """Go past the next segment, which cannot be had; return how many bytes of plaintext are missing for it.

        `finish` will not succeed; what is written of the other segments is authentic all the same, each at its place.
        Raises Mismatch (header_missing) for the first segment, without which nothing opens.
        """
        index = self._next
        if index == 0:
            raise Mismatch(
                "the first segment holds the header, and without it nothing of the item opens",
                "Fetch it again; keep this copy.",
                code="header_missing",
            )
        sealed = self._sizes[index]
        chunks = -(-sealed // SEALED_CHUNK_BYTES)
        self._next += 1
        self._chunk += chunks
        self._skipped += 1
        return sealed - chunks * TAG_BYTES

    def finish(self) -> Unsealed:
        """Return what was opened. Raises Mismatch (missing_segments) when segments are missing."""
        came = self._next - self._skipped
        if came != len(self._sizes):
            raise Mismatch(
                f"only {came} of {len(self._sizes)} segments came", "Fetch the rest.", code="missing_segments"
            )
        return Unsealed(size=self._done, sha256=self._plain.digest())

    def _open_header(self, prelude: bytes) -> ChaCha20Poly1305:
        source = io.BytesIO(prelude)
        file_key = find_file_key(read_header(source), (self._identity,))
        if source.tell() != HEADER_BYTES:
            raise bad_header(f"an item's header has {HEADER_BYTES} bytes")
        return payload_cipher(file_key, source.read())

    def _decrypt(self, cipher: ChaCha20Poly1305, view: memoryview) -> None:
        while view:
            filled = 0
            for _ in range(_BLOCK_CHUNKS):
                sealed = view[:SEALED_CHUNK_BYTES]
                view = view[len(sealed) :]
                target = self._block[filled : filled + len(sealed) - TAG_BYTES]
                try:
                    cipher.decrypt_into(chunk_nonce(self._chunk, self._chunk == self._chunks - 1), sealed, None, target)
                except InvalidTag:
                    raise bad_payload(f"does not open at chunk {self._chunk}") from None
                filled += len(target)
                self._chunk += 1
                if not view:
                    break
            self._plain.update(self._block[:filled])
            self._write(self._block[:filled])
            self._done += filled
            if self._progress is not None:
                self._progress(self._done)

    def _bad_segment(self, index: int, how: str) -> Mismatch:
        return Mismatch(f"segment {index} {how}", "Fetch it again; keep this copy.", code="segment_mismatch")


_UNFINISHED = ".unsealing-"


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process left of files that never got their names. Raises OSError."""
    for path in folder.glob(f"{_UNFINISHED}*.part"):
        path.unlink(missing_ok=True)


class OutputFile:
    """A file that appears under its name with `commit()` or not at all; a context manager. Mode 0600.

    Raises BadInput (output_exists, unwritable).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if os.path.lexists(path):
            raise self._exists()
        try:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED, suffix=".part")
        except OSError as error:
            raise BadInput(
                f"{path.parent} cannot be written: {error.strerror}", "Name another folder.", code="unwritable"
            ) from error
        self._temporary: Path | None = Path(name)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()

    def write(self, data: memoryview) -> None:
        """Write all of `data`."""
        while data:
            data = data[self._file.write(data) :]

    def leave(self, count: int) -> None:
        """Leave so many bytes out: they read as zeros."""
        self._file.truncate(self._file.seek(count, os.SEEK_CUR))

    def commit(self) -> None:
        """Flush to disk and give the file its name; afterwards it survives a crash."""
        assert self._temporary is not None  # noqa: S101 - commit is called once
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            try:
                os.link(self._temporary, self.path)  # unlike a rename it fails when the name is taken
                self._temporary.unlink()
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: take the name first, then rename onto our own file
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                os.replace(self._temporary, self.path)
        except FileExistsError:
            raise self._exists() from None
        self._temporary = None
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _exists(self) -> BadInput:
        return BadInput(f"{self.path} exists already", "Name another folder, or move it away.", code="output_exists")


def check_unsealed(unsealed: Unsealed, *, size: int | None = None, sha256: bytes | None = None) -> None:
    """Raise Mismatch (content_differs) unless the content has the declared size and digest, where given."""
    for what, declared, found in (
        ("size", size, unsealed.size),
        ("SHA-256", sha256 and sha256.hex(), unsealed.sha256.hex()),
    ):
        if declared is not None and declared != found:
            raise Mismatch(
                f"the {what} of what was opened is {found}, but {declared} was declared",
                "Publish the opening as not equal; keep everything.",
                code="content_differs",
            )


def unseal_to_file(
    path: Path,
    parts: Iterable[bytes | bytearray | memoryview],
    *,
    length: int,
    segments: Sequence[bytes],
    identity: AnyIdentity,
    size: int | None = None,
    sha256: bytes | None = None,
    progress: Callable[[int], None] | None = None,
) -> Unsealed:
    """Open an item from its segments in order (`parts`) into a new file, all or nothing.

    `size` and `sha256` are what the inventory declares. Raises as `Unsealer`, `OutputFile` and `check_unsealed`.
    """
    with OutputFile(path) as output:
        unsealer = Unsealer(length=length, segments=segments, identity=identity, write=output.write, progress=progress)
        for part in parts:
            unsealer.add(part)
        unsealed = unsealer.finish()
        check_unsealed(unsealed, size=size, sha256=sha256)
        output.commit()
    return unsealed


def unseal_to_bytes(
    parts: Iterable[bytes | bytearray | memoryview],
    *,
    length: int,
    segments: Sequence[bytes],
    identity: AnyIdentity,
    max_bytes: int,
) -> bytes:
    """Open a small item, such as the inventory, in memory. Raises BadInput (too_large), and as `Unsealer`."""
    if item_plain_size(length) > max_bytes:
        raise BadInput(
            f"the item has {item_plain_size(length)} bytes, more than {max_bytes}",
            "Open it to a file.",
            code="too_large",
        )
    content = io.BytesIO()
    unsealer = Unsealer(length=length, segments=segments, identity=identity, write=content.write)
    for part in parts:
        unsealer.add(part)
    unsealer.finish()
    return content.getvalue()
