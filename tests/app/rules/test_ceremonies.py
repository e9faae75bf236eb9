"""Panel ceremonies: who may send what, and that nothing counts without the authority."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Epoch, Panel
from app.rules.replay import Replay
from app.statements.kinds import Approval, CaseAssign, MemberRevoke, PanelClose
from tests.app.rules.world import ORIGIN, PANEL_ID, Ceremony, World, fresh, with_judges


def panel_of(world: World) -> Panel:
    panel = world.view.find(Panel, PANEL_ID.hex())
    assert panel is not None
    return panel


def test_the_nth_acknowledgment_certifies_and_a_case_can_be_assigned_only_then() -> None:
    world, ceremony = with_judges()
    ceremony.propose()
    case_id = world.open_case()
    assign = CaseAssign(case_id=case_id, panel_id=PANEL_ID, presiding=world.id("judge1"))
    ceremony.give_cards()
    world.approve(world.do("registrar", ceremony.roster()))
    world.do("registrar", ceremony.open())
    for judge in ceremony.judges:
        world.do(judge, ceremony.deal(judge))
    for judge in ceremony.judges[:-1]:
        world.do(judge, ceremony.ack(judge))
    assert panel_of(world).epoch_id is None
    assert world.refused("clerk", assign) == "no_epoch"
    world.do(ceremony.judges[-1], ceremony.ack(ceremony.judges[-1]))
    record = ceremony.closed().record
    assert panel_of(world).epoch_id == record.epoch_id
    epoch = world.view.find(Epoch, record.epoch_id.hex())
    assert epoch is not None
    assert epoch.record == record.encoded
    assert epoch.judges == tuple(world.id(judge) for judge in ceremony.judges)
    world.do("clerk", assign)


def test_without_the_approvals_no_session_opens() -> None:
    """A registrar alone cannot make a panel, however he tries."""
    world, ceremony = with_judges()
    ceremony.propose()
    ceremony.give_cards()
    act = world.do("registrar", ceremony.roster())
    header = ceremony.open()
    assert world.refused("registrar", header) == "roster_not_approved"
    world.do("authority1", Approval(act=act.digest))
    assert world.refused("registrar", header) == "roster_not_approved"
    world.do("authority2", Approval(act=act.digest))
    world.do("registrar", header)


def test_each_step_is_taken_only_from_the_right_person() -> None:
    world, ceremony = with_judges()
    world.enrol("judge4", "judge")
    ceremony.propose()
    assert world.refused("judge4", ceremony.card("judge1")) == "not_proposed"
    assert world.refused("clerk", ceremony.card("judge1")) == "wrong_signer"
    ceremony.give_cards()
    assert world.refused("judge1", ceremony.roster()) == "wrong_signer"
    world.approve(world.do("registrar", ceremony.roster()))
    opened = ceremony.open()
    assert world.refused("judge1", opened) == "wrong_signer"
    world.do("registrar", opened)
    assert world.refused("judge1", ceremony.deal("judge2")) == "wrong_signer"
    assert world.refused("registrar", ceremony.deal("judge2")) == "wrong_signer"
    assert world.refused("judge1", ceremony.ack("judge1")) == "not_dealt"
    for judge in ceremony.judges:
        world.do(judge, ceremony.deal(judge))
    assert world.refused("judge1", ceremony.deal("judge1")) == "deals_closed"
    assert world.refused("judge2", ceremony.ack("judge1")) == "wrong_signer"
    world.do("judge1", ceremony.ack("judge1"))
    assert world.refused("judge1", ceremony.ack("judge1")) == "duplicate_ack"
    assert world.refused("judge1", PanelClose(session=panel_of(world).live or b"")) == "wrong_signer"


def test_a_roster_must_name_the_newest_cards_and_their_hash() -> None:
    world, ceremony = with_judges()
    ceremony.propose()
    first = world.do("judge1", ceremony.card("judge1"))
    assert world.refused("registrar", replace(ceremony_roster(ceremony, first), cards=(first.digest,) * 2)) == (
        "card_missing"
    )
    ceremony.give_cards()
    right = ceremony.roster()
    assert world.refused("registrar", replace(right, cards=(first.digest, *right.cards[1:]))) == "card_mismatch"
    assert world.refused("registrar", replace(right, roster_hash=fresh("?", 32))) == "roster_mismatch"
    assert world.refused("registrar", replace(right, propose=fresh("?", 32))) == "not_proposed"
    act = world.do("registrar", right)
    world.do("judge1", ceremony.card("judge1"))
    world.do("authority1", Approval(act=act.digest))
    assert world.refused("authority2", Approval(act=act.digest)) == "card_mismatch"


def ceremony_roster(ceremony: Ceremony, card: object) -> "object":
    ceremony.cards = [card] * len(ceremony.judges)  # type: ignore[list-item]
    return ceremony.roster()


def test_proposals_that_make_no_sense_are_refused() -> None:
    world, ceremony = with_judges()
    ceremony.propose()
    assert ceremony.proposal is not None
    claims = ceremony.proposal.claims
    assert world.refused("registrar", replace(claims, epoch=2)) == "wrong_epoch"  # type: ignore[type-var]
    assert world.refused("registrar", replace(claims, k=4)) == "bad_threshold"  # type: ignore[type-var]
    judges = (world.id("judge1"),) * 2
    assert world.refused("registrar", replace(claims, judges=judges)) == "duplicate_name"  # type: ignore[type-var]
    judges = (world.id("judge1"), world.id("clerk"))
    assert world.refused("registrar", replace(claims, judges=judges)) == "wrong_role"  # type: ignore[type-var]
    assert world.refused("clerk", claims) == "wrong_signer"


def test_a_judge_revoked_before_the_approval_is_not_appointed() -> None:
    world, ceremony = with_judges()
    ceremony.propose()
    ceremony.give_cards()
    act = world.do("registrar", ceremony.roster())
    world.approve(world.do("registrar", MemberRevoke(member=world.id("judge3"), role="judge")))
    world.do("authority1", Approval(act=act.digest))
    assert world.refused("authority2", Approval(act=act.digest)) == "unknown_member"


def test_a_closed_session_takes_nothing_and_a_new_one_can_be_opened() -> None:
    world, ceremony = with_judges()
    ceremony.propose()
    ceremony.give_cards()
    world.approve(world.do("registrar", ceremony.roster()))
    world.do("registrar", ceremony.open())
    live = panel_of(world).live
    assert live is not None
    world.do("registrar", PanelClose(session=live))
    assert panel_of(world).live is None
    assert world.refused("judge1", ceremony.deal("judge1")) == "deals_closed"
    assert world.refused("registrar", PanelClose(session=live)) == "session_closed"
    assert world.refused("registrar", PanelClose(session=fresh("?", 32))) == "wrong_session"


@pytest.mark.parametrize("stop", [0, 5, 100])
def test_the_replay_of_a_ceremony_gives_the_same_state(stop: int) -> None:
    world, ceremony = with_judges()
    ceremony.run()
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries[:stop])
    replay.extend(world.entries[stop:])
    assert replay.view.aggregates == world.view.aggregates
