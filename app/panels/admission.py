"""What the ledger admits of a ceremony, and in which order it checks (SPEC 8.1 to 8.4): pure steps over `states`.

Each step takes the aggregates that it concerns and returns the new ones, or raises `PanelError` with the named rule and
has changed nothing. A session that is not known is passed as None. What a state holds was verified
when it was admitted and is not verified again; a client that trusts nobody runs `chain.verify_chain` over the bytes.
"""

from dataclasses import replace
from typing import NamedTuple

from app.panels.ack import verify_ack
from app.panels.blame import Blame, verify_blame
from app.panels.certificate import join_certificate
from app.panels.closing import close_verified
from app.panels.deal import verify_deal
from app.panels.errors import PanelError, need
from app.panels.header import Header, Kind, verify_header
from app.panels.session import Session, check_session
from app.panels.signing import SIGNATURE_BYTES
from app.panels.states import (
    CertifiedEpoch,
    PanelState,
    SessionNote,
    SessionState,
    SessionStatus,
)


class Moved(NamedTuple):
    """A panel and one of its sessions after a step."""

    panel: PanelState
    session: SessionState


class Acknowledged(NamedTuple):
    """After an acknowledgement; `certified` is the new current epoch when it was the n-th, to be recorded together."""

    panel: PanelState
    session: SessionState
    certified: CertifiedEpoch | None


class Blamed(NamedTuple):
    """After an upheld blame."""

    panel: PanelState
    session: SessionState
    blame: Blame


def new_panel(panel_id: bytes) -> PanelState:
    """A panel of which nothing is known yet."""
    return PanelState(panel_id=panel_id)


def approve_roster(panel: PanelState, epoch: int, roster_hash: bytes) -> PanelState:
    """The authority's approval, which supersedes an earlier one for the same epoch (SPEC 8.1)."""
    approved = {**dict(panel.approved), epoch: roster_hash}
    return replace(panel, approved=tuple(sorted(approved.items())))


def revoke(panel: PanelState, epoch_id: bytes, index: int) -> PanelState:
    """The authority bars a holder from dealing in sessions opened later; again changes nothing.

    Raises `unknown_epoch`, `bad_index`.
    """
    epoch = panel.epoch_of(epoch_id)
    if epoch is None:
        raise PanelError("unknown_epoch")
    need(1 <= index <= epoch.record.n, "bad_index")
    if (epoch_id, index) in panel.revoked:
        return panel
    return replace(panel, revoked=(*panel.revoked, (epoch_id, index)))


def barred_now(panel: PanelState, epoch_id: bytes) -> tuple[int, ...]:
    """The indices that a header of a reshare from `epoch_id` must bar now: blamed or revoked, ascending (SPEC 7)."""
    blamed = {index for note in panel.sessions if note.prev_epoch_id == epoch_id for index in note.blamed}
    return tuple(sorted(blamed | {index for revoked_in, index in panel.revoked if revoked_in == epoch_id}))


def open_session(panel: PanelState, header: bytes) -> Moved:
    """Raises, in this order: the errors of `verify_header`, `roster_not_approved`, `session_known`; for a key
    generation `panel_exists`, for a reshare `unknown_epoch`, `successor_exists`, those of the session check,
    `he_reused`, `barred_mismatch`; `session_open`."""
    checked = verify_header(header)
    approved = dict(panel.approved).get(checked.epoch)
    need(checked.panel_id == panel.panel_id and approved == checked.roster_hash, "roster_not_approved")
    need(all(note.session != checked.session for note in panel.sessions), "session_known")
    if checked.kind is Kind.KEY_GENERATION:
        need(panel.current is None, "panel_exists")
        session = check_session(checked)
    else:
        session = _reshare(panel, checked)
    need(not any(note.live for note in panel.sessions), "session_open")
    note = SessionNote(
        session=checked.session,
        epoch=checked.epoch,
        prev_epoch_id=checked.prev_epoch_id,
        HEs=tuple(bytes(card.HE) for card in checked.cards),
        blamed=(),
        live=True,
    )
    return Moved(replace(panel, sessions=(*panel.sessions, note)), SessionState(session=session))


