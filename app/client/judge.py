"""A judge's visits: what waits for him, and the steps of ceremonies and releases, each made at most once.

Every step begins with the visit check. What a message rests on is stored durably before it is sent, and a step that
was interrupted sends the same bytes again. A contribution leaves this machine only when the judge's grant of exactly it
stands in a ledger that was loaded, checked under his trust file's policy and replayed as a whole.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from app.client.backup import BackupVault, Sheets, sheets
from app.client.docket import Docket, Shown, check_document, checked_manifest, document_hash, examine, open_shown
from app.client.duties import Duty, DutyKind, PanelProgress, card_duty, duties, progress, waiting
from app.client.judge_keys import AckMade, DealMade, GrantMade, HostKeys, JudgeVault, fresh_scalar
from app.client.lock import only_one
from app.client.readers import case_recipients, words_of
from app.client.session import Client, Receipt, State
from app.client.visit import (
    closed_epoch,
    closed_set,
    lineage_of,
    opened_at,
    panel_of,
    session_of,
    visit,
)
from app.errors import AppError, Refused
from app.panels.closing import ClosedDeals
from app.panels.contribution import verify_contribution
from app.panels.deal import deal_hash
from app.panels.errors import PanelError
from app.panels.making.ack import Acked, make_ack, recover
from app.panels.making.blame import make_blame
from app.panels.making.card import make_card
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.session import Session
from app.panels.states import SessionStatus
from app.rules.aggregates import Case, Destroyed, Panel, Request
from app.rules.aggregates import Session as SessionRecord
from app.rules.destroying import card_key, card_of
from app.rules.destroying import is_over as card_is_over
from app.rules.terms import is_over, quorum_of_grants, request_of
from app.rules.view import WholeView
from app.statements.kinds import (
    CaseRecuse,
    Claims,
    Deposit,
    PanelAck,
    PanelBlame,
    PanelCard,
    PanelDeal,
    PanelDestroy,
    ReleaseContribution,
    ReleaseDecision,
    ReleaseOrder,
    ReleaseRequest,
)

_ENDS = (SessionStatus.BLAMED, SessionStatus.CLOSED, SessionStatus.CERTIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a duty: a receipt, or the fault that stands in its way. `said` names what was sent."""

    duty: Duty
    said: str
    receipt: Receipt | None
    fault: AppError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """What waits for the judge, and how far his panels are."""

    duties: tuple[Duty, ...]
    waiting: tuple[Request, ...]
    """Granted by him; his contribution is sent when k judges have granted."""
    panels: tuple[PanelProgress, ...]
    sheets: Sheets


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The sealed words around a request; a note that cannot be had or opened is a fault, shown beside the others."""

    order: str | None
    request: str | None
    deposit: str | None
    shown: tuple[Shown, ...]
    objections: tuple[tuple[str, str | None], ...]
    """Who objected, and why."""
    refusals: tuple[tuple[str, str | None], ...]
    """Which other judges refused, and why."""
    faults: tuple[AppError, ...]


class Judge:
    """A judge at his client, which stays the caller's to open and close."""

    def __init__(self, client: Client, *, keys: HostKeys | None = None) -> None:
        """`keys` take the place of those of the home for their card: from a backup sheet that is tested."""
        self._client, self._keys = client, keys
        self._kept = JudgeVault(client.vault)

    async def inbox(self) -> Inbox:
        """What waits, from the ledger alone. A grant that was interrupted shows as `decide` until `act` ends it."""
        return self._inbox(await self._client.sync())

    def left(self) -> Inbox:
        """The same, by the state of the last visit."""
        if self._client.state is None:
            raise AssertionError("nothing was synced yet")
        return self._inbox(self._client.state)

    def _inbox(self, state: State) -> Inbox:
        me = state.me.id
        panels = [
            progress(state.view, each)
            for _, each in sorted(state.view.aggregates.items())
            if isinstance(each, Panel) and _concerns(each, me)
        ]
        paper = sheets(state, self._client.vault)
        return Inbox(
            duties=duties(state.view, me, state.taken_at),
            waiting=waiting(state.view, me, state.taken_at),
            panels=tuple(panels),
            sheets=paper,
        )

    async def act(self) -> tuple[Done, ...]:
        """Do every routine step that is due, one after another; decisions are left to the judge.

        A step that fails is reported and does not keep the others back. Afterwards what is no longer needed is
        destroyed: host keys of superseded epochs, contributions that were sent.
        """
        with only_one(self._client.home.path):
            done: list[Done] = []
            while True:
                state = await self._client.sync()
                duty = next(self._due(state, {each.duty for each in done}), None)
                if duty is None:
                    self._tidy(state)
                    await self._say_destroyed(state)
                    return tuple(done)
                done.append(await self._carry_out(state, duty))

    async def docket(self, request: bytes, seat: str | None = None) -> tuple[Docket, Words]:
        """What the judge is shown of a request: everything checked but the paper, and the sealed words.

        `seat`: the judge (member id) for whom somebody prepares.
        """
        state = await self._client.sync()
        docket = examine(state.view, seat if seat is not None else state.me.id, request, state.taken_at)
        return docket, await self._words(state, docket)

    async def grant(self, request: bytes, paper: bytes) -> tuple[Receipt | None, Receipt | None]:
        """Grant, against the court's paper that the judge has in hand; return the receipts of grant and contribution.

        The first is None when the grant was on the ledger before, the second while the case's rules make the
        contribution wait for k grants: `act` sends it then. Raises as `examine`, `check_document`, `post`; Refused
        (notice_running), Mismatch (grant_not_proven). Whatever is raised, the contribution has not left before the
        proven grant; `act` takes up what was begun.
        """
        with only_one(self._client.home.path):
            state = await self._client.sync()
            docket = examine(state.view, state.me.id, request, state.taken_at)
            document = document_hash(paper)
            check_document(docket, document)
            if state.taken_at < docket.opens_at:
                # By the judge's own clock: a registry that runs ahead does not take the others' time to object.
                raise Refused(
                    f"the others may object to this request until {docket.opens_at} (Unix time)",
                    "Grant it after that, when you know what they say.",
                    code="notice_running",
                )
            made = self._kept.grant(request)
            decided = dict(docket.decided).get(docket.index)
            if decided is False or (decided is True and made is None):
                how = "granted" if decided else "refused"
                raise Refused(f"you {how} this request before", "A decision stands.", code="already_decided")
            if made is None:
                made = GrantMade(request=request, document=document, contribution=self._contribution(state, docket))
                self._kept.put_grant(made)
            return await self._send_grant(state, docket, made)

    async def refuse(self, request: bytes, reason: str | None) -> Receipt:
        """Refuse, with a reason sealed to the case and its judges. Raises as `examine` and `post`."""
        with only_one(self._client.home.path):
            state = await self._client.sync()
            docket = examine(state.view, state.me.id, request, state.taken_at)
            if self._kept.grant(request) is not None:
                raise Refused(
                    "you granted this request, and the grant is on its way", "Finish it with act.", code="grant_begun"
                )
            note = None
            if reason is not None:
                note = await self._client.put_note(
                    reason, (), case_recipients(state.view, docket.case_id, state.taken_at)
                )
            claims = ReleaseDecision(request=request, decision="refuse", contribution=None, note=note)
            return await self._client.post(claims)

    async def recuse(self, case_id: bytes, reason: str | None) -> Receipt:
        """Leave a case for good, with a reason sealed to it. Raises as `post` (recused, too_few_judges, …)."""
        with only_one(self._client.home.path):
            state = await self._client.sync()
            note = None
            if reason is not None:
                note = await self._client.put_note(reason, (), case_recipients(state.view, case_id, state.taken_at))
            return await self._client.post(CaseRecuse(case_id=case_id, judge=state.me.id, note=note))

    # Which steps

    def _due(self, state: State, tried: set[Duty]) -> Iterator[Duty]:
        for duty in (*duties(state.view, state.me.id, state.taken_at), *self._cards_lost(state)):
            begun = duty.kind is not DutyKind.DECIDE or self._kept.grant(duty.subject) is not None
            if begun and duty not in tried:
                yield duty

    def _cards_lost(self, state: State) -> Iterator[Duty]:
        """A fresh card for one whose keys are not in this home, as long as no session rests on it."""
        for each in state.view.aggregates.values():
            proposal = each.proposal if isinstance(each, Panel) and each.live is None else None
            if isinstance(each, Panel) and proposal is not None and state.me.id in proposal.judges:
                given = [card.card for card in proposal.cards if card.judge == state.me.id]
                if given and self._kept.host_of(given[0]) is None:
                    yield card_duty(each, proposal, state.me.id)

    async def _carry_out(self, state: State, duty: Duty) -> Done:
        try:
            if duty.kind in (DutyKind.DECIDE, DutyKind.CONTRIBUTE):
                granted, sent = await self._resume_grant(state, duty)
                said = "release.contribution" if sent is not None else "release.decision"
                return Done(duty=duty, said=said, receipt=sent or granted, fault=None)
            said, claims = self._message(state, duty)
            return Done(duty=duty, said=said, receipt=await self._client.post(claims), fault=None)
        except AppError as fault:
            return Done(duty=duty, said="", receipt=None, fault=fault)

    def _message(self, state: State, duty: Duty) -> tuple[str, Claims]:
        if duty.kind is DutyKind.CARD:
            return "panel.card", PanelCard(card=self._card(state, duty))
        if duty.kind is DutyKind.DEAL:
            return "panel.deal", PanelDeal(deal=self._deal(state, duty))
        return self._acknowledgment(state, duty)

    # Ceremonies

    def _card(self, state: State, duty: Duty) -> bytes:
        lineage_of(state.view, panel_of(state.view, duty.panel_id))
        made = self._kept.host(duty.subject)
        if made is None:
            rng = self._client.rng
            host, he = rng(32), fresh_scalar(rng)
            card = make_card(panel_id=duty.panel_id, epoch=duty.epoch, host_seed=host, he=he, rnd=rng(32))
            made = HostKeys(
                panel_id=duty.panel_id, epoch=duty.epoch, proposal=duty.subject, host=host, he=he, card=card
            )
            self._kept.put_host(made)
        return made.card

    def _host(self, card: bytes) -> HostKeys:
        given = self._keys is not None and self._keys.card == card
        found = self._keys if given else self._kept.host_of(card)
        if found is None:
            raise Refused(
                "the ceremony names a card in your name whose keys are not in this home",
                "Use the home in which you gave the card. If there is none, tell the authority: the key is lost, or in "
                "other hands.",
                code="not_my_card",
            )
        return found

    def _deal(self, state: State, duty: Duty) -> bytes:
        session = visit(state.view, duty.subject)
        seats = session_of(state.view, duty.subject).judges
        if state.me.id in seats:
            self._host(session.header.cards[seats.index(state.me.id)].encoded)
        made = self._kept.deal(duty.subject)
        if made is None:
            self._not_before_restoring(state, duty)
            keys = self._host(session.dealers[duty.index - 1].encoded)
            secret = keys.he
            if session.previous is not None:
                closed, epoch = closed_epoch(state.view, panel_of(state.view, duty.panel_id))
                secret = recover(closed, epoch.certificate, judge=duty.index, he=keys.he)
            # The seed is drawn here, lives in this call, and is written nowhere.
            deal = make_deal(session, dealer=duty.index, host_seed=keys.host, secret=secret, seed=self._client.rng(32))
            made = DealMade(session=duty.subject, deal=deal)
            self._kept.put_deal(made)
        return made.deal

    def _not_before_restoring(self, state: State, duty: Duty) -> None:
        """A home that was restored after the session opened does not know whether its judge dealt in it before, and two
        deals of one judge are public proof against him (SPEC 6.3). Other holders' deals close a reshare without his.
        """
        restored = BackupVault(self._client.vault).restored_at(duty.panel_id)
        if restored is not None and opened_at(state, duty.subject) <= restored:
            raise Refused(
                "the session was open before you restored your secrets: you may have dealt in it, and must not twice",
                "Let the other holders deal; if they do not suffice, have the session closed and opened again.",
                code="deal_unknown",
            )

    def _acknowledgment(self, state: State, duty: Duty) -> tuple[str, Claims]:
        session = visit(state.view, duty.subject)
        closed = closed_set(state.view, session)
        keys = self._host(session.header.cards[duty.index - 1].encoded)
        try:
            ack = make_ack(
                closed,
                judge=duty.index,
                he=keys.he,
                host_seed=keys.host,
                own_deal_hash=self._own_deal(state, session, closed),
                acked=tuple(self._acked(state.view, duty)),
            )
        except PanelError as error:
            if error.code != "bad_share" or error.detail is None:
                raise
            return "panel.blame", PanelBlame(blame=self._blame(state, duty, closed, keys, error.detail))
        made = AckMade(panel_id=duty.panel_id, epoch=duty.epoch, session=duty.subject, eta=closed.eta, ack=ack)
        self._kept.put_ack(made)
        return "panel.ack", PanelAck(ack=ack)

    def _own_deal(self, state: State, session: Session, closed: ClosedDeals) -> bytes | None:
        """The hash of the deal made here when the closed set has one in this judge's name; no deal has that of none."""
        dealers = session_of(state.view, session.session).dealers
        if state.me.id not in dealers or closed.deal_of(dealers.index(state.me.id) + 1) is None:
            return None
        made = self._kept.deal(session.session)
        return deal_hash(made.deal if made is not None else b"")

    def _acked(self, view: WholeView, duty: Duty) -> Iterator[Acked]:
        for each in self._kept.acks(duty.panel_id, duty.epoch):
            status = session_of(view, each.session).state.status
            yield Acked(session=each.session, eta=each.eta, end=str(status) if status in _ENDS else "")

    def _blame(self, state: State, duty: Duty, closed: ClosedDeals, keys: HostKeys, dealer: int) -> bytes:
        upheld = session_of(state.view, duty.subject).state.blamed
        return make_blame(
            closed,
            dealer=dealer,
            judge=duty.index,
            he=keys.he,
            host_seed=keys.host,
            rnd=self._client.rng(32),
            upheld=upheld,
        )

    # Releases

    def _contribution(self, state: State, docket: Docket) -> bytes:
        closed, epoch = closed_epoch(state.view, panel_of(state.view, docket.panel_id))
        keys = self._host(closed.session.header.cards[docket.index - 1].encoded)
        made = contribute(
            docket.release,
            index=docket.index,
            x=recover(closed, epoch.certificate, judge=docket.index, he=keys.he),
            requester=docket.requester.key,
            order_hash=bytes.fromhex(docket.order.id),
            rnd=self._client.rng(32),
        )
        verify_contribution(docket.release, made)
        return made

    async def _resume_grant(self, state: State, duty: Duty) -> tuple[Receipt | None, Receipt | None]:
        made = self._kept.grant(duty.subject)
        if made is None:
            raise Refused(
                "your grant is on the ledger and its contribution is not in this home",
                "Use the home in which you granted. If it is lost, the other judges must suffice.",
                code="contribution_lost",
            )
        docket = examine(state.view, state.me.id, duty.subject, state.taken_at)
        check_document(docket, made.document)
        return await self._send_grant(state, docket, made)

    async def _send_grant(self, state: State, docket: Docket, made: GrantMade) -> tuple[Receipt | None, Receipt | None]:
        digest = hashlib.sha256(made.contribution).digest()
        granted: Receipt | None = None
        if not _is_granted(state, docket, digest):
            claims = ReleaseDecision(request=docket.request, decision="grant", contribution=digest, note=None)
            granted = await self._client.post(claims)
            state = await self._client.confirm(granted)
        if not _is_granted(state, docket, digest):
            raise Refused(
                "your grant does not stand in the ledger that the service shows; the contribution stays here",
                "Run act later; tell the registrar if it stays so.",
                code="grant_not_proven",
            )
        # Once more on the ledger that shows the grant: what ended, or was revoked, meanwhile keeps it here.
        check_document(examine(state.view, state.me.id, docket.request, state.taken_at), made.document)
        if not quorum_of_grants(state.view, request_of(state.view, docket.request)):
            return granted, None  # kept; the grants are counted again, on a ledger that was proven, at the next visit
        sent = await self._client.post(ReleaseContribution(request=docket.request, contribution=made.contribution))
        self._kept.destroy_grant(docket.request)
        return granted, sent

    async def _words(self, state: State, docket: Docket) -> Words:
        faults: list[AppError] = []
        order = state.statement(bytes.fromhex(docket.order.id)).claims
        asked = state.statement(docket.request).claims
        deposit = state.statement(docket.deposit.digest).claims
        assert isinstance(order, ReleaseOrder)  # noqa: S101 - the aggregates come from statements of these kinds
        assert isinstance(asked, ReleaseRequest)  # noqa: S101
        assert isinstance(deposit, Deposit)  # noqa: S101
        words: list[str | None] = []
        shown: tuple[Shown, ...] = ()
        for claims in (order, asked, deposit):
            words.append(None)
            if claims.note is None:
                continue
            try:
                note = await self._client.read_note(claims.note)
                words[-1] = note.words
                if claims is asked and note.disclosures:
                    served = await self._client.api.deposit(bytes.fromhex(docket.deposit.id))
                    manifest = checked_manifest(docket.deposit, served.manifest)
                    shown = open_shown(note.disclosures, deposit.slots, manifest)
            except AppError as fault:
                faults.append(fault)
        objections = [(who.name, await self._said(state, digest, faults)) for who, digest in docket.objections]
        refusals = [
            (docket.judges[judge - 1].name, await self._said(state, digest, faults))
            for judge, digest in docket.refusals
        ]
        return Words(
            order=words[0],
            request=words[1],
            deposit=words[2],
            shown=shown,
            objections=tuple(objections),
            refusals=tuple(refusals),
            faults=tuple(faults),
        )

    async def _said(self, state: State, digest: bytes, faults: list[AppError]) -> str | None:
        try:
            return await words_of(self._client, state.statement(digest))
        except AppError as fault:
            faults.append(fault)
            return None

    # Afterwards

    async def _say_destroyed(self, state: State) -> None:
        """Say on the ledger what is destroyed here (SPEC 7). What cannot be said now is said at the next visit."""
        for key in self._kept.destroyed():
            if self._kept.holds(key):
                continue  # a crash came before it was destroyed
            over = [
                each
                for each in state.view.aggregates.values()
                if isinstance(each, SessionRecord)
                and state.me.id in each.judges
                and card_key(card_of(each, state.me.id)) == key
                and card_is_over(state.view, each, state.me.id)
            ]
            if over and state.view.find(Destroyed, key) is None:
                try:
                    await self._client.post(PanelDestroy(session=bytes.fromhex(over[0].id)))
                except AppError:
                    continue
            self._kept.forget_destroyed(key)

    def _tidy(self, state: State) -> None:
        """Destroy what has served: shares of superseded epochs after the successor was verified, keys of attempts that
        another approved roster replaced, contributions that were sent or can be of no use any more."""
        for keys in tuple(self._kept.hosts()):
            panel = state.view.find(Panel, keys.panel_id.hex())
            if panel is None:
                continue
            record = panel.state.current
            if record is None or record.epoch < keys.epoch:
                if _replaced(state.view, panel, keys):
                    self._kept.destroy_host(keys)
                continue
            lineage_of(state.view, panel)
            cards = session_of(state.view, record.session).state.session.header.cards
            if record.epoch > keys.epoch or all(card.encoded != keys.card for card in cards):
                self._kept.destroy_host(keys)
        for made in self._kept.grants():
            asked = state.view.find(Request, made.request.hex())
            sent = asked is not None and any(encoded == made.contribution for _, encoded in asked.state.contributions)
            over = asked is not None and is_over(asked, state.taken_at)
            if asked is not None and (sent or over or _overtaken(state.view, asked, state.me.id)):
                self._kept.destroy_grant(made.request)


