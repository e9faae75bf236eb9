"""The checks of a certificate (PDF). All are made; one that does not match decides, then one that cannot tell.

 A the file is a PDF with its attachments, in canonical form
 B its pages are those that proof and office's text give, byte for byte
 C the seal: one, by a trusted holder, whole, closed by a trusted time-stamp, renewed in time
 D the office's words: no higher level than the proof bears, the deposit's own panels, issued when it was sealed
 E the proof: all checks of `app.verify.proof`
 F where it shows an opening: all checks of the release record (`app.verify.record`), which is of this deposit

No socket is opened; `now` is the verifier's clock in Unix seconds.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

from app.certificates.claims import LEVELS, MAX_CERTIFICATE_BYTES, Certificate, Identity, parse_certificate
from app.certificates.facts import Shown, read_shown
from app.certificates.judging import Judged, judge
from app.certificates.page import CERTIFICATE_NAME, PROOF_NAME, RECORD_NAME, render, renderer
from app.certificates.revisions import attachment
from app.certificates.roots import roots_of
from app.errors import AppError, BadInput, CannotTell, Mismatch
from app.statements.prooffile import MAX_PROOF_BYTES, ProofFile, parse_proof_file
from app.statements.recordfile import parse_record_file
from app.statements.statement import digest_of
from app.statements.trust import Trust
from app.verify.proof import FileDigest, check_proof
from app.verify.record import check_record
from app.verify.verdict import Check, Outcome, Verdict
from ledger.anchors.headers import Chain
from ledger.errors import LedgerError

MAX_PDF_BYTES = 256 << 20
MAX_ATTACHED_RECORD_BYTES = 32 << 20
MAGIC = b"%PDF-"
ISSUE_SECONDS = 86_400
"""How far the office's clock and the first time-stamp may lie apart."""


@dataclass(slots=True, kw_only=True)
class CertificateVerdict:
    """The answer about a certificate, and everything that it rests on."""

    outcome: Outcome = Outcome.UNKNOWN
    checks: list[Check] = field(default_factory=list)
    failed: Check | None = None
    """The check that decided against, if any: one that does not match before one that cannot tell."""
    certificate: Certificate | None = None
    judged: Judged | None = None
    proof: Verdict | None = None

    def to_json(self) -> dict[str, object]:
        """Return the verdict for `--json`."""
        judged, certificate = self.judged, self.certificate
        return {
            "outcome": self.outcome.value,
            "exit_code": self.outcome.exit_code,
            "certificate": None
            if certificate is None
            else {
                "number": certificate.number,
                "issued": certificate.issued,
                "office": certificate.office.name,
                "level": certificate.level,
                "lang": certificate.lang,
            },
            "seal": None
            if judged is None
            else {
                "subject": judged.subject,
                "sealed_at": judged.sealed_at,
                "sealed_by": judged.sealed_by,
                "closed_at": judged.closed_at,
                "closed_by": judged.closed_by,
                "good_until": judged.good_until,
            },
            "checks": [
                {
                    "name": each.name,
                    "passed": each.passed,
                    "detail": each.detail,
                    "code": each.code,
                    "next_step": each.next_step,
                }
                for each in self.checks
            ],
            "proof": None if self.proof is None else self.proof.to_json(),
        }


def is_pdf(data: bytes) -> bool:
    """Whether a file is to be checked as a certificate."""
    return data.startswith(MAGIC)


def check_certificate(
    pdf: bytes,
    trust: Trust,
    files: Sequence[FileDigest] = (),
    *,
    now: int,
    chain: Chain | None = None,
    lenient: bool = False,
) -> CertificateVerdict:
    """Make all checks; never raises for what the file says, however hostile it is."""
    run = _Run(_Asked(pdf=pdf, trust=trust, files=tuple(files), now=now, chain=chain, lenient=lenient))
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("the attachments", run.form),
        ("the pages", run.pages),
        ("the seal", run.seal),
        ("the office's words", run.words),
        ("the proof", run.proven),
        ("the opening", run.opened),
    )
    verdict = run.verdict
    for number, (name, step) in enumerate(steps, 1):
        try:
            detail = step()
        except (AppError, LedgerError) as error:
            check = Check(
                number=number,
                name=name,
                passed=False,
                detail=error.message,
                code=error.code,
                next_step=error.next_step,
            )
            unknown = isinstance(error, CannotTell)
            if verdict.failed is None or (verdict.outcome is Outcome.UNKNOWN and not unknown):
                verdict.failed, verdict.outcome = check, Outcome.UNKNOWN if unknown else Outcome.MISMATCH
            verdict.checks.append(check)
            if number == 1:
                return verdict  # nothing else can be looked at
            continue
        verdict.checks.append(Check(number=number, name=name, passed=True, detail=detail))
    if verdict.failed is None:
        verdict.outcome = Outcome.VERIFIED
    return verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    pdf: bytes
    trust: Trust
    files: tuple[FileDigest, ...]
    now: int
    chain: Chain | None
    lenient: bool


