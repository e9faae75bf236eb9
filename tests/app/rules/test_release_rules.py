"""The release rules of a case: conflict, notice, objection, withdrawal, expiry, contributions at the quorum of grants.

Each is tried by who gains from breaking it (`adversary`), beside the honest act in the same place (`twin`).
"""

from dataclasses import replace

import pytest

from app.panels.making.opening import open_capsule
from app.rules.aggregates import Case, Request, SealedCapsule
from app.rules.replay import Replay
from app.statements.kinds import (
    DEFAULT_RULES,
    CaseAssign,
    CaseOpen,
    CaseParty,
    CaseRecuse,
    HoldLift,
    HoldPlace,
    ReleaseObjection,
    ReleaseRules,
    ReleaseWithdraw,
)
from tests.app.rules.world import ORIGIN, Release, World, fresh, ready_to_release, scalar_of

DAY = 86_400
NOTICE = replace(DEFAULT_RULES, notice_seconds=3 * DAY, request_seconds=10 * DAY)
QUORUM = replace(DEFAULT_RULES, contribute="at-quorum")


def asked_under(rules: ReleaseRules = DEFAULT_RULES) -> Release:
    """A panel of 2 of 3, a deposit of lawyer1, a request of lawyer2 under an order of judge1."""
    release = ready_to_release(rules)
    release.ask()
    return release


def found(release: Release) -> Request:
    assert release.request is not None
    request = release.world.view.find(Request, release.request.digest.hex())
    assert request is not None
    return request


def open_request(release: Release) -> bytes | None:
    """The req_hash of the open request for the deposit's capsule."""
    capsule = release.world.view.find(SealedCapsule, release.deposit.claims.capsules[0].ct_hash.hex())
    assert capsule is not None
    return capsule.state.open_request[0] if capsule.state.open_request is not None else None


def objection(release: Release) -> ReleaseObjection:
    assert release.request is not None
    return ReleaseObjection(request=release.request.digest, note=None)


def withdrawal(release: Release) -> ReleaseWithdraw:
    assert release.request is not None
    return ReleaseWithdraw(request=release.request.digest, note=None)


def asks_again(release: Release, name: str = "lawyer2", sk: str = "sk again") -> Release:
    """Another request of the same recipient under the same order."""
    later = replace(release)
    later.request = release.world.do(name, later.request_claims(later.message(name=name, sk=sk)))
    return later


def released(release: Release, *judges: str) -> None:
    for judge in judges:
        release.world.do(judge, release.grant(judge))
        release.world.do(judge, release.contribute(judge))


def replays(world: World) -> None:
    """The ledger decides the same for whoever replays it later."""
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates


# Rules of a case


def test_a_case_names_its_rules_once_and_nobody_changes_them() -> None:
    release = ready_to_release(NOTICE)
    world = release.world
    claims = CaseOpen(case_id=release.case_id, rules=replace(NOTICE, notice_seconds=0), note=None)
    assert world.refused("clerk", claims) == "id_in_use"
    case = world.view.find(Case, release.case_id.hex())
    assert case is not None
    assert case.rules == NOTICE


def test_a_notice_that_outlasts_the_request_is_refused() -> None:
    world = ready_to_release().world
    rules = replace(DEFAULT_RULES, notice_seconds=3600, request_seconds=3600)
    assert world.refused("clerk", CaseOpen(case_id=fresh("c"), rules=rules, note=None)) == "bad_rules"
    world.do("clerk", CaseOpen(case_id=fresh("c"), rules=replace(rules, notice_seconds=3599), note=None))


# Conflict


def test_an_adversary_who_is_a_judge_and_a_party_decides_nothing() -> None:
    release = asked_under()
    world = release.world
    world.do("judge3", release.grant("judge3"))
    world.do("clerk", CaseParty(case_id=release.case_id, member=world.id("judge3"), note=None))
    assert world.refused("judge3", release.refusal()) == "conflict"
    assert world.refused("judge3", release.contribute("judge3")) == "conflict"
    assign = CaseAssign(case_id=release.case_id, panel_id=release.ceremony.panel_id, presiding=world.id("judge3"))
    assert world.refused("clerk", assign) == "conflict"
    assert found(release).state.contributions == ()
    released(release, "judge1", "judge2")
    assert found(release).state.released
    replays(world)


