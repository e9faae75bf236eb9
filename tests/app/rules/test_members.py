"""Who belongs to the registry, and what everybody else cannot do."""

from dataclasses import replace

from app.rules.aggregates import Person, format_aggregate, parse_aggregate
from app.rules.decide import Admitted, Refusal
from app.rules.replay import Replay
from app.statements.kinds import Approval, CaseOpen, CaseParty, MemberKey, MemberRevoke
from tests.app.rules.world import NOTES, ORIGIN, START, World, founded, fresh, peopled


def person(world: World, name: str) -> Person | None:
    return world.view.find(Person, world.id(name))


def test_an_office_counts_only_with_the_mth_approval() -> None:
    world = founded(m=2)
    act = world.do("registrar", world.enrolment("clerk", "clerk"))
    assert person(world, "clerk") is None
    world.do("authority3", Approval(act=act.digest))
    assert person(world, "clerk") is None
    assert world.refused("clerk", CaseOpen(case_id=fresh("c"), note=None)) == "unknown_signer"
    world.do("authority1", Approval(act=act.digest))
    assert person(world, "clerk") is not None
    assert world.refused("authority2", Approval(act=act.digest)) == "already_effective"


def test_one_authority_key_does_not_approve_twice_and_nobody_else_approves() -> None:
    world = founded(m=2)
    act = world.do("registrar", world.enrolment("judge", "judge"))
    world.do("authority1", Approval(act=act.digest))
    assert world.refused("authority1", Approval(act=act.digest)) == "already_approved"
    assert world.refused("registrar", Approval(act=act.digest)) == "wrong_signer"
    assert world.refused("service", Approval(act=act.digest)) == "wrong_signer"
    assert world.refused("authority2", Approval(act=fresh("?", 32))) == "unknown_act"
    assert person(world, "judge") is None


def test_only_registrars_enrol_and_a_key_is_used_once() -> None:
    world = peopled()
    assert world.refused("clerk", world.enrolment("x", "party")) == "wrong_signer"
    assert world.refused("authority1", world.enrolment("x", "party")) == "wrong_signer"
    assert world.refused("registrar", world.enrolment("lawyer1", "party")) == "key_in_use"
    assert world.refused("registrar", world.enrolment("log", "party")) == "key_in_use"
    assert world.refused("registrar", world.enrolment("authority1", "judge")) == "key_in_use"


def test_two_pending_enrolments_of_one_key_cannot_both_take_effect() -> None:
    world = founded(m=1)
    first = world.do("registrar", world.enrolment("judge", "judge"))
    second = world.do("registrar", world.enrolment("judge", "clerk"))
    world.approve(first)
    assert world.refused("authority1", Approval(act=second.digest)) == "key_in_use"
    found = person(world, "judge")
    assert found is not None
    assert found.role == "judge"


def test_a_rotated_key_never_comes_back_and_the_member_keeps_his_id() -> None:
    world = peopled()
    lawyer = world.id("lawyer1")
    key = world.signer("lawyer1 new").public
    world.do("lawyer1", MemberKey(member=lawyer, role="depositor", key=key, notes=NOTES))
    assert world.refused("lawyer1", CaseOpen(case_id=fresh("c"), note=None)) == "retired_key"
    found = world.view.find(Person, lawyer)
    assert found is not None
    assert found.key == key
    assert world.refused("registrar", world.enrolment("lawyer1", "party")) == "key_in_use"


def test_a_lost_key_of_an_office_needs_approvals_and_a_foreign_key_is_not_given() -> None:
    world = peopled()
    clerk = world.id("clerk")
    claims = MemberKey(member=clerk, role="clerk", key=world.signer("clerk new").public, notes=NOTES)
    act = world.do("registrar", claims)
    world.do("clerk", CaseOpen(case_id=fresh("still"), note=None))
    world.approve(act)
    assert world.refused("clerk", CaseOpen(case_id=fresh("no more"), note=None)) == "retired_key"
    world.do("clerk new", CaseOpen(case_id=fresh("again"), note=None))
    other = MemberKey(member=world.id("lawyer1"), role="depositor", key=world.signer("z").public, notes=NOTES)
    assert world.refused("lawyer2", other) == "wrong_signer"
    assert world.refused("registrar", replace(other, role="party")) == "wrong_role"