class _Run:
    """One verification. Each step returns the sentence that is shown when it holds."""

    def __init__(self, asked: "_Asked") -> None:
        self.verdict = CertificateVerdict()
        self._asked, self._pdf = asked, asked.pdf
        self._bytes: bytes
        self._proof: ProofFile
        self._shown: Shown
        self._certificate: Certificate
        self._record: bytes | None

    def form(self) -> str:
        self._bytes, self._certificate, self._record = _attached(self._pdf)
        self.verdict.certificate = self._certificate
        self._proof = parse_proof_file(self._bytes)
        self._shown = read_shown(self._proof)
        return f"certificate {self._certificate.number} with its proof of {len(self._bytes)} bytes"

    def pages(self) -> str:
        return _pages(self._pdf, self._proof, self._certificate, self._record)

    def seal(self) -> str:
        seal_roots, tsa_roots = roots_of(self._asked.trust)
        judging = judge(self._pdf, seal_roots=seal_roots, tsa_roots=tsa_roots, now=self._asked.now)
        self.verdict.judged = judged = asyncio.run(judging)
        return f"by {judged.subject}; time-stamped by {judged.sealed_by}, closed by {judged.closed_by}"

    def words(self) -> str:
        return _words(self._certificate, self._shown, self.verdict.judged)

    def proven(self) -> str:
        asked = self._asked
        self.verdict.proof = found = check_proof(
            self._bytes, asked.trust, asked.files, lenient=asked.lenient, now=asked.now, chain=asked.chain
        )
        failed = found.failed
        if failed is not None:
            kind = CannotTell if found.outcome is Outcome.UNKNOWN else Mismatch
            raise kind(f"{failed.name}: {failed.detail}", failed.next_step, code=failed.code)
        return f"{len(found.checks)} checks, level {found.level.value}"

    def opened(self) -> str:
        if self._record is None:
            return "none is shown: names, sizes and digests are declarations"
        shown = {digest_of(each.statement) for each in parse_record_file(self._record).entries}
        if self._shown.digest not in shown:
            raise Mismatch(
                "the release record is of another deposit", "Ask the office; keep this file.", code="other_deposit"
            )
        found = check_record(self._record, self._asked.trust)
        if found.failed is not None:
            kind = CannotTell if found.outcome is Outcome.UNKNOWN else Mismatch
            raise kind(f"{found.failed.name}: {found.failed.detail}", found.failed.next_step, code=found.failed.code)
        return f"by the release record {found.request}: {found.status}, {', '.join(found.items) or 'malformed'}"


def _attached(pdf: bytes) -> tuple[bytes, Certificate, bytes | None]:
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    if not is_pdf(pdf) or len(pdf) > MAX_PDF_BYTES:
        raise BadInput("the file is no PDF, or larger than 256 MiB", "Name a certificate.", code="not_a_certificate")
    try:
        reader = PdfFileReader(BytesIO(pdf), strict=True)
        proof = attachment(reader, PROOF_NAME, MAX_PROOF_BYTES)
        certificate = parse_certificate(attachment(reader, CERTIFICATE_NAME, MAX_CERTIFICATE_BYTES))
        record = None if certificate.opened is None else attachment(reader, RECORD_NAME, MAX_ATTACHED_RECORD_BYTES)
    except AppError:
        raise
    except Exception as error:
        # A parser of PDF meets anything in a hostile file; a certificate made here is read without an error.
        raise BadInput(
            f"the PDF cannot be read: {type(error).__name__}: {str(error)[:200]}",
            "The file was altered or cut off: ask for the original.",
            code="bad_pdf",
        ) from error
    return proof, certificate, record


def _pages(pdf: bytes, proof: ProofFile, certificate: Certificate, record: bytes | None) -> str:
    made_by, here = certificate.renderer, renderer()
    if made_by != here:
        raise CannotTell(
            f"the pages were set by typst {made_by.typst} with template {made_by.template}; this program has "
            f"{here.typst} with {here.template}, and cannot set them again to compare",
            f"Verify with a release of muniment that has typst {made_by.typst}, or read the attached proof.json alone.",
            code="other_renderer",
        )
    if not pdf.startswith(render(proof, certificate, record)):
        raise Mismatch(
            "the pages are not those that the attached proof and the office's text give",
            "The pages or an attachment were exchanged: ask for the original; keep this one.",
            code="pages_differ",
        )
    return "set again from the attachments, and equal byte for byte"


def _words(certificate: Certificate, shown: Shown, judged: Judged | None) -> str:
    named = [each.panel_id for each in certificate.panels]
    if named != [each.panel_id for each in shown.claims.capsules]:
        raise Mismatch(
            "the certificate names other panels than the deposit is sealed to",
            "Ask the office; keep this file.",
            code="other_panels",
        )
    if certificate.identity != shown.identity:
        raise Mismatch(
            f"the certificate says of the depositor's identity: {_identity(certificate.identity)}; the statements in "
            f"its proof say: {_identity(shown.identity)}",
            "Ask the office; keep this file.",
            code="identity_overstated",
        )
    claimed, borne = certificate.level, shown.level
    if LEVELS.index(claimed) > LEVELS.index(borne):
        raise Mismatch(
            f"the certificate claims the level {claimed}, and its proof carries what is needed for {borne} at most",
            "Ask the office; keep this file.",
            code="level_overstated",
        )
    if judged is not None and abs(judged.sealed_at - certificate.issued) > ISSUE_SECONDS:
        raise Mismatch(
            f"the certificate says that it was issued at {certificate.issued}, and was sealed at {judged.sealed_at}",
            "Ask the office; keep this file.",
            code="issued_otherwise",
        )
    return f"level {claimed} at issue, by {certificate.office.name}"


def _identity(identity: Identity) -> str:
    if identity.assurance == "enrolled":
        return "enrolled by a registrar"
    return f"bound to the certificate of {identity.subject}, issued by {identity.issuer}"
