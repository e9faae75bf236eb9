"""One entry proven offline, as a file: C2SP tlog-proof@v1.

c2sp.org/tlog-proof@v1
[extra <base64>]
index <decimal>
<base64 hash>           zero or more, from the leaf's sibling up
(blank line)
<the signed checkpoint, verbatim>
"""

from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.errors import Malformed
from ledger.merkle import HASH_BYTES, MAX_SIZE, verify_inclusion
from ledger.note import Note, SignatureLine
from ledger.policy import Cosigned, Policy
from ledger.text import decode_base64, decode_decimal, encode_base64

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
"""The longest path in a tree of at most 2^63-1 leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProof:
    """An entry's place in a checkpoint that a log of the policy signed."""

    index: int
    checkpoint: Checkpoint
    cosigners: tuple[Cosigned, ...]
    unknown_lines: tuple[SignatureLine, ...]
    """Signature lines of keys that the policy does not name."""
    quorum_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Index (0-based), inclusion path (up to 63 hashes of 32 bytes), the signed checkpoint's text, and `extra` or None.

    `extra` is authenticated by nothing.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_SIZE:
            raise Malformed(f"the index of a proof is outside 0..2^63-2: {self.index}")
        if len(self.path) > MAX_HASHES or any(len(hash_) != HASH_BYTES for hash_ in self.path):
            raise Malformed(f"the path of a proof is not 0 to {MAX_HASHES} hashes of {HASH_BYTES} bytes")
        Checkpoint.parse_body(Note.parse(self.checkpoint).text, allow_extensions=True)

    def format(self) -> str:
        """The proof's text."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(hash_) for hash_ in self.path)
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str, *, allow_extra: bool = False) -> "Proof":
        """Read a proof; `format` gives the same text back. Raises Malformed, also on `extra` unless allowed."""
        # Checkpoints hold a blank line too; the first one ends the proof's own lines.
        head, blank, checkpoint = text.partition("\n\n")
        if not blank:
            raise Malformed("a proof has no blank line before its checkpoint")
        lines = head.split("\n", MAX_HASHES + 4)
        if lines.pop(0) != HEADER:
            raise Malformed(f"a proof does not start with the line {HEADER}")
        extra = None
        if lines and lines[0].startswith("extra "):
            if not allow_extra:
                raise Malformed("a proof has an `extra` line, which nothing authenticates")
            extra = decode_base64(lines.pop(0).removeprefix("extra "), "the extra data of a proof")
        if not lines or not lines[0].startswith("index "):
            raise Malformed("a proof has no index line")
        index = decode_decimal(lines.pop(0).removeprefix("index "), "the index of a proof")
        path = tuple(decode_base64(line, "a hash of a proof") for line in lines)
        return cls(index=index, path=path, checkpoint=checkpoint, extra=extra)

    def verify(self, policy: Policy, entry_leaf_hash: bytes) -> VerifiedProof:
        """Check that the entry with this leaf hash (32 bytes, made by the caller) is in a log of `policy`.

        The steps of C2SP tlog-proof: (1) the caller's leaf hash; (2) origin and the log's signature; (3) every known
        cosignature, and the quorum, told in the result; (4) inclusion, against the checkpoint's own size and root.
        Raises Malformed, BadSignature or BadProof.
        """
        verified = policy.verify(self.checkpoint)  # 2, 3
        checkpoint = verified.checkpoint
        verify_inclusion(self.index, checkpoint.size, entry_leaf_hash, self.path, checkpoint.root)  # 4
        return VerifiedProof(
            index=self.index,
            checkpoint=checkpoint,
            cosigners=verified.cosigners,
            unknown_lines=verified.unknown_lines,
            quorum_met=verified.quorum_met,
        )
