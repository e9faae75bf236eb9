"""From a proof file and the office's own text to the lines of a certificate. Pure: equal input, equal lines.

Nothing here verifies; `app.verify` does, before this is printed and again when it is read. What the proof does not say
is taken from the office's text and stands where the reader sees that the office says it.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from app.certificates.claims import Certificate, Identity, Lang
from app.certificates.stamps import Stamp, read_stamps
from app.certificates.text import paragraphs, printable
from app.certificates.words import languages, one, say
from app.errors import BadInput
from app.rules.aggregates import KeyHolder, Person
from app.rules.identities import binding_of
from app.rules.replay import Entry, Replay
from app.sealing.manifest import parse_manifest
from app.statements.disclosure import open_disclosure
from app.statements.kinds import Deposit, ReleaseOpening, ReleaseRequest
from app.statements.prooffile import DEPOSIT_SLOTS, ProofFile
from app.statements.recordfile import parse_record_file
from app.statements.statement import parse_leaf, parse_statement
from ledger.checkpoint import Checkpoint
from ledger.note import Note
from ledger.proof import Proof

Style = Literal["text", "hex", "quote", "open", "good", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value on a page: printable text, and what it is."""

    text: str
    style: Style = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A label and its values."""

    label: str
    values: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the pages: rows, then points of a list."""

    title: str
    rows: tuple[Row, ...] = ()
    points: tuple[str, ...] = ()
    annex: bool = False
    seal: bool = False
    """Beside the rows stands the drawn seal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """All that a certificate prints."""

    lang: Lang
    titles: tuple[str, ...]
    number: str
    issued: int
    office: str
    head: tuple[Row, ...]
    summary_title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    page_of: str
    """With the places {page} and {pages}."""
    qr_words: str
    address: str
    """What the QR code holds: the verify address and the digest of the deposit statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a proof file says of itself, unverified: the parts that the pages need."""

    claims: Deposit
    digest: bytes
    kid: str
    origin: str
    time: int
    index: int
    checkpoint: Checkpoint
    signers: tuple[str, ...]
    """The names on the checkpoint's signature lines; the first is the log's."""
    depositor: str
    identity: Identity
    """What the statements shown say of who the depositor is."""
    items: tuple[tuple[tuple[str, str | int | None], ...], ...]
    """For each item from 1: the disclosed slots with their values."""
    slots: tuple[tuple[str, str | int | None], ...]
    sealed_bytes: int
    stamps: tuple[Stamp, ...] = ()

    @property
    def stampers(self) -> tuple[str, ...]:
        """The names of the time-stamp authorities over the deposit."""
        return tuple(dict.fromkeys(each.authority for each in self.stamps if each.covers and each.authority))

    @property
    def level(self) -> str:
        """The highest level that what the proof carries can be worth, under any trust file."""
        covering = [each for each in self.stamps if each.covers]
        if any(each.height is not None for each in covering):
            return "anchored"
        if covering:
            return "timestamped"
        return "witnessed" if len(self.signers) > 1 else "received"


def read_shown(proof: ProofFile) -> Shown:
    """Read what the pages need out of a proof file. Raises the errors of the parsers, BadInput (not_a_deposit)."""
    statement = parse_statement(proof.deposit.statement)
    claims = statement.claims
    if not isinstance(claims, Deposit):
        raise BadInput(f"the proof is of a {statement.kind}", "Name a deposit's proof.", code="not_a_deposit")
    tlog = Proof.parse(proof.deposit.tlog_proof)
    note = Note.parse(tlog.checkpoint)
    manifest = parse_manifest(proof.manifest)
    items: list[list[tuple[str, str | int | None]]] = [[] for _ in manifest.items[1:]]
    slots: list[tuple[str, str | int | None]] = []
    for each in proof.disclosures:
        if each.item is None:
            slots.append(
                (each.slot, open_disclosure(each.disclosure, str(getattr(claims.slots, each.slot)), each.slot))
            )
        elif each.slot != "parts":
            where = manifest.items[each.item].slots if each.item < len(manifest.items) else None
            value = open_disclosure(each.disclosure, str(getattr(where, each.slot, "")), each.slot)
            items[each.item - 1].append((each.slot, value))
    time = parse_leaf(proof.deposit.leaf).time
    depositor, identity = _depositor(proof, statement.envelope.aud, statement.kid, time)
    return Shown(
        claims=claims,
        digest=statement.digest,
        kid=statement.kid,
        origin=statement.envelope.aud,
        time=time,
        index=tlog.index,
        checkpoint=Checkpoint.parse_body(note.text),
        signers=tuple(line.name for line in note.signatures),
        depositor=depositor,
        identity=identity,
        items=tuple(tuple(each) for each in items),
        slots=tuple(slots),
        sealed_bytes=manifest.total_bytes,
        stamps=read_stamps(proof),
    )


def make_pages(proof: ProofFile, certificate: Certificate, record: bytes | None = None) -> Pages:
    """Return everything that the certificate prints; `record`: the release record that it names as `opened`.

    Raises what `read_shown` raises, BadInput (bad_record).
    """
    shown, lang = read_shown(proof), certificate.lang
    panel = certificate.panels[0]
    count = len(shown.items)
    files = say("one_file" if count == 1 else "files", lang, count=count)
    return Pages(
        lang=lang,
        titles=say("title", lang),
        number=printable(certificate.number),
        issued=certificate.issued,
        office=printable(certificate.office.name),
        head=(
            _row("number", lang, Line(text=printable(certificate.number))),
            Row(label=one("issued", lang), values=_when(certificate.issued, certificate)),
        ),
        summary_title=one("summary_title", lang),
        summary=say(
            "summary",
            lang,
            depositor=printable(shown.depositor),
            count=files,
            when=reader_forms(shown.time, zone=certificate.zone, lang=lang),
            k=panel.k,
            n=panel.n,
        ),
        sections=(
            _deposit(shown, certificate),
            *_items(shown, certificate, record),
            _people(shown, certificate),
            _time(shown, certificate),
            _ledger(shown, lang),
            _verification(certificate),
            Section(
                title=one("how", lang),
                points=say("how_text", lang, verify=printable(certificate.office.verify)),
            ),
            Section(
                title=one("not", lang),
                points=tuple(one(each, lang) for each in ("not_truth", "not_before", "not_declared", "not_revoked")),
            ),
            _office(certificate),
            *(
                Section(
                    title=f"{one('annex', lang)} {number}: {printable(each.title)}",
                    points=paragraphs(each.text),
                    annex=True,
                )
                for number, each in enumerate(certificate.annexes, 1)
            ),
        ),
        page_of=one("page", lang, page="{page}", pages="{pages}"),
        qr_words=one("qr", lang),
        address=f"{certificate.office.verify}#statement={shown.digest.hex()}",
    )


def exact_time(seconds: int) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reader_forms(seconds: int, *, zone: int, lang: Lang) -> tuple[str, ...]:
    """The time as readers of each language write it, with its zone (minutes east of UTC)."""
    at = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=zone)))
    sign, minutes = ("+" if zone >= 0 else "-"), abs(zone)
    name = f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"
    clock = at.strftime("%H:%M:%S")
    forms = (
        f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {clock} {name}",
        f"{at.year}年{at.month}月{at.day}日 {clock}（{name}）",
    )
    return tuple(forms[column] for column in languages(lang))


def _depositor(proof: ProofFile, origin: str, kid: str, time: int) -> tuple[str, Identity]:
    """The name under which the shown statements enrolled the signer, the thumbprint where they do not; how identified.

    `time` is the deposit's (Unix seconds): a certificate that had ended then is none.
    """
    genesis = parse_statement(proof.signers[0].statement).digest
    replay = Replay(origin=origin, genesis=genesis)
    for each in proof.signers:
        index = Proof.parse(each.tlog_proof).index
        replay.add(Entry(index=index, leaf=each.leaf, statement=each.statement))
    holder = replay.view.find(KeyHolder, kid)
    person = replay.view.find(Person, holder.member) if holder is not None and holder.member else None
    bound = None if person is None else binding_of(replay.view, person, time)
    if bound is None:
        identity = Identity(assurance="enrolled", subject=None, issuer=None)
    else:
        identity = Identity(assurance="certificate", subject=bound.subject, issuer=bound.issuer)
    return (kid if person is None else person.name), identity


def _row(key: str, lang: Lang, *values: Line) -> Row:
    return Row(label=one(key, lang), values=values)


def _when(seconds: int, certificate: Certificate) -> tuple[Line, ...]:
    """ISO 8601 in UTC first, then the form that readers of each language know, with the zone."""
    return (
        Line(text=exact_time(seconds)),
        *(Line(text=each) for each in reader_forms(seconds, zone=certificate.zone, lang=certificate.lang)),
    )


def _deposit(shown: Shown, certificate: Certificate) -> Section:
    lang, claims = certificate.lang, shown.claims
    disclosed = dict(shown.slots)
    words = []
    for slot in DEPOSIT_SLOTS:
        if slot not in disclosed:
            words.append(_row(slot, lang, Line(text=one("hidden", lang), style="open")))
        elif disclosed[slot] is None:
            words.append(_row(slot, lang, Line(text=one("none_given", lang))))
        else:
            quoted = (Line(text=each, style="quote") for each in paragraphs(str(disclosed[slot])))
            words.append(_row(slot, lang, *quoted))
    return Section(
        title=one("deposit", lang),
        rows=(
            _row("deposit_id", lang, Line(text=claims.deposit_id.hex(), style="hex")),
            _row("statement", lang, Line(text=shown.digest.hex(), style="hex")),
            _row("case", lang, Line(text=claims.case_id.hex(), style="hex")),
            _row("count", lang, Line(text=str(len(shown.items)))),
            _row("sealed", lang, Line(text=one("bytes", lang, size=f"{shown.sealed_bytes:,}"))),
            *words,
        ),
    )


def _items(shown: Shown, certificate: Certificate, record: bytes | None) -> tuple[Section, ...]:
    lang = certificate.lang
    verdicts = _opening(shown, certificate, record)
    sections = []
    for index, disclosed in enumerate(shown.items, 1):
        values = dict(disclosed)
        if verdicts is None:
            status = Line(text=one("declared", lang), style="open")
        elif not verdicts:
            status = Line(text=one("malformed", lang), style="bad")
        else:
            verdict = verdicts[index - 1] if index <= len(verdicts) else "undeclared"
            status = Line(text=one(verdict, lang), style="good" if verdict == "equal" else "bad")
        rows = []
        for slot in ("name", "type", "size", "sha256"):
            value = values.get(slot)
            if value is None:
                line = Line(text=one("hidden", lang), style="open")
            elif slot == "size":
                line = Line(text=one("bytes", lang, size=f"{value:,}"))
            elif slot == "sha256":
                line = Line(text=printable(str(value)), style="hex")
            else:
                line = Line(text=printable(str(value)), style="quote" if slot == "name" else "text")
            rows.append(_row(slot, lang, line))
        sections.append(
            Section(title=one("item", lang, index=index), rows=(*rows, _row("status", lang, status))),
        )
    return tuple(sections)


def _opening(shown: Shown, certificate: Certificate, record: bytes | None) -> tuple[str, ...] | None:
    """The recipient's verdicts, item by item; empty when he reported a malformed deposit; None: no opening shown."""
    if certificate.opened is None and record is None:
        return None
    if record is None or certificate.opened != hashlib.sha256(record).digest():
        raise BadInput("the release record is not the one that the certificate names", code="bad_record")
    file = parse_record_file(record)
    openings, deposits = [], []
    for each in file.entries:
        statement = parse_statement(each.statement)
        if isinstance(statement.claims, ReleaseOpening) and statement.claims.request == file.request:
            openings.append(statement.claims)
        if statement.digest == file.request and isinstance(statement.claims, ReleaseRequest):
            deposits.append(statement.claims.deposit_id)
    if len(openings) != 1 or deposits != [shown.claims.deposit_id]:
        raise BadInput(
            "the release record shows no opening of this deposit", "Name the record of its release.", code="bad_record"
        )
    return openings[0].items if openings[0].outcome == "opened" else ()


