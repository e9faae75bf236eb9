"""The visit check (panel specification 7.1) over what a replay found: what a judge's client runs before anything else.

The replay has decided every statement again from the genesis that the trust file pins, so approvals and certificates in
the view hold. The check is made over the raw messages all the same: it is the panel's own proof, and needs no rule.
"""

from app.client.session import State
from app.panels.chain import Lineage, Link, visit_check, walk
from app.panels.closing import ClosedDeals, close_deals
from app.panels.errors import PanelError
from app.panels.hashing import H32
from app.panels.record import EpochRecord
from app.panels.session import Session
from app.panels.states import CertifiedEpoch
from app.rules.act import refuse
from app.rules.aggregates import Panel, PendingAct
from app.rules.aggregates import Session as SessionAggregate
from app.rules.view import WholeView
from app.statements.kinds import PanelOpen, PanelRoster
from app.statements.statement import parse_leaf, parse_statement


def panel_of(view: WholeView, panel_id: bytes) -> Panel:
    """Return a panel. Raises Refused (unknown_panel)."""
    panel = view.find(Panel, panel_id.hex())
    if panel is None:
        raise refuse("unknown_panel", f"there is no panel {panel_id.hex()}", "Check its id.")
    return panel


def session_of(view: WholeView, session_id: bytes) -> SessionAggregate:
    """Return a ceremony session. Raises Refused (wrong_session)."""
    session = view.find(SessionAggregate, session_id.hex())
    if session is None:
        raise refuse("wrong_session", f"there is no session {session_id.hex()}", "Look at the panel again.")
    return session


def approved_rosters(view: WholeView, panel_id: bytes) -> frozenset[bytes]:
    """Return every roster hash of the panel that has m approvals; that a session opened on the newest, the replay saw.

    A roster approved while a session is open counts for the next one, so all of them are given and not the newest.
    """
    found = set()
    for each in view.aggregates.values():
        if isinstance(each, PendingAct) and each.effective:
            claims = parse_statement(each.statement).claims
            if isinstance(claims, PanelRoster) and claims.panel_id == panel_id:
                found.add(claims.roster_hash)
    return frozenset(found)


def links_of(view: WholeView, panel: Panel) -> tuple[Link, ...]:
    """Return the transcripts of the panel's certified epochs, oldest first."""
    return tuple(
        Link(header=each.header, deals=_deals(view, each.record.session), certificate=each.certificate)
        for each in panel.state.epochs
    )


def lineage_of(view: WholeView, panel: Panel) -> Lineage:
    """Verify all certified epochs. Raises PanelError as `chain.walk`."""
    return walk(links_of(view, panel), approved_rosters(view, panel.state.panel_id))


def record_of(view: WholeView, panel: Panel) -> EpochRecord:
    """Return the current epoch's record, verified. Raises PanelError (`chain_broken` where there is no epoch)."""
    record = lineage_of(view, panel).record
    if record is None:
        raise PanelError("chain_broken")
    return record


def record_of_epoch(view: WholeView, panel: Panel, epoch_id: bytes) -> EpochRecord:
    """Return the record of a certified epoch, current or past, verified from the first one to it.

    Raises PanelError as `chain.walk`, `unknown_epoch` where the lineage has no such epoch.
    """
    approved, lineage = approved_rosters(view, panel.state.panel_id), Lineage()
    for link in links_of(view, panel):
        lineage = lineage.extended(link, approved)
        if lineage.record is not None and lineage.record.epoch_id == epoch_id:
            return lineage.record
    raise PanelError("unknown_epoch")


def approved_proposal(view: WholeView, panel: Panel, epoch: int) -> bytes | None:
    """Return the digest of the proposal whose roster is the newest approved one for an epoch, None before the first."""
    newest = dict(panel.state.approved).get(epoch)
    for each in view.aggregates.values():
        if newest is not None and isinstance(each, PendingAct) and each.effective:
            claims = parse_statement(each.statement).claims
            if isinstance(claims, PanelRoster) and claims.roster_hash == newest:
                return claims.propose
    return None


def opened_at(state: State, session_id: bytes) -> int:
    """Return when a session was opened: the time of its panel.open's leaf, Unix seconds. Raises Refused."""
    for entry in state.entries.values():
        leaf = parse_leaf(entry.leaf)
        if leaf.kind == "panel.open":
            claims = parse_statement(entry.statement).claims
            if isinstance(claims, PanelOpen) and H32("session", claims.header) == session_id:
                return leaf.time
    raise refuse("wrong_session", f"there is no session {session_id.hex()}", "Look at the panel again.")


def visit(view: WholeView, session_id: bytes) -> Session:
    """The visit check for an open or dealt session. Raises PanelError as `chain.visit_check`."""
    found = session_of(view, session_id)
    panel = panel_of(view, found.panel_id)
    return visit_check(
        links_of(view, panel), approved_rosters(view, found.panel_id), found.state.session.header.encoded
    )


def closed_set(view: WholeView, session: Session) -> ClosedDeals:
    """The closed deals of a session that passed `visit`, verified again from their bytes."""
    return close_deals(session, _deals(view, session.session))


def closed_epoch(view: WholeView, panel: Panel) -> tuple[ClosedDeals, CertifiedEpoch]:
    """The verified transcript of the current epoch: what a judge recovers his share from.

    Raises PanelError as `chain.walk`, `chain_broken` where there is no epoch.
    """
    if not panel.state.epochs:
        raise PanelError("chain_broken")
    links, approved = links_of(view, panel), approved_rosters(view, panel.state.panel_id)
    session = walk(links[:-1], approved).next_session(links[-1].header, approved)
    return close_deals(session, links[-1].deals), panel.state.epochs[-1]


def _deals(view: WholeView, session_id: bytes) -> tuple[bytes, ...]:
    return tuple(deal.encoded for deal in session_of(view, session_id).state.closed_deals)
