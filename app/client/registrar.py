"""A registrar's acts on a panel (proposal, roster, session, its end), and the authority's consent to an act.

Each reads the replayed ledger and signs what follows from it; nothing is taken from the service's word.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.client.acts import describe_act
from app.client.duties import barred_members
from app.client.session import Client, Receipt
from app.client.visit import lineage_of, panel_of
from app.errors import Refused
from app.panels.admission import barred_now
from app.panels.header import NO_EPOCH, Kind, make_header, roster_hash
from app.rules.act import person_of, refuse
from app.rules.aggregates import Panel, PendingAct, Proposal
from app.rules.ceremonies import with_revocations
from app.rules.view import WholeView
from app.statements.kinds import Approval, PanelClose, PanelOpen, PanelPropose, PanelRoster
from app.statements.statement import Signer, Statement, parse_statement

ROSTER_VALID_SECONDS = 30 * 86_400
"""A roster waits for the authority; the kind allows 400 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A panel that was proposed: its id, and the receipt."""

    panel_id: bytes
    epoch: int
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that was opened."""

    session: bytes
    receipt: Receipt


async def propose(client: Client, judges: tuple[str, ...], k: int, panel_id: bytes | None = None) -> Proposed:
    """Propose a panel of these members (in index order), or with `panel_id` the next epoch of one that is there."""
    state = await client.sync()
    for judge in judges:
        person_of(state.view, judge, "judge")
    named = panel_id if panel_id is not None else client.rng(32)
    panel = panel_of(state.view, named) if panel_id is not None else None
    record = lineage_of(state.view, panel).record if panel is not None else None
    epoch = record.epoch + 1 if record is not None else 1
    if panel is not None and record is None:
        _none_blamed(state.view, panel, judges)
    claims = PanelPropose(
        panel_id=named,
        epoch=epoch,
        prev_epoch_id=record.epoch_id if record is not None else NO_EPOCH,
        k=k,
        judges=judges,
    )
    return Proposed(panel_id=named, epoch=epoch, receipt=await client.post(claims))


async def roster(client: Client, panel_id: bytes) -> Statement:
    """Put the roster forward from the newest proposal and its cards; return the act that the authority approves.

    The roster that stands there already is returned as it is. Raises Refused (no_proposal, card_missing).
    """
    state = await client.sync()
    claims = roster_claims(state.view, panel_of(state.view, panel_id))
    standing = _standing(state.view, claims)
    if standing is not None:
        return standing
    return (await client.post(claims, valid_seconds=ROSTER_VALID_SECONDS)).statement


async def open_session(client: Client, panel_id: bytes) -> Opened:
    """Open a session on the newest approved roster, with a fresh nonce. Raises Refused (roster_not_approved, …)."""
    state = await client.sync()
    panel = panel_of(state.view, panel_id)
    proposal = _proposal(panel)
    claims = roster_claims(state.view, panel)
    if dict(panel.state.approved).get(proposal.epoch) != claims.roster_hash:
        raise refuse(
            "roster_not_approved",
            f"the roster {claims.roster_hash.hex()} of the panel {panel_id.hex()} is not approved",
            "Put it forward with `panel roster`, and have the authority approve that act.",
        )
    reshare = proposal.epoch > 1
    if not reshare:
        _none_blamed(state.view, panel, proposal.judges)
    header = make_header(
        kind=Kind.RESHARE if reshare else Kind.KEY_GENERATION,
        panel_id=panel_id,
        epoch=proposal.epoch,
        k=proposal.k,
        n=len(proposal.judges),
        nonce=client.rng(32),
        prev_epoch_id=proposal.prev_epoch_id,
        barred=barred_now(with_revocations(state.view, panel), proposal.prev_epoch_id) if reshare else (),
        cards=_cards(proposal),
    )
    # The lineage again, with this header as its next link: what every judge's client will check.
    session = lineage_of(state.view, panel).next_session(header, frozenset({claims.roster_hash}))
    return Opened(session=session.session, receipt=await client.post(PanelOpen(header=header)))


async def close_session(client: Client, panel_id: bytes) -> Receipt:
    """End the panel's session before it certifies. Raises Refused (no_session)."""
    state = await client.sync()
    panel = panel_of(state.view, panel_id)
    if panel.live is None:
        raise refuse("no_session", f"the panel {panel_id.hex()} has no session that is open", "Nothing is to be done.")
    return await client.post(PanelClose(session=panel.live))


