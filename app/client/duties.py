"""What waits for a judge, and what a ceremony waits for: pure, from the replayed state alone."""

from dataclasses import dataclass
from enum import StrEnum

from app.panels.header import NO_EPOCH
from app.panels.states import SessionStatus
from app.rules.aggregates import Case, Epoch, Panel, Person, Proposal, Request, Session
from app.rules.ceremonies import with_revocations
from app.rules.terms import is_over, is_stale, quorum_of_grants
from app.rules.view import WholeView


class DutyKind(StrEnum):
    """What is to be done. `DECIDE` is the judge's own; everything else is routine."""

    CARD = "card"
    DEAL = "deal"
    ACK = "ack"
    DECIDE = "decide"
    CONTRIBUTE = "contribute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One thing that waits for one judge. `subject` is the proposal, session or request, 32 bytes."""

    kind: DutyKind
    panel_id: bytes
    epoch: int
    subject: bytes
    index: int
    """The judge's index: in the roster, among those who deal, or in the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelProgress:
    """How far a panel is. `stage` says what is waited for; `missing` are the members who have not come."""

    panel_id: bytes
    epoch: int
    """The certified epoch, 0 before the first."""
    k: int
    judges: tuple[str, ...]
    stage: str
    session: bytes | None
    missing: tuple[str, ...]
    barred: tuple[str, ...]
    """Who may not deal for the next epoch: members blamed in an attempt at it, or revoked as holders."""


def duties(view: WholeView, member: str, now: int = 0) -> tuple[Duty, ...]:
    """Return what waits for a judge: ceremonies by panel, then releases, each in the order of their ids.

    A request is over from its time on, by `now` (Unix seconds); at 0 none is.
    """
    aggregates = [each for _, each in sorted(view.aggregates.items())]
    found: list[Duty | None] = []
    for each in aggregates:
        if isinstance(each, Panel):
            found.append(_card(each, member))
            live = view.find(Session, each.live.hex()) if each.live else None
            if live is not None:
                found += [_deal(live, member), _ack(live, member)]
    found += [_release(view, each, member, now) for each in aggregates if isinstance(each, Request)]
    return tuple(duty for duty in found if duty is not None)


def waiting(view: WholeView, member: str, now: int) -> tuple[Request, ...]:
    """Requests that a judge granted, and whose contribution waits for the grants of others, by their ids."""
    found = []
    for _, each in sorted(view.aggregates.items()):
        if not isinstance(each, Request) or is_over(each, now) or is_stale(view, each):
            continue
        mine = next((said for said in each.decisions if said.member == member), None)
        if mine is not None and mine.contribution is not None and not quorum_of_grants(view, each):
            found.append(each)
    return tuple(found)


def progress(view: WholeView, panel: Panel) -> PanelProgress:
    """Return what a panel waits for."""
    live = view.find(Session, panel.live.hex()) if panel.live else None
    current = panel.state.current
    epoch = current.epoch if current is not None else 0
    judges: tuple[str, ...] = ()
    k = current.k if current is not None else 0
    if live is not None:
        header = live.state.session.header
        judges, k = live.judges, header.k
        if live.state.status is SessionStatus.OPEN:
            came = {live.dealers[deal.dealer - 1] for deal in live.state.deals}
            stage, missing = "deals", tuple(each for each in live.dealers if each not in came)
        else:
            acked = {judge for judge, _ in live.state.acks}
            stage, missing = "acks", tuple(each for i, each in enumerate(judges, 1) if i not in acked)
    elif panel.proposal is not None and _awaits_cards(panel):
        judges, k = panel.proposal.judges, panel.proposal.k
        given = {each.judge for each in panel.proposal.cards}
        stage, missing = "cards", tuple(each for each in judges if each not in given)
    elif panel.proposal is not None:
        judges, k = panel.proposal.judges, panel.proposal.k
        stage, missing = "roster, approvals and session", ()
    else:
        held = view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id else None
        judges = held.judges if held is not None else ()
        stage, missing = "certified" if held is not None else "a proposal", ()
    return PanelProgress(
        panel_id=panel.state.panel_id,
        epoch=epoch,
        k=k,
        judges=judges,
        stage=stage,
        session=panel.live,
        missing=missing,
        barred=barred_members(view, panel),
    )


def barred_members(view: WholeView, panel: Panel) -> tuple[str, ...]:
    """Return the members who may not deal for a panel's next epoch, each once: blamed first, then revoked holders."""
    previous = panel.epoch_id if panel.epoch_id is not None else NO_EPOCH
    found = []
    for note in panel.state.sessions:
        session = view.find(Session, note.session.hex())
        if session is not None and note.prev_epoch_id == previous:
            found += [session.dealers[index - 1] for index in note.blamed]
    epoch = view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id is not None else None
    if epoch is not None:
        found += [epoch.judges[i - 1] for of, i in with_revocations(view, panel).revoked if of == panel.epoch_id]
    return tuple(dict.fromkeys(found))


