"""The checks of a sealed document (a release record or an audit's report as PDF). All are made, as for a certificate.

A the file is a PDF with the two attachments    B what is attached holds, under the reader's trust file, and the pages
are those that it gives, byte for byte    C the seal, as in `app.verify.certificate`
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

from app.certificates.documents import (
    CONTENT_NAMES,
    DOCUMENT_NAME,
    MAX_WORDS_BYTES,
    DocumentWords,
    parse_words,
    render_document,
)
from app.certificates.judging import Judged, judge
from app.certificates.page import renderer
from app.certificates.revisions import attachment
from app.certificates.roots import roots_of
from app.errors import AppError, BadInput, CannotTell, Mismatch
from app.statements.recordfile import MAX_RECORD_BYTES
from app.statements.trust import Trust
from app.verify.verdict import Check, Outcome
from ledger.errors import LedgerError


@dataclass(slots=True, kw_only=True)
class DocumentVerdict:
    """The answer about a sealed document."""

    outcome: Outcome = Outcome.UNKNOWN
    checks: list[Check] = field(default_factory=list)
    failed: Check | None = None
    words: DocumentWords | None = None
    judged: Judged | None = None

    def to_json(self) -> dict[str, object]:
        """Return the verdict for `--json`."""
        words, judged = self.words, self.judged
        return {
            "outcome": self.outcome.value,
            "exit_code": self.outcome.exit_code,
            "document": None
            if words is None
            else {"kind": words.kind, "number": words.number, "issued": words.issued, "office": words.office.name},
            "seal": None
            if judged is None
            else {"subject": judged.subject, "sealed_at": judged.sealed_at, "good_until": judged.good_until},
            "checks": [
                {"name": each.name, "passed": each.passed, "detail": each.detail, "code": each.code}
                for each in self.checks
            ],
        }


def is_document(pdf: bytes) -> bool:
    """Whether a PDF carries the office's words of a document."""
    try:
        read_words(pdf)
    except AppError:
        return False
    return True


def read_words(pdf: bytes) -> tuple[DocumentWords, bytes]:
    """Return the office's words and what is attached. Raises BadInput."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    try:
        reader = PdfFileReader(BytesIO(pdf), strict=True)
        words = parse_words(attachment(reader, DOCUMENT_NAME, MAX_WORDS_BYTES))
        return words, attachment(reader, CONTENT_NAMES[words.kind], MAX_RECORD_BYTES)
    except AppError:
        raise
    except Exception as error:
        # A parser of PDF meets anything in a hostile file; a document made here is read without an error.
        raise BadInput(
            f"the PDF cannot be read: {type(error).__name__}: {str(error)[:200]}",
            "Ask for the original.",
            code="bad_pdf",
        ) from error


def check_document(pdf: bytes, trust: Trust, *, now: int) -> DocumentVerdict:
    """Make all checks; never raises for what the file says, however hostile it is."""
    verdict = DocumentVerdict()
    found: list[tuple[DocumentWords, bytes]] = []

    def attachments() -> str:
        found.append(read_words(pdf))
        verdict.words = found[0][0]
        return f"{verdict.words.kind} {verdict.words.number}"

    def pages() -> str:
        words, content = found[0]
        here = renderer()
        made = render_document(content, words, trust)
        if words.renderer != here:
            raise CannotTell(
                f"the pages were set by typst {words.renderer.typst} with template {words.renderer.template}, and this "
                f"program has {here.typst} with {here.template}",
                "What is attached holds; read it instead of the pages.",
                code="other_renderer",
            )
        if not pdf.startswith(made):
            raise Mismatch(
                "the pages are not those that the attachment gives",
                "Ask for the original; keep this one.",
                code="pages_differ",
            )
        return "what is attached holds, and the pages are set from it"

    def seal() -> str:
        seal_roots, tsa_roots = roots_of(trust)
        verdict.judged = judged = asyncio.run(judge(pdf, seal_roots=seal_roots, tsa_roots=tsa_roots, now=now))
        return f"by {judged.subject}; time-stamped by {judged.sealed_by}, closed by {judged.closed_by}"

    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("the attachments", attachments),
        ("the content and the pages", pages),
        ("the seal", seal),
    )
    for number, (name, step) in enumerate(steps, 1):
        try:
            detail = step()
        except (AppError, LedgerError) as error:
            unknown = isinstance(error, CannotTell)
            check = Check(
                number=number, name=name, passed=False, detail=error.message, code=error.code, next_step=error.next_step
            )
            if verdict.failed is None or (verdict.outcome is Outcome.UNKNOWN and not unknown):
                verdict.failed, verdict.outcome = check, Outcome.UNKNOWN if unknown else Outcome.MISMATCH
            verdict.checks.append(check)
            if number == 1:
                return verdict
            continue
        verdict.checks.append(Check(number=number, name=name, passed=True, detail=detail))
    if verdict.failed is None:
        verdict.outcome = Outcome.VERIFIED
    return verdict
