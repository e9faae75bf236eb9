"""What a witness signs under a log's checkpoint, as in C2SP tlog-cosignature.

A cosignature is a signature line of the checkpoint's note. After the key id it carries the time (u64, big-endian, Unix
seconds) and the signature: Ed25519 (type 0x04, 64 bytes) or ML-DSA-44 (type 0x06, 2,420 bytes, empty context). It says
that the witness saw this log, at that time, with no larger consistent tree. The time is only its claim.

Never give one Ed25519 key to two witnesses: the message of type 0x04 does not name the witness.
"""

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.checkpoint import Checkpoint
from ledger.errors import BadSignature, Malformed
from ledger.note import KeyType, SignatureLine, VerifierKey

TIME_BYTES = 8
MAX_TIME = 2**63 - 1

_SIGNATURE_BYTES = {KeyType.ED25519_COSIGNATURE: 64, KeyType.MLDSA44_COSIGNATURE: 2420}
COSIGNATURE_TYPES = frozenset(_SIGNATURE_BYTES)


class Cosigner(Protocol):
    """Makes cosignatures under one verifier key."""

    @property
    def key(self) -> VerifierKey:
        """The key that verifies them."""
        ...

    def cosign(self, checkpoint: Checkpoint, time: int) -> SignatureLine:
        """The cosignature line for `checkpoint` at `time` (Unix seconds)."""
        ...


class Ed25519Cosigner:
    """A witness's Ed25519 key (type 0x04). Deterministic."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        public_key = private_key.public_key().public_bytes_raw()
        self.key = VerifierKey(name=name, type=KeyType.ED25519_COSIGNATURE, public_key=public_key)

    def cosign(self, checkpoint: Checkpoint, time: int) -> SignatureLine:
        """The cosignature line for `checkpoint` at `time` (Unix seconds)."""
        return _line(self.key, time, self._private_key.sign(signed_message(self.key, checkpoint, time)))


class MLDSA44Cosigner:
    """A witness's ML-DSA-44 key (type 0x06), the post-quantum half."""

    def __init__(self, name: str, private_key: MLDSA44PrivateKey) -> None:
        self._private_key = private_key
        public_key = private_key.public_key().public_bytes_raw()
        self.key = VerifierKey(name=name, type=KeyType.MLDSA44_COSIGNATURE, public_key=public_key)

    def cosign(self, checkpoint: Checkpoint, time: int) -> SignatureLine:
        """The cosignature line for `checkpoint` at `time` (Unix seconds)."""
        return _line(self.key, time, self._private_key.sign(signed_message(self.key, checkpoint, time)))


def verify_cosignature(key: VerifierKey, checkpoint: Checkpoint, line: SignatureLine) -> int:
    """Check one line of `key` (type 0x04 or 0x06) over `checkpoint` and return its time, Unix seconds.

    Raises BadSignature: a line of another key, another length, a time above 2^63-1, or a signature that fails.
    """
    if key.type not in COSIGNATURE_TYPES or not line.names(key):
        raise BadSignature(f"the signature line of {line.name} is not a cosignature of key {key.name}")
    if len(line.signature) != TIME_BYTES + _SIGNATURE_BYTES[key.type]:
        raise BadSignature(f"the cosignature of {key.name} has {len(line.signature)} bytes")
    time = int.from_bytes(line.signature[:TIME_BYTES], "big")
    if time > MAX_TIME:
        raise BadSignature(f"the cosignature of {key.name} has a time above 2^63-1")
    message, signature = signed_message(key, checkpoint, time), line.signature[TIME_BYTES:]
    try:
        if key.type is KeyType.ED25519_COSIGNATURE:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except InvalidSignature as error:
        raise BadSignature(f"the cosignature of {key.name} ({key.key_id.hex()}) does not verify") from error
    return time


def signed_message(key: VerifierKey, checkpoint: Checkpoint, time: int) -> bytes:
    """The bytes under a cosignature of `key` over `checkpoint` at `time` (Unix seconds). Raises Malformed."""
    if not 0 <= time <= MAX_TIME:
        raise Malformed(f"the time of a cosignature is outside 0..2^63-1: {time}")
    if key.type is KeyType.ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {time}\n{checkpoint.body}".encode()
    if key.type is KeyType.MLDSA44_COSIGNATURE:
        name = key.name.encode()
        if len(name) > 255:
            raise Malformed(f"the name of a witness is longer than 255 bytes: {key.name[:80]}")
        origin = checkpoint.origin.encode()
        return b"".join(
            (
                b"subtree/v1\n\0",
                bytes([len(name)]) + name,
                time.to_bytes(8, "big"),
                bytes([len(origin)]) + origin,
                (0).to_bytes(8, "big"),  # start: a checkpoint is the subtree from the first leaf
                checkpoint.size.to_bytes(8, "big"),
                checkpoint.root,
            )
        )
    raise Malformed(f"key {key.name} is not a witness's: its type is 0x{key.type:02x}")


def _line(key: VerifierKey, time: int, signature: bytes) -> SignatureLine:
    return SignatureLine(name=key.name, key_id=key.key_id, signature=time.to_bytes(TIME_BYTES, "big") + signature)
