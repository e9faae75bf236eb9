"""Legal holds and longer terms: what a clerk or judge of the case says must be kept, whatever any term says.

Holds stand side by side: each is the digest of the statement that placed it, so that whoever lifts one does not lift
another's. While one stands, nothing of the deposit may be erased (`Deposited.held`). A term is only ever extended. The
store is another matter: what the rules admit is carried out there by a job (`app.service.locks`).
"""

from collections.abc import Iterator
from dataclasses import replace

from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Case, Deposited, Epoch, Panel
from app.rules.cases import case_of, no_conflict, not_recused
from app.rules.deposits import deposit_of
from app.rules.view import View
from app.statements.kinds import HoldLift, HoldPlace, RetentionExtend
from app.times import time_text

MAX_HOLDS = 64
MAX_TERM_SECONDS = 36_525 * 86_400
"""How far ahead a term may reach: a hundred years."""


def place(act: Act[HoldPlace]) -> Iterator[Aggregate]:
    """A clerk or judge of the case places a hold on a deposit."""
    found = _deposit(act, act.claims.deposit_id)
    if len(found.holds) >= MAX_HOLDS:
        raise refuse(
            "too_many_holds", f"{MAX_HOLDS} holds stand on the deposit {found.id}", "Lift one that is settled."
        )
    yield replace(found, holds=(*found.holds, act.statement.digest))


def lift(act: Act[HoldLift]) -> Iterator[Aggregate]:
    """A clerk or judge of the case lifts one hold; the others stay."""
    found = _deposit(act, act.claims.deposit_id)
    if act.claims.hold not in found.holds:
        raise refuse(
            "unknown_hold",
            f"no hold {act.claims.hold.hex()} stands on the deposit {found.id}",
            "Look at the deposit: the hold may have been lifted before.",
        )
    yield replace(found, holds=tuple(each for each in found.holds if each != act.claims.hold))


def extend(act: Act[RetentionExtend]) -> Iterator[Aggregate]:
    """A clerk or judge of the case moves the end of the deposit's term to a later time."""
    found = _deposit(act, act.claims.deposit_id)
    until, now = act.claims.until, act.circumstances.now
    if until <= max(found.retain_until, now):
        before = found.retain_until > now
        stands = f"it was extended to {time_text(found.retain_until)}" if before else "that has passed"
        message = f"the term cannot end at {time_text(until)}: {stands}"
        raise refuse("not_later", message, "Name a later time; terms only grow.")
    if until > now + MAX_TERM_SECONDS:
        message = f"{time_text(until)} is more than a hundred years ahead"
        raise refuse("too_far", message, "Name an earlier time; it can grow later.")
    yield replace(found, retain_until=until)


def _deposit(act: Act[HoldPlace | HoldLift | RetentionExtend], deposit_id: bytes) -> Deposited:
    """The deposit, where the signer is a clerk or judge of its case. Raises Refused."""
    signer = act.member("clerk", "judge")
    found = deposit_of(act.view, deposit_id)
    case = case_of(act.view, found.case_id)
    not_recused(case, signer.id)
    no_conflict(case, signer.id)
    if signer.id not in (case.opened_by, case.presiding) and not _sits(act.view, case, signer.id):
        raise refuse(
            "not_in_case",
            f"the member {signer.id} is no clerk or judge of the case {case.id}",
            "The clerk who opened the case, who presides over it, or a judge of its panels signs this.",
        )
    return found


def _sits(view: View, case: Case, judge: str) -> bool:
    """Whether a member is a judge of the current epoch of one of the case's panels."""
    for panel_id in case.panels:
        panel = view.find(Panel, panel_id.hex())
        epoch = view.find(Epoch, panel.epoch_id.hex()) if panel is not None and panel.epoch_id is not None else None
        if epoch is not None and judge in epoch.judges:
            return True
    return False