def test_an_adversary_who_presides_is_not_made_a_party_and_orders_for_himself() -> None:
    release = ready_to_release()
    world = release.world
    join = CaseParty(case_id=release.case_id, member=world.id("judge1"), note=None)
    assert world.refused("clerk", join) == "conflict"
    own = replace(release.order_claims(), recipients=(world.signer("judge1").public,))
    assert world.refused("judge1", own) == "recipient_not_in_case"


def test_an_adversary_who_makes_judges_parties_never_leaves_fewer_than_k() -> None:
    """Not by joining them, not together with recusals, in either order."""
    release = asked_under()
    world = release.world
    join = CaseParty(case_id=release.case_id, member=world.id("judge3"), note=None)
    world.do("clerk", join)
    assert world.refused("clerk", replace(join, member=world.id("judge2"))) == "too_few_judges"
    recusal = CaseRecuse(case_id=release.case_id, judge=world.id("judge2"), note=None)
    assert world.refused("judge2", recusal) == "too_few_judges"
    other = ready_to_release()
    other.world.do("judge3", replace(recusal, judge=other.world.id("judge3")))
    assert other.world.refused("clerk", replace(join, member=other.world.id("judge2"))) == "too_few_judges"


def test_the_twin_a_judge_of_another_court_is_a_party_and_gets_what_is_sent_up() -> None:
    """The court of appeal: a judge who sits on no panel of the case joins it, is named by the order, and asks."""
    release = ready_to_release()
    world = release.world
    world.enrol("appeal", "judge")
    world.do("clerk", CaseParty(case_id=release.case_id, member=world.id("appeal"), note=None))
    keys = (world.signer("lawyer2").public, world.signer("appeal").public)
    release.order = world.do("judge1", replace(release.order_claims(), recipients=keys))
    release.request = world.do("appeal", release.request_claims(release.message("appeal")))
    assert found(release).recipient == world.id("appeal")


def test_what_a_judge_contributed_before_he_became_a_party_counts() -> None:
    release = asked_under()
    world = release.world
    released(release, "judge3")
    world.do("clerk", CaseParty(case_id=release.case_id, member=world.id("judge3"), note=None))
    released(release, "judge2")
    assert found(release).state.released


def test_an_adversary_who_is_a_judge_and_a_party_lifts_no_hold() -> None:
    release = ready_to_release()
    world = release.world
    hold = HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None)
    placed = world.do("judge2", hold)
    lift = HoldLift(deposit_id=hold.deposit_id, hold=placed.digest, note=None)
    world.do("clerk", CaseParty(case_id=release.case_id, member=world.id("judge3"), note=None))
    assert world.refused("judge3", lift) == "conflict"
    assert world.refused("judge3", hold) == "conflict"
    world.do("judge2", lift)


# Notice and objection


def test_an_adversary_who_grants_before_the_others_could_object_is_refused() -> None:
    release = asked_under(NOTICE)
    world = release.world
    grant = release.grant("judge2")
    assert world.refused("judge2", grant) == "notice_running"
    world.now += 3 * DAY - 1
    assert world.refused("judge2", grant) == "notice_running"
    assert world.refused("judge2", release.contribute("judge2")) == "not_granted"
    assert found(release).decisions == ()
    # The twin, in the next second.
    world.now += 1
    released(release, "judge2")
    assert len(found(release).state.contributions) == 1
    replays(world)


def test_a_refusal_needs_no_notice() -> None:
    release = asked_under(NOTICE)
    release.world.do("judge2", release.refusal())
    assert [each.contribution for each in found(release).decisions] == [None]


