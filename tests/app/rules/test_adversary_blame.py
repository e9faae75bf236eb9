"""Corrupt dealers and accusers, revoked judges, and k − 1 judges who hold the box: what they reach, and what not."""

from dataclasses import replace
from typing import Any

import pytest

from app.panels.errors import PanelError
from app.panels.making.blame import make_blame
from app.panels.making.opening import open_capsule
from app.panels.states import SessionStatus
from app.rules.aggregates import Request
from app.statements.kinds import (
    Approval,
    MemberRevoke,
    PanelBlame,
    PanelClose,
    PanelDeal,
)
from tests.app.panels.corrupt import corrupt_contribution, corrupt_deal
from tests.app.rules.stages import Stage, made, panel_release
from tests.app.rules.world import Ceremony, scalar_of


def spoil(stage: Stage, ceremony: Ceremony, dealer: str, *victims: str) -> bytes:
    """The dealer's deal with wrong shares for the victims, admitted: nobody but they can see it."""
    constant = stage.first.share(dealer) if ceremony is stage.second else None
    deal = corrupt_deal(
        ceremony.session(),
        ceremony.holders.index(dealer) + 1,
        ceremony.host(dealer),
        constant=constant,
        spoilt=tuple(ceremony.judges.index(each) + 1 for each in victims),
    )
    stage.world.do(dealer, PanelDeal(deal=deal))
    return deal


def deals_with(ceremony: Ceremony, spoilt: dict[str, bytes]) -> None:
    """Let the ceremony's closed set be the one with the corrupt deals."""
    from app.panels.closing import close_deals

    order = sorted(ceremony.dealers, key=ceremony.holders.index)
    session = ceremony.session()
    deals = [spoilt[each] if each in spoilt else ceremony.deal(each, session).deal for each in order]
    ceremony.made = {(ceremony.header, ceremony.dealers): close_deals(session, deals)}


def blame(ceremony: Ceremony, victim: str, dealer: str) -> PanelBlame:
    made_blame = make_blame(
        ceremony.closed(),
        dealer=ceremony.holders.index(dealer) + 1,
        judge=ceremony.judges.index(victim) + 1,
        he=ceremony.he(victim),
        host_seed=ceremony.host(victim),
        rnd=bytes(32),
        upheld=(),
    )
    return PanelBlame(blame=made_blame)


def bad_dealers(stage: Stage) -> None:
    """judge4 and judge5 deal in the reshare so that judge2 and judge3 cannot read their shares."""
    first = spoil(stage, stage.second, "judge4", "judge2")
    second = spoil(stage, stage.second, "judge5", "judge3")
    deals_with(stage.second, {"judge4": first, "judge5": second})


def attempt(stage: Stage, name: str, **changes: Any) -> Ceremony:
    """The next attempt at epoch 2."""
    made_attempt = replace(stage.second, name=name, made={}, **changes)
    made_attempt.propose()
    made_attempt.give_cards()
    stage.world.approve(stage.world.do("registrar", made_attempt.roster()))
    return made_attempt


def test_the_adversarys_bad_share_is_blamed_and_the_next_reshare_bars_the_dealer() -> None:
    stage = made("resharing").copy()
    world, second = stage.world, stage.second
    bad_dealers(stage)
    with pytest.raises(PanelError) as caught:
        second.ack("judge2")
    assert (caught.value.code, caught.value.detail) == ("bad_share", 4)
    world.do("judge6", second.ack("judge6"))
    world.do("judge2", blame(second, "judge2", "judge4"))
    assert stage.session(second).state.status is SessionStatus.BLAMED
    assert world.refused("judge2", blame(second, "judge2", "judge4")) == "blame_duplicate"
    assert world.refused("judge3", PanelBlame(blame=blame(second, "judge2", "judge4").blame)) == "wrong_signer"
    later = attempt(stage, "after blame", dealers=("judge1", "judge2", "judge3"))
    assert world.refused("registrar", later.open()) == "barred_mismatch"
    later.barred = (4,)
    world.do("registrar", later.open())
    barred = corrupt_deal(later.session(), 4, later.host("judge4"), constant=stage.first.share("judge4"))
    assert world.refused("judge4", PanelDeal(deal=barred)) == "dealer_barred"
    for judge in later.dealers:
        world.do(judge, later.deal(judge))
    for judge in later.judges:
        world.do(judge, later.ack(judge))
    assert stage.panel.epoch_id == later.closed().record.epoch_id
    assert later.closed().record.Y == stage.first.closed().record.Y


def test_the_twin_of_the_adversarys_bad_share_certifies() -> None:
    stage = made("resharing").copy()
    for judge in ("judge4", "judge5"):
        stage.world.do(judge, stage.second.deal(judge))
    for judge in stage.second.judges:
        stage.world.do(judge, stage.second.ack(judge))
    assert stage.panel.epoch_id == stage.second.closed().record.epoch_id


def test_the_adversarys_second_blame_counts_and_does_not_hide_the_session_that_is_open() -> None:
    """A late blame against another dealer of a session that was blamed is admitted, when the next one is open."""
    stage = made("resharing").copy()
    world = stage.world
    bad_dealers(stage)
    world.do("judge2", blame(stage.second, "judge2", "judge4"))
    later = attempt(stage, "after blame", dealers=("judge1", "judge2", "judge3"), barred=(4,))
    world.do("registrar", later.open())
    world.do("judge3", blame(stage.second, "judge3", "judge5"))
    assert stage.session(stage.second).state.blamed == (4, 5)
    assert stage.panel.live == later.session().session
    for judge in later.dealers:
        world.do(judge, later.deal(judge))
    for judge in later.judges:
        world.do(judge, later.ack(judge))
    assert stage.panel.epoch_id == later.closed().record.epoch_id


