"""More than one pair of hands: a person of a case lets another read, deposit or prepare for him in it, for a time.

A delegate acts under his own key and his own name. Nothing but what is named passes to him: he gives no order, makes no
request, decides and contributes nothing; those rules ask who signs, and no delegation answers that. A delegation ends
with its time, by the principal's word, and with the principal's membership or place in the case.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, Case, Delegation, Delegations
from app.rules.cases import case_of, reads_case
from app.rules.view import View
from app.statements.kinds import CaseDelegate, CaseUndelegate, Role, Scope

LONGEST = 400 * 86_400
MAX_GIVEN = 256
MAY_GIVE: dict[Role, tuple[Scope, ...]] = {
    "depositor": ("read", "deposit"),
    "party": ("read",),
    "judge": ("read", "prepare"),
}
"""Who may let others do what."""
MAY_TAKE: dict[Scope, tuple[Role, ...]] = {
    "read": ("depositor", "party", "clerk"),
    "deposit": ("depositor",),
    "prepare": ("clerk",),
}
"""Which role a delegate needs: a judge never acts for anybody, and only a clerk prepares for one."""


def delegate(act: Act[CaseDelegate]) -> Iterator[Aggregate]:
    """A person of the case names a delegate; the newest word for one delegate counts."""
    signer = act.member()
    claims, now = act.claims, act.circumstances.now
    case = case_of(act.view, claims.case_id)
    if not reads_case(act.view, case, signer):
        raise refuse("not_in_case", f"the member {signer.id} is not concerned with the case {case.id}")
    if not set(claims.scope) <= set(MAY_GIVE.get(signer.role, ())) or len(set(claims.scope)) != len(claims.scope):
        raise refuse("wrong_scope", f"a {signer.role} cannot let others {' and '.join(claims.scope)} for him")
    taker = person_of(act.view, claims.delegate)
    if any(taker.role not in MAY_TAKE[each] for each in claims.scope):
        raise refuse("wrong_role", f"a {taker.role} cannot {' and '.join(claims.scope)} for others")
    if reads_case(act.view, case, taker):
        raise refuse("already_party", f"the member {taker.id} is concerned with the case {case.id} himself")
    if not now < claims.until <= now + LONGEST:
        raise refuse("bad_term", f"a delegation ends within {LONGEST // 86_400} days, and not before it begins")
    others = _others(act.view, case, signer.id, taker.id)
    if len(others) >= MAX_GIVEN:
        raise refuse("too_many_delegations", f"the case {case.id} has {MAX_GIVEN} delegations", "End one.")
    made = Delegation(principal=signer.id, delegate=taker.id, scope=claims.scope, until=claims.until)
    found = act.view.find(Delegations, case.id)
    ever = found.ever if found is not None else ()
    if taker.id not in ever:
        ever = (*ever, taker.id)
    yield Delegations(id=case.id, case_id=claims.case_id, given=(*others, made), ever=ever)


def undelegate(act: Act[CaseUndelegate]) -> Iterator[Aggregate]:
    """The principal ends a delegation before its time."""
    signer = act.member()
    case = case_of(act.view, act.claims.case_id)
    found = act.view.find(Delegations, case.id)
    others = _others(act.view, case, signer.id, act.claims.delegate)
    if found is None or len(others) == len(found.given):
        raise refuse("unknown_delegation", f"the member {signer.id} let {act.claims.delegate} do nothing in this case")
    yield replace(found, given=others)


def _others(view: View, case: Case, principal: str, taker: str) -> tuple[Delegation, ...]:
    found = view.find(Delegations, case.id)
    given = found.given if found is not None else ()
    return tuple(each for each in given if (each.principal, each.delegate) != (principal, taker))
