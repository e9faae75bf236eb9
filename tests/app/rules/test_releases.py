"""Deposits and releases: who may do what, and what never counts."""

from dataclasses import replace

import pytest

from app.errors import Mismatch
from app.panels.making.opening import open_capsule
from app.rules.aggregates import Request, format_aggregate, parse_aggregate
from app.rules.replay import Entry, Replay
from app.statements.kinds import CaseParty, MemberKey, MemberRevoke, Role
from tests.app.rules.world import NOTES, ORIGIN, Release, fresh, ready_to_release, scalar_of, sealed


@pytest.fixture
def ready() -> Release:
    return ready_to_release()


def asked(release: Release) -> Request:
    assert release.request is not None
    found = release.world.view.find(Request, release.request.digest.hex())
    assert found is not None
    return found


def test_three_judges_two_of_whom_open(ready: Release) -> None:
    world = ready.world
    ready.ask()
    world.do("judge2", ready.refusal())
    for judge in ("judge1", "judge3"):
        world.do(judge, ready.grant(judge))
    world.do("judge1", ready.contribute("judge1"))
    assert not asked(ready).state.released
    assert world.refused("service", ready.access()) == "not_released"
    world.do("judge3", ready.contribute("judge3"))
    assert asked(ready).state.released
    world.do("service", ready.access())
    assert world.refused("service", ready.access()) == "already_accessed"
    state = asked(ready).state
    key = open_capsule(
        state.release, [each for _, each in state.contributions], sk=scalar_of("sk"), box=ready.deposit.box
    )
    assert key == ready.deposit.secret
    world.do("lawyer2", ready.opening())
    assert world.refused("lawyer2", ready.opening()) == "request_ended"
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates
    for key_, aggregate in world.view.aggregates.items():
        assert parse_aggregate(key_, format_aggregate(aggregate)) == aggregate


def test_a_contribution_counts_only_with_its_own_grant_logged_before(ready: Release) -> None:
    world = ready.world
    ready.ask()
    assert world.refused("judge1", ready.contribute("judge1")) == "not_granted"
    world.do("judge1", replace(ready.grant("judge1"), contribution=fresh("other", 32)))
    assert world.refused("judge1", ready.contribute("judge1")) == "not_granted"
    world.do("judge2", ready.grant("judge2"))
    assert world.refused("judge1", ready.contribute("judge2")) == "wrong_signer"
    world.do("judge2", ready.contribute("judge2"))
    assert world.refused("judge2", ready.contribute("judge2")) == "duplicate_contribution"
    world.do("judge3", ready.refusal())
    assert world.refused("judge3", ready.contribute("judge3")) == "not_granted"


def test_a_judge_decides_once_and_only_judges_of_the_epoch_decide(ready: Release) -> None:
    world = ready.world
    world.enrol("judge4", "judge")
    ready.ask()
    world.do("judge1", ready.refusal())
    assert world.refused("judge1", ready.grant("judge1")) == "already_decided"
    assert world.refused("judge4", ready.refusal()) == "not_on_panel"
    assert world.refused("clerk", ready.refusal()) == "wrong_signer"
    assert world.refused("judge2", replace(ready.refusal(), request=fresh("?", 32))) == "unknown_request"
    assert world.refused("judge2", replace(ready.refusal(), contribution=fresh("?", 32))) == "bad_decision"
    assert world.refused("judge2", replace(ready.grant("judge2"), contribution=None)) == "bad_decision"


def test_only_the_presiding_judge_orders_and_only_for_members_of_the_case(ready: Release) -> None:
    world = ready.world
    claims = ready.order_claims()
    assert world.refused("judge2", claims) == "not_presiding"
    assert world.refused("clerk", claims) == "wrong_signer"
    stranger = world.signer("stranger").public
    assert world.refused("judge1", replace(claims, recipients=(stranger,))) == "recipient_not_in_case"
    world.enrol("lawyer3", "party")
    outsider = world.signer("lawyer3").public
    assert world.refused("judge1", replace(claims, recipients=(outsider,))) == "recipient_not_in_case"
    assert world.refused("judge1", replace(claims, deposits=(fresh("?"),))) == "unknown_deposit"
    assert world.refused("judge1", replace(claims, deposits=claims.deposits * 2)) == "duplicate_name"
    other = world.open_case("other case")
    assert world.refused("judge1", replace(claims, case_id=other)) == "not_presiding"


def test_only_a_recipient_named_by_the_order_asks_and_once_at_a_time(ready: Release) -> None:
    world = ready.world
    ready.order = world.do("judge1", ready.order_claims())
    assert world.refused("lawyer1", ready.request_claims(ready.message("lawyer1"))) == "not_a_recipient"
    assert world.refused("lawyer2", ready.request_claims(ready.message("lawyer1"))) == "requester_not_authorised"
    foreign = ready.request_claims(ready.message(order=fresh("?", 32)))
    assert world.refused("lawyer2", foreign) == "wrong_order"
    claims = ready.request_claims()
    assert world.refused("lawyer2", replace(claims, order=fresh("?", 32))) == "unknown_order"
    assert world.refused("lawyer2", replace(claims, deposit_id=fresh("?"))) == "wrong_deposit"
    assert world.refused("lawyer2", replace(claims, panel_id=fresh("?", 32))) == "wrong_panel"
    ready.request = world.do("lawyer2", claims)
    assert world.refused("lawyer2", claims) == "request_known"
    assert world.refused("lawyer2", ready.request_claims(ready.message(sk="another"))) == "request_open"


