"""Who asks: challenges and bearer tokens that the service can check without having stored them.

A sealed text is `b64url(payload).b64url(HMAC-SHA256)`; the payload is canonical JSON and names its purpose, origin and
expiry. Each purpose has a MAC key of its own, derived by HKDF-SHA256 (RFC 5869) from the service key, so a challenge is
never a token and a place never either, and replicas with one service key take each other's. A token is bound to the key
that signed the challenge: it ends with that key.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from app.canonical import b64u_decode, b64u_encode, format_json, parse_json
from app.errors import BadInput, Refused
from app.fields import Hex, Int, Text, read_record, write_record
from app.statements.keys import MemberId, jwk_of
from app.statements.kinds import Id, Origin

LIFETIME = 15 * 60
"""Seconds that a challenge, and then a token, is good for."""
MAX_RESPONSE_BYTES = 4096
RESPONSE_TYP = "muniment-challenge+jws"
_MAX_SEALED = 2048

Stamp = Annotated[int, Int()]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a member signs to show that he holds a key."""

    origin: Origin
    kid: Annotated[str, MemberId]
    nonce: Annotated[bytes, Hex(16)]
    expires: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Whoever bears it asks with the rights of the member whose current key is `kid`."""

    origin: Origin
    kid: Annotated[str, MemberId]
    expires: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whoever bears it may store these bytes, and nothing else, as this segment."""

    origin: Origin
    deposit_id: Id
    item: Annotated[int, Int(0, 999_999)]
    segment: Annotated[int, Int(0, 999_999)]
    size: Annotated[int, Int(1)]
    sha256: Annotated[bytes, Hex(32)]
    expires: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    alg: Annotated[str, Text(20)]
    kid: Annotated[str, MemberId]
    typ: Annotated[str, Text(60)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    aud: Annotated[str, Text(200)]
    challenge: Annotated[str, Text(_MAX_SEALED)]


class Sealer:
    """Seals small records of this origin and opens them again. `secret` is the service key's 32-byte seed."""

    def __init__(self, secret: bytes, origin: str) -> None:
        self.origin = origin
        self._keys: dict[type[Any], bytes] = {
            purpose: HKDF(
                algorithm=SHA256(), length=32, salt=None, info=f"muniment/service/{purpose.__name__}/v1".encode()
            ).derive(secret)
            for purpose in (Challenge, Token, Place)
        }

    def seal(self, record: Challenge | Token | Place) -> str:
        """Return the sealed text of a record."""
        payload = format_json(write_record(record)).encode()
        return f"{b64u_encode(payload)}.{b64u_encode(self._mac(type(record), payload))}"

    def open(self, purpose: type[T], text: str, now: int) -> T:
        """Return the record that was sealed. Raises Refused (`bad_token`, `token_expired`)."""
        try:
            if len(text) > _MAX_SEALED:
                raise _bad("is too long")
            payload_part, dot, mac_part = text.partition(".")
            payload = b64u_decode(payload_part, "the payload")
            mac = b64u_decode(mac_part, "the MAC", 32)
            if not dot or not hmac.compare_digest(mac, self._mac(purpose, payload)):
                raise _bad("was not made here for this use")
            # Only what this service wrote gets here.
            record = read_record(purpose, parse_json(payload, what="a token", max_bytes=_MAX_SEALED))
        except BadInput as error:
            raise _bad("is not in the form that this service gives") from error
        if getattr(record, "origin", None) != self.origin:
            raise _bad("is for another registry")
        if getattr(record, "expires", 0) <= now:
            raise Refused("the token has expired", "Ask for a new one.", code="token_expired")
        return record

    def check_response(self, text: str, key_of_kid: bytes, now: int) -> Challenge:
        """Return the challenge that a response answers, signed by the key it names. Raises Refused, BadInput."""
        kid, response = read_response(text)
        if response.aud != self.origin:
            raise Refused(
                f"the response is for {response.aud!r}, and this is {self.origin!r}",
                "Sign for the registry that gave the challenge.",
                code="wrong_ledger",
            )
        challenge = self.open(Challenge, response.challenge, now)
        if challenge.kid != kid:
            raise _bad("was given to another key")
        try:
            jws.deserialize_compact(text, OKPKey.import_key(dict(jwk_of(key_of_kid))), algorithms=["Ed25519"])
        except (JoseError, ValueError) as error:
            raise Refused(
                "the signature of the response does not verify",
                "Sign the exact challenge with the key that kid names.",
                code="bad_signature",
            ) from error
        return challenge

    def _mac(self, purpose: type[Any], payload: bytes) -> bytes:
        return hmac.new(self._keys[purpose], payload, hashlib.sha256).digest()


def read_response(text: str) -> tuple[str, _Response]:
    """Return the kid and the payload of a response to a challenge; its signature is unchecked. Raises BadInput."""
    parts = text.split(".")
    if len(text) > MAX_RESPONSE_BYTES or len(parts) != 3 or not text.isascii():
        raise BadInput("the response is not a compact JWS", "Send header.payload.signature.", code="bad_jws")
    raw = b64u_decode(parts[0], "the JWS header")
    header = read_record(_Header, parse_json(raw, what="the JWS header", max_bytes=1024, max_depth=2), "the JWS header")
    if (header.alg, header.typ) != ("Ed25519", RESPONSE_TYP):
        raise BadInput(
            f"the response has alg {header.alg!r} and typ {header.typ!r}",
            f"Use alg Ed25519 and typ {RESPONSE_TYP}.",
            code="bad_jws",
        )
    payload = b64u_decode(parts[1], "the JWS payload")
    value = parse_json(payload, what="the JWS payload", max_bytes=MAX_RESPONSE_BYTES, max_depth=2)
    b64u_decode(parts[2], "the JWS signature", 64)
    return header.kid, read_record(_Response, value, "the JWS payload")


def _bad(problem: str) -> Refused:
    return Refused(f"the token {problem}", "Ask for a new challenge and sign it.", code="bad_token")
