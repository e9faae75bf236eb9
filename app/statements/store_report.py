"""The signed report of a store audit: `muniment-store-audit/v1`, a compact JWS by the registry's service key.

Header, exactly: `{"alg":"Ed25519","kid":THUMBPRINT,"typ":"muniment-store-audit+jws"}`. Payload: the canonical JSON of
`StoreReport` behind `"format"`. It carries the genesis, which names the service key, and the checkpoint at which it was
made; so whoever has a trust file checks it alone. Source: docs/protocol.md, "Store audit".

What a report says is the word of the registry's operator, whose key signs it: it binds him to it. Whoever would rather
not rely on it runs the audit on a replica of the stores, or asks for segments himself.
"""

from dataclasses import dataclass
from typing import Annotated

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from app.canonical import b64u_decode, format_json, parse_json
from app.errors import BadInput, CannotTell, Mismatch
from app.fields import Int, Many, Text, read_record, write_record
from app.statements.keys import MemberId, jwk_of, thumbprint
from app.statements.kinds import Genesis, Id
from app.statements.statement import MAX_STATEMENT_BYTES, Seen, Signer, parse_statement
from app.statements.trust import Trust, check_founders
from ledger.errors import BadSignature, LedgerError
from ledger.note import MAX_NOTE_BYTES
from ledger.policy import Verified