def test_an_opening_is_the_recipients_word_after_he_was_served(ready: Release) -> None:
    world = ready.world
    ready.ask()
    assert world.refused("lawyer2", ready.opening()) == "not_released"
    for judge in ("judge1", "judge2"):
        world.do(judge, ready.grant(judge))
        world.do(judge, ready.contribute(judge))
    assert world.refused("lawyer2", ready.opening()) == "not_released"
    assert world.refused("lawyer2", ready.access()) == "wrong_signer"
    assert world.refused("service", replace(ready.access(), recipient=world.id("lawyer1"))) == "wrong_request"
    world.do("service", ready.access())
    assert world.refused("lawyer1", ready.opening()) == "not_a_recipient"
    assert world.refused("lawyer2", replace(ready.opening(), items=())) == "bad_opening"
    world.do("lawyer2", replace(ready.opening(), outcome="malformed", items=()))


def test_a_deposit_needs_a_depositor_of_the_case_and_a_capsule_for_its_panel(ready: Release) -> None:
    world = ready.world
    deposit = sealed(world, ready.ceremony, ready.case_id, "second")
    claims = deposit.claims
    assert world.refused("lawyer2", claims) == "wrong_signer"
    world.enrol("lawyer3", "depositor")
    assert world.refused("lawyer3", claims) == "not_in_case"
    assert world.refused("lawyer1", ready.deposit.claims) == "id_in_use"
    assert world.refused("lawyer1", replace(claims, capsules=claims.capsules * 2)) == "duplicate_capsule"
    assert world.refused("lawyer1", replace(claims, manifest_hash=fresh("?", 32))) == "ct_proof"
    assert world.refused("lawyer1", replace(claims, deposit_id=fresh("?"))) == "ct_proof"
    capsule = claims.capsules[0]

    def with_capsule(**changes: bytes) -> str:
        return world.refused("lawyer1", replace(claims, capsules=(replace(capsule, **changes),)))  # type: ignore[arg-type]

    assert with_capsule(panel_id=fresh("?", 32)) == "panel_not_assigned"
    assert with_capsule(epoch_id=fresh("?", 32)) == "wrong_epoch"
    assert with_capsule(y=fresh("?", 32)) == "wrong_joint_key"
    assert with_capsule(ct_hash=fresh("?", 32)) == "ct_hash_mismatch"
    other = world.open_case("other")
    world.do("clerk", CaseParty(case_id=other, member=world.id("lawyer1"), note=None))
    assert world.refused("lawyer1", replace(claims, case_id=other)) == "panel_not_assigned"
    world.do("lawyer1", claims)


def rotated(release: Release, name: str, role: Role) -> None:
    new = release.world.signer(f"{name} new").public
    release.world.do(name, MemberKey(member=release.world.id(name), role=role, key=new, notes=NOTES))


def test_a_judge_keeps_his_seat_with_a_new_key_and_a_revoked_one_says_nothing_more(ready: Release) -> None:
    world = ready.world
    ready.ask()
    grant, contribution = ready.grant("judge2"), ready.contribute("judge2")
    rotated(ready, "judge2", "judge")
    assert world.refused("judge2", grant) == "retired_key"
    world.do("judge2 new", grant)
    act = world.do("registrar", MemberRevoke(member=world.id("judge2"), role="judge"))
    world.approve(act, "authority1")
    world.approve(act, "authority2")
    assert world.refused("judge2 new", contribution) == "retired_key"
    assert world.refused("judge2", contribution) == "retired_key"


def test_a_recipient_with_a_new_key_needs_a_new_order(ready: Release) -> None:
    """The order names keys: who replaced a recipient's key, or had a registrar do it, has nothing of the old order."""
    world = ready.world
    ready.order = world.do("judge1", ready.order_claims())
    rotated(ready, "lawyer2", "party")
    assert world.refused("lawyer2", ready.request_claims()) == "retired_key"
    claims = ready.request_claims(ready.message("lawyer2 new"))
    assert world.refused("lawyer2 new", claims) == "not_a_recipient"
    assert world.refused("judge1", ready.order_claims()) == "recipient_not_in_case"


def test_a_grant_played_back_after_an_hour_is_too_old(ready: Release) -> None:
    world = ready.world
    ready.ask()
    seen = world.seen_now()
    world.do("judge2", ready.refusal())
    world.now += 3601
    assert world.refused("judge1", ready.grant("judge1"), seen=seen) == "seen_too_old"
    assert world.refused("judge1", ready.grant("judge1"), exp=world.now + 86_401) == "bad_validity"
    world.do("judge1", ready.grant("judge1"))


def test_a_replay_names_the_entry_that_a_registry_should_not_have_admitted(ready: Release) -> None:
    """A registry that accepts what its rules refuse is found out by whoever replays."""
    world = ready.world
    ready.ask()
    forged = world.sign("judge1", ready.contribute("judge1"))
    from app.statements.statement import leaf_of

    world.entries.append(Entry(index=len(world.entries), leaf=leaf_of(forged, world.now), statement=forged.text))
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    with pytest.raises(Mismatch, match=f"index {len(world.entries) - 1}") as caught:
        replay.extend(world.entries)
    assert caught.value.code == "replay_refused"
