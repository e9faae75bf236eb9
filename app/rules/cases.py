"""Cases: opened and assigned by a registrar or clerk, joined by depositors and parties."""

from collections.abc import Iterator
from dataclasses import replace

from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, Case, Panel
from app.rules.view import View
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty


def case_of(view: View, case_id: bytes) -> Case:
    """Return the case. Raises Refused (unknown_case)."""
    case = view.find(Case, case_id.hex())
    if case is None:
        raise refuse("unknown_case", f"there is no case {case_id.hex()}")
    return case


def open_case(act: Act[CaseOpen]) -> Iterator[Aggregate]:
    """A registrar or clerk opens a case under a fresh id."""
    signer = act.member("registrar", "clerk")
    case_id = act.claims.case_id.hex()
    if act.view.find(Case, case_id) is not None:
        raise refuse("id_in_use", f"the case id {case_id} is in use", "Draw 16 fresh random bytes.")
    yield Case(id=case_id, opened_by=signer.id, parties=(), panels=(), presiding=None)


def assign(act: Act[CaseAssign]) -> Iterator[Aggregate]:
    """A registrar or clerk gives the case a certified panel and a presiding judge."""
    act.member("registrar", "clerk")
    case = case_of(act.view, act.claims.case_id)
    panel = act.view.find(Panel, act.claims.panel_id.hex())
    presiding = person_of(act.view, act.claims.presiding, "judge")
    if panel is None or panel.epoch_id is None:
        raise refuse(
            "no_epoch",
            f"the panel {act.claims.panel_id.hex()} has no certified epoch",
            "Finish its key ceremony first.",
        )
    others = tuple(each for each in case.panels if each != act.claims.panel_id)
    yield replace(case, panels=(*others, act.claims.panel_id), presiding=presiding.id)


def join(act: Act[CaseParty]) -> Iterator[Aggregate]:
    """A registrar or clerk adds a depositor or party to the case."""
    act.member("registrar", "clerk")
    case = case_of(act.view, act.claims.case_id)
    person = person_of(act.view, act.claims.member, "depositor", "party")
    if person.id in case.parties:
        raise refuse("already_party", f"the member {person.id} is in the case {case.id} already")
    if len(case.parties) >= 1000:
        raise refuse("too_many_parties", f"the case {case.id} has 1,000 parties", "Open a second case.")
    yield replace(case, parties=(*case.parties, person.id))
