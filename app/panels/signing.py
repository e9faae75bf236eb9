"""Ed25519 with one verdict for everyone (SPEC 2.6): strict keys, cofactorless verification, byte-equal R."""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.panels.errors import PanelError, need
from app.panels.hashing import CTX, lp
from ledger.ed25519 import is_good_public_key

SIGNATURE_BYTES: Final = 64


def good_key(key: bytes, error: str) -> None:
    """Raise the named error unless the 32 bytes are a canonical key of prime order, not the identity."""
    need(is_good_public_key(key), error)


def signed_message(tag: str, body: bytes) -> bytes:
    """The bytes that are signed: context, tag and body, each behind its length."""
    return lp(CTX) + lp(b"sign/" + tag.encode("ascii")) + lp(body)


def verify_signature(key: bytes, tag: str, body: bytes, signature: bytes) -> None:
    """Raise `bad_signature` unless `signature` (64 bytes) over `body` is by `key`, which passed `good_key`.

    OpenSSL compares R byte for byte and refuses S ≥ L; libsodium refuses R = identity and is not used here.
    """
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_message(tag, body))
    except InvalidSignature:
        raise PanelError("bad_signature") from None


def verify_message(key: bytes, tag: str, message: bytes) -> None:
    """The same for a whole message: its last 64 bytes sign everything before them."""
    verify_signature(key, tag, message[:-SIGNATURE_BYTES], message[-SIGNATURE_BYTES:])
