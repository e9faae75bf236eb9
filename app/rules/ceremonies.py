"""Panel ceremonies as statements: proposal, cards, roster with approvals, session, deals, acknowledgments.

Which messages a session admits, and when an epoch is certified, is decided by `app.panels.admission` (SPEC 8); here is
who may send them: a card is certified by the signature of the judge who sends it, and a deal or acknowledgment is
taken only from the judge whose card stands at its index.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.panels import admission
from app.panels.card import verify_card
from app.panels.header import roster_hash
from app.panels.states import PanelState, SessionState
from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, CardGiven, Epoch, Panel, Person, Proposal, Session
from app.rules.members import pending
from app.rules.view import View
from app.statements.kinds import (
    Digest,
    PanelAck,
    PanelBlame,
    PanelCard,
    PanelClose,
    PanelDeal,
    PanelOpen,
    PanelPropose,
    PanelRoster,
)

ZERO = bytes(32)


def propose(act: Act[PanelPropose]) -> Iterator[Aggregate]:
    """A registrar names the judges of a panel's next epoch; the newest proposal counts until a roster is approved.

    A card is for a panel and an epoch, not for a proposal: those given for an earlier proposal of this epoch serve this
    one, too, so that a ceremony goes on without a judge as soon as the authority agrees (SPEC 6.8: CARDED).
    """
    act.member("registrar")
    claims = act.claims
    panel = act.view.find(Panel, claims.panel_id.hex())
    state = panel.state if panel is not None else admission.new_panel(claims.panel_id)
    current = state.current
    expected = (current.epoch + 1, current.epoch_id) if current is not None else (1, ZERO)
    if (claims.epoch, claims.prev_epoch_id) != expected:
        raise refuse(
            "wrong_epoch",
            f"the panel's next epoch is {expected[0]} after {expected[1].hex()}, not {claims.epoch} after "
            f"{claims.prev_epoch_id.hex()}",
        )
    if claims.k > len(claims.judges):
        raise refuse("bad_threshold", f"k is {claims.k} of only {len(claims.judges)} judges")
    if len(set(claims.judges)) != len(claims.judges):
        raise refuse("duplicate_name", "the proposal names a judge twice")
    for judge in claims.judges:
        person_of(act.view, judge, "judge")
    proposal = Proposal(
        digest=act.statement.digest,
        epoch=claims.epoch,
        prev_epoch_id=claims.prev_epoch_id,
        k=claims.k,
        judges=claims.judges,
        cards=panel.proposal.cards if panel is not None and panel.proposal is not None else (),
    )
    if panel is None:
        panel = Panel(
            id=claims.panel_id.hex(), proposal=None, approved_judges=(), live=None, epoch_id=None, state=state
        )
    yield replace(panel, proposal=proposal)


def card(act: Act[PanelCard]) -> Iterator[Aggregate]:
    """A proposed judge gives his card; a newer one replaces his older one."""
    signer = act.member("judge")
    panel_id, epoch = act.claims.card[2:34], int.from_bytes(act.claims.card[34:38], "big")
    panel = act.view.find(Panel, panel_id.hex())
    proposal = panel.proposal if panel is not None else None
    if panel is None or proposal is None or proposal.epoch != epoch or signer.id not in proposal.judges:
        raise refuse(
            "not_proposed",
            f"the member {signer.id} is not proposed for the epoch {epoch} of the panel {panel_id.hex()}",
        )
    verify_card(act.claims.card, panel_id, epoch)
    given = CardGiven(judge=signer.id, digest=act.statement.digest, card=act.claims.card)
    others = tuple(each for each in proposal.cards if each.judge != signer.id)
    yield replace(panel, proposal=replace(proposal, cards=(*others, given)))


def _roster_cards(view: View, claims: PanelRoster) -> tuple[Panel, Proposal]:
    panel = view.find(Panel, claims.panel_id.hex())
    proposal = panel.proposal if panel is not None else None
    if panel is None or proposal is None or proposal.digest != claims.propose:
        raise refuse("not_proposed", f"the newest proposal for the panel {claims.panel_id.hex()} is another one")
    if (claims.epoch, claims.prev_epoch_id) != (proposal.epoch, proposal.prev_epoch_id):
        raise refuse("wrong_epoch", "the roster is for another epoch than its proposal")
    given = {each.judge: each for each in proposal.cards}
    missing = [judge for judge in proposal.judges if judge not in given]
    if missing:
        raise refuse("card_missing", f"the judge {missing[0]} has not given his card", "Wait for all cards.")
    cards = [given[judge] for judge in proposal.judges]
    if tuple(each.digest for each in cards) != claims.cards:
        raise refuse("card_mismatch", "the roster does not name the newest card of every judge in index order")
    hashed = roster_hash(
        panel_id=claims.panel_id,
        epoch=claims.epoch,
        k=proposal.k,
        n=len(cards),
        prev_epoch_id=claims.prev_epoch_id,
        cards=[each.card for each in cards],
    )
    if hashed != claims.roster_hash:
        raise refuse("roster_mismatch", f"the roster hash of these cards is {hashed.hex()}")
    return panel, proposal


def roster(act: Act[PanelRoster]) -> Iterator[Aggregate]:
    """A registrar puts the roster forward; it waits for the authority's approvals."""
    act.member("registrar")
    _roster_cards(act.view, act.claims)
    yield pending(act)


