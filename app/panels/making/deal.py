"""Visit 1: a dealer's polynomial (SPEC 6.3)."""

from app.panels.deal import DEAL_TYPE, deal_statement, pad
from app.panels.errors import need
from app.panels.group import Element, G, Scalar, dec_scalar, scalar
from app.panels.hashing import H2S, u16
from app.panels.making.proof import RND_BYTES, prove
from app.panels.making.signature import public_key, signed
from app.panels.session import Session
from app.panels.wire import VERSION


def make_deal(session: Session, *, dealer: int, host_seed: bytes, secret: bytes, seed: bytes) -> bytes:
    """The deal of `dealer`; `session` comes from `chain.visit_check`.

    `secret` is he_i in a key generation and the old share x_i in a reshare; `seed` is 32 fresh bytes, destroyed at
    once. A judge makes at most one deal a session and keeps its `deal_hash`. Raises, in this order: `bad_index`,
    `dealer_barred`, `bad_length` (host seed), scalar errors, `bad_length` (seed), `host_mismatch`, `he_mismatch` or
    `share_mismatch`.
    """
    header, number = session.header, session.session
    need(1 <= dealer <= len(session.dealers), "bad_index")
    need(dealer not in header.barred, "dealer_barred")
    host = public_key(host_seed)
    h = dec_scalar(secret)
    need(len(seed) == RND_BYTES, "bad_length")
    card = session.dealers[dealer - 1]
    need(host == card.host, "host_mismatch")
    coefficients = [H2S("deal-coef", h, seed, number, u16(dealer), u16(t)) for t in range(header.k)]
    if session.previous is None:
        need(h * G == card.HE, "he_mismatch")
    else:
        need(h * G == session.previous.shares[dealer - 1], "share_mismatch")
        coefficients[0] = h
    p = H2S("deal-ephemeral", h, seed, number, u16(dealer))
    P = p * G
    commitments = [a * G for a in coefficients]
    encrypted = [
        _value_at(coefficients, receiver) + pad(session, dealer, receiver, P, p * receiver_card.HE)
        for receiver, receiver_card in enumerate(header.cards, start=1)
    ]
    fields: list[Element | Scalar] = [P, *commitments, *encrypted]
    proven = bytes([VERSION, DEAL_TYPE]) + u16(dealer) + number + b"".join([bytes(field) for field in fields])
    proof = prove(deal_statement(commitments[0], P, proven), [coefficients[0], p], seed)
    return signed(host_seed, "deal", proven + proof)


def _value_at(coefficients: list[Scalar], j: int) -> Scalar:
    """Σ_t a_t·j^t."""
    factor, total = scalar(j), scalar(0)
    for a in reversed(coefficients):
        total = total * factor + a
    return total
