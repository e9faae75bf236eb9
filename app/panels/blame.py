"""A blame, 230 bytes: judge j shows that dealer i encrypted a bad share to him (SPEC 6.7).

0x01, 0x24 ‖ j ‖ i ‖ session ‖ deal_hash ‖ S = he_j·P_i ‖ proof ‖ signature. It opens one encrypted share to whoever
receives it: a refused blame is never published. Making one stands in `making.blame`.
"""

from dataclasses import dataclass
from typing import Final

from app.panels.deal import Deal, share_of
from app.panels.errors import PanelError, need
from app.panels.group import Element, G
from app.panels.hashing import u16
from app.panels.session import Session
from app.panels.sigma import Proof, Statement, check_proof, read_proof
from app.panels.signing import verify_message
from app.panels.wire import open_typed

BLAME_BYTES: Final = 230
BLAME_TYPE: Final = 0x24


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A blame as its bytes say; `verify_blame` shows that it is upheld."""

    accuser: int
    dealer: int
    session: bytes
    deal_hash: bytes
    S: Element
    proof: Proof


def parse_blame(encoded: bytes) -> Blame:
    """Raises `bad_length`, `bad_version`, `bad_type`, element and scalar errors."""
    reader = open_typed(encoded, BLAME_TYPE, exactly=BLAME_BYTES)
    accuser, dealer, session, deal_hash = reader.u16(), reader.u16(), reader.take(32), reader.take(32)
    S = reader.elem()
    proof = read_proof(reader, 1)
    return Blame(accuser=accuser, dealer=dealer, session=session, deal_hash=deal_hash, S=S, proof=proof)


def verify_blame(session: Session, deals: tuple[Deal, ...], encoded: bytes) -> Blame:
    """The upheld blame: the dealer is at fault, because S is unique. `deals` are those of the closed set.

    Raises what `parse_blame` does, then, in this order: `wrong_session`, `bad_index`, `blame_unknown_deal`,
    `bad_signature`, `blame_proof`, `blame_unfounded` (the accuser lies).
    """
    blame = parse_blame(encoded)
    need(blame.session == session.session, "wrong_session")
    need(1 <= blame.accuser <= session.header.n, "bad_index")
    deal = next((d for d in deals if d.dealer == blame.dealer and d.deal_hash == blame.deal_hash), None)
    if deal is None:
        raise PanelError("blame_unknown_deal")
    card = session.header.cards[blame.accuser - 1]
    verify_message(card.host, "blame", encoded)
    check_proof(blame_statement(session, deal, blame.accuser, blame.S), blame.proof, "blame_proof")
    need(share_of(session, deal, blame.accuser, blame.S) is None, "blame_unfounded")
    return blame


def blame_statement(session: Session, deal: Deal, accuser: int, S: Element) -> Statement:
    """Proof `blame`: S is he_j·P_i with the he_j of the card."""
    HE = session.header.cards[accuser - 1].HE
    context = [session.session, deal.deal_hash, u16(accuser), u16(deal.dealer)]
    return Statement("blame", [[G], [deal.P]], [HE, S], context)