def test_a_party_objects_once_and_the_judges_decide_all_the_same() -> None:
    release = asked_under(NOTICE)
    world = release.world
    said = world.do("lawyer1", objection(release))
    assert [(each.member, each.digest) for each in found(release).objections] == [(world.id("lawyer1"), said.digest)]
    assert world.refused("lawyer1", objection(release)) == "already_objected"
    world.now += 3 * DAY
    released(release, "judge1", "judge2")
    assert found(release).state.released
    replays(world)


def test_an_adversary_who_is_not_in_the_case_does_not_object_nor_the_recipient_to_himself() -> None:
    release = asked_under(NOTICE)
    world = release.world
    world.enrol("lawyer3", "party")
    assert world.refused("lawyer3", objection(release)) == "not_in_case"
    assert world.refused("judge2", objection(release)) == "not_in_case"
    assert world.refused("lawyer2", objection(release)) == "own_request"
    assert world.refused("lawyer1", replace(objection(release), request=fresh("?", 32))) == "unknown_request"
    world.do("lawyer1", objection(release))


def test_nobody_objects_to_what_was_released_or_is_over() -> None:
    release = asked_under()
    released(release, "judge1", "judge2")
    assert release.world.refused("lawyer1", objection(release)) == "already_released"
    over = asked_under()
    over.world.do("lawyer2", withdrawal(over))
    assert over.world.refused("lawyer1", objection(over)) == "request_ended"
    late = asked_under(NOTICE)
    late.world.now += 10 * DAY
    assert late.world.refused("lawyer1", objection(late)) == "request_expired"


# Withdrawal


def test_a_withdrawn_request_gets_nothing_more_and_frees_its_deposit() -> None:
    release = asked_under()
    world = release.world
    world.do("judge2", release.grant("judge2"))
    assert world.refused("lawyer2", release.request_claims(release.message(sk="x"))) == "request_open"
    world.do("lawyer2", withdrawal(release))
    assert (found(release).end, open_request(release)) == ("withdrawn", None)
    assert world.refused("judge2", release.contribute("judge2")) == "request_ended"
    assert world.refused("judge3", release.grant("judge3")) == "request_ended"
    assert world.refused("lawyer2", withdrawal(release)) == "request_ended"
    later = asks_again(release)
    released(later, "judge2", "judge3")
    world.do("service", later.access())
    replays(world)


def test_an_adversary_does_not_withdraw_anothers_request() -> None:
    release = asked_under()
    for name in ("lawyer1", "judge1", "clerk"):
        assert release.world.refused(name, withdrawal(release)) == "not_a_recipient"
    assert release.world.refused("service", withdrawal(release)) == "wrong_signer"
    released(release, "judge1", "judge2")
    release.world.do("service", release.access())


def test_an_adversary_who_withdrew_is_not_served_what_was_released() -> None:
    release = asked_under()
    released(release, "judge1", "judge2")
    twin = asked_under()
    released(twin, "judge1", "judge2")
    release.world.do("lawyer2", withdrawal(release))
    assert release.world.refused("service", release.access()) == "request_ended"
    assert release.world.refused("lawyer2", release.opening()) == "not_released"
    twin.world.do("service", twin.access())


# Expiry


def test_an_adversary_who_contributes_to_an_expired_request_is_refused() -> None:
    release = asked_under(NOTICE)
    world = release.world
    world.now += 3 * DAY
    world.do("judge2", release.grant("judge2"))
    world.do("judge3", release.grant("judge3"))
    world.now = found(release).expires_at - 1
    world.do("judge3", release.contribute("judge3"))
    world.now += 1
    assert world.refused("judge2", release.contribute("judge2")) == "request_expired"
    assert world.refused("judge1", release.refusal()) == "request_expired"
    assert world.refused("lawyer2", withdrawal(release)) == "request_expired"
    assert len(found(release).state.contributions) == 1
    replays(world)


