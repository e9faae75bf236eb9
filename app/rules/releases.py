"""Releases: order, request, decisions, contributions, opening, access.

The panel's own rules for requests and contributions (SPEC 5 and 8.5) stand in `app.panels.admission`; here is who may
send what, and that a contribution is the one that its judge granted.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from app.panels import admission_release as admission
from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Decision, Epoch, KeyHolder, Order, Panel, Request
from app.rules.cases import case_of, no_conflict, not_recused
from app.rules.deposits import deposit_of, epoch_of, is_foretold
from app.rules.mistakes import not_withdrawn, ordered
from app.rules.terms import capsule_of, is_over, may_still_move, notice_is_over, quorum_of_grants, request_of
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import (
    Access,
    ReleaseContribution,
    ReleaseDecision,
    ReleaseOpening,
    ReleaseOrder,
    ReleaseRequest,
)


def order(act: Act[ReleaseOrder]) -> Iterator[Aggregate]:
    """The presiding judge orders deposits of his case opened for members of the case."""
    signer = act.member("judge")
    claims = act.claims
    case = case_of(act.view, claims.case_id)
    if case.presiding != signer.id:
        raise refuse("not_presiding", f"the member {signer.id} does not preside over the case {case.id}")
    not_recused(case, signer.id)
    no_conflict(case, signer.id)
    if len(set(claims.deposits)) != len(claims.deposits) or len(set(claims.recipients)) != len(claims.recipients):
        raise refuse("duplicate_name", "the order names a deposit or a recipient twice")
    standing = [each for each in claims.deposits if not is_foretold(act.view, each)]
    for deposit_id in standing:
        deposit = deposit_of(act.view, deposit_id)
        if deposit.case_id != claims.case_id:
            raise refuse("wrong_case", f"the deposit {deposit_id.hex()} is not of the case {case.id}")
        not_withdrawn(act.view, deposit)
    for key in claims.recipients:
        holder = act.view.find(KeyHolder, thumbprint(key))
        if holder is None or holder.retired or holder.member is None or holder.member not in case.parties:
            raise refuse(
                "recipient_not_in_case",
                f"the recipient {thumbprint(key)} is not the current key of a party of the case {case.id}",
                "Have him join the case first.",
            )
    yield Order(
        id=act.statement.digest.hex(),
        case_id=claims.case_id,
        signer=signer.id,
        deposits=claims.deposits,
        recipients=claims.recipients,
        document=claims.document,
        expires_at=act.circumstances.now + case.rules.order_seconds,
    )
    for deposit_id in standing:
        yield from ordered(act.view, deposit_of(act.view, deposit_id), signer.id)


def _judge_index(act: Act[object], epoch: Epoch) -> int:
    signer = act.member("judge")
    if signer.id not in epoch.judges:
        raise refuse("not_on_panel", f"the member {signer.id} is not a judge of the epoch {epoch.id}")
    return epoch.judges.index(signer.id) + 1


def request(act: Act[ReleaseRequest]) -> Iterator[Aggregate]:
    """A recipient whom the order names asks for one of its deposits, from one of the panels it is sealed to."""
    signer = act.member()
    claims = act.claims
    found = act.view.find(Order, claims.order.hex())
    if found is None:
        raise refuse("unknown_order", f"there is no order {claims.order.hex()}")
    if claims.deposit_id not in found.deposits:
        raise refuse("wrong_deposit", f"the order does not name the deposit {claims.deposit_id.hex()}")
    if signer.key not in found.recipients:
        raise refuse("not_a_recipient", f"the order does not name the key of {signer.id} as a recipient")
    now = act.circumstances.now
    if now >= found.expires_at:
        raise refuse("order_expired", f"the order {found.id} was good until {found.expires_at}", "Ask for a new order.")
    deposit = deposit_of(act.view, claims.deposit_id)
    sealed = next((each for each in deposit.capsules if each.panel_id == claims.panel_id), None)
    if sealed is None:
        raise refuse("wrong_panel", f"the deposit is not sealed to the panel {claims.panel_id.hex()}")
    panel = act.view.find(Panel, claims.panel_id.hex())
    capsule = capsule_of(act.view, sealed.ct_hash)
    before = act.view.find(Request, capsule.newest.hex()) if capsule.newest is not None else None
    if before is not None and not before.state.ended and is_over(before, now):
        ended = admission.end_request(capsule.state, before.state)
        capsule = replace(capsule, state=ended.capsule)
        yield replace(before, state=ended.request, end="expired")
    admitted = admission.request(
        panel.state if panel is not None else None,
        capsule.state,
        deposit_id=claims.deposit_id,
        case_id=deposit.case_id,
        manifest_hash=deposit.manifest_hash,
        public=sealed.public,
        request=claims.request,
    )
    asked = admitted.request.release.request
    if asked.requester != signer.key:
        raise refuse("requester_not_authorised", "the request names another requester than its signer")
    if asked.order_hash != claims.order:
        raise refuse("wrong_order", "the request names another order than its statement")
    rules = case_of(act.view, deposit.case_id).rules
    yield replace(capsule, state=admitted.capsule, newest=act.statement.digest)
    yield Request(
        id=act.statement.digest.hex(),
        case_id=deposit.case_id,
        deposit_id=claims.deposit_id,
        panel_id=claims.panel_id,
        epoch_id=admitted.request.release.record.epoch_id,
        order=claims.order,
        recipient=signer.id,
        asked_at=now,
        opens_at=now + rules.notice_seconds,
        expires_at=now + rules.request_seconds,
        decisions=(),
        state=admitted.request,
        accessed=False,
    )


def decision(act: Act[ReleaseDecision]) -> Iterator[Aggregate]:
    """A judge of the panel grants or refuses, once."""
    claims = act.claims
    asked = request_of(act.view, claims.request)
    epoch = epoch_of(act.view, asked.epoch_id)
    judge = _judge_index(act, epoch)
    _impartial(act.view, asked, epoch.judges[judge - 1])
    may_still_move(act.view, asked, act.circumstances.now)
    if any(each.judge == judge for each in asked.decisions):
        raise refuse("already_decided", f"judge {judge} decided on the request {asked.id} before")
    if (claims.decision == "grant") != (claims.contribution is not None):
        raise refuse("bad_decision", "a grant names the hash of the contribution, a refusal names none")
    if claims.decision == "grant" and not notice_is_over(asked, act.circumstances.now):
        raise refuse(
            "notice_running",
            f"the others may object to the request {asked.id} until {asked.opens_at} (Unix time)",
            "Grant it after that, when you know what they say. A refusal may come at once.",
        )
    made = Decision(
        judge=judge,
        member=epoch.judges[judge - 1],
        contribution=claims.contribution,
        digest=act.statement.digest,
    )
    yield replace(asked, decisions=(*asked.decisions, made))


def _impartial(view: View, asked: Request, judge: str) -> None:
    """Raise Refused (recused, conflict) for a judge who left the case, or who is in it."""
    case = case_of(view, asked.case_id)
    not_recused(case, judge)
    no_conflict(case, judge)


def granted(asked: Request, judge: int, contribution: bytes) -> bool:
    """Whether the judge's grant for exactly this contribution (162 bytes) is on the ledger."""
    digest = hashlib.sha256(contribution).digest()
    return any(each.judge == judge and each.contribution == digest for each in asked.decisions)


