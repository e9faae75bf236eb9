"""The X25519 recipient of age v1: evidence is sealed for one fresh identity of this kind a deposit.

A secret is 32 raw bytes; as text `AGE-SECRET-KEY-1…` and `age1…` (Bech32). The recipient of a deposit is never
published: whoever has a quantum computer one day needs it to find the secret.
"""

from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.errors import BadInput
from app.sealing.bech32 import bech32_decode, bech32_encode
from app.sealing.header import FILE_KEY_BYTES, Rng, Stanza, b64_decode, b64_encode, bad_header, hkdf

_TYPE = "X25519"
_INFO = b"age-encryption.org/v1/X25519"
_ZERO_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Recipient:
    """An X25519 public key, 32 bytes."""

    public: bytes
    family: str = field(default="classic", init=False, repr=False)

    def __post_init__(self) -> None:
        _check_size(self.public, "an age recipient")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `age1…`. Raises BadInput."""
        return cls(bech32_decode(text, "age", "the age recipient"))

    def format(self) -> str:
        """Return `age1…`."""
        return bech32_encode("age", self.public)

    def wrap(self, file_key: bytes, rng: Rng) -> Stanza:
        """Wrap the file key under a fresh ephemeral key: `rng(32)`. Raises BadInput for a point of small order."""
        ephemeral = X25519PrivateKey.from_private_bytes(rng(32))
        share = ephemeral.public_key().public_bytes_raw()
        key = _wrapping_key(ephemeral, self.public, share, self.public)
        body = ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, file_key, None)
        return Stanza(type=_TYPE, arguments=(b64_encode(share).decode("ascii"),), body=body)


@dataclass(frozen=True, slots=True)
class Identity:
    """An X25519 secret, 32 raw bytes, which opens what was sealed for its recipient."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_size(self.secret, "an age identity")

    @classmethod
    def generate(cls, rng: Rng) -> Self:
        """Make a fresh identity from `rng(32)`."""
        return cls(rng(32))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `AGE-SECRET-KEY-1…`. Raises BadInput."""
        return cls(bech32_decode(text, "age-secret-key-", "the age identity", upper=True))

    def format(self) -> str:
        """Return `AGE-SECRET-KEY-1…`: a secret."""
        return bech32_encode("age-secret-key-", self.secret).upper()

    @property
    def recipient(self) -> Recipient:
        return Recipient(X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Return the file key, or None if the stanza is for someone else. Raises BadInput (bad_age_header)."""
        if stanza.type != _TYPE:
            return None
        if len(stanza.arguments) != 1:
            raise bad_header("an X25519 stanza has one argument")
        share = b64_decode(stanza.arguments[0].encode("ascii"), 32)
        if len(stanza.body) != FILE_KEY_BYTES + 16:
            raise bad_header("an X25519 stanza wraps a key of another size")
        key = _wrapping_key(X25519PrivateKey.from_private_bytes(self.secret), share, share, self.recipient.public)
        try:
            return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, stanza.body, None)
        except InvalidTag:
            return None


def _wrapping_key(own: X25519PrivateKey, peer: bytes, share: bytes, recipient: bytes) -> bytes:
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:  # the all-zero result of a point of small order
        raise bad_header("an X25519 share is a point of small order") from None
    return hkdf(shared, share + recipient, _INFO)


def _check_size(key: bytes, what: str) -> None:
    if len(key) != 32:
        raise BadInput(f"{what} has 32 bytes, not {len(key)}", "Copy it again, whole.", code="wrong_length")
