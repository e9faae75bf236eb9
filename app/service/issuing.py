"""Issuing certificates: a proof is checked under the office's trust file, set on pages, sealed, handed out, forgotten.

What a holder discloses passes through memory only. Record: `certificate` SHA256 of the sealed PDF → when it was issued
(Unix seconds in decimal). Nothing leads from there to a deposit.

kill -9 before the record: nothing was handed out; after it: the holder asks again, and a digest without a file stays.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from pyhanko.sign.signers.pdf_cms import Signer

from app.certificates.annexes import make_annexes
from app.certificates.claims import Certificate, Lang, PanelNamed
from app.certificates.documents import DocumentWords, number_of, render_document
from app.certificates.facts import Shown, read_shown
from app.certificates.judging import judge
from app.certificates.page import render, renderer
from app.certificates.roots import Roots, roots_of
from app.certificates.sealing import Sealed, close, read_seal, renew, seal
from app.errors import AppError, BadInput, CannotTell, Mismatch, Refused
from app.panels.record import parse_record
from app.rules.aggregates import Deposited, Epoch, Person
from app.rules.view import View
from app.service.office import OfficeSettings
from app.service.projections import Projections
from app.service.who import may_read
from app.statements.prooffile import ProofFile, parse_proof_file
from app.statements.recordfile import HEAD, parse_record_file
from app.statements.statement import digest_of
from app.statements.trust import MAX_TRUST_BYTES, Trust, parse_trust
from app.verify.proof import check_proof
from app.verify.record import check_record
from app.verify.verdict import Outcome
from ledger.anchors.growth import Level
from storage.errors import AlreadyExists
from storage.ports import RecordStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a holder asks for."""

    proof: bytes
    lang: Lang
    annexes: tuple[str, ...]
    record: bytes | None = None
    """A release record that shows what an opening of the deposit found."""