def test_a_revoked_member_signs_nothing() -> None:
    world = peopled()
    case_id = world.open_case("c", "lawyer1")
    world.do("registrar", MemberRevoke(member=world.id("lawyer2"), role="party"))
    assert world.refused("clerk", CaseParty(case_id=case_id, member=world.id("lawyer2"), note=None)) == "unknown_member"
    act = world.do("registrar", MemberRevoke(member=world.id("clerk"), role="clerk"))
    world.open_case("before the approvals")
    world.approve(act)
    assert world.refused("clerk", CaseOpen(case_id=fresh("after"), note=None)) == "retired_key"


def test_cases_take_parties_once_and_ids_once() -> None:
    world = peopled()
    case_id = world.open_case("c", "lawyer1")
    assert world.refused("clerk", CaseOpen(case_id=case_id, note=None)) == "id_in_use"
    again = CaseParty(case_id=case_id, member=world.id("lawyer1"), note=None)
    assert world.refused("clerk", again) == "already_party"
    assert world.refused("lawyer1", again) == "wrong_signer"
    assert world.refused("clerk", replace(again, case_id=fresh("other"))) == "unknown_case"
    assert world.refused("clerk", replace(again, member=world.id("clerk"))) == "wrong_role"


def test_times_ledgers_and_views_that_do_not_fit_are_refused() -> None:
    world = peopled()
    claims = CaseOpen(case_id=fresh("c"), note=None)
    assert world.refused("clerk", claims, aud="ledger.example/other") == "wrong_ledger"
    assert world.refused("clerk", claims, exp=world.now) == "expired"
    assert world.refused("clerk", claims, iat=world.now + 301, exp=world.now + 900) == "from_the_future"
    assert world.refused("clerk", claims, exp=world.now + 401 * 86400) == "bad_validity"
    seen = world.seen_now()
    assert world.refused("clerk", claims, seen=replace(seen, root=bytes(32))) == "seen_unknown"
    assert world.refused("clerk", claims, seen=replace(seen, size=seen.size + 1)) == "seen_unknown"
    old = world.sign("clerk", claims, exp=world.now + 100 * 86400)
    world.do("clerk", CaseOpen(case_id=fresh("newer"), note=None))
    world.now += 86_400
    verdict = world.offer(old)
    assert isinstance(verdict, Admitted), "exactly a day is not too old"
    older = world.sign("clerk", replace(claims, case_id=fresh("d")), seen=seen, exp=world.now + 100 * 86400)
    world.now += 1
    verdict = world.offer(older)
    assert isinstance(verdict, Refusal)
    assert verdict.code == "seen_too_old"


def test_a_genesis_is_taken_once_and_only_the_pinned_one() -> None:
    world = founded()
    assert world.genesis is not None
    verdict = world.offer(world.genesis)
    assert isinstance(verdict, Refusal)
    assert verdict.code == "already_founded"
    empty = World(genesis=world.genesis, signers=world.signers)
    assert empty.refused("registrar", CaseOpen(case_id=fresh("c"), note=None)) == "not_founded"
    other = empty.sign("registrar", world.genesis.claims)
    verdict = empty.offer(other)
    assert isinstance(verdict, Refusal)
    assert verdict.code == "not_founded"


def test_a_signature_of_another_key_under_a_members_name_is_refused() -> None:
    world = peopled()
    honest = world.sign("clerk", CaseOpen(case_id=fresh("c"), note=None))
    head, body, signature = honest.text.split(".")
    from app.statements.statement import parse_statement

    forged = world.sign("lawyer1", CaseOpen(case_id=fresh("c"), note=None)).text.split(".")[2]
    verdict = world.offer(parse_statement(f"{head}.{body}.{forged}"))
    assert isinstance(verdict, Refusal)
    assert verdict.code == "bad_signature"
    assert signature != forged


def test_state_rebuilt_from_statements_equals_state_as_kept() -> None:
    world = peopled()
    world.open_case("c", "lawyer1", "lawyer2")
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates
    for key, aggregate in world.view.aggregates.items():
        assert parse_aggregate(key, format_aggregate(aggregate)) == aggregate
    assert world.now == START
