"""Legal holds and longer terms: who may, what is refused, and that holds stand side by side."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Deposited, format_aggregate, parse_aggregate
from app.rules.holds import MAX_HOLDS, MAX_TERM_SECONDS
from app.statements.kinds import CaseRecuse, HoldLift, HoldPlace, MemberRevoke, RetentionExtend
from tests.app.rules.world import Release, ready_to_release


@pytest.fixture
def ready() -> Release:
    """A panel 2 of 3 and a deposit; judge1 presides, the clerk opened the case."""
    release = ready_to_release()
    for name, role in (("clerk2", "clerk"), ("judge4", "judge"), ("auditor", "auditor")):
        release.world.enrol(name, role)  # type: ignore[arg-type]
    return release


def placing(release: Release) -> HoldPlace:
    return HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None)


def lifting(release: Release, hold: bytes) -> HoldLift:
    return HoldLift(deposit_id=release.deposit.claims.deposit_id, hold=hold, note=None)


def extending(release: Release, until: int) -> RetentionExtend:
    return RetentionExtend(deposit_id=release.deposit.claims.deposit_id, until=until, note=None)


def state(release: Release) -> Deposited:
    found = release.world.view.find(Deposited, release.deposit.claims.deposit_id.hex())
    assert found is not None
    return found


@pytest.mark.parametrize("who", ["clerk", "judge1", "judge2", "judge3"])
def test_the_clerk_who_opened_the_case_and_each_judge_of_it_place_and_lift(ready: Release, who: str) -> None:
    assert not state(ready).held
    placed = ready.world.do(who, placing(ready))
    assert state(ready).held
    assert state(ready).holds == (placed.digest,)
    ready.world.do(who, lifting(ready, placed.digest))
    assert not state(ready).held


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("lawyer1", "wrong_signer"),
        ("lawyer2", "wrong_signer"),
        ("registrar", "wrong_signer"),
        ("auditor", "wrong_signer"),
        ("service", "wrong_signer"),
        ("authority1", "wrong_signer"),
        ("clerk2", "not_in_case"),
        ("judge4", "not_in_case"),
    ],
)
def test_nobody_else_places_lifts_or_extends(ready: Release, who: str, code: str) -> None:
    world = ready.world
    hold = world.do("judge1", placing(ready)).digest
    assert world.refused(who, placing(ready)) == code
    assert world.refused(who, lifting(ready, hold)) == code
    assert world.refused(who, extending(ready, world.now + 1000)) == code


def test_a_recused_or_revoked_judge_lifts_nothing(ready: Release) -> None:
    world = ready.world
    hold = world.do("judge3", placing(ready)).digest
    world.do("judge3", CaseRecuse(case_id=ready.case_id, judge=world.id("judge3"), note=None))
    assert world.refused("judge3", lifting(ready, hold)) == "recused"
    world.approve(world.do("registrar", MemberRevoke(member=world.id("judge2"), role="judge")))
    assert world.refused("judge2", lifting(ready, hold)) == "retired_key"
    assert state(ready).held


def test_one_hold_lifted_leaves_the_others(ready: Release) -> None:
    world = ready.world
    first, second = (world.do(who, placing(ready)).digest for who in ("clerk", "judge2"))
    world.do("clerk", lifting(ready, first))
    assert state(ready).held
    assert state(ready).holds == (second,)
    assert world.refused("clerk", lifting(ready, first)) == "unknown_hold"
    world.do("judge1", lifting(ready, second))
    assert not state(ready).held


def test_a_hold_of_another_deposit_or_of_nothing_is_not_lifted(ready: Release) -> None:
    world = ready.world
    world.do("clerk", placing(ready))
    assert world.refused("clerk", lifting(ready, bytes(32))) == "unknown_hold"
    absent = bytes(16)
    assert world.refused("clerk", replace(placing(ready), deposit_id=absent)) == "unknown_deposit"
    assert world.refused("clerk", HoldLift(deposit_id=absent, hold=bytes(32), note=None)) == "unknown_deposit"
    assert world.refused("clerk", replace(extending(ready, world.now + 9), deposit_id=absent)) == "unknown_deposit"


def test_holds_are_bounded(ready: Release) -> None:
    world = ready.world
    for _ in range(MAX_HOLDS):
        world.do("clerk", placing(ready))
    assert world.refused("clerk", placing(ready)) == "too_many_holds"
    world.do("clerk", lifting(ready, state(ready).holds[0]))
    world.do("clerk", placing(ready))


def test_a_term_only_grows(ready: Release) -> None:
    world = ready.world
    assert state(ready).retain_until == 0
    assert world.refused("clerk", extending(ready, world.now)) == "not_later"
    world.do("judge2", extending(ready, world.now + 1000))
    assert state(ready).retain_until == world.now + 1000
    for until in (world.now + 999, world.now + 1000, 0):
        assert world.refused("clerk", extending(ready, until)) == "not_later"
    world.do("clerk", extending(ready, world.now + 1001))
    assert world.refused("clerk", extending(ready, world.now + MAX_TERM_SECONDS + 1)) == "too_far"
    world.do("clerk", extending(ready, world.now + MAX_TERM_SECONDS))


def test_what_is_held_survives_storing(ready: Release) -> None:
    ready.world.do("clerk", placing(ready))
    ready.world.do("clerk", extending(ready, ready.world.now + 5))
    found = state(ready)
    again = parse_aggregate(f"deposit/{found.id}", format_aggregate(found))
    assert again == found
    assert isinstance(again, Deposited)
    assert again.held
