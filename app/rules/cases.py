"""Cases: opened and assigned by a registrar or clerk, joined by depositors and parties, left by recused judges."""

from collections.abc import Iterator
from dataclasses import replace

from app.panels.record import parse_record
from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, Case, Delegations, Epoch, Panel, Person, Recusing
from app.rules.view import View
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty, CaseRecuse, Scope


def case_of(view: View, case_id: bytes) -> Case:
    """Return the case. Raises Refused (unknown_case)."""
    case = view.find(Case, case_id.hex())
    if case is None:
        raise refuse("unknown_case", f"there is no case {case_id.hex()}")
    return case


def reads_case(view: View, case: Case, person: Person, now: int | None = None) -> bool:
    """Whether an active member may read what concerns a case; at a time, also for whom he acts (`principals`)."""
    if not person.active:
        return False
    if _concerned(view, case, person):
        return True
    return now is not None and any(True for _ in principals(view, case, person, now))


def principals(view: View, case: Case, person: Person, now: int, scope: Scope | None = None) -> Iterator[Person]:
    """For whom a member acts in a case at a time: those who delegated to him, are active, and are still concerned."""
    found = view.find(Delegations, case.id)
    for each in found.given if found is not None else ():
        if each.delegate != person.id or each.until <= now or (scope is not None and scope not in each.scope):
            continue
        principal = view.find(Person, each.principal)
        if principal is not None and principal.active and _concerned(view, case, principal):
            yield principal


def _concerned(view: View, case: Case, person: Person) -> bool:
    if person.id in (case.opened_by, case.presiding, *case.parties):
        return True
    for panel_id in case.panels:
        panel = view.find(Panel, panel_id.hex())
        epoch = view.find(Epoch, panel.epoch_id.hex()) if panel and panel.epoch_id else None
        if epoch is not None and person.id in epoch.judges:
            return True
    return False


def open_case(act: Act[CaseOpen]) -> Iterator[Aggregate]:
    """A registrar or clerk opens a case under a fresh id."""
    signer = act.member("registrar", "clerk")
    case_id, rules = act.claims.case_id.hex(), act.claims.rules
    if act.view.find(Case, case_id) is not None:
        raise refuse("id_in_use", f"the case id {case_id} is in use", "Draw 16 fresh random bytes.")
    if rules.notice_seconds >= rules.request_seconds:
        raise refuse(
            "bad_rules",
            f"a request would be over after {rules.request_seconds} seconds, before its notice of "
            f"{rules.notice_seconds} seconds ends",
            "Give the judges time between the two.",
        )
    yield Case(id=case_id, opened_by=signer.id, rules=rules, parties=(), panels=(), presiding=None)


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
    not_recused(case, presiding.id)
    no_conflict(case, presiding.id)
    _enough_remain(act.view, act.claims.panel_id, case, case.recused)
    others = tuple(each for each in case.panels if each != act.claims.panel_id)
    yield replace(case, panels=(*others, act.claims.panel_id), presiding=presiding.id)


def join(act: Act[CaseParty]) -> Iterator[Aggregate]:
    """A registrar or clerk adds a depositor or party to the case.

    A judge may be a party too: one who sues, or the court of appeal that evidence is sent up to. From then on he
    decides nothing in the case, and it must not need him.
    """
    act.member("registrar", "clerk")
    case = case_of(act.view, act.claims.case_id)
    person = person_of(act.view, act.claims.member, "depositor", "party", "judge")
    if person.id == case.presiding:
        raise refuse("conflict", f"the judge {person.id} presides over the case {case.id}", "Assign another first.")
    if person.id in case.parties:
        raise refuse("already_party", f"the member {person.id} is in the case {case.id} already")
    if len(case.parties) >= 1000:
        raise refuse("too_many_parties", f"the case {case.id} has 1,000 parties", "Open a second case.")
    joined = replace(case, parties=(*case.parties, person.id))
    for panel_id in case.panels:
        if person.id in _judges(act.view, panel_id):
            _enough_remain(act.view, panel_id, joined, joined.recused)
    yield joined


def recuse(act: Act[CaseRecuse]) -> Iterator[Aggregate]:
    """A judge of the case's panels, or who presides, leaves it: by his own word, or with the m-th key of the authority.

    What he contributed before counts. Never so many that fewer than k of a panel remain.
    """
    case, judge = case_of(act.view, act.claims.case_id), act.claims.judge
    by_himself = act.person is not None and act.person.id == judge
    if not by_himself and act.holder.holder != "authority":
        raise refuse("wrong_signer", "a recusal is signed by the judge himself or by a key of the authority")
    person_of(act.view, judge, "judge")
    not_recused(case, judge)
    seats = [panel_id for panel_id in case.panels if judge in _judges(act.view, panel_id)]
    if not seats and case.presiding != judge:
        raise refuse(
            "not_on_panel", f"the member {judge} neither presides over the case {case.id} nor is on its panels"
        )
    for panel_id in seats:
        _enough_remain(act.view, panel_id, case, (*case.recused, judge))
    waiting = next((each for each in case.recusing if each.judge == judge), Recusing(judge=judge, signers=()))
    if act.holder.id in waiting.signers:
        raise refuse("already_approved", f"the key {act.holder.id} recused {judge} before")
    signers = waiting.signers if by_himself else (*waiting.signers, act.holder.id)
    others = tuple(each for each in case.recusing if each.judge != judge)
    if by_himself or len(signers) >= act.registry.authority.m:
        yield replace(case, recused=(*case.recused, judge), recusing=others)
    else:
        yield replace(case, recusing=(*others, Recusing(judge=judge, signers=signers)))


def not_recused(case: Case, judge: str) -> None:
    """Raise Refused (recused) when the judge was recused from the case."""
    if judge in case.recused:
        raise refuse("recused", f"the judge {judge} was recused from the case {case.id}", "Another judge must do this.")


def no_conflict(case: Case, judge: str) -> None:
    """Raise Refused (conflict) when the judge is a party of the case: requesters and depositors are parties too."""
    if judge in case.parties:
        raise refuse(
            "conflict", f"the judge {judge} is a party of the case {case.id}", "Another judge must decide on it."
        )


def _judges(view: View, panel_id: bytes) -> tuple[str, ...]:
    panel = view.find(Panel, panel_id.hex())
    epoch = view.find(Epoch, panel.epoch_id.hex()) if panel is not None and panel.epoch_id is not None else None
    return epoch.judges if epoch is not None else ()


def _enough_remain(view: View, panel_id: bytes, case: Case, recused: tuple[str, ...]) -> None:
    """Raise Refused (too_few_judges) when fewer than k active judges of a certified panel may decide in the case."""
    panel = view.find(Panel, panel_id.hex())
    epoch = view.find(Epoch, panel.epoch_id.hex()) if panel is not None and panel.epoch_id is not None else None
    if epoch is None:
        return
    k = parse_record(epoch.record).k
    out = {*recused, *case.parties}
    people = [view.find(Person, each) for each in epoch.judges if each not in out]
    remain = sum(person is not None and person.active for person in people)
    if remain < k and any(each in out for each in epoch.judges):
        raise refuse(
            "too_few_judges",
            f"{remain} judges of the panel {panel_id.hex()} would remain for the case, and it takes {k}",
            "Hand the panel to more judges first, or assign another panel.",
        )
