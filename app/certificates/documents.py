"""Sealed documents beside certificates: a release record, or the report of a store audit, on pages.

Like a certificate's, the pages follow from what is attached: the record or report itself, and the office's words,
`muniment-document/v1`. They are made only of what was checked under a trust file, and checking it again under the
reader's own gives the same pages.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.certificates.claims import Lang, Office, Renderer
from app.certificates.facts import Line, Pages, Row, Section, Style, exact_time, reader_forms
from app.certificates.page import Attached, set_pages
from app.certificates.text import printable
from app.certificates.words import one, say
from app.errors import BadInput, CannotTell, Mismatch
from app.fields import Int, Text, read_record, write_record
from app.statements.kinds import Digest
from app.statements.store_report import StoreReport, check_report, parse_report
from app.statements.trust import Trust
from app.verify.record import check_record
from app.verify.recordverdict import CANNOT_SHOW, RecordVerdict
from app.verify.verdict import Outcome

FORMAT = "muniment-document/v1"
DOCUMENT_NAME = "document.json"
CONTENT_NAMES = {"record": "record.json", "audit": "report.jws"}
MAX_WORDS_BYTES = 16_384
MOST_FINDINGS = 200
"""Findings that the pages list; the attached report has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentWords:
    """The office's words: what is attached (`sha256` of its bytes), when it was sealed, for whom to read."""

    format: Literal["muniment-document/v1"] = "muniment-document/v1"
    kind: Literal["record", "audit"]
    renderer: Renderer
    number: Annotated[str, Text(64)]
    issued: Annotated[int, Int(0, 253_402_300_799)]
    zone: Annotated[int, Int(-840, 840)]
    lang: Lang
    office: Office
    trust: Digest
    sha256: Digest


def format_words(words: DocumentWords) -> str:
    """Return the text that is attached."""
    text = format_json(write_record(words))
    parse_words(text.encode())
    return text


