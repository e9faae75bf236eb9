"""Delegation: for a time, in a scope, by one's own right, and never a judge's decision."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Case, Deposited, Person
from app.rules.cases import reads_case
from app.statements.kinds import CaseDelegate, CaseParty, CaseUndelegate, DepositWithdraw, MemberRevoke, Role
from tests.app.rules.world import Release, World, fresh, ready_to_release, sealed

DAY = 86_400


@pytest.fixture
def ready() -> Release:
    """A case of lawyer1 and lawyer2 under judge1; staff of the firm and a judge's clerk are enrolled."""
    release = ready_to_release()
    roles: tuple[tuple[str, Role], ...] = (("staff", "depositor"), ("junior", "party"), ("aide", "clerk"))
    for name, role in roles:
        release.world.enrol(name, role)
    return release


def delegation(release: Release, name: str, *scope: str, days: int = 30) -> CaseDelegate:
    until = release.world.now + days * DAY
    return CaseDelegate(case_id=release.case_id, delegate=release.world.id(name), scope=scope, until=until, note=None)  # type: ignore[arg-type]


def reads(release: Release, name: str) -> bool:
    world: World = release.world
    case, person = world.view.find(Case, release.case_id.hex()), world.view.find(Person, world.id(name))
    assert case is not None
    assert person is not None
    return reads_case(world.view, case, person, world.now)


def more(release: Release, name: str) -> object:
    return sealed(release.world, release.ceremony, release.case_id, name).claims


def test_staff_deposits_for_its_principal_who_may_withdraw_it(ready: Release) -> None:
    world = ready.world
    assert world.refused("staff", more(ready, "a")) == "not_in_case"
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit"))
    world.do("staff", more(ready, "a"))
    found = world.view.find(Deposited, fresh("a").hex())
    assert found is not None
    assert found.depositor == world.id("lawyer1")
    assert world.refused("staff", DepositWithdraw(deposit_id=fresh("a"), note=None)) == "wrong_signer"
    world.do("lawyer1", DepositWithdraw(deposit_id=fresh("a"), note=None))


def test_an_adversarial_delegate_does_nothing_beyond_his_scope(ready: Release) -> None:
    world = ready.world
    world.do("lawyer1", delegation(ready, "staff", "read"))
    assert reads(ready, "staff")
    assert world.refused("staff", more(ready, "a")) == "not_in_case"
    world.do("lawyer1", delegation(ready, "staff", "deposit"))
    other = world.open_case("other", "lawyer1")
    elsewhere = sealed(world, ready.ceremony, other, "b").claims
    assert world.refused("staff", elsewhere) == "not_in_case"
    world.do("staff", more(ready, "a"))


def test_an_expired_delegation_is_none(ready: Release) -> None:
    world = ready.world
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit", days=1))
    world.do("staff", more(ready, "a"))
    world.now += DAY
    assert not reads(ready, "staff")
    assert world.refused("staff", more(ready, "b")) == "not_in_case"
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit", days=1))
    world.do("staff", more(ready, "b"))


def test_it_ends_with_the_principal_and_by_his_word(ready: Release) -> None:
    world = ready.world
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit"))
    ended = CaseUndelegate(case_id=ready.case_id, delegate=world.id("staff"))
    for signer in ("lawyer2", "staff", "clerk"):
        assert world.refused(signer, ended) == "unknown_delegation"
    world.do("lawyer1", ended)
    assert not reads(ready, "staff")
    assert world.refused("staff", more(ready, "a")) == "not_in_case"
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit"))
    world.do("registrar", MemberRevoke(member=world.id("lawyer1"), role="depositor"))
    assert not reads(ready, "staff")
    assert world.refused("staff", more(ready, "a")) == "not_in_case"


def test_a_judges_clerk_prepares_and_never_decides_or_contributes(ready: Release) -> None:
    world = ready.world
    ready.ask()
    world.do("judge2", delegation(ready, "aide", "prepare", "read"))
    assert reads(ready, "aide")
    assert world.refused("aide", ready.grant("judge2")) == "wrong_signer"
    assert world.refused("aide", ready.refusal()) == "wrong_signer"
    assert world.refused("aide", ready.contribute("judge2")) == "wrong_signer"
    assert world.refused("aide", ready.order_claims()) == "wrong_signer"
    world.do("judge2", ready.grant("judge2"))
    world.do("judge2", ready.contribute("judge2"))


def test_a_delegate_neither_asks_nor_is_a_recipient(ready: Release) -> None:
    world = ready.world
    ready.order = world.do("judge1", ready.order_claims())
    world.do("lawyer2", delegation(ready, "junior", "read"))
    assert world.refused("junior", ready.request_claims(ready.message("junior"))) == "not_a_recipient"
    names = replace(ready.order_claims(), recipients=(world.signer("junior").public,))
    assert world.refused("judge1", names) == "recipient_not_in_case"
    world.do("lawyer2", ready.request_claims())


def test_who_may_let_whom_do_what(ready: Release) -> None:
    world = ready.world
    world.enrol("judge4", "judge")
    world.enrol("auditor", "auditor")
    for signer, name, scope, code in (
        ("lawyer1", "aide", ("deposit",), "wrong_role"),
        ("lawyer1", "judge4", ("read",), "wrong_role"),
        ("lawyer1", "auditor", ("read",), "wrong_role"),
        ("lawyer1", "staff", ("prepare",), "wrong_scope"),
        ("lawyer1", "staff", ("read", "read"), "wrong_scope"),
        ("lawyer2", "staff", ("deposit",), "wrong_scope"),
        ("judge1", "aide", ("deposit",), "wrong_scope"),
        ("judge1", "staff", ("prepare",), "wrong_role"),
        ("clerk", "aide", ("read",), "wrong_scope"),
        ("registrar", "aide", ("read",), "not_in_case"),
        ("staff", "junior", ("read",), "not_in_case"),
        ("service", "staff", ("read",), "wrong_signer"),
        ("lawyer1", "lawyer2", ("read",), "already_party"),
        ("lawyer1", "clerk", ("read",), "already_party"),
    ):
        assert world.refused(signer, delegation(ready, name, *scope)) == code, (signer, name, scope)
    assert world.refused("lawyer1", delegation(ready, "staff", "read", days=401)) == "bad_term"
    assert world.refused("lawyer1", delegation(ready, "staff", "read", days=0)) == "bad_term"
    nobody = replace(delegation(ready, "staff", "read"), delegate="A" * 43)
    assert world.refused("lawyer1", nobody) == "unknown_member"


def test_a_delegate_passes_nothing_on(ready: Release) -> None:
    world = ready.world
    world.do("lawyer1", delegation(ready, "staff", "read", "deposit"))
    assert world.refused("staff", delegation(ready, "junior", "read")) == "not_in_case"


def test_staff_of_two_principals_does_not_deposit_for_either(ready: Release) -> None:
    world = ready.world
    world.enrol("lawyer3", "depositor")
    world.do("clerk", CaseParty(case_id=ready.case_id, member=world.id("lawyer3"), note=None))
    for principal in ("lawyer1", "lawyer3"):
        world.do(principal, delegation(ready, "staff", "read", "deposit"))
    assert world.refused("staff", more(ready, "a")) == "ambiguous_principal"
    world.do("lawyer3", CaseUndelegate(case_id=ready.case_id, delegate=world.id("staff")))
    world.do("staff", more(ready, "a"))
