"""Signing with an Ed25519 seed (SPEC 2.6). Verifying stands in `app.panels.signing`."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.panels.errors import need
from app.panels.signing import signed_message

SEED_BYTES = 32


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed, else `bad_length`."""
    return _private(seed).public_key().public_bytes_raw()


def signed(seed: bytes, tag: str, body: bytes) -> bytes:
    """The body with its 64-byte signature behind it."""
    return body + _private(seed).sign(signed_message(tag, body))


def _private(seed: bytes) -> Ed25519PrivateKey:
    need(len(seed) == SEED_BYTES, "bad_length")
    return Ed25519PrivateKey.from_private_bytes(seed)
