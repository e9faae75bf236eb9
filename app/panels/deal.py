"""A deal, 228 + 32(k + n) bytes: one dealer's polynomial, committed, and its shares, encrypted (SPEC 6.3).

0x01, 0x21 ‖ i ‖ session ‖ P ‖ C_0..C_{k−1} ‖ e_1..e_n ‖ proof ‖ signature. Making one stands in `making.deal`.
"""

from dataclasses import dataclass
from typing import Final

from app.panels.errors import need
from app.panels.group import Element, G, Scalar, evaluate
from app.panels.hashing import H2S, H32, u16
from app.panels.session import Session
from app.panels.sigma import Proof, Statement, check_proof, proof_bytes, read_proof
from app.panels.signing import SIGNATURE_BYTES, verify_message
from app.panels.wire import open_typed

DEAL_TYPE: Final = 0x21
_FIXED_BYTES: Final = 228


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal as its bytes say; `verify_deal` shows that it holds. Whether its shares are good only receivers see."""

    dealer: int
    P: Element
    commitments: tuple[Element, ...]
    encrypted_shares: tuple[Scalar, ...]
    proof: Proof
    encoded: bytes
    deal_hash: bytes


def parse_deal(session: Session, encoded: bytes) -> Deal:
    """Raises, in this order: `bad_length`, `bad_version`, `bad_type`, `wrong_session`, `bad_index`, `dealer_barred`,
    element and scalar errors."""
    k, n = session.header.k, session.header.n
    reader = open_typed(encoded, DEAL_TYPE, exactly=_FIXED_BYTES + 32 * (k + n))
    dealer, named_session = reader.u16(), reader.take(32)
    need(named_session == session.session, "wrong_session")
    need(1 <= dealer <= len(session.dealers), "bad_index")
    need(dealer not in session.header.barred, "dealer_barred")
    P = reader.elem()
    commitments = reader.elems(k)
    encrypted_shares = reader.scalars(n)
    return Deal(
        dealer=dealer,
        P=P,
        commitments=commitments,
        encrypted_shares=encrypted_shares,
        proof=read_proof(reader, 2),
        encoded=encoded,
        deal_hash=deal_hash(encoded),
    )


def verify_deal(session: Session, encoded: bytes) -> Deal:
    """Every public check: what `parse_deal` raises, then `wrong_constant`, `bad_signature`, `deal_pop`."""
    deal = parse_deal(session, encoded)
    if session.previous is not None:
        need(deal.commitments[0] == session.previous.shares[deal.dealer - 1], "wrong_constant")
    verify_message(session.dealers[deal.dealer - 1].host, "deal", encoded)
    proven = encoded[: -SIGNATURE_BYTES - proof_bytes(2)]
    check_proof(deal_statement(deal.commitments[0], deal.P, proven), deal.proof, "deal_pop")
    return deal


def verify_double_deal(session: Session, first: bytes, second: bytes) -> int:
    """The index of a dealer who made two different deals in one session: public proof against him.

    Raises what `verify_deal` does for the first, then for the second, then `double_deal_unfounded`.
    """
    a, b = verify_deal(session, first), verify_deal(session, second)
    differ = first[:-SIGNATURE_BYTES] != second[:-SIGNATURE_BYTES]
    need(a.dealer == b.dealer and differ, "double_deal_unfounded")
    return a.dealer


def deal_hash(encoded: bytes) -> bytes:
    """H32("deal", deal): what a dealer keeps of his deal until visit 2."""
    return H32("deal", encoded)


def deal_statement(constant: Element, P: Element, proven: bytes) -> Statement:
    """Proof `deal`: the dealer knows a_0 of C_0 and p of P; bound to all bytes of the deal before it."""
    return Statement("deal", [[G, None], [None, G]], [constant, P], [proven])


def pad(session: Session, dealer: int, receiver: int, P: Element, shared: Element) -> Scalar:
    """What hides a share: a hash of S = p·HE_j = he_j·P_i."""
    HE = session.header.cards[receiver - 1].HE
    return H2S("deal-pad", session.session, u16(dealer), u16(receiver), HE, P, shared)


def decrypted_share(session: Session, deal: Deal, receiver: int, shared: Element) -> Scalar:
    """The share of `receiver`, decrypted with S = `shared`, as it is: good or bad."""
    return deal.encrypted_shares[receiver - 1] - pad(session, deal.dealer, receiver, deal.P, shared)


def share_of(session: Session, deal: Deal, receiver: int, shared: Element) -> Scalar | None:
    """The share of `receiver`, decrypted with S = `shared`; None when it does not match the commitments."""
    share = decrypted_share(session, deal, receiver, shared)
    return share if share * G == evaluate(deal.commitments, receiver) else None