FORMAT, TYP = "muniment-store-audit/v1", "muniment-store-audit+jws"
MAX_REPORT_BYTES = 16 * 2**20
MAX_FINDINGS = 1000
"""Findings in one report; what is more is counted only."""
MAX_TEXT = 600
_NAME = "the report"
_REGISTRY = JWSRegistry(algorithms=["Ed25519"])
_REGISTRY.max_payload_length = MAX_REPORT_BYTES  # joserfc stops at 128,000 by itself; `parse_report` bounds it
Count = Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One finding: where as far as it can be told, the bytes [start, end) of the segment, what, and what to do."""

    code: Annotated[str, Text(60)]
    place: Annotated[str, Text(MAX_TEXT)]
    deposit: Id | None
    item: Count | None
    segment: Count | None
    start: Count | None
    end: Count | None
    message: Annotated[str, Text(MAX_TEXT)]
    next_step: Annotated[str, Text(MAX_TEXT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What was looked at, when, and what was found. Times are Unix seconds by the clock of whoever audited."""

    genesis: Annotated[str, Text(MAX_STATEMENT_BYTES)]
    """The genesis statement, verbatim."""
    checkpoint: Annotated[str, Text(MAX_NOTE_BYTES, lines=True)]
    """The signed checkpoint at which the deposits were listed, verbatim."""
    ledger: Seen
    """Its size and root."""
    begun: Count
    finished: Count
    interruptions: Count
    """How often the audit was stopped and went on."""
    bytes_per_second: Count | None
    """How fast it was allowed to read, or null."""
    deposits: Count
    segments: Count
    """Segments that are there and were read."""
    bytes: Count
    pending: Count
    """Deposits of which a lock or hold was due and not judged."""
    findings: Annotated[tuple[Reported, ...], Many(MAX_FINDINGS)]
    more: Count
    """Findings beyond those listed."""

    @property
    def count(self) -> int:
        """How many findings there are in all."""
        return len(self.findings) + self.more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    alg: Annotated[str, Text(20)]
    kid: Annotated[str, MemberId]
    typ: Annotated[str, Text(60)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """A parsed report; nothing of its signature was checked. `text` is the compact JWS."""

    text: str
    kid: str
    report: StoreReport


def sign_report(report: StoreReport, signer: Signer) -> str:
    """Return the compact JWS. Raises BadInput when the report is not in its form."""
    text = signer.sign_text(TYP, format_json({"format": FORMAT, **write_record(report)}))
    parse_report(text)
    return text


def is_report(data: bytes) -> bool:
    """Whether a file looks like a report: a compact JWS, which no proof file is."""
    return data.startswith(b"eyJ") and data[:4096].count(b".") >= 1


def parse_report(data: bytes | str) -> SignedReport:
    """Parse a report (one final newline is allowed). Raises BadInput (`too_large`, `bad_jws`, `not_a_report`, …)."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    raw = raw.removesuffix(b"\n")
    if len(raw) > MAX_REPORT_BYTES:
        raise BadInput(f"{_NAME} has {len(raw)} bytes, more than {MAX_REPORT_BYTES}", code="too_large")
    parts = raw.split(b".")
    if len(parts) != 3 or not raw.isascii():
        raise BadInput(f"{_NAME} is not a compact JWS of three parts", "Name the report's own file.", code="bad_jws")
    header_part, payload_part, signature_part = (part.decode("ascii") for part in parts)
    b64u_decode(signature_part, "the report's signature", 64)
    head = parse_json(b64u_decode(header_part, "the report's header"), what="the report's header", max_bytes=1024)
    header = read_record(_Header, head, "the report's header")
    if (header.alg, header.typ) != ("Ed25519", TYP):
        raise BadInput(f"{_NAME} is a {header.typ} with {header.alg}, not a {TYP}", code="not_a_report")
    value = parse_json(b64u_decode(payload_part, _NAME), what=_NAME, max_bytes=MAX_REPORT_BYTES, max_depth=4)
    if not isinstance(value, dict) or next(iter(value.items()), None) != ("format", FORMAT):
        raise BadInput(f"{_NAME} is not of the format {FORMAT}", "Use the version that wrote it.", code="not_a_report")
    fields = {name: each for name, each in value.items() if name != "format"}
    report = read_record(StoreReport, fields, _NAME)
    if report.finished < report.begun or (report.more and len(report.findings) < MAX_FINDINGS):
        raise BadInput(f"{_NAME} contradicts itself in its times or counts", code="bad_field")
    return SignedReport(text=raw.decode("ascii"), kid=header.kid, report=report)


def check_report(signed: SignedReport, trust: Trust) -> Verified:
    """Check a report against a trust file; return its checkpoint as the policy sees it.

    1 the genesis is the one that the trust file pins; 2 it names the authority and log of the trust file; 3 the report
    is signed by the service key that it names; 4 the checkpoint is signed by the log; 5 it has the report's size and
    root; 6 the policy's quorum is met. Raises CannotTell (`other_ledger`, `trust_contradicts`, `quorum_missing`),
    Mismatch (`bad_signature`, `wrong_checkpoint`), BadInput (a genesis out of form).
    """
    report = signed.report
    genesis = parse_statement(report.genesis)
    if genesis.digest != trust.genesis or not isinstance(genesis.claims, Genesis):
        raise CannotTell(
            f"the report is of the registry with the genesis {genesis.digest.hex()}, and the trust file is for "
            f"{trust.genesis.hex()}",
            "Check it with the trust file of that registry.",
            code="other_ledger",
        )
    check_founders(trust, genesis)
    service = genesis.claims.service
    try:
        if thumbprint(service) != signed.kid:
            raise BadInput("another key")
        jws.deserialize_compact(signed.text, OKPKey.import_key(dict(jwk_of(service))), registry=_REGISTRY)
    except (JoseError, ValueError, BadInput) as error:
        raise Mismatch(
            f"the report is not signed by the registry's service key {thumbprint(service)}",
            "Do not rely on it; ask the registry for the report as it was signed.",
            code="bad_signature",
        ) from error
    try:
        verified = trust.policy.verify(report.checkpoint)
    except LedgerError as error:
        code = "bad_signature" if isinstance(error, BadSignature) else "wrong_checkpoint"
        raise Mismatch(
            f"the checkpoint in the report does not verify: {error.message}", error.next_step, code=code
        ) from error
    if (verified.checkpoint.size, verified.checkpoint.root) != (report.ledger.size, report.ledger.root):
        raise Mismatch(
            f"the report says size {report.ledger.size} and root {report.ledger.root.hex()}, and its checkpoint has "
            f"{verified.checkpoint.size} and {verified.checkpoint.root.hex()}",
            "Do not rely on it.",
            code="wrong_checkpoint",
        )
    if not verified.quorum_met:
        raise CannotTell(
            "the report is signed, and its checkpoint lacks the cosignatures that your trust file asks for",
            "Ask for a report of a later audit, made when the witnesses had signed.",
            code="quorum_missing",
        )
    return verified
