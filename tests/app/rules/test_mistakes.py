"""Withdrawing and superseding a deposit: by its depositor alone, and never what somebody else has seen."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Fate, format_aggregate, parse_aggregate
from app.rules.replay import Replay
from app.statements.kinds import (
    CaseAssign,
    DepositAcknowledge,
    DepositSupersede,
    DepositWithdraw,
    HoldLift,
    HoldPlace,
    MemberRevoke,
)
from tests.app.rules.world import ORIGIN, Release, fresh, ready_to_release, sealed


@pytest.fixture
def ready() -> Release:
    """One deposit of lawyer1 in a case with lawyer2; judge1 presides, nothing was ordered."""
    return ready_to_release()


def withdrawal(release: Release) -> DepositWithdraw:
    return DepositWithdraw(deposit_id=release.deposit.claims.deposit_id, note=None)


def seen(release: Release) -> DepositAcknowledge:
    return DepositAcknowledge(deposit_id=release.deposit.claims.deposit_id)


def fate(release: Release) -> Fate:
    found = release.world.view.find(Fate, release.deposit.claims.deposit_id.hex())
    assert found is not None
    return found


def second(release: Release, name: str = "second") -> bytes:
    """Another deposit of lawyer1 in the same case."""
    made = sealed(release.world, release.ceremony, release.case_id, name)
    release.world.do("lawyer1", made.claims)
    return made.claims.deposit_id


def test_what_nobody_saw_is_withdrawn_and_never_ordered_opened(ready: Release) -> None:
    world = ready.world
    done = world.do("lawyer1", withdrawal(ready))
    assert fate(ready).withdrawn == done.digest
    assert world.refused("judge1", ready.order_claims()) == "withdrawn"
    assert world.refused("lawyer1", withdrawal(ready)) == "withdrawn"
    assert world.refused("clerk", seen(ready)) == "withdrawn"
    world.do("lawyer1", sealed(world, ready.ceremony, ready.case_id, "the right one").claims)


def test_the_twin_that_stands_is_ordered(ready: Release) -> None:
    ready.world.do("judge1", ready.order_claims())
    assert fate(ready).seen_by == (ready.world.id("judge1"),)


@pytest.mark.parametrize("reader", ["clerk", "lawyer2", "judge1", "judge3"])
def test_an_adversary_cannot_withdraw_what_another_reader_has_seen(ready: Release, reader: str) -> None:
    world = ready.world
    world.do(reader, seen(ready))
    assert world.refused("lawyer1", withdrawal(ready)) == "already_seen"
    assert world.refused(reader, seen(ready)) == "already_acknowledged"
    world.do("judge1", ready.order_claims())


def test_an_adversary_cannot_withdraw_what_was_ordered_opened(ready: Release) -> None:
    ready.world.do("judge1", ready.order_claims())
    assert ready.world.refused("lawyer1", withdrawal(ready)) == "already_seen"


def test_an_adversary_cannot_withdraw_what_is_held(ready: Release) -> None:
    world = ready.world
    deposit_id = ready.deposit.claims.deposit_id
    hold = world.do("clerk", HoldPlace(deposit_id=deposit_id, note=None)).digest
    assert world.refused("lawyer1", withdrawal(ready)) == "held"
    world.do("clerk", HoldLift(deposit_id=deposit_id, hold=hold, note=None))
    world.do("lawyer1", withdrawal(ready))


def test_nobody_else_withdraws_or_supersedes(ready: Release) -> None:
    world = ready.world
    other = second(ready)
    claims = DepositSupersede(deposit_id=ready.deposit.claims.deposit_id, by=other, note=None)
    for signer in ("lawyer2", "clerk", "judge1", "registrar", "authority1", "service"):
        assert world.refused(signer, withdrawal(ready)) == "wrong_signer"
        assert world.refused(signer, claims) == "wrong_signer"
    assert world.refused("lawyer1", replace(withdrawal(ready), deposit_id=fresh("?"))) == "unknown_deposit"
    world.do("registrar", MemberRevoke(member=world.id("lawyer1"), role="depositor"))
    assert world.refused("lawyer1", withdrawal(ready)) == "retired_key"


def test_nobody_outside_the_case_acknowledges_and_the_depositor_does_not_himself(ready: Release) -> None:
    """Otherwise an outsider could keep a depositor from withdrawing."""
    world = ready.world
    world.enrol("outsider", "party")
    for signer in ("outsider", "registrar"):
        assert world.refused(signer, seen(ready)) == "not_in_case"
    for signer in ("service", "authority1"):
        assert world.refused(signer, seen(ready)) == "wrong_signer"
    assert world.refused("lawyer1", seen(ready)) == "own_deposit"
    assert world.refused("clerk", DepositAcknowledge(deposit_id=fresh("?"))) == "unknown_deposit"
    world.do("lawyer1", withdrawal(ready))


def test_a_superseded_deposit_stays_and_may_be_ordered(ready: Release) -> None:
    world = ready.world
    other = second(ready)
    world.do("clerk", seen(ready))
    world.do("lawyer1", DepositSupersede(deposit_id=ready.deposit.claims.deposit_id, by=other, note=None))
    assert fate(ready).superseded_by == other
    world.do("judge1", ready.order_claims())


def test_chains_of_superseded_deposits_have_no_forks_and_no_circles(ready: Release) -> None:
    world = ready.world
    a, b, c = ready.deposit.claims.deposit_id, second(ready, "b"), second(ready, "c")

    def by(old: bytes, new: bytes) -> DepositSupersede:
        return DepositSupersede(deposit_id=old, by=new, note=None)

    assert world.refused("lawyer1", by(a, a)) == "wrong_deposit"
    assert world.refused("lawyer1", by(a, fresh("?"))) == "unknown_deposit"
    world.do("lawyer1", by(a, b))
    assert world.refused("lawyer1", by(a, c)) == "superseded"
    assert world.refused("lawyer1", by(b, a)) == "superseded"
    world.do("lawyer1", by(b, c))
    world.do("lawyer1", DepositWithdraw(deposit_id=c, note=None))
    assert world.refused("lawyer1", by(second(ready, "d"), c)) == "withdrawn"


def test_a_deposit_is_superseded_within_its_case_and_by_its_own_depositor(ready: Release) -> None:
    world = ready.world
    other_case = world.open_case("other", "lawyer1")
    world.do("clerk", CaseAssign(case_id=other_case, panel_id=ready.ceremony.panel_id, presiding=world.id("judge1")))
    elsewhere = sealed(world, ready.ceremony, other_case, "elsewhere").claims
    world.do("lawyer1", elsewhere)
    mine = ready.deposit.claims.deposit_id
    assert (
        world.refused("lawyer1", DepositSupersede(deposit_id=mine, by=elsewhere.deposit_id, note=None))
        == "wrong_deposit"
    )


def test_the_fate_of_a_deposit_is_replayed_and_stored(ready: Release) -> None:
    world = ready.world
    other = second(ready)
    world.do("clerk", seen(ready))
    world.do("lawyer1", DepositSupersede(deposit_id=ready.deposit.claims.deposit_id, by=other, note=None))
    world.do("lawyer1", DepositWithdraw(deposit_id=other, note=None))
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates
    for key, each in world.view.aggregates.items():
        if isinstance(each, Fate):
            assert parse_aggregate(key, format_aggregate(each)) == each
