"""The secret state of one item while it is sealed: everything that makes its ciphertext the same again on resuming."""

from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.errors import BadInput
from app.sealing.header import FILE_KEY_BYTES, Rng, seal_header
from app.sealing.segments import PRELUDE_BYTES
from app.sealing.stream import PAYLOAD_NONCE_BYTES, payload_cipher
from app.sealing.x25519 import Recipient

ITEM_KEYS_BYTES = FILE_KEY_BYTES + 32 + PAYLOAD_NONCE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKeys:
    """File key (16 bytes), ephemeral X25519 secret (32), payload nonce (16) of one item: secret, for one source only.

    The same keys over two different plaintexts give both away: `ItemSealer` compares before it hands out bytes.
    """

    file_key: bytes = field(repr=False)
    ephemeral: bytes = field(repr=False)
    nonce: bytes = field(repr=False)

    @classmethod
    def generate(cls, rng: Rng) -> Self:
        """Draw fresh keys: 64 bytes of `rng`."""
        return cls(file_key=rng(FILE_KEY_BYTES), ephemeral=rng(32), nonce=rng(PAYLOAD_NONCE_BYTES))

    def pack(self) -> bytes:
        """Return the 64 bytes to keep, encrypted, for resuming."""
        return self.file_key + self.ephemeral + self.nonce

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read what `pack` returned. Raises BadInput (wrong_length)."""
        if len(data) != ITEM_KEYS_BYTES:
            raise BadInput(
                f"the keys of an item are {ITEM_KEYS_BYTES} bytes, not {len(data)}", "Start over.", code="wrong_length"
            )
        return cls(file_key=data[:16], ephemeral=data[16:48], nonce=data[48:])

    def prelude(self, recipient: Recipient) -> bytes:
        """Return header and payload nonce, 184 bytes: what precedes the chunks."""
        stanza = recipient.wrap(self.file_key, lambda _: self.ephemeral)
        prelude = seal_header(self.file_key, (stanza,)) + self.nonce
        assert len(prelude) == PRELUDE_BYTES  # noqa: S101 - the sizes of every segment rest on it
        return prelude

    def cipher(self) -> ChaCha20Poly1305:
        """Return the payload's cipher."""
        return payload_cipher(self.file_key, self.nonce)
