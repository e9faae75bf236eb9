"""From epoch 1 to the session at hand: the only way to trust a Y, a roster or a predecessor (SPEC 7.1).

Whoever invents a predecessor can deal to an honest roster a Y that he knows, so nobody acts on an epoch merely given.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.panels.certificate import verify_certificate
from app.panels.closing import close_deals
from app.panels.errors import PanelError, need
from app.panels.header import Kind, verify_header
from app.panels.record import EpochRecord
from app.panels.session import Session, check_session


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The transcript of one certified epoch, as bytes; deals in ascending order of dealer."""

    header: bytes
    deals: tuple[bytes, ...]
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What the links walked so far have shown; the empty one begins every lineage."""

    record: EpochRecord | None = None
    header: bytes = b""
    HEs: frozenset[bytes] = frozenset()

    def next_session(self, header: bytes, approved: Collection[bytes]) -> Session:
        """Steps 1 to 5 of SPEC 7.1 for a header that would extend this lineage."""
        checked = verify_header(header)  # 1
        need(checked.roster_hash in approved, "roster_not_approved")  # 2
        need((checked.kind is Kind.KEY_GENERATION) == (self.record is None), "chain_broken")  # 3
        session = check_session(checked, self.record, self.header)  # 4
        need(not any(bytes(card.HE) in self.HEs for card in checked.cards), "he_reused")  # 5
        return session

    def extended(self, link: Link, approved: Collection[bytes]) -> "Lineage":
        """The lineage with one more certified epoch: steps 1 to 7."""
        session = self.next_session(link.header, approved)
        record = verify_certificate(close_deals(session, link.deals), link.certificate)  # 6, 7
        fresh = {bytes(card.HE) for card in session.header.cards}
        return Lineage(record=record, header=link.header, HEs=self.HEs | fresh)


def walk(links: Sequence[Link], approved: Collection[bytes]) -> Lineage:
    """All links, oldest first. `approved`: the roster hashes whose approvals the caller verified with keys that it pins
    and found on the ledger as the newest when the session opened."""
    lineage = Lineage()
    for link in links:
        lineage = lineage.extended(link, approved)
    return lineage


def verify_chain(links: Sequence[Link], approved: Collection[bytes]) -> EpochRecord:
    """The last link's certified record: what a depositor takes Y from.

    Raises `chain_broken` for no links; for each link in order the errors of `verify_header`, `roster_not_approved`,
    `chain_broken`, the session check's, `he_reused`, those of `close_deals` and of `verify_certificate`.
    """
    record = walk(links, approved).record
    if record is None:
        raise PanelError("chain_broken")
    return record


def visit_check(links: Sequence[Link], approved: Collection[bytes], header: bytes) -> Session:
    """What a judge's client runs first at every visit: the whole chain, then the session's header as the next link.

    `links` is empty for a key generation. Raises what `verify_chain` does, except for no links.
    """
    return walk(links, approved).next_session(header, approved)
