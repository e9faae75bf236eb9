"""Deposits: who may deposit where, and that each capsule is sealed to a panel of the case.

That every segment and box is in the stores is the shell's check, made before the decision: rules see no store.
"""

import hashlib
from collections.abc import Iterator

from app.panels.capsule import check_public, label
from app.panels.record import parse_record
from app.panels.release_states import CapsuleState
from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Case, Deposited, Epoch, Erased, Foretold, Panel, Person, SealedCapsule
from app.rules.cases import case_of, principals
from app.rules.view import View
from app.statements.kinds import Capsule, Deposit


def deposit(act: Act[Deposit]) -> Iterator[Aggregate]:
    """A depositor of the case deposits under a fresh id, with one to three capsules for panels of the case."""
    signer = act.member("depositor")
    claims = act.claims
    case = case_of(act.view, claims.case_id)
    deposit_id = claims.deposit_id.hex()
    depositor = signer if signer.id in case.parties else _principal(act, case, signer)
    if act.view.find(Deposited, deposit_id) is not None or is_erased(act.view, claims.deposit_id):
        raise refuse("id_in_use", f"the deposit id {deposit_id} is in use", "Draw 16 fresh random bytes.")
    if len({each.panel_id for each in claims.capsules}) != len(claims.capsules):
        raise refuse("duplicate_capsule", "two capsules are for one panel", "Seal to each panel once.")
    for capsule in claims.capsules:
        _check_capsule(act.view, case, claims, capsule)
    yield Deposited(
        id=deposit_id,
        case_id=claims.case_id,
        depositor=depositor.id,
        digest=act.statement.digest,
        manifest_hash=claims.manifest_hash,
        capsules=claims.capsules,
    )
    for capsule in claims.capsules:
        yield SealedCapsule(
            id=capsule.ct_hash.hex(), deposit_id=claims.deposit_id, state=CapsuleState(ct_hash=capsule.ct_hash)
        )


def _principal(act: Act[Deposit], case: Case, signer: Person) -> Person:
    """For whom somebody who is not of the case deposits: exactly one depositor must have let him."""
    found = tuple(principals(act.view, case, signer, act.circumstances.now, "deposit"))
    if not found:
        raise refuse("not_in_case", f"the member {signer.id} is not in the case {case.id}", "Have him join it first.")
    if len(found) > 1:
        raise refuse(
            "ambiguous_principal", f"the member {signer.id} deposits for several members of the case {case.id}"
        )
    return found[0]


def _check_capsule(view: View, case: Case, claims: Deposit, capsule: Capsule) -> None:
    panel_id = capsule.panel_id.hex()
    if capsule.panel_id not in case.panels:
        raise refuse("panel_not_assigned", f"the panel {panel_id} is not assigned to the case {case.id}")
    panel = view.find(Panel, panel_id)
    if panel is None or panel.epoch_id != capsule.epoch_id:
        raise refuse(
            "wrong_epoch",
            f"the epoch {capsule.epoch_id.hex()} is not the current one of the panel {panel_id}",
            "Follow the panel from the trust file again and seal to its current epoch.",
        )
    epoch = epoch_of(view, capsule.epoch_id)
    if bytes(parse_record(epoch.record).Y) != capsule.y:
        raise refuse("wrong_joint_key", f"Y of the capsule is not the joint key of the panel {panel_id}")
    bound = label(capsule.y, claims.deposit_id, claims.case_id, claims.manifest_hash)
    if check_public(capsule.y, bound, capsule.public).ct_hash != capsule.ct_hash:
        raise refuse("ct_hash_mismatch", f"ct_hash is not that of the capsule for the panel {panel_id}")


def epoch_of(view: View, epoch_id: bytes) -> Epoch:
    """Return a certified epoch. Raises Refused (unknown_epoch)."""
    epoch = view.find(Epoch, epoch_id.hex())
    if epoch is None:
        raise refuse("unknown_epoch", f"no certified epoch has the id {epoch_id.hex()}")
    return epoch


def deposit_of(view: View, deposit_id: bytes) -> Deposited:
    """Return an accepted deposit. Raises Refused (unknown_deposit, erased)."""
    if is_erased(view, deposit_id):
        raise refuse("erased", f"the deposit {deposit_id.hex()} was erased", "See the act: muniment erase show.")
    found = view.find(Deposited, deposit_id.hex())
    if found is None:
        raise refuse("unknown_deposit", f"there is no deposit {deposit_id.hex()}")
    return found


def trail_id(deposit_id: bytes) -> str:
    """The name under which a deposit stands in an act of erasure, in hex: SHA-256 of its id."""
    return hashlib.sha256(deposit_id).hexdigest()


def is_erased(view: View, deposit_id: bytes) -> bool:
    """Whether the erasure of a deposit has taken effect."""
    return view.find(Erased, trail_id(deposit_id)) is not None


def is_foretold(view: View, deposit_id: bytes) -> bool:
    """Whether a replay lacks this deposit because an act further on erased it."""
    if view.find(Deposited, deposit_id.hex()) is not None or is_erased(view, deposit_id):
        return False
    return view.find(Foretold, trail_id(deposit_id)) is not None
