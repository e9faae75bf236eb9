"""Deposits made by mistake: withdrawn by their depositor while nobody else has seen them, or superseded by another.

Seen is what stands on the ledger: another reader of the case acknowledged the deposit, or an order names it. That a
service served a manifest, or that somebody signed on a checkpoint that covers the deposit, says nothing of whether a
person looked. Both acts leave the deposit where it is: a withdrawn one is ordered opened by nobody any more, a
superseded one still may be.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Deposited, Fate
from app.rules.cases import case_of, reads_case
from app.rules.deposits import deposit_of, is_foretold
from app.rules.view import View
from app.statements.kinds import DepositAcknowledge, DepositSupersede, DepositWithdraw


def fate_of(view: View, deposit: Deposited) -> Fate:
    """What became of a deposit so far."""
    found = view.find(Fate, deposit.id)
    return found if found is not None else Fate(id=deposit.id, case_id=deposit.case_id)


def not_withdrawn(view: View, deposit: Deposited) -> None:
    """Raise Refused (withdrawn)."""
    if fate_of(view, deposit).withdrawn is not None:
        raise refuse("withdrawn", f"the deposit {deposit.id} was withdrawn by its depositor")


def ordered(view: View, deposit: Deposited, signer: str) -> Iterator[Aggregate]:
    """An order that names a deposit shows that its signer has seen it."""
    fate = fate_of(view, deposit)
    if signer not in fate.seen_by:
        yield replace(fate, seen_by=(*fate.seen_by, signer))


def acknowledge(act: Act[DepositAcknowledge]) -> Iterator[Aggregate]:
    """A reader of the case says that he has seen a deposit of somebody else."""
    signer = act.member()
    deposit = deposit_of(act.view, act.claims.deposit_id)
    if not reads_case(act.view, case_of(act.view, deposit.case_id), signer):
        raise refuse("not_in_case", f"the member {signer.id} does not read the case {deposit.case_id.hex()}")
    if signer.id == deposit.depositor:
        raise refuse("own_deposit", f"the deposit {deposit.id} is the signer's own", "Nothing is to be done.")
    not_withdrawn(act.view, deposit)
    fate = fate_of(act.view, deposit)
    if signer.id in fate.seen_by:
        raise refuse("already_acknowledged", f"the member {signer.id} acknowledged the deposit {deposit.id} before")
    yield replace(fate, seen_by=(*fate.seen_by, signer.id))


def withdraw(act: Act[DepositWithdraw]) -> Iterator[Aggregate]:
    """Its depositor takes a deposit back, while nobody else has seen it."""
    deposit = _own(act, act.claims.deposit_id)
    not_withdrawn(act.view, deposit)
    fate = fate_of(act.view, deposit)
    if deposit.held:
        raise refuse("held", f"a hold stands on the deposit {deposit.id}", "Ask the court to lift it.")
    if fate.seen_by:
        raise refuse(
            "already_seen",
            f"the deposit {deposit.id} was seen by {', '.join(fate.seen_by)}",
            "Deposit what is right and supersede this one, or ask the court.",
        )
    yield replace(fate, withdrawn=act.statement.digest)


def supersede(act: Act[DepositSupersede]) -> Iterator[Aggregate]:
    """Its depositor names the deposit that takes its place: one of his in the same case, which stands itself."""
    old = _own(act, act.claims.deposit_id)
    if is_foretold(act.view, act.claims.by):
        yield replace(fate_of(act.view, old), superseded_by=act.claims.by)
        return
    new = _own(act, act.claims.by)
    for each in (old, new):
        not_withdrawn(act.view, each)
        if fate_of(act.view, each).superseded_by is not None:
            raise refuse("superseded", f"the deposit {each.id} is superseded by another already")
    if old.id == new.id or old.case_id != new.case_id:
        raise refuse("wrong_deposit", f"the deposit {new.id} is not another one of the case {old.case_id.hex()}")
    yield replace(fate_of(act.view, old), superseded_by=act.claims.by)


def _own(act: Act[DepositWithdraw] | Act[DepositSupersede], deposit_id: bytes) -> Deposited:
    signer = act.member()
    deposit = deposit_of(act.view, deposit_id)
    if signer.id != deposit.depositor:
        raise refuse("wrong_signer", f"the deposit {deposit.id} is another member's", "Let its depositor sign.")
    return deposit
