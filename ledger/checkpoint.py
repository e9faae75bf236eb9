"""Checkpoints: a log's origin, size and root as a note's text, as in C2SP tlog-checkpoint.

The body is `origin\\n size\\n base64(root)\\n`, a field a line. C2SP does not recommend extension
lines, and this log writes none; they are read only where asked for (a witness of foreign logs).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from ledger.note import Note, NoteSigner, VerifierKey, verify_note
from ledger.text import check_key_name, decode_base64, decode_decimal, encode_base64

MAX_ORIGIN_BYTES = 255
"""What the length byte of an ML-DSA-44 cosignature can carry (C2SP tlog-cosignature)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Origin (the log key's name, a schema-less URL), size in leaves, root (32 bytes). Raises Malformed."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines, without their newlines; empty in this log's own checkpoints."""

    def __post_init__(self) -> None:
        check_key_name(self.origin, "the origin of a checkpoint")
        if len(self.origin.encode()) > MAX_ORIGIN_BYTES:
            raise Malformed(f"the origin of a checkpoint is longer than {MAX_ORIGIN_BYTES} bytes")
        if not 0 <= self.size <= MAX_SIZE:
            raise Malformed(f"the size of a checkpoint is outside 0..2^63-1: {self.size}")
        if len(self.root) != HASH_BYTES:
            raise Malformed(f"the root of a checkpoint has {len(self.root)} bytes, not {HASH_BYTES}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed("the root of an empty checkpoint is not SHA-256 of the empty string")
        if any(not line or "\n" in line for line in self.extensions):
            raise Malformed("an extension line of a checkpoint is empty or has a newline")

    @property
    def body(self) -> str:
        """The note's text, with its last newline."""
        return "".join(
            f"{line}\n" for line in (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        )

    @classmethod
    def parse_body(cls, body: str, *, allow_extensions: bool = False) -> "Checkpoint":
        """Read a note's text; `body` gives the same text back. Raises Malformed (on extension lines, too)."""
        if not body.endswith("\n"):
            raise Malformed("a checkpoint does not end in a newline")
        lines = body[:-1].split("\n")
        if len(lines) < 3:
            raise Malformed(f"a checkpoint has {len(lines)} lines instead of origin, size and root")
        if len(lines) > 3 and not allow_extensions:
            raise Malformed(f"a checkpoint has an extension line: {lines[3][:80]!a}")
        return cls(
            origin=lines[0],
            size=decode_decimal(lines[1], "the size of a checkpoint"),
            root=decode_base64(lines[2], "the root of a checkpoint"),
            extensions=tuple(lines[3:]),
        )

    @classmethod
    def parse_signed(cls, signed: str) -> "Checkpoint":
        """Read the checkpoint, extension lines included, of a note that was verified before. Raises Malformed."""
        return cls.parse_body(Note.parse(signed).text, allow_extensions=True)


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> str:
    """The checkpoint as a note signed by the log's key. Raises Malformed when the key's name is not the origin."""
    if signer.name != checkpoint.origin:
        raise Malformed(f"a key named {signer.name} cannot sign for the log {checkpoint.origin}")
    return signer.sign_note(checkpoint.body)


def verify_checkpoint(signed: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that a log key of `keys` signed under its own origin; other lines are ignored.

    Raises Malformed, or BadSignature. For the witnesses' quorum see `ledger.policy`.
    """
    checkpoint = Checkpoint.parse_body(Note.parse(signed).text)
    verify_note(signed, [key for key in keys if key.name == checkpoint.origin])
    return checkpoint