def _replaced(view: WholeView, panel: Panel, keys: HostKeys) -> bool:
    """Whether no session can be held on this card any more: it was replaced by a newer one or never arrived before the
    next proposal, and no session on it is open. An aborted session has dealt: its secrets go (SPEC 7).
    """
    proposal = panel.proposal
    if proposal is not None and proposal.digest == keys.proposal:
        return False
    if proposal is not None and any(each.card == keys.card for each in proposal.cards):
        return False
    if panel.live is None:
        return True
    cards = session_of(view, panel.live).state.session.header.cards
    return all(card.encoded != keys.card for card in cards)


def _overtaken(view: WholeView, asked: Request, member: str) -> bool:
    """Whether this judge can contribute to the request no more: its epoch has a successor, or he has left the case."""
    case = view.find(Case, asked.case_id.hex())
    if case is not None and member in (*case.recused, *case.parties):
        return True
    panel = view.find(Panel, asked.panel_id.hex())
    return panel is not None and panel.epoch_id != asked.epoch_id


def _concerns(panel: Panel, member: str) -> bool:
    return member in panel.approved_judges or (panel.proposal is not None and member in panel.proposal.judges)


def _is_granted(state: State, docket: Docket, digest: bytes) -> bool:
    """Whether this judge's grant of exactly this contribution stands in the replayed ledger."""
    decisions = request_of(state.view, docket.request).decisions
    return any((each.judge, each.contribution) == (docket.index, digest) for each in decisions)
