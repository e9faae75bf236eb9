"""Visit 2: a judge opens his shares, acknowledges, and recovers his share later (SPEC 6.4, 6.6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.panels.ack import ack_body
from app.panels.certificate import verify_certificate
from app.panels.closing import ClosedDeals
from app.panels.deal import decrypted_share, share_of
from app.panels.errors import PanelError, need
from app.panels.group import G, Scalar, dec_scalar, scalar
from app.panels.making.signature import public_key, signed

_FREED_BY = frozenset({"BLAMED", "CLOSED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """An earlier acknowledgement of this judge for the same panel and epoch.

    `end` is the end of that session as a checkpoint that meets the client's policy shows it ("BLAMED", "CLOSED",
    "CERTIFIED"), or empty while there is none.
    """

    session: bytes
    eta: bytes
    end: str


def receive(closed: ClosedDeals, *, judge: int, he: bytes) -> bytes:
    """The share x_j, 32 bytes. Raises `bad_index`, scalar errors, `he_mismatch`, and `bad_share` with the dealer's
    index: blame him instead of acknowledging."""
    return bytes(_receive(closed, judge, he))


def make_ack(
    closed: ClosedDeals,
    *,
    judge: int,
    he: bytes,
    host_seed: bytes,
    own_deal_hash: bytes | None,
    acked: Sequence[Acked],
) -> bytes:
    """The 132-byte acknowledgement, after the visit check. Store (session, eta) durably **before** sending it.

    `own_deal_hash` is `deal_hash` of the deal that this judge made, None when the closed set has no deal of his;
    `acked` lists every earlier acknowledgement for the same panel and epoch. Raises, in this order: `ack_conflict`,
    `own_deal_replaced` (the host key is in other hands), what `receive` does, `bad_length` (seed), `host_mismatch`.
    """
    session = closed.session
    for earlier in acked:
        same = earlier.session == session.session
        need(earlier.eta == closed.eta if same else earlier.end in _FREED_BY, "ack_conflict")
    if own_deal_hash is not None:
        need(any(deal.deal_hash == own_deal_hash for deal in closed.deals), "own_deal_replaced")
    _receive(closed, judge, he)
    need(public_key(host_seed) == session.header.cards[judge - 1].host, "host_mismatch")
    return signed(host_seed, "ack", ack_body(judge, session.session, closed.eta))


def recover(closed: ClosedDeals, certificate: bytes, *, judge: int, he: bytes) -> bytes:
    """The share x_j, 32 bytes, from the public transcript and he_j: a judge stores only he_j.

    The sum of the dealers' shares is held against Y_j first: where it fits, it is the share, whatever its parts are,
    and blame is for visit 2. Where it does not, the parts are looked at one by one. So a recovery takes about n
    multiplications and not n·k of them.

    Raises what `verify_certificate` and `receive` do, then `share_mismatch`.
    """
    record = verify_certificate(closed, certificate)
    share = _sum(closed, judge, he)
    if share * G != record.shares[judge - 1]:
        share = _receive(closed, judge, he)
        need(share * G == record.shares[judge - 1], "share_mismatch")
    return bytes(share)


def _sum(closed: ClosedDeals, judge: int, he: bytes) -> Scalar:
    """Σ of the decrypted shares, weighted, unchecked. Raises `bad_index`, scalar errors, `he_mismatch`."""
    secret, total = _secret(closed, judge, he), scalar(0)
    for deal in closed.deals:
        share = decrypted_share(closed.session, deal, judge, secret * deal.P)
        total = total + closed.weight(deal.dealer) * share
    return total


def _secret(closed: ClosedDeals, judge: int, he: bytes) -> Scalar:
    header = closed.session.header
    need(1 <= judge <= header.n, "bad_index")
    secret = dec_scalar(he)
    need(secret * G == header.cards[judge - 1].HE, "he_mismatch")
    return secret


def _receive(closed: ClosedDeals, judge: int, he: bytes) -> Scalar:
    secret, total = _secret(closed, judge, he), scalar(0)
    for deal in closed.deals:
        share = share_of(closed.session, deal, judge, secret * deal.P)
        if share is None:
            raise PanelError("bad_share", deal.dealer)
        total = total + closed.weight(deal.dealer) * share
    return total