def _people(shown: Shown, certificate: Certificate) -> Section:
    lang, identity = certificate.lang, certificate.identity
    if identity.assurance == "enrolled":
        assured = say("enrolled", lang)
    else:
        named = {"subject": printable(identity.subject or ""), "issuer": printable(identity.issuer or "")}
        assured = say("certified", lang, **named)
    panels = [
        Line(text=each)
        for panel in certificate.panels
        for each in say("k_of_n", lang, k=panel.k, n=panel.n, id=f"{panel.panel_id.hex()[:16]}…")
    ]
    return Section(
        title=one("people", lang),
        rows=(
            _row("depositor", lang, Line(text=printable(shown.depositor), style="quote")),
            _row("member", lang, Line(text=shown.kid, style="hex")),
            _row("assurance", lang, *(Line(text=each) for each in assured)),
            _row("panel", lang, *panels),
            _row("required", lang, *(Line(text=each) for each in say("required_is", lang))),
        ),
    )


def _time(shown: Shown, certificate: Certificate) -> Section:
    lang = certificate.lang
    return Section(
        title=one("time", lang),
        rows=(
            Row(label=one("received", lang), values=_when(shown.time, certificate)),
            _row("before", lang, *_stamps(shown, certificate, covers=False)),
            _row("after", lang, *_stamps(shown, certificate, covers=True)),
        ),
    )


