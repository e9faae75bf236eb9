"""A registry under another authority satisfies itself, and no client of the pinned one."""

import pytest

from app.demo.usurped import usurped_by
from app.errors import Mismatch
from app.rules.replay import Replay
from app.statements.kinds import Approval, Authority, CaseAssign
from tests.app.rules.world import ORIGIN, Ceremony, World, peopled


def usurped() -> tuple[World, int]:
    """An honest beginning, then a panel of the conspirators' own, assigned to the case."""
    world = peopled()
    case_id = world.open_case("case", "lawyer1")
    honest = len(world.entries)
    world.law = usurped_by(Authority(keys=(world.signer("usurper").public,), m=1))
    judges = ("crook1", "crook2", "crook3")
    for judge in judges:
        act = world.do("registrar", world.enrolment(judge, "judge"))
        world.approve(act, "usurper")
    ceremony = Ceremony(world=world, judges=judges, k=2)
    ceremony.propose()
    ceremony.give_cards()
    act = world.do("registrar", ceremony.roster())
    world.do("usurper", Approval(act=act.digest))
    world.do("registrar", ceremony.open())
    for judge in judges:
        world.do(judge, ceremony.deal(judge))
    for judge in judges:
        world.do(judge, ceremony.ack(judge))
    world.do("clerk", CaseAssign(case_id=case_id, panel_id=ceremony.panel_id, presiding=world.id("crook1")))
    return world, honest


def test_the_usurped_registry_is_whole_by_its_own_law() -> None:
    world, _ = usurped()
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts, law=world.law)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates


def test_under_the_pinned_authority_the_first_forged_approval_is_named() -> None:
    world, honest = usurped()
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries[: honest + 1])
    with pytest.raises(Mismatch, match=rf"index {honest + 1} \(approval\)") as caught:
        replay.extend(world.entries[honest + 1 :])
    assert caught.value.code == "replay_refused"