class Issuing:
    """Issues and closes certificates for one office."""

    def __init__(
        self, settings: OfficeSettings, records: RecordStore, projections: Projections, clock: Callable[[], int]
    ) -> None:
        """Reads trust file and seal at once. Raises BadInput naming what is wrong with them."""
        self._settings, self._records, self._projections, self._clock = settings, records, projections, clock
        self.issued, self.left_open = 0, 0
        """Since this process began: sealed documents, and how many of them were not closed."""
        self.failed: Counter[str] = Counter()
        """By code: documents that could not be sealed."""
        self._trust  # noqa: B018 - what is wrong with it is said at the start
        self._seal: Signer = read_seal(settings.seal_key, settings.seal_certificates)

    @property
    def _trust(self) -> Trust:
        """The office's trust file as it stands now: the gazette prints a new one without a restart."""
        path = self._settings.trust
        try:
            trust = parse_trust(path.read_bytes()[: MAX_TRUST_BYTES + 2])
        except OSError as error:
            raise BadInput(
                f"the office's trust file {path} cannot be read: {error.strerror}",
                "Put the court's trust file there.",
                code="bad_setting",
            ) from error
        if trust.seal is None or trust.tsa is None:
            raise BadInput(
                f"the office's trust file {path} names no roots of seals, or none of time-stamp authorities",
                "Certificates are checked under it before they leave: put both there.",
                code="bad_setting",
            )
        return trust

    @property
    def _roots(self) -> tuple[Roots, Roots]:
        return roots_of(self._trust)

    async def issue(self, wish: Wish, person: Person) -> Sealed:
        """Return a sealed certificate.

        Raises BadInput, Refused (not_found, forbidden, proof_refused), NoTimestamp: then nothing is issued.
        """
        proof = parse_proof_file(wish.proof)
        shown = read_shown(proof)
        deposited, panels = await self._known(shown)
        if not await may_read(self._projections, f"case/{deposited.case_id.hex()}", person):
            raise Refused("this deposit is not yours to certify", "Ask its depositor.", code="forbidden")
        verdict = await asyncio.to_thread(check_proof, wish.proof, self._trust, now=self._clock())
        if verdict.outcome is not Outcome.VERIFIED:
            failed = verdict.failed
            raise Refused(
                f"the proof does not verify under the office's trust file: {failed.detail if failed else ''}",
                "Make a new proof (muniment proof), and ask again.",
                code="proof_refused",
            )
        if wish.record is not None:
            await self._check_record(wish.record, shown.digest)
        certificate = self._certificate(wish, shown, panels, verdict.level)
        return await self._sealed(proof, certificate, wish.record)

    async def document(self, content: bytes, lang: Lang, person: Person) -> Sealed:
        """Return a release record or a store audit's report as a sealed document.

        Raises BadInput, Refused (forbidden, content_refused), NoTimestamp.
        """
        issued, record = self._clock(), content.startswith(HEAD)
        words = DocumentWords(
            kind="record" if record else "audit",
            renderer=renderer(),
            number=number_of(content, issued),
            issued=issued,
            zone=self._settings.zone,
            lang=lang,
            office=self._settings.office,
            trust=self._trust.sha256,
            sha256=hashlib.sha256(content).digest(),
        )
        if record:
            case_id = (await asyncio.to_thread(check_record, content, self._trust)).case_id
            if not case_id or not await may_read(self._projections, f"case/{case_id}", person):
                raise Refused("this release is not yours to show", "Ask a reader of the case.", code="forbidden")
        try:
            pages = await asyncio.to_thread(render_document, content, words, self._trust)
        except (Mismatch, CannotTell) as error:
            raise Refused(
                f"it does not verify under the office's trust file: {error.message}",
                error.next_step,
                code="content_refused",
            ) from error
        return await self._seal_pages(pages)

    async def lengthen(self, pdf: bytes) -> Sealed:
        """Close a certificate that was issued without the status of its certificates, or renew a closed one.

        Raises BadInput (bad_pdf), NotClosed, NoTimestamp. The service keeps nothing of it but the new SHA-256.
        """
        try:
            await judge(pdf, seal_roots=self._roots[0], tsa_roots=self._roots[1], now=self._clock())
        except CannotTell as error:
            if error.code != "not_closed_yet":
                raise
            step = close
        else:
            step = renew
        async with aiohttp.ClientSession() as session:
            made = await step(
                pdf, addresses=self._settings.tsa, roots=(*self._roots[0], *self._roots[1]), session=session
            )
        await self._note(made)
        return Sealed(pdf=made, closed=True)

    async def _check_record(self, record: bytes, deposit: bytes) -> None:
        if deposit not in {digest_of(each.statement) for each in parse_record_file(record).entries}:
            raise Refused(
                "the release record is of another deposit", "Name the record of its release.", code="record_refused"
            )
        verdict = await asyncio.to_thread(check_record, record, self._trust)
        if verdict.outcome is not Outcome.VERIFIED:
            failed = verdict.failed
            raise Refused(
                f"the release record does not verify under the office's trust file: {failed.detail if failed else ''}",
                "Make a new one (muniment record), and ask again.",
                code="record_refused",
            )

    async def _sealed(self, proof: ProofFile, certificate: Certificate, record: bytes | None) -> Sealed:
        return await self._seal_pages(await asyncio.to_thread(render, proof, certificate, record))

    async def _seal_pages(self, pages: bytes) -> Sealed:
        try:
            async with aiohttp.ClientSession() as session:
                made = await seal(
                    pages,
                    self._seal,
                    addresses=self._settings.tsa,
                    roots=(*self._roots[0], *self._roots[1]),
                    session=session,
                )
        except AppError as error:
            self.failed[error.code] += 1
            raise
        await self._note(made.pdf)
        self.issued, self.left_open = self.issued + 1, self.left_open + (not made.closed)
        return made

    async def _note(self, pdf: bytes) -> None:
        with suppress(AlreadyExists):
            await self._records.insert("certificate", hashlib.sha256(pdf).hexdigest(), str(self._clock()).encode())

    def _certificate(self, wish: Wish, shown: Shown, panels: tuple[PanelNamed, ...], level: Level) -> Certificate:
        issued, settings = self._clock(), self._settings
        number = f"{datetime.fromtimestamp(issued, UTC):%Y%m%d-%H%M%S}-{shown.index}-{shown.digest.hex()[:8]}"
        return Certificate(
            renderer=renderer(),
            number=number,
            issued=issued,
            zone=settings.zone,
            lang=wish.lang,
            office=settings.office,
            trust=self._trust.sha256,
            level=level.value,  # type: ignore[arg-type]
            panels=panels,
            identity=shown.identity,
            opened=None if wish.record is None else hashlib.sha256(wish.record).digest(),
            annexes=make_annexes(
                wish.annexes,
                shown=shown,
                number=number,
                lang=wish.lang,
                office=settings.office,
                operator=settings.operator,
                conflicts=settings.conflicts,
                folder=settings.annexes,
            ),
        )

    async def _known(self, shown: Shown) -> tuple[Deposited, tuple[PanelNamed, ...]]:
        """The deposit on this ledger, and k and n of each of its panels in the epoch that it was sealed to."""

        def look(view: View) -> tuple[Deposited, tuple[PanelNamed, ...]] | None:
            found = view.find(Deposited, shown.claims.deposit_id.hex())
            if found is None or found.digest != shown.digest:
                return None
            panels = []
            for capsule in shown.claims.capsules:
                epoch = view.find(Epoch, capsule.epoch_id.hex())
                if epoch is None:
                    return None
                record = parse_record(epoch.record)
                panels.append(PanelNamed(panel_id=capsule.panel_id, k=record.k, n=len(epoch.judges)))
            return found, tuple(panels)

        known = await self._projections.ask(look)
        if known is None:
            raise Refused(
                f"there is no deposit {shown.claims.deposit_id.hex()} here with that statement",
                "Ask the registry that holds it.",
                code="not_found",
            )
        return known
