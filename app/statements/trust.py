"""The trust file: what a person believes, received from the court's gazette and never with a certificate.

`muniment-trust/v1`, canonical JSON. Tools print its SHA-256, so that two people can compare what they believe.
"""

import hashlib
from dataclasses import dataclass

from app.canonical import format_json, parse_json
from app.errors import BadInput, CannotTell
from app.fields import read_record, write_record
from app.statements.kinds import Authority, Digest, Genesis, Origin
from app.statements.statement import Statement
from app.statements.trust_seal import SealTrust, read_seal_trust
from app.statements.trust_time import HeaderTrust, TsaTrust, read_headers, read_tsa
from ledger.errors import LedgerError
from ledger.policy import Policy

FORMAT = "muniment-trust/v1"
MAX_TRUST_BYTES = 1 << 20
_KEYS = ["format", "origin", "genesis", "authority", "policy"]
_LATER = ["tsa", "seal", "headers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    origin: Origin
    genesis: Digest
    authority: Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A parsed trust file. `text` is kept: its SHA-256 names it."""

    origin: str
    genesis: bytes
    authority: Authority
    policy: Policy
    policy_text: str
    text: str
    tsa: TsaTrust | None = None
    """The time-stamp authorities that count; None: the file asks for no time-stamp."""
    seal: SealTrust | None = None
    """The roots of seals on certificates; None: the file believes no seal."""
    headers: HeaderTrust | None = None
    """From where Bitcoin's headers are followed; None: the file asks for no anchor in it."""

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


def format_trust(
    *,
    origin: str,
    genesis: bytes,
    authority: Authority,
    policy_text: str,
    tsa: object = None,
    seal: object = None,
    headers: object = None,
) -> str:
    """Return the text of a trust file; `tsa`, `seal`, `headers` as `trust_time` and `trust_seal` write them."""
    fields = write_record(_Fields(origin=origin, genesis=genesis, authority=authority))
    later = {"tsa": tsa, "seal": seal, "headers": headers}
    return format_json(
        {
            "format": FORMAT,
            **fields,
            "policy": policy_text,
            **{name: value for name, value in later.items() if value is not None},
        }
    )


def parse_trust(text: str | bytes) -> Trust:
    """Parse a trust file. Raises BadInput naming what is wrong with it."""
    what = "the trust file"
    raw = text if isinstance(text, bytes) else text.encode()
    # An editor's final newline is the one liberty: it is not part of what is hashed or compared.
    raw = raw.removesuffix(b"\n")
    value = parse_json(raw, what=what, max_bytes=MAX_TRUST_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name the court's trust file.", code="not_trust")
    extra = [each for each in value if each not in _KEYS]
    if [each for each in value if each in _KEYS] != _KEYS or extra != [each for each in _LATER if each in value]:
        raise BadInput(f"{what} must have the keys {', '.join(_KEYS)}, then {', '.join(_LATER)}", code="bad_field")
    fields = read_record(_Fields, {name: value[name] for name in ("origin", "genesis", "authority")}, what)
    if fields.authority.m > len(fields.authority.keys):
        raise BadInput(f"{what}: m is {fields.authority.m} of only {len(fields.authority.keys)} keys", code="bad_field")
    policy_text = value["policy"]
    if not isinstance(policy_text, str):
        raise BadInput(f"{what}: policy must be the text of a C2SP policy", code="bad_field")
    try:
        policy = Policy.parse(policy_text)
        named = policy.origin
    except LedgerError as error:
        raise BadInput(f"{what}: {error.message}", error.next_step, code=error.code) from error
    if named != fields.origin:
        raise BadInput(
            f"{what} is for the origin {fields.origin!r}, and its policy names the log {named!r}", code="bad_field"
        )
    return Trust(
        origin=fields.origin,
        genesis=fields.genesis,
        authority=fields.authority,
        policy=policy,
        policy_text=policy_text,
        text=raw.decode(),
        tsa=read_tsa(value["tsa"], f"tsa of {what}") if "tsa" in value else None,
        seal=read_seal_trust(value["seal"], f"seal of {what}") if "seal" in value else None,
        headers=read_headers(value["headers"], f"headers of {what}") if "headers" in value else None,
    )


def check_genesis(trust: Trust, genesis: Statement) -> None:
    """Check that a genesis is the one that the trust file pins, with the same authority. Raises BadInput."""
    claims = genesis.claims
    pinned = genesis.digest == trust.genesis and genesis.envelope.aud == trust.origin
    if not pinned or getattr(claims, "authority", None) != trust.authority:
        raise BadInput(
            f"the genesis {genesis.digest.hex()} is not the one that the trust file pins, {trust.genesis.hex()}",
            "This is another registry, or a forgery of it.",
            code="wrong_genesis",
        )


def check_founders(trust: Trust, genesis: Statement) -> None:
    """Check that the pinned genesis names the authority and the log that the trust file names.

    The digest alone would let whoever wrote the genesis put other keys behind it than the gazette printed. Raises
    CannotTell (`trust_contradicts`): then nothing is wrong with the evidence, and nothing can be believed.
    """
    claims = genesis.claims
    named = isinstance(claims, Genesis) and claims.log in [log.key.public_key for log in trust.policy.logs]
    if not named or getattr(claims, "authority", None) != trust.authority:
        raise CannotTell(
            f"the trust file contradicts itself: the genesis {trust.genesis.hex()} that it pins names another "
            "authority or log than it does",
            "Ask the authority which keys are its own, and for a trust file that names them.",
            code="trust_contradicts",
        )