def test_a_silent_recipient_does_not_block_the_deposit() -> None:
    """His request was released, he never opens; when its time is over another recipient has his turn."""
    release = ready_to_release(NOTICE)
    world = release.world
    keys = (world.signer("lawyer2").public, world.signer("lawyer1").public)
    release.order = world.do("judge1", replace(release.order_claims(), recipients=keys))
    release.request = world.do("lawyer2", release.request_claims())
    first = found(release)
    world.now += 3 * DAY
    released(release, "judge1", "judge2")
    other = replace(release)
    claims = other.request_claims(other.message(name="lawyer1", sk="his turn"))
    world.now = first.expires_at - 1
    assert world.refused("lawyer1", claims) == "request_open"
    world.now += 1
    other.request = world.do("lawyer1", claims)
    assert found(release).end == "expired"
    assert (found(release).state.ended, found(other).state.ended) == (True, False)
    assert open_request(other) == found(other).state.req_hash
    # What was released stays the first one's: he is served, and says what he found.
    world.do("service", release.access())
    world.do("lawyer2", release.opening())
    assert found(release).end == "opened"
    assert open_request(other) == found(other).state.req_hash
    assert world.refused("lawyer2", release.opening()) == "request_ended"
    replays(world)


def test_an_adversary_does_not_ask_under_an_expired_order() -> None:
    release = ready_to_release(replace(DEFAULT_RULES, order_seconds=DAY))
    world = release.world
    release.order = world.do("judge1", release.order_claims())
    world.now += DAY
    assert world.refused("lawyer2", release.request_claims()) == "order_expired"
    release.order = world.do("judge1", release.order_claims())
    world.now += DAY - 1
    world.do("lawyer2", release.request_claims())


def test_an_expired_request_that_was_not_released_is_never_served() -> None:
    release = asked_under(NOTICE)
    world = release.world
    world.now += 3 * DAY
    released(release, "judge1")
    world.now = found(release).expires_at
    later = asks_again(release)
    assert world.refused("service", release.access()) == "not_released"
    assert world.refused("judge2", release.contribute("judge2")) == "request_ended"
    assert later.request is not None


# Contributions at the quorum of grants


def test_an_adversary_gets_no_contribution_before_k_grants_for_the_very_request() -> None:
    release = asked_under(QUORUM)
    world = release.world
    world.do("judge1", release.grant("judge1"))
    assert world.refused("judge1", release.contribute("judge1")) == "grants_missing"
    world.do("judge2", release.refusal())
    assert world.refused("judge1", release.contribute("judge1")) == "grants_missing"
    # One grant here and one there are not two: he withdraws and asks again, and the first does not count.
    world.do("lawyer2", withdrawal(release))
    later = asks_again(release)
    world.do("judge3", later.grant("judge3"))
    assert world.refused("judge3", later.contribute("judge3")) == "grants_missing"
    # The twin: k grants for one request.
    world.do("judge2", later.grant("judge2"))
    for judge in ("judge3", "judge2"):
        world.do(judge, later.contribute(judge))
    state = found(later).state
    chosen = [encoded for _, encoded in sorted(state.contributions)]
    key = open_capsule(state.release, chosen, sk=scalar_of("sk again"), box=release.deposit.box)
    assert key == release.deposit.secret
    replays(world)


def test_grants_stay_counted_when_who_gave_them_is_recused() -> None:
    release = asked_under(QUORUM)
    world = release.world
    for judge in ("judge2", "judge3"):
        world.do(judge, release.grant(judge))
    world.do("judge3", CaseRecuse(case_id=release.case_id, judge=world.id("judge3"), note=None))
    assert world.refused("judge3", release.contribute("judge3")) == "recused"
    world.do("judge2", release.contribute("judge2"))
    released(release, "judge1")
    assert found(release).state.released


@pytest.mark.parametrize("rules", [DEFAULT_RULES, QUORUM])
def test_one_open_request_a_deposit_whoever_asks(rules: ReleaseRules) -> None:
    release = ready_to_release(rules)
    world = release.world
    keys = (world.signer("lawyer2").public, world.signer("lawyer1").public)
    release.order = world.do("judge1", replace(release.order_claims(), recipients=keys))
    world.do("lawyer2", release.request_claims())
    claims = release.request_claims(release.message(name="lawyer1", sk="other"))
    assert world.refused("lawyer1", claims) == "request_open"