def card_duty(panel: Panel, proposal: Proposal, member: str) -> Duty:
    """A proposed judge's duty to give a card."""
    return Duty(
        kind=DutyKind.CARD,
        panel_id=panel.state.panel_id,
        epoch=proposal.epoch,
        subject=proposal.digest,
        index=proposal.judges.index(member) + 1,
    )


def names_of(view: WholeView, members: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of members, the id where a name is not known."""
    people = [view.find(Person, each) for each in members]
    return tuple(person.name if person else id for person, id in zip(people, members, strict=True))


def _awaits_cards(panel: Panel) -> bool:
    proposal = panel.proposal
    return proposal is not None and not set(proposal.judges) <= {each.judge for each in proposal.cards}


def _card(panel: Panel, member: str) -> Duty | None:
    proposal = panel.proposal
    if proposal is None or member not in proposal.judges or any(each.judge == member for each in proposal.cards):
        return None
    return card_duty(panel, proposal, member)


def _deal(session: Session, member: str) -> Duty | None:
    if session.state.status is not SessionStatus.OPEN or member not in session.dealers:
        return None
    index = session.dealers.index(member) + 1
    if index in session.state.session.header.barred or any(deal.dealer == index for deal in session.state.deals):
        return None
    return _of_session(DutyKind.DEAL, session, index)


def _ack(session: Session, member: str) -> Duty | None:
    if session.state.status is not SessionStatus.DEALT or member not in session.judges:
        return None
    index = session.judges.index(member) + 1
    if any(judge == index for judge, _ in session.state.acks):
        return None
    return _of_session(DutyKind.ACK, session, index)


def _of_session(kind: DutyKind, session: Session, index: int) -> Duty:
    header = session.state.session.header
    return Duty(kind=kind, panel_id=session.panel_id, epoch=header.epoch, subject=header.session, index=index)


def _release(view: WholeView, asked: Request, member: str, now: int) -> Duty | None:
    panel = view.find(Panel, asked.panel_id.hex())
    epoch = view.find(Epoch, asked.epoch_id.hex())
    if panel is None or epoch is None or panel.epoch_id != asked.epoch_id or is_over(asked, now):
        return None
    case = view.find(Case, asked.case_id.hex())
    if member not in epoch.judges or (case is not None and member in (*case.recused, *case.parties)):
        return None
    index = epoch.judges.index(member) + 1
    decided = next((each for each in asked.decisions if each.judge == index), None)
    kind = DutyKind.DECIDE
    if decided is not None:
        if decided.contribution is None or asked.state.contribution_of(index) is not None:
            return None
        if not quorum_of_grants(view, asked):
            return None  # it waits for other judges, not for this one
        kind = DutyKind.CONTRIBUTE
    return Duty(
        kind=kind,
        panel_id=asked.panel_id,
        epoch=asked.state.release.record.epoch,
        subject=bytes.fromhex(asked.id),
        index=index,
    )
