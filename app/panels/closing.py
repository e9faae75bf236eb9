"""The closed set of deals and the epoch record that it leads to (SPEC 6.3, close_deals)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.panels.deal import Deal, verify_deal
from app.panels.errors import need
from app.panels.group import IDENTITY, Scalar, evaluate_first, lagrange0, scalar
from app.panels.hashing import H32
from app.panels.record import EpochRecord, make_record
from app.panels.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDeals:
    """A dealer set that passed all six checks; `record` is not certified by it."""

    session: Session
    deals: tuple[Deal, ...]
    record: EpochRecord

    @property
    def eta(self) -> bytes:
        """32 bytes: what an acknowledgement names, over session and deals."""
        return self.record.eta

    def deal_of(self, dealer: int) -> Deal | None:
        """The deal of that dealer, or None when he is not in the set."""
        return next((deal for deal in self.deals if deal.dealer == dealer), None)

    def weight(self, dealer: int) -> Scalar:
        """1 in a key generation, λ_i over the dealers in a reshare."""
        return _weight(self.session, self.deals, dealer)


def close_deals(session: Session, deals: Sequence[bytes]) -> ClosedDeals:
    """From bytes, all six checks. Raises, in this order: `deal_count`, what `verify_deal` does for each deal in order,
    then what `close_verified` does."""
    need(len(deals) == session.deals_needed, "deal_count")
    return close_verified(session, [verify_deal(session, encoded) for encoded in deals])


def close_verified(session: Session, deals: Sequence[Deal]) -> ClosedDeals:
    """From deals that passed `verify_deal`, the other five. Raises, in this order: `deal_count`, `duplicate_deal`,
    `index_order`, `identity_result`, `joint_key_changed`."""
    need(len(deals) == session.deals_needed, "deal_count")  # 1
    dealers = [deal.dealer for deal in deals]
    need(len(set(dealers)) == len(dealers), "duplicate_deal")  # 3
    need(dealers == sorted(dealers), "index_order")  # 4
    header = session.header
    sums = [IDENTITY] * header.k
    for deal in deals:
        weight = _weight(session, deals, deal.dealer)
        for t, commitment in enumerate(deal.commitments):
            sums[t] = sums[t] + (commitment if session.previous is None else weight * commitment)
    shares = tuple(evaluate_first(sums, header.n))
    need(not any(element.is_identity() for element in (sums[0], *shares)), "identity_result")  # 5
    if session.previous is not None:
        need(sums[0] == session.previous.Y, "joint_key_changed")  # 6
    record = make_record(
        panel_id=header.panel_id,
        epoch=header.epoch,
        k=header.k,
        session=session.session,
        eta=H32("eq", session.session, *[deal.encoded for deal in deals]),
        Y=sums[0],
        shares=shares,
    )
    return ClosedDeals(session=session, deals=tuple(deals), record=record)


def _weight(session: Session, deals: Sequence[Deal], dealer: int) -> Scalar:
    return scalar(1) if session.previous is None else lagrange0([deal.dealer for deal in deals], dealer)
