"""Blaming a dealer whose encrypted share is bad (SPEC 6.7)."""

from collections.abc import Collection

from app.panels.blame import BLAME_TYPE, blame_statement, verify_blame
from app.panels.closing import ClosedDeals
from app.panels.errors import PanelError, need
from app.panels.group import G, dec_scalar
from app.panels.hashing import u16
from app.panels.making.proof import RND_BYTES, prove
from app.panels.making.signature import public_key, signed
from app.panels.wire import VERSION


def make_blame(
    closed: ClosedDeals, *, dealer: int, judge: int, he: bytes, host_seed: bytes, rnd: bytes, upheld: Collection[int]
) -> bytes:
    """The 230-byte blame, which `verify_blame` upholds: nothing that opens a good share leaves this function.

    `upheld`: the dealers against whom a fresh checkpoint shows an upheld blame in this session. Raises, in this order:
    `blame_unknown_deal`, `bad_index`, `blame_duplicate`, `bad_length` (host seed), scalar errors, `bad_length` (rnd),
    `he_mismatch`, `host_mismatch`, and what `verify_blame` does.
    """
    session = closed.session
    deal = closed.deal_of(dealer)
    if deal is None:
        raise PanelError("blame_unknown_deal")
    need(1 <= judge <= session.header.n, "bad_index")
    need(dealer not in upheld, "blame_duplicate")
    card = session.header.cards[judge - 1]
    host, secret = public_key(host_seed), dec_scalar(he)
    need(len(rnd) == RND_BYTES, "bad_length")
    need(secret * G == card.HE, "he_mismatch")
    need(host == card.host, "host_mismatch")
    S = secret * deal.P
    proof = prove(blame_statement(session, deal, judge, S), [secret], rnd)
    head = bytes([VERSION, BLAME_TYPE]) + u16(judge) + u16(dealer) + session.session + deal.deal_hash
    encoded = signed(host_seed, "blame", head + bytes(S) + proof)
    verify_blame(session, closed.deals, encoded)
    return encoded
