"""Who may read what: the readers column of the table of kinds, as pure functions.

A private statement belongs to one topic: a case, or a member. A case is read by its members (who opened it, its
parties, who presides) and by the judges of the current epochs of its panels. What was done to a member outside the
offices is read by registrars, by himself, and by whoever shares a case with him.
"""

from app.rules.aggregates import Case, Person
from app.rules.cases import reads_case
from app.rules.decide import Admitted
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import (
    CaseAssign,
    CaseDelegate,
    CaseOpen,
    CaseParty,
    MemberDevice,
    MemberEnrol,
    MemberIdentity,
    MemberKey,
    MemberRevoke,
    MemberUndevice,
    PanelPropose,
    is_public,
)


def topic_of(admitted: Admitted) -> str | None:
    """Return `case/ID` or `member/ID`, to which a private statement belongs; None for a public one."""
    claims = admitted.statement.claims
    if is_public(admitted.statement.kind, claims):
        return None
    if isinstance(claims, MemberEnrol):
        return f"member/{thumbprint(claims.key)}"
    if isinstance(claims, MemberRevoke | MemberKey | MemberDevice | MemberUndevice | MemberIdentity):
        return f"member/{claims.member}"
    for each in admitted.changes:
        if isinstance(each, Case):
            return f"case/{each.id}"
        case_id = getattr(each, "case_id", None)
        if case_id is not None:
            return f"case/{case_id.hex()}"
    raise AssertionError(f"a private {admitted.statement.kind} statement changed no case")


def links_of(admitted: Admitted) -> tuple[tuple[str, str], ...]:
    """Return what a statement connects: (`member/ID` or `panel/ID`, `case/ID` or `panel/ID`).

    A member finds his cases through them: directly, and through the panels that he was proposed for.
    """
    claims = admitted.statement.claims
    if isinstance(claims, CaseOpen):
        opened = next(each for each in admitted.changes if isinstance(each, Case))
        return ((f"member/{opened.opened_by}", f"case/{opened.id}"),)
    if isinstance(claims, CaseDelegate):
        return ((f"member/{claims.delegate}", f"case/{claims.case_id.hex()}"),)
    if isinstance(claims, CaseParty):
        return ((f"member/{claims.member}", f"case/{claims.case_id.hex()}"),)
    if isinstance(claims, CaseAssign):
        case = f"case/{claims.case_id.hex()}"
        return ((f"member/{claims.presiding}", case), (f"panel/{claims.panel_id.hex()}", case))
    if isinstance(claims, PanelPropose):
        panel = f"panel/{claims.panel_id.hex()}"
        return tuple((f"member/{judge}", panel) for judge in claims.judges)
    return ()


def reads_topic(view: View, topic: str, person: Person, now: int | None = None) -> bool:
    """Whether a member may read the statements of a topic. Sharing a case with a member is the case's own listing."""
    prefix, _, id = topic.partition("/")
    if prefix == "member":
        return person.active and (person.id == id or person.role == "registrar")
    case = view.find(Case, id)
    return case is not None and reads_case(view, case, person, now)
