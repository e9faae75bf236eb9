"""A judge's word that the secrets of an ended or aborted epoch are destroyed (SPEC 7): when it may be given.

The transcript with all encrypted shares is public for ever, so the secret behind a card *is* the share. A card is over
when its session ended and no other one can be held on it: it is neither that of the current epoch nor of the session
that is open, nor given for the newest proposal. Nobody can verify the word; that it is missing is seen by everybody.
"""

from collections.abc import Iterator

from app.panels.states import SessionStatus
from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Destroyed, Panel, Session
from app.rules.view import View
from app.statements.kinds import PanelDestroy

ENDS = (SessionStatus.BLAMED, SessionStatus.CLOSED, SessionStatus.CERTIFIED)


def destroy(act: Act[PanelDestroy]) -> Iterator[Aggregate]:
    """A judge of a session that is over says that he destroyed."""
    signer = act.member("judge")
    session = act.view.find(Session, act.claims.session.hex())
    if session is None:
        raise refuse("wrong_session", f"there is no session {act.claims.session.hex()}")
    if signer.id not in session.judges:
        raise refuse("not_on_panel", f"the member {signer.id} is not a judge of the session {session.id}")
    card = card_of(session, signer.id)
    if not is_over(act.view, session, signer.id):
        raise refuse("card_in_use", f"the card of {signer.id} in the session {session.id} may still be used")
    he = card_key(card)
    if act.view.find(Destroyed, he) is not None:
        raise refuse("already_destroyed", f"the member {signer.id} said so before")
    yield Destroyed(id=he, panel_id=session.panel_id, judge=signer.id, index=act.circumstances.index)


def card_of(session: Session, judge: str) -> bytes:
    """The judge's card (230 bytes) in a session whose roster he is on."""
    return session.state.session.header.cards[session.judges.index(judge)].encoded


def card_key(card: bytes) -> str:
    """By what a card's secrets are known: HE, in hex."""
    return card[70:102].hex()


def is_over(view: View, session: Session, judge: str) -> bool:
    """Whether nothing can be done with a judge's card in a session any more."""
    panel = view.find(Panel, session.panel_id.hex())
    if panel is None or session.state.status not in ENDS:
        return False
    card = card_of(session, judge)
    proposal = panel.proposal
    if proposal is not None and judge in proposal.judges and any(each.card == card for each in proposal.cards):
        return False
    current = panel.state.current
    used = [panel.live, current.session if current is not None else None]
    for each in used:
        other = view.find(Session, each.hex()) if each is not None else None
        if other is not None and any(found.encoded == card for found in other.state.session.header.cards):
            return False
    return True