def test_the_adversary_who_was_revoked_is_barred_and_signs_nothing() -> None:
    stage = made("resharing").copy()
    world, second = stage.world, stage.second
    act = world.do("registrar", MemberRevoke(member=world.id("judge4"), role="judge"))
    assert stage.panel.state.revoked == ()
    world.approve(act)
    assert world.refused("judge4", second.deal("judge4")) == "retired_key"
    assert world.refused("judge2", second.deal("judge4")) == "wrong_signer"
    live = stage.panel.live
    assert live is not None
    world.do("registrar", PanelClose(session=live))
    later = replace(second, sitting="without judge4", made={}, dealers=("judge1", "judge2", "judge3"))
    assert world.refused("registrar", later.open()) == "barred_mismatch"
    later.barred = (4,)
    world.do("registrar", later.open())
    assert stage.panel.state.revoked == ((second.prev_epoch_id, 4),)
    for judge in later.dealers:
        world.do(judge, later.deal(judge))
    for judge in later.judges:
        world.do(judge, later.ack(judge))
    assert stage.panel.epoch_id == later.closed().record.epoch_id


def test_the_twin_of_a_revocation_that_the_authority_did_not_approve_bars_nobody() -> None:
    stage = made("resharing").copy()
    act = stage.world.do("registrar", MemberRevoke(member=stage.world.id("judge4"), role="judge"))
    stage.world.do("authority1", Approval(act=act.digest))
    live = stage.panel.live
    assert live is not None
    stage.world.do("registrar", PanelClose(session=live))
    assert stage.world.refused("registrar", replace(stage.second, sitting="x", barred=(4,)).open()) == "barred_mismatch"
    stage.world.do("registrar", replace(stage.second, sitting="y").open())
    stage.world.do("judge4", replace(stage.second, sitting="y", header=header_of(stage)).deal("judge4"))


def header_of(stage: Stage) -> bytes:
    live = stage.panel.live
    assert live is not None
    found = stage.world.view.aggregates[f"session/{live.hex()}"]
    header: bytes = found.state.session.header.encoded  # type: ignore[union-attr]
    return header


def test_the_adversary_cannot_have_so_many_revoked_that_the_rest_could_not_deal() -> None:
    """Fewer than k holders left: no reshare is possible, and the epoch stays (SPEC 7)."""
    stage = made("resharing").copy()
    world = stage.world
    live = stage.panel.live
    assert live is not None
    world.do("registrar", PanelClose(session=live))
    for judge in ("judge1", "judge4", "judge5"):
        world.approve(world.do("registrar", MemberRevoke(member=world.id(judge), role="judge")))
    assert world.refused("registrar", replace(stage.second, barred=(1, 4, 5)).open()) == "bad_params"
    assert stage.panel.epoch_id == stage.first.closed().record.epoch_id


def test_a_reserve_roster_signed_beforehand_goes_on_in_one_step_without_the_adversary() -> None:
    """Roster and approvals are signed while the first session runs, and posted only after it was blamed."""
    stage = made("resharing").copy()
    world = stage.world
    reserve = replace(stage.second, judges=("judge1", "judge2", "judge3"), name="reserve", made={}, barred=(4,))
    reserve.dealers = ("judge1", "judge2", "judge3")
    reserve.propose()
    reserve.give_cards()
    roster = world.sign("registrar", reserve.roster(), exp=world.now + 300 * 86_400)
    approvals = [
        world.sign(key, Approval(act=roster.digest), exp=world.now + 300 * 86_400)
        for key in ("authority1", "authority2")
    ]
    bad_dealers(stage)
    world.do("judge2", blame(stage.second, "judge2", "judge4"))
    world.now += 7 * 86_400
    for statement in (roster, *approvals):
        admitted: Any = world.offer(statement)
        assert admitted.statement == statement
    world.do("registrar", reserve.open())
    for judge in reserve.dealers:
        world.do(judge, reserve.deal(judge))
    for judge in reserve.judges:
        world.do(judge, reserve.ack(judge))
    assert stage.panel.epoch_id == reserve.closed().record.epoch_id


def test_the_adversary_with_k_minus_1_shares_and_the_box_does_not_open_and_with_k_he_does() -> None:
    stage = made("asked").copy()
    release, box = stage.release, stage.release.deposit.box
    stage.world.do("judge5", release.grant("judge5"))
    stage.world.do("judge5", release.contribute("judge5"))
    assert stage.world.refused("service", release.access()) == "not_released"
    found = stage.world.view.find(Request, release.request.digest.hex())  # type: ignore[union-attr]
    assert found is not None
    mine = [encoded for _, encoded in found.state.contributions]
    forged = corrupt_contribution(panel_release(stage), 1, stage.first.share("judge4"))
    for given, code in (
        (mine, "below_threshold"),
        ([mine[0], *mine], "duplicate_index"),
        ([forged, *mine], "contribution_proof"),
    ):
        with pytest.raises(PanelError) as caught:
            open_capsule(found.state.release, given, sk=scalar_of("sk"), box=box)
        assert caught.value.code == code
    stage.world.do("judge1", release.grant("judge1"))
    stage.world.do("judge1", release.contribute("judge1"))
    stage.world.do("service", release.access())
    opened = open_capsule(found.state.release, [release.contribution("judge1"), *mine], sk=scalar_of("sk"), box=box)
    assert opened == release.deposit.secret
