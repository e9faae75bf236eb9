"""The post-quantum recipient of age: ML-KEM-768 with X25519 (`mlkem768x25519`), for notes that stay sealed for decades.

A recipient, `age1pq1…`, is 1,216 bytes: ML-KEM-768 encapsulation key (1,184) and X25519 public key (32). An identity,
`AGE-SECRET-KEY-PQ-1…`, is a 32-byte seed; SHAKE256(seed) gives the ML-KEM seed (64 bytes) and the X25519 secret (32).
The file key is sealed with HPKE (RFC 9180, base mode, KEM X-Wing, HKDF-SHA-256, ChaCha20-Poly1305).

Hybrid and classic recipients never stand in one file (`age.encrypt_bytes` refuses the mix): it would be as weak as the
weaker one. Encapsulation draws from the operating system's generator: the library takes no randomness from outside.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from app.errors import BadInput
from app.sealing.bech32 import bech32_decode, bech32_encode
from app.sealing.header import FILE_KEY_BYTES, Rng, Stanza, b64_decode, b64_encode, bad_header

RECIPIENT_BYTES = 1216
_KEM_PUBLIC_BYTES = 1184
_ENCAPSULATION_BYTES = 1120
_TYPE = "mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True, slots=True)
class PqRecipient:
    """A hybrid public key, 1,216 bytes."""

    public: bytes = field(repr=False)
    family: str = field(default="hybrid", init=False, repr=False)

    def __post_init__(self) -> None:
        self._key()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `age1pq1…`. Raises BadInput."""
        return cls(bech32_decode(text, "age1pq", "the age recipient"))

    def format(self) -> str:
        """Return `age1pq1…`, 1,960 characters or so."""
        return bech32_encode("age1pq", self.public)

    def wrap(self, file_key: bytes, rng: Rng) -> Stanza:  # noqa: ARG002 - see the module's docstring
        """Seal the file key to this recipient."""
        sealed = _SUITE.encrypt(file_key, self._key(), info=_INFO)
        enc, body = sealed[:_ENCAPSULATION_BYTES], sealed[_ENCAPSULATION_BYTES:]
        return Stanza(type=_TYPE, arguments=(b64_encode(enc).decode("ascii"),), body=body)

    def _key(self) -> hpke.MLKEM768X25519PublicKey:
        if len(self.public) != RECIPIENT_BYTES:
            raise BadInput(
                f"a post-quantum recipient has 1,216 bytes, not {len(self.public)}",
                "Copy it whole.",
                code="bad_recipient",
            )
        try:
            kem = MLKEM768PublicKey.from_public_bytes(self.public[:_KEM_PUBLIC_BYTES])
        except ValueError:
            raise BadInput(
                "the ML-KEM-768 key of the recipient is not a valid one", "Ask for it again.", code="bad_recipient"
            ) from None
        x25519 = X25519PublicKey.from_public_bytes(self.public[_KEM_PUBLIC_BYTES:])
        return hpke.MLKEM768X25519PublicKey(kem, x25519)


@dataclass(frozen=True, slots=True)
class PqIdentity:
    """A hybrid secret: a seed of 32 bytes."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != 32:
            raise BadInput(f"a seed has 32 bytes, not {len(self.seed)}", "Copy it again, whole.", code="wrong_length")

    @classmethod
    def generate(cls, rng: Rng) -> Self:
        """Make a fresh identity from `rng(32)`."""
        return cls(rng(32))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `AGE-SECRET-KEY-PQ-1…`. Raises BadInput."""
        return cls(bech32_decode(text, "age-secret-key-pq-", "the post-quantum age identity", upper=True))

    def format(self) -> str:
        """Return `AGE-SECRET-KEY-PQ-1…`: a secret."""
        return bech32_encode("age-secret-key-pq-", self.seed).upper()

    @property
    def recipient(self) -> PqRecipient:
        kem, x25519 = self._keys()
        return PqRecipient(kem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Return the file key, or None if the stanza is for someone else. Raises BadInput (bad_age_header)."""
        if stanza.type != _TYPE:
            return None
        if len(stanza.arguments) != 1:
            raise bad_header("a hybrid stanza has one argument")
        enc = b64_decode(stanza.arguments[0].encode("ascii"), _ENCAPSULATION_BYTES)
        if len(stanza.body) != FILE_KEY_BYTES + 16:
            raise bad_header("a hybrid stanza wraps a key of another size")
        try:
            X25519PrivateKey.from_private_bytes(bytes(32)).exchange(X25519PublicKey.from_public_bytes(enc[-32:]))
        except ValueError:
            raise bad_header("a hybrid stanza's X25519 share is a point of small order") from None
        try:
            return _SUITE.decrypt(enc + stanza.body, hpke.MLKEM768X25519PrivateKey(*self._keys()), info=_INFO)
        except InvalidTag:
            return None

    def _keys(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        expanded = hashlib.shake_256(self.seed).digest(96)
        return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
