"""Ed25519 public keys as JWKs (RFC 8037) and their RFC 7638 thumbprints.

Every key that a statement, trust file or request names passes `ledger.ed25519.check_public_key` here, so a weak key
cannot enter anywhere.
"""

import hashlib
from dataclasses import dataclass

from app.canonical import b64u_decode, b64u_encode, format_json
from app.errors import BadInput
from app.fields import Parsed, bad_field
from ledger.ed25519 import check_public_key
from ledger.errors import BadKey


def jwk_of(key: bytes) -> dict[str, str]:
    """Return the JWK of a 32-byte Ed25519 public key: exactly `kty`, `crv`, `x`."""
    return {"kty": "OKP", "crv": "Ed25519", "x": b64u_encode(key)}


def thumbprint(key: bytes) -> str:
    """Return the RFC 7638 thumbprint of a 32-byte Ed25519 public key: 43 characters of base64url."""
    # RFC 7638 section 3.2 and RFC 8037 section 2: the required members in lexicographic order.
    canonical = format_json({"crv": "Ed25519", "kty": "OKP", "x": b64u_encode(key)})
    return b64u_encode(hashlib.sha256(canonical.encode()).digest())


@dataclass(frozen=True, slots=True)
class Jwk:
    """The JSON form of a public key in a record. Refuses weak keys (`weak_key`)."""

    def read(self, value: object, what: str) -> bytes:
        if not isinstance(value, dict) or list(value) != ["kty", "crv", "x"]:
            raise bad_field(what, "must be a JWK with exactly kty, crv and x, in this order")
        if value["kty"] != "OKP" or value["crv"] != "Ed25519" or not isinstance(value["x"], str):
            raise bad_field(what, "must be an Ed25519 key: kty OKP, crv Ed25519")
        key = b64u_decode(value["x"], f"{what}.x", 32)
        try:
            check_public_key(key, what)
        except BadKey as error:
            raise BadInput(error.message, error.next_step, code="weak_key") from error
        return key

    def write(self, value: bytes) -> dict[str, str]:
        return jwk_of(value)


def _check_thumbprint(text: str, what: str) -> str:
    b64u_decode(text, what, 32)
    return text


MemberId = Parsed(_check_thumbprint)
"""A member's id: the thumbprint of his first identity key. It stays when the key is rotated."""