async def approve(
    client: Client, act: bytes, seed: bytes, shown: Callable[[tuple[str, ...]], None] = lambda _lines: None
) -> tuple[Statement, Receipt]:
    """Approve an act with an authority key (its 32-byte seed); return the act and the receipt.

    The act is on the ledger, admitted by the rules. `shown` is told what it does before it is approved, and may
    raise. Before a roster of a reshare is approved, the lineage is verified.

    Raises Refused (unknown_act, already_approved, already_effective, wrong_signer).
    """
    state = await client.sync()
    waiting = state.view.find(PendingAct, act.hex())
    if waiting is None:
        raise refuse(
            "unknown_act", f"no act {act.hex()} waits for approval, as far as you can see", "Check the digest."
        )
    statement = parse_statement(waiting.statement)
    signer = Signer(seed)
    if signer.kid in waiting.approvals:
        raise refuse(
            "already_approved", f"this key approved {act.hex()} before", "Nothing is left to do with this key."
        )
    if signer.public not in client.trust.authority.keys:
        raise Refused(
            f"the key {signer.kid} is none of the authority's in your trust file",
            "Name the file of an authority key.",
            code="wrong_signer",
        )
    if isinstance(statement.claims, PanelRoster):
        panel = panel_of(state.view, statement.claims.panel_id)
        lineage_of(state.view, panel)
        if roster_claims(state.view, panel) != statement.claims:
            raise refuse(
                "roster_mismatch",
                f"the roster {act.hex()} is not that of the newest proposal and its newest cards",
                "Have the roster put forward again.",
            )
    shown(describe_act(state.view, statement))
    return statement, await client.post(Approval(act=act), signer=signer)


def roster_claims(view: WholeView, panel: Panel) -> PanelRoster:
    """What the roster of the newest proposal says. Raises Refused (no_proposal, card_missing)."""
    return claims_of(view, panel, _proposal(panel))


def claims_of(view: WholeView, panel: Panel, proposal: Proposal) -> PanelRoster:
    """What the roster of a proposal says, by its cards. Raises Refused (card_missing)."""
    given = {each.judge: each for each in proposal.cards}
    for judge in proposal.judges:
        if judge not in given:
            raise refuse(
                "card_missing", f"the judge {person_of(view, judge).name} has not given his card", "Wait for it."
            )
    return PanelRoster(
        propose=proposal.digest,
        cards=tuple(given[judge].digest for judge in proposal.judges),
        panel_id=panel.state.panel_id,
        epoch=proposal.epoch,
        prev_epoch_id=proposal.prev_epoch_id,
        roster_hash=roster_hash(
            panel_id=panel.state.panel_id,
            epoch=proposal.epoch,
            k=proposal.k,
            n=len(proposal.judges),
            prev_epoch_id=proposal.prev_epoch_id,
            cards=_cards(proposal),
        ),
    )


def _none_blamed(view: WholeView, panel: Panel, judges: tuple[str, ...]) -> None:
    """In a key generation every judge deals: one who dealt a bad share in an attempt before is left out (SPEC 6.8)."""
    for judge in barred_members(view, panel):
        if judge in judges:
            raise Refused(
                f"{person_of(view, judge).name} ({judge}) dealt a bad share and was blamed for it",
                "Propose the panel without him.",
                code="dealer_blamed",
            )


def _proposal(panel: Panel) -> Proposal:
    if panel.proposal is None:
        raise refuse("no_proposal", f"the panel {panel.id} has no open proposal", "Propose its judges first.")
    return panel.proposal


def _cards(proposal: Proposal) -> list[bytes]:
    given = {each.judge: each.card for each in proposal.cards}
    return [given[judge] for judge in proposal.judges if judge in given]


def _standing(view: WholeView, claims: PanelRoster) -> Statement | None:
    """The same roster as an act that waits or took effect. One that expired unapproved is of no use any more."""
    for each in view.aggregates.values():
        if isinstance(each, PendingAct):
            statement = parse_statement(each.statement)
            if statement.claims == claims:
                return statement
    return None