def _stamps(shown: Shown, certificate: Certificate, *, covers: bool) -> tuple[Line, ...]:
    """Each anchor on a line a language, with who vouches; a word where there is none."""
    lang = certificate.lang
    lines: list[str] = []
    for each in shown.stamps:
        if each.covers is not covers:
            continue
        exact = exact_time(each.time)
        if each.authority is not None:
            lines += say("by_authority", lang, time=exact, name=printable(each.authority))
        else:
            lines += say("by_block", lang, time=exact, height=each.height)
    return tuple(Line(text=each) for each in lines) or (Line(text=one("no_anchor", lang), style="open"),)


def _ledger(shown: Shown, lang: Lang) -> Section:
    signed = [
        Line(text=each)
        for place, name in enumerate(shown.signers)
        for each in say("signed_by_witness" if place else "signed_by_log", lang, name=printable(name))
    ]
    return Section(
        title=one("ledger", lang),
        rows=(
            _row("log", lang, Line(text=printable(shown.origin))),
            _row("entry", lang, Line(text=one("entry_is", lang, index=shown.index))),
            _row("checkpoint", lang, Line(text=one("checkpoint_is", lang, size=shown.checkpoint.size))),
            _row("root", lang, Line(text=shown.checkpoint.root.hex(), style="hex")),
            _row("cosigned", lang, *signed),
        ),
    )


def _verification(certificate: Certificate) -> Section:
    lang = certificate.lang
    level = say(f"level_{certificate.level}", lang)
    return Section(
        title=one("verification", lang),
        rows=(
            _row("result", lang, *(Line(text=each) for each in say("result_is", lang, level=level))),
            _row("trust", lang, Line(text=certificate.trust.hex(), style="hex")),
        ),
    )


def _office(certificate: Certificate) -> Section:
    lang, office = certificate.lang, certificate.office
    return Section(
        seal=True,
        title=one("office", lang),
        rows=(
            _row("office", lang, Line(text=printable(office.name))),
            _row("responsible", lang, Line(text=printable(office.responsible))),
            _row("contact", lang, Line(text=printable(office.contact))),
            _row("seal", lang, *(Line(text=each) for each in say("seal_is", lang))),
        ),
    )


# Not by `%B`: no machine's locale decides what a page says.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