def contribution(act: Act[ReleaseContribution]) -> Iterator[Aggregate]:
    """A judge sends the contribution that he granted; anyone can verify it, and the registry does."""
    asked = request_of(act.view, act.claims.request)
    epoch = epoch_of(act.view, asked.epoch_id)
    judge = _judge_index(act, epoch)
    _impartial(act.view, asked, epoch.judges[judge - 1])
    panel = may_still_move(act.view, asked, act.circumstances.now)
    message = act.claims.contribution
    if int.from_bytes(message[:2], "big") != judge:
        raise refuse("wrong_signer", f"the contribution is not that of judge {judge}, who signs")
    if not granted(asked, judge, message):
        raise refuse("not_granted", f"judge {judge} has not granted this contribution", "Log the grant first.")
    if not quorum_of_grants(act.view, asked):
        raise refuse(
            "grants_missing",
            f"the case lets contributions come only when {asked.state.release.record.k} grants for the request "
            f"{asked.id} are on the ledger",
            "Wait for the other judges; `muniment act` sends it then.",
        )
    yield replace(asked, state=admission.contribution(panel.state, asked.state, message))


def opening(act: Act[ReleaseOpening]) -> Iterator[Aggregate]:
    """The recipient says what he found; it ends the request. Of what was released he may say so after it expired."""
    signer = act.member()
    asked = request_of(act.view, act.claims.request)
    if signer.id != asked.recipient:
        raise refuse("not_a_recipient", f"the request {asked.id} is not of the member {signer.id}")
    if not asked.state.released or not asked.accessed:
        raise refuse("not_released", f"the request {asked.id} was not served yet", "Fetch and open it first.")
    if (act.claims.outcome == "opened") != (len(act.claims.items) > 0):
        raise refuse("bad_opening", "an opening has a verdict for every item, a malformed deposit has none")
    if asked.end == "expired":
        yield replace(asked, end=act.claims.outcome)
        return
    capsule = capsule_of(act.view, asked.state.release.public.ct_hash)
    ended = admission.end_request(capsule.state, asked.state)
    yield replace(capsule, state=ended.capsule)
    yield replace(asked, state=ended.request, end=act.claims.outcome)


def access(act: Act[Access]) -> Iterator[Aggregate]:
    """The service notes, once a request, that it is about to serve the recipient."""
    if act.holder.holder != "service":
        raise refuse("wrong_signer", "an access statement is signed by the service key")
    claims = act.claims
    asked = request_of(act.view, claims.request)
    if asked.deposit_id != claims.deposit_id or asked.recipient != claims.recipient:
        raise refuse("wrong_request", f"the request {asked.id} is for another deposit or recipient")
    if asked.accessed:
        raise refuse("already_accessed", f"the access for the request {asked.id} is on the ledger already")
    if asked.end == "withdrawn":
        raise refuse("request_ended", f"the request {asked.id} was withdrawn", "Make a new one.")
    if not asked.state.released:
        raise refuse("not_released", f"the request {asked.id} has {len(asked.state.contributions)} contributions")
    yield replace(asked, accessed=True)
