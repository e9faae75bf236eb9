"""What corrupt judges, requesters and services make: messages in the right form, with one lie in each."""

import hashlib

from app.panels.blame import BLAME_TYPE, blame_statement
from app.panels.closing import ClosedDeals
from app.panels.contribution import contribution_statement
from app.panels.deal import DEAL_TYPE, deal_statement, pad
from app.panels.group import Element, G, Scalar, dec_elem, dec_scalar, reduce_wide, scalar
from app.panels.hashing import u16
from app.panels.making.proof import prove
from app.panels.making.signature import public_key, signed
from app.panels.request import REQUEST_TYPE, Release, request_statement
from app.panels.session import Session
from app.panels.wire import VERSION


def secret(name: str) -> Scalar:
    """A scalar that only the corrupt know."""
    return reduce_wide(hashlib.sha512(f"corrupt {name}".encode()).digest())


def elements(*encoded: bytes) -> tuple[Element, ...]:
    """Somebody else's public values."""
    return tuple(dec_elem(each) for each in encoded)


def corrupt_deal(
    session: Session,
    dealer: int,
    host_seed: bytes,
    *,
    constant: bytes | None = None,
    claimed_constant: Element | None = None,
    claimed_ephemeral: Element | None = None,
    spoilt: tuple[int, ...] = (),
    by: int = 1,
    name: str = "deal",
) -> bytes:
    """A deal with a_0 = `constant` (default: one of the dealer's own), proven for what he really knows.

    `claimed_…` stand in place of a_0·G and p·G; the shares of the receivers in `spoilt` are wrong, `by` so much.
    """
    k = session.header.k
    coefficients = [secret(f"{name} {dealer} {t}") for t in range(k)]
    if constant is not None:
        coefficients[0] = dec_scalar(constant)
    p = secret(f"{name} {dealer} p")
    P = claimed_ephemeral or p * G
    commitments = [a * G for a in coefficients]
    commitments[0] = claimed_constant or commitments[0]
    encrypted = []
    for j, card in enumerate(session.header.cards, 1):
        value = scalar(0)
        for a in reversed(coefficients):
            value = value * scalar(j) + a
        hidden = value + pad(session, dealer, j, P, p * card.HE)
        encrypted.append(hidden + scalar(by) if j in spoilt else hidden)
    fields: list[Element | Scalar] = [P, *commitments, *encrypted]
    proven = bytes([VERSION, DEAL_TYPE]) + u16(dealer) + session.session + b"".join(bytes(each) for each in fields)
    proof = prove(deal_statement(commitments[0], P, proven), [coefficients[0], p], bytes(32))
    return signed(host_seed, "deal", proven + proof)


def corrupt_blame(closed: ClosedDeals, dealer: int, judge: int, he: bytes, host_seed: bytes, *, lie: bool) -> bytes:
    """A blame against a dealer whose share was good: with the true S, or with another (`lie`)."""
    deal = closed.deal_of(dealer)
    assert deal is not None
    known = dec_scalar(he)
    S = secret("S") * G if lie else known * deal.P
    proof = prove(blame_statement(closed.session, deal, judge, S), [known], bytes(32))
    head = bytes([VERSION, BLAME_TYPE]) + u16(judge) + u16(dealer) + closed.session.session + deal.deal_hash
    return signed(host_seed, "blame", head + bytes(S) + proof)


def corrupt_request(*, epoch_id: bytes, ct_hash: bytes, order: bytes, seed: bytes, PK_R: Element) -> bytes:
    """A request whose recipient key is somebody else's value, with a proof for a secret of one's own."""
    requester, known = public_key(seed), secret("sk")
    proof = prove(request_statement(epoch_id, ct_hash, order, requester, PK_R), [known], bytes(32))
    head = bytes([VERSION, REQUEST_TYPE]) + epoch_id + ct_hash + order + requester
    return signed(seed, "request", head + bytes(PK_R) + proof)


def corrupt_contribution(release: Release, index: int, x: bytes) -> bytes:
    """A contribution under an index with a share that is not that index's, proven as well as it goes."""
    share, r = dec_scalar(x), secret("r")
    R, E = r * G, share * release.public.U + r * release.request.PK_R
    proof = prove(contribution_statement(release, index, R, E), [share, r], bytes(32))
    return u16(index) + bytes(R) + bytes(E) + proof
