"""Recusal: by the judge himself or m keys of the authority, never below k; what counted before stays."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Case, Request
from app.statements.kinds import CaseAssign, CaseRecuse, MemberRevoke
from tests.app.rules.world import Release, ready_to_release


@pytest.fixture
def ready() -> Release:
    """A panel 2 of 3 and a request; judge1 presides."""
    release = ready_to_release()
    release.ask()
    return release


def recusal(release: Release, judge: str) -> CaseRecuse:
    return CaseRecuse(case_id=release.case_id, judge=release.world.id(judge), note=None)


def recused(release: Release) -> tuple[str, ...]:
    case = release.world.view.find(Case, release.case_id.hex())
    assert case is not None
    return case.recused


def contributions(release: Release) -> int:
    assert release.request is not None
    found = release.world.view.find(Request, release.request.digest.hex())
    assert found is not None
    return len(found.state.contributions)


def test_an_adversary_who_was_recused_decides_nothing_and_what_he_gave_before_counts(ready: Release) -> None:
    world = ready.world
    world.do("judge3", ready.grant("judge3"))
    world.do("judge3", ready.contribute("judge3"))
    world.do("judge3", recusal(ready, "judge3"))
    assert recused(ready) == (world.id("judge3"),)
    assert contributions(ready) == 1
    assert world.refused("judge3", ready.contribute("judge3")) == "recused"
    assert world.refused("judge3", ready.refusal()) == "recused"
    world.do("judge2", ready.grant("judge2"))
    world.do("judge2", ready.contribute("judge2"))
    world.do("service", ready.access())


def test_an_adversarys_contribution_after_his_grant_and_recusal_is_refused(ready: Release) -> None:
    world = ready.world
    world.do("judge3", ready.grant("judge3"))
    world.do("judge3", recusal(ready, "judge3"))
    assert world.refused("judge3", ready.contribute("judge3")) == "recused"
    assert contributions(ready) == 0
    for judge in ("judge1", "judge2"):
        world.do(judge, ready.grant(judge))
        world.do(judge, ready.contribute(judge))
    world.do("service", ready.access())


def test_the_twin_who_was_not_recused_contributes(ready: Release) -> None:
    world = ready.world
    world.do("judge3", ready.grant("judge3"))
    world.do("judge2", recusal(ready, "judge2"))
    world.do("judge3", ready.contribute("judge3"))
    assert contributions(ready) == 1


def test_never_below_k(ready: Release) -> None:
    """Not by recusals, not together with revocations, not by another assignment."""
    world = ready.world
    world.do("judge3", recusal(ready, "judge3"))
    assert world.refused("judge2", recusal(ready, "judge2")) == "too_few_judges"
    assert world.refused("authority1", recusal(ready, "judge2")) == "too_few_judges"
    assert world.refused("judge3", recusal(ready, "judge3")) == "recused"


def test_revoked_judges_do_not_count_as_remaining(ready: Release) -> None:
    world = ready.world
    world.approve(world.do("registrar", MemberRevoke(member=world.id("judge2"), role="judge")))
    assert world.refused("judge3", recusal(ready, "judge3")) == "too_few_judges"
    assign = CaseAssign(case_id=ready.case_id, panel_id=ready.ceremony.panel_id, presiding=world.id("judge1"))
    world.do("clerk", assign)


def test_the_authority_recuses_with_m_keys_each_its_own_statement(ready: Release) -> None:
    world = ready.world
    claims = recusal(ready, "judge3")
    world.do("authority1", claims)
    assert recused(ready) == ()
    assert world.refused("authority1", claims) == "already_approved"
    world.do("judge3", ready.grant("judge3"))
    world.do("authority3", claims)
    assert recused(ready) == (world.id("judge3"),)
    assert world.refused("judge3", ready.contribute("judge3")) == "recused"
    assert world.refused("authority2", claims) == "recused"


def test_one_key_of_the_authority_and_the_judges_own_word_are_not_added_up_but_his_word_is_enough(
    ready: Release,
) -> None:
    world = ready.world
    world.do("authority1", recusal(ready, "judge3"))
    world.do("judge3", recusal(ready, "judge3"))
    case = world.view.find(Case, ready.case_id.hex())
    assert case is not None
    assert (case.recused, case.recusing) == ((world.id("judge3"),), ())


def test_nobody_else_recuses_a_judge_and_nobody_else_is_recused(ready: Release) -> None:
    world = ready.world
    world.enrol("judge4", "judge")
    for signer in ("judge2", "clerk", "registrar", "lawyer2", "service"):
        assert world.refused(signer, recusal(ready, "judge3")) == "wrong_signer"
    assert world.refused("judge4", recusal(ready, "judge4")) == "not_on_panel"
    assert world.refused("clerk", recusal(ready, "clerk")) == "wrong_role"
    assert world.refused("judge3", replace(recusal(ready, "judge3"), case_id=bytes(16))) == "unknown_case"


def test_a_presiding_judge_who_was_recused_orders_nothing_and_is_not_assigned_again(ready: Release) -> None:
    world = ready.world
    world.do("judge1", recusal(ready, "judge1"))
    assert world.refused("judge1", ready.order_claims()) == "recused"
    assign = CaseAssign(case_id=ready.case_id, panel_id=ready.ceremony.panel_id, presiding=world.id("judge1"))
    assert world.refused("clerk", assign) == "recused"
    world.do("clerk", replace(assign, presiding=world.id("judge2")))
    world.do("judge2", ready.order_claims())


def test_a_recusal_is_of_one_case(ready: Release) -> None:
    world = ready.world
    world.do("judge3", recusal(ready, "judge3"))
    other = world.open_case("other", "lawyer1")
    world.do("clerk", CaseAssign(case_id=other, panel_id=ready.ceremony.panel_id, presiding=world.id("judge3")))
    world.do("judge2", CaseRecuse(case_id=other, judge=world.id("judge2"), note=None))


def test_a_panel_with_too_few_judges_left_is_not_assigned(ready: Release) -> None:
    """judge3 leaves the case first, judge2 the registry afterwards: the same panel cannot be assigned once more."""
    world = ready.world
    world.do("judge3", recusal(ready, "judge3"))
    world.approve(world.do("registrar", MemberRevoke(member=world.id("judge2"), role="judge")))
    assign = CaseAssign(case_id=ready.case_id, panel_id=ready.ceremony.panel_id, presiding=world.id("judge1"))
    assert world.refused("clerk", assign) == "too_few_judges"
