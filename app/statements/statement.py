"""The signed act: a compact JWS, kept verbatim, and its public leaf.

Header exactly `{"alg":"Ed25519","kid":…,"typ":"muniment-statement+jws"}`; payload canonical JSON that begins with `aud,
kind, iat, exp, jti, seen`. Digest = SHA-256 of the compact text. Sources: RFC 7515, RFC 8037, RFC 9864.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from app.canonical import b64u_decode, b64u_encode, format_json, parse_json
from app.errors import BadInput, Refused
from app.fields import Hex, Int, Text, read_record, write_record
from app.statements.keys import MemberId, jwk_of, thumbprint
from app.statements.kinds import KIND_OF, KINDS, Claims, Origin, leaf_kind

MAX_STATEMENT_BYTES = 131_072
TYP = "muniment-statement+jws"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last checkpoint that a signer verified: tree size and root (SHA-256 of nothing for the empty ledger)."""

    size: Annotated[int, Int()]
    root: Annotated[bytes, Hex(32)]


EMPTY_SEEN = Seen(size=0, root=hashlib.sha256(b"").digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    alg: Literal["Ed25519"]
    kid: Annotated[str, MemberId]
    typ: Literal["muniment-statement+jws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every payload begins with. Times are Unix seconds; `jti` is 16 random bytes."""

    aud: Origin
    kind: Annotated[str, Text(40)]
    iat: Annotated[int, Int()]
    exp: Annotated[int, Int()]
    jti: Annotated[bytes, Hex(16)]
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A parsed statement. Its signature is not yet checked; see `verify_signature`."""

    text: str
    digest: bytes
    kid: str
    envelope: Envelope
    claims: Claims

    @property
    def kind(self) -> str:
        return self.envelope.kind


def digest_of(text: str) -> bytes:
    """Return the digest of a statement: SHA-256 of the compact JWS's ASCII bytes."""
    return hashlib.sha256(text.encode("ascii")).digest()


_ENVELOPE_KEYS = ["aud", "kind", "iat", "exp", "jti", "seen"]


def parse_statement(text: str | bytes) -> Statement:
    """Parse a compact JWS of a known kind. Raises BadInput (`too_large`, `not_a_statement`, `unknown_kind`, …)."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_STATEMENT_BYTES:
        raise BadInput(
            f"the statement has {len(raw)} bytes, and at most {MAX_STATEMENT_BYTES} are taken",
            "Name fewer things in one statement.",
            code="too_large",
        )
    parts = raw.split(b".")
    if len(parts) != 3 or not raw.isascii():
        raise BadInput("this is not a compact JWS of three parts", "Send header.payload.signature.", code="bad_jws")
    header_part, payload_part, signature_part = (part.decode("ascii") for part in parts)
    header_bytes = b64u_decode(header_part, "the JWS header")
    header = read_record(
        _Header, parse_json(header_bytes, what="the JWS header", max_bytes=1024, max_depth=4), "the JWS header"
    )
    payload = parse_json(
        b64u_decode(payload_part, "the JWS payload"),
        what="the JWS payload",
        max_bytes=MAX_STATEMENT_BYTES,
        max_depth=16,
    )
    b64u_decode(signature_part, "the JWS signature", 64)
    if not isinstance(payload, dict) or list(payload)[: len(_ENVELOPE_KEYS)] != _ENVELOPE_KEYS:
        raise BadInput(
            f"the payload must be an object that begins with {', '.join(_ENVELOPE_KEYS)}",
            "Put these six keys first, in this order.",
            code="bad_field",
        )
    envelope = read_record(Envelope, {name: payload[name] for name in _ENVELOPE_KEYS}, "")
    record = KINDS.get(envelope.kind)
    if record is None:
        raise BadInput(
            f"there is no statement of kind {envelope.kind!r}",
            f"The kinds are {', '.join(KINDS)}.",
            code="unknown_kind",
        )
    claims = read_record(record, {n: v for n, v in payload.items() if n not in _ENVELOPE_KEYS}, "")
    compact = raw.decode("ascii")
    return Statement(text=compact, digest=digest_of(compact), kid=header.kid, envelope=envelope, claims=claims)


def verify_signature(statement: Statement, key: bytes) -> None:
    """Check the signature with a 32-byte public key. Raises Refused (`bad_signature`)."""
    if thumbprint(key) != statement.kid:
        raise Refused(
            f"the statement names the key {statement.kid}, not {thumbprint(key)}",
            "Sign with the key that is named.",
            code="bad_signature",
        )
    try:
        jws.deserialize_compact(statement.text, OKPKey.import_key(dict(jwk_of(key))), algorithms=["Ed25519"])
    except (JoseError, ValueError) as error:
        raise Refused(
            f"the signature of the {statement.kind} statement does not verify under key {statement.kid}",
            "Sign the exact bytes that are sent, with the key named in kid.",
            code="bad_signature",
        ) from error


class Signer:
    """An Ed25519 identity key that signs statements: `seed` is 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self.public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        self.kid = thumbprint(self.public)
        self._key = OKPKey.import_key({**jwk_of(self.public), "d": b64u_encode(seed)})

    def sign(self, claims: Claims, *, aud: str, iat: int, exp: int, jti: bytes, seen: Seen) -> Statement:
        """Sign claims as a statement. Raises BadInput when the claims are not in the form of their kind."""
        envelope = Envelope(aud=aud, kind=KIND_OF[type(claims)], iat=iat, exp=exp, jti=jti, seen=seen)
        payload = format_json({**write_record(envelope), **write_record(claims)})
        header = {"alg": "Ed25519", "kid": self.kid, "typ": TYP}
        return parse_statement(jws.serialize_compact(header, payload, self._key, algorithms=["Ed25519"]))

    def sign_text(self, typ: str, payload: str) -> str:
        """Sign another short text (a challenge) as a compact JWS whose `typ` tells it from every statement."""
        return jws.serialize_compact(
            {"alg": "Ed25519", "kid": self.kid, "typ": typ}, payload, self._key, algorithms=["Ed25519"]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The public trace of a statement. `kind` is exact for public kinds and `private` for all others."""

    v: Annotated[int, Int(1, 1)] = 1
    kind: Annotated[str, Text(40)]
    time: Annotated[int, Int()]
    digest: Annotated[bytes, Hex(32)]


def leaf_of(statement: Statement, time: int) -> str:
    """Return the leaf text of a statement admitted at `time` (Unix seconds)."""
    leaf = Leaf(kind=leaf_kind(statement.kind, statement.claims), time=time, digest=statement.digest)
    return format_json(write_record(leaf))


def parse_leaf(text: str | bytes) -> Leaf:
    """Parse a leaf text. Raises BadInput when it is not exactly in its form."""
    leaf = read_record(Leaf, parse_json(text, what="the leaf", max_bytes=512, max_depth=2), "the leaf")
    if leaf.kind != "private" and leaf.kind not in KINDS:
        raise BadInput(f"the leaf names the unknown kind {leaf.kind!r}", "", code="unknown_kind")
    return leaf