def roster_approved(act: Act[PanelRoster]) -> Iterator[Aggregate]:
    """The m-th approval: from now on this is the newest approved roster of its epoch (SPEC 8.1)."""
    panel, proposal = _roster_cards(act.view, act.claims)
    for judge in proposal.judges:
        person_of(act.view, judge, "judge")
    state = admission.approve_roster(panel.state, act.claims.epoch, act.claims.roster_hash)
    yield replace(panel, approved_judges=proposal.judges, state=state)


def open_session(act: Act[PanelOpen]) -> Iterator[Aggregate]:
    """A registrar opens a session on the newest approved roster."""
    act.member("registrar")
    panel_id = act.claims.header[3:35]
    panel = act.view.find(Panel, panel_id.hex())
    if panel is None:
        raise refuse("unknown_panel", f"there is no panel {panel_id.hex()}", "Propose it first.")
    moved = admission.open_session(with_revocations(act.view, panel), act.claims.header)
    session_id = moved.session.session.session
    yield replace(panel, state=moved.panel, live=session_id)
    yield Session(
        id=session_id.hex(),
        panel_id=panel_id,
        judges=panel.approved_judges,
        dealers=_dealers(act.view, panel, moved.session),
        state=moved.session,
    )


def with_revocations(view: View, panel: Panel) -> PanelState:
    """The panel's state with every holder of its current epoch recorded as revoked who is no active member now.

    The revocation of a judge, with the authority's m approvals, is the statement that bars him from dealing in
    sessions opened later (SPEC 7 and 8.1); what was recorded stays.
    """
    epoch = view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id is not None else None
    state = panel.state
    if epoch is None or panel.epoch_id is None:
        return state
    for index, judge in enumerate(epoch.judges, 1):
        person = view.find(Person, judge)
        if person is None or not person.active:
            state = admission.revoke(state, panel.epoch_id, index)
    return state


def _dealers(view: View, panel: Panel, state: SessionState) -> tuple[str, ...]:
    """Who may deal, in index order: the roster's judges, or in a reshare the judges of the epoch before."""
    if state.session.previous is None or panel.epoch_id is None:
        return panel.approved_judges
    epoch = view.find(Epoch, panel.epoch_id.hex())
    return epoch.judges if epoch is not None else ()


def _session(view: View, session_id: bytes) -> Session:
    session = view.find(Session, session_id.hex())
    if session is None:
        raise refuse("wrong_session", f"there is no session {session_id.hex()}", "Fetch the panel's open session.")
    return session


def _panel(view: View, panel_id: Digest) -> Panel:
    panel = view.find(Panel, panel_id.hex())
    if panel is None:
        raise refuse("unknown_panel", f"there is no panel {panel_id.hex()}")
    return panel


def _is_at(act: Act[object], people: tuple[str, ...], index: int) -> None:
    signer = act.member("judge")
    if not 1 <= index <= len(people) or people[index - 1] != signer.id:
        raise refuse("wrong_signer", f"the message of index {index} is not from the judge {signer.id}")


def deal(act: Act[PanelDeal]) -> Iterator[Aggregate]:
    """A judge deals (visit 1)."""
    message = act.claims.deal
    session = _session(act.view, message[4:36])
    _is_at(act, session.dealers, int.from_bytes(message[2:4], "big"))
    yield replace(session, state=admission.deal(session.state, message))


def ack(act: Act[PanelAck]) -> Iterator[Aggregate]:
    """A judge acknowledges (visit 2); with the n-th the epoch is certified and current, in this one statement."""
    message = act.claims.ack
    session = _session(act.view, message[4:36])
    panel = _panel(act.view, session.panel_id)
    _is_at(act, session.judges, int.from_bytes(message[2:4], "big"))
    after = admission.ack(panel.state, session.state, message)
    yield replace(session, state=after.session)
    if after.certified is None:
        return
    record = after.certified.record
    yield replace(panel, state=after.panel, epoch_id=record.epoch_id, live=None, proposal=None)
    yield Epoch(
        id=record.epoch_id.hex(),
        panel_id=session.panel_id,
        record=record.encoded,
        judges=session.judges,
        session=session.state.session.session,
    )


def blame(act: Act[PanelBlame]) -> Iterator[Aggregate]:
    """A judge shows that a dealer's share for him was bad."""
    message = act.claims.blame
    session = _session(act.view, message[6:38])
    panel = _panel(act.view, session.panel_id)
    _is_at(act, session.judges, int.from_bytes(message[2:4], "big"))
    after = admission.blame(panel.state, session.state, message)
    yield replace(session, state=after.session)
    # A second blame may come when the next session is open already, and must not hide that one.
    live = None if panel.live == bytes.fromhex(session.id) else panel.live
    yield replace(panel, state=after.panel, live=live)


def close(act: Act[PanelClose]) -> Iterator[Aggregate]:
    """A registrar ends a session that did not certify."""
    act.member("registrar")
    session = _session(act.view, act.claims.session)
    panel = _panel(act.view, session.panel_id)
    moved = admission.close(panel.state, session.state)
    yield replace(session, state=moved.session)
    yield replace(panel, state=moved.panel, live=None)