def parse_words(data: bytes) -> DocumentWords:
    """Read the attached text. Raises BadInput (not_a_document and the codes of `app.canonical`, `app.fields`)."""
    what = "the office's text"
    value = parse_json(data, what=what, max_bytes=MAX_WORDS_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name a sealed document.", code="not_a_document")
    return read_record(DocumentWords, value, "")


def render_document(content: bytes, words: DocumentWords, trust: Trust) -> bytes:
    """Check `content` under `trust` and return the unsealed PDF.

    Raises Mismatch, CannotTell (as the check says), BadInput (other_content).
    """
    if hashlib.sha256(content).digest() != words.sha256:
        raise BadInput("the attached file is not the one that the office names", code="other_content")
    attached = (
        Attached(
            name=CONTENT_NAMES[words.kind],
            text=content.decode(),
            says="What these pages show",
            mime="application/json" if words.kind == "record" else "application/jose",
        ),
        Attached(name=DOCUMENT_NAME, text=format_words(words), says="What the office adds"),
    )
    return set_pages(_pages(content, words, trust), attached)


def number_of(content: bytes, issued: int) -> str:
    """The number under which an office seals a document: the time, and what it is of."""
    return f"{datetime.fromtimestamp(issued, UTC):%Y%m%d-%H%M%S}-{hashlib.sha256(content).hexdigest()[:8]}"


def _pages(content: bytes, words: DocumentWords, trust: Trust) -> Pages:
    lang = words.lang
    if words.kind == "record":
        found = check_record(content, trust)
        if found.failed is not None:
            kind = CannotTell if found.outcome is Outcome.UNKNOWN else Mismatch
            raise kind(f"{found.failed.name}: {found.failed.detail}", found.failed.next_step, code=found.failed.code)
        sections, summary = _record(found, words), say("record_summary", lang, recipient=printable(found.recipient))
    else:
        signed = parse_report(content)
        check_report(signed, trust)
        report = signed.report
        sections = _audit(report, words)
        key = "audit_well" if not report.count else "audit_found"
        summary = say(key, lang, count=report.count, segments=report.segments, deposits=report.deposits)
    return Pages(
        lang=lang,
        titles=say(f"{words.kind}_title", lang),
        number=printable(words.number),
        issued=words.issued,
        office=printable(words.office.name),
        head=(
            Row(label=one("number", lang), values=(Line(text=printable(words.number)),)),
            Row(label=one("issued", lang), values=_when(words.issued, words)),
        ),
        summary_title=one("summary_title", lang),
        summary=summary,
        sections=(
            *sections,
            Section(title=one("how", lang), points=say("document_how", lang, verify=printable(words.office.verify))),
            Section(
                seal=True,
                title=one("office", lang),
                rows=(
                    _row("office", lang, printable(words.office.name)),
                    _row("responsible", lang, printable(words.office.responsible)),
                    _row("contact", lang, printable(words.office.contact)),
                    Row(label=one("seal", lang), values=tuple(Line(text=each) for each in say("seal_is", lang))),
                ),
            ),
        ),
        page_of=one("page", lang, page="{page}", pages="{pages}"),
        qr_words=one("qr", lang),
        address=f"{words.office.verify}#sha256={words.sha256.hex()}",
    )


def _record(found: RecordVerdict, words: DocumentWords) -> tuple[Section, ...]:
    lang = words.lang
    judges = ", ".join(printable(each) for each in found.judges)
    return (
        Section(
            title=one("release", lang),
            rows=(
                _row("deposit_id", lang, found.deposit_id, "hex"),
                _row("case", lang, found.case_id, "hex"),
                _row("request", lang, found.request, "hex"),
                _row("order", lang, found.order, "hex"),
                _row("paper", lang, found.document, "hex"),
                _row("recipient", lang, printable(found.recipient), "quote"),
                _row("panel", lang, f"{found.k} / {len(found.judges)}: {judges}"),
                _row("notified", lang, ", ".join(printable(each) for each in found.notified), "quote"),
                Row(label=one("opens_at", lang), values=_when(found.opens_at, words)),
                Row(label=one("expires_at", lang), values=_when(found.expires_at, words)),
                _row("outcome", lang, found.status, "good" if found.status == "opened" else "text"),
            ),
        ),
        Section(
            title=one("acts", lang),
            rows=tuple(
                Row(
                    label=f"{exact_time(each.time)}  #{each.index}",
                    values=(Line(text=f"{printable(each.who)} {printable(each.says)}", style="quote"),),
                )
                for each in found.events
            ),
        ),
        Section(
            title=one("items", lang),
            rows=tuple(
                Row(
                    label=one("item", lang, index=index),
                    values=(Line(text=one(each, lang), style="good" if each == "equal" else "bad"),),
                )
                for index, each in enumerate(found.items, 1)
            ),
        ),
        Section(title=one("record_not", lang), points=CANNOT_SHOW),
    )


def _audit(report: StoreReport, words: DocumentWords) -> tuple[Section, ...]:
    lang = words.lang
    listed = report.findings[:MOST_FINDINGS]
    more = report.count - len(listed)
    return (
        Section(
            title=one("audit_what", lang),
            rows=(
                _row("checkpoint", lang, one("checkpoint_is", lang, size=report.ledger.size)),
                _row("root", lang, report.ledger.root.hex(), "hex"),
                Row(label=one("begun", lang), values=_when(report.begun, words)),
                Row(label=one("finished", lang), values=_when(report.finished, words)),
                _row("interruptions", lang, str(report.interruptions)),
                _row("deposits", lang, str(report.deposits)),
                _row("segments", lang, str(report.segments)),
                _row("read", lang, one("bytes", lang, size=f"{report.bytes:,}")),
                _row("pending", lang, str(report.pending)),
                _row("findings", lang, str(report.count), "bad" if report.count else "good"),
            ),
        ),
        Section(
            title=one("findings", lang),
            rows=tuple(
                Row(
                    label=printable(each.code),
                    values=(
                        Line(text=f"{printable(each.place)}: {printable(each.message)}", style="bad"),
                        Line(text=printable(each.next_step)),
                    ),
                )
                for each in listed
            ),
            points=(one("more_findings", lang, count=more),) if more else (),
        ),
        Section(title=one("audit_not", lang), points=say("audit_not_is", lang)),
    )


def _row(key: str, lang: Lang, text: str, style: Style = "text") -> Row:
    return Row(label=one(key, lang), values=(Line(text=text or "–", style=style),))


def _when(seconds: int, words: DocumentWords) -> tuple[Line, ...]:
    forms = reader_forms(seconds, zone=words.zone, lang=words.lang)
    return (Line(text=exact_time(seconds)), *(Line(text=each) for each in forms))