def deal(session: SessionState | None, message: bytes) -> SessionState:
    """DEALT with the last deal that is needed, whose refusal by `identity_result` leaves the session open.

    Raises, in this order: `wrong_session`, `deals_closed`, the errors of `verify_deal`, `duplicate_deal`,
    `identity_result`.
    """
    state = _known(session)
    need(state.status is SessionStatus.OPEN, "deals_closed")
    admitted = verify_deal(state.session, message)
    need(all(other.dealer != admitted.dealer for other in state.deals), "duplicate_deal")
    more = replace(state, deals=(*state.deals, admitted))
    if len(more.deals) < state.session.deals_needed:
        return more
    # The dealer set is fixed here, by ledger order.
    closed = close_verified(state.session, more.closed_deals)
    return replace(more, status=SessionStatus.DEALT, record=closed.record)


def ack(panel: PanelState, session: SessionState | None, message: bytes) -> Acknowledged:
    """CERTIFIED with the n-th: this acknowledgement, certificate and new current epoch are one event (SPEC 8.4).

    Raises, in this order: `wrong_session`, `not_dealt`, `session_closed`, the errors of `verify_ack`, `duplicate_ack`.
    """
    state = _known(session, panel)
    need(state.status is not SessionStatus.OPEN, "not_dealt")
    if state.status is not SessionStatus.DEALT or state.record is None:
        raise PanelError("session_closed")
    admitted = verify_ack(state.session, state.record.eta, message)
    need(all(judge != admitted.judge for judge, _ in state.acks), "duplicate_ack")
    more = replace(state, acks=(*state.acks, (admitted.judge, message)))
    if len(more.acks) < state.session.header.n:
        return Acknowledged(panel, more, None)
    signatures = [encoded[-SIGNATURE_BYTES:] for _, encoded in sorted(more.acks)]
    certified = CertifiedEpoch(
        record=state.record,
        header=state.session.header.encoded,
        certificate=join_certificate(state.session.session, state.record.eta, signatures),
    )
    after = replace(_ended(panel, state), epochs=(*panel.epochs, certified))
    return Acknowledged(after, replace(more, status=SessionStatus.CERTIFIED), certified)


def blame(panel: PanelState, session: SessionState | None, message: bytes) -> Blamed:
    """BLAMED. A refused blame is never published: record its H32 only (SPEC 6.7).

    Raises, in this order: `wrong_session`, `not_dealt`, `session_closed`, the errors of `verify_blame`,
    `blame_duplicate`.
    """
    state = _known(session, panel)
    need(state.status is not SessionStatus.OPEN, "not_dealt")
    need(state.status in (SessionStatus.DEALT, SessionStatus.BLAMED), "session_closed")
    upheld = verify_blame(state.session, state.deals, message)
    need(upheld.dealer not in state.blamed, "blame_duplicate")
    after = replace(state, status=SessionStatus.BLAMED, blamed=(*state.blamed, upheld.dealer))
    return Blamed(_ended(panel, after), after, upheld)


def close(panel: PanelState, session: SessionState | None) -> Moved:
    """CLOSED: the deadline passed or the session was withdrawn. Raises `wrong_session`, `session_closed`."""
    state = _known(session, panel)
    need(state.status in (SessionStatus.OPEN, SessionStatus.DEALT), "session_closed")
    return Moved(_ended(panel, state), replace(state, status=SessionStatus.CLOSED))


def _reshare(panel: PanelState, header: Header) -> Session:
    previous = panel.epoch_of(header.prev_epoch_id)
    if previous is None:
        raise PanelError("unknown_epoch")
    need(previous.record == panel.current, "successor_exists")
    session = check_session(header, previous.record, previous.header)
    used = {HE for note in panel.sessions if note.epoch < header.epoch for HE in note.HEs}
    need(not any(bytes(card.HE) in used for card in header.cards), "he_reused")
    need(header.barred == barred_now(panel, header.prev_epoch_id), "barred_mismatch")
    return session


def _known(session: SessionState | None, panel: PanelState | None = None) -> SessionState:
    if session is None or (panel is not None and session.session.header.panel_id != panel.panel_id):
        raise PanelError("wrong_session")
    return session


def _ended(panel: PanelState, session: SessionState) -> PanelState:
    """The panel after its session has ended, with the dealers blamed in it."""
    notes = [
        replace(note, live=False, blamed=session.blamed) if note.session == session.session.session else note
        for note in panel.sessions
    ]
    return replace(panel, sessions=tuple(notes))
