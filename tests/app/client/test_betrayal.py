"""A corrupt dealer, end to end: his victim's client blames him, the registrar goes on without him, and he stays out."""

from pathlib import Path
from typing import Any

import pytest

from app.client.duties import duties, progress
from app.client.home import Home, Vault
from app.client.judge_keys import JudgeVault
from app.client.registrar import open_session, propose
from app.client.visit import closed_epoch
from app.errors import Refused
from app.panels.making.ack import recover
from app.panels.session import Session as PanelSession
from app.panels.states import SessionStatus
from app.rules.aggregates import Panel, Session
from app.statements.kinds import MemberRevoke, PanelDeal
from tests.app.client.panel_service import JUDGES, Bench, bench, with_panel
from tests.app.client.world_service import keys_of
from tests.app.panels.corrupt import corrupt_deal
from tests.app.rules.world import World

LATER = ("judge1", "judge2", "judge4")


def panel_of(court: Bench) -> Panel:
    panel = court.world.view.find(Panel, court.panel_id.hex())
    assert panel is not None
    return panel


def newest(court: Bench) -> Session:
    found = court.world.view.find(Session, panel_of(court).state.sessions[-1].session.hex())
    assert found is not None
    return found


def betray(court: Bench, dealer: str, *, victim: int | tuple[int, ...], share: bool) -> None:
    """With the keys in his home the dealer deals so that one receiver, or some, get a wrong share."""
    session: PanelSession = newest(court).state.session
    index = newest(court).dealers.index(court.world.id(dealer)) + 1
    vault = JudgeVault(Vault(Home(court.homes / dealer), keys_of(dealer)))
    keys = vault.host_of(session.dealers[index - 1].encoded)
    assert keys is not None
    constant = None
    if share:
        closed, epoch = closed_epoch(court.world.view, panel_of(court))
        constant = recover(closed, epoch.certificate, judge=index, he=keys.he)
    deal = corrupt_deal(
        session, index, keys.host, constant=constant, spoilt=victim if isinstance(victim, tuple) else (victim,)
    )
    court.world.do(dealer, PanelDeal(deal=deal))


async def proposed(court: Bench, judges: tuple[str, ...]) -> None:
    async with court.client("registrar") as registrar:
        await propose(registrar, tuple(court.world.id(judge) for judge in judges), 2, court.panel_id)
    for judge in judges:  # a card that was given before, for an attempt at the same epoch, serves again
        assert await court.acts(judge) in ([], ["panel.card"])
    await court.approve_and_open()


def revoke(world: World, judge: str) -> None:
    world.approve(world.do("registrar", MemberRevoke(member=world.id(judge), role="judge")))


async def test_an_adversarys_bad_share_in_a_reshare_is_blamed_and_he_is_barred(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        first: Any = panel_of(court).state.current
        await proposed(court, LATER)
        assert await court.acts("judge1") == ["panel.deal"]
        betray(court, "judge3", victim=2, share=True)
        assert await court.acts("judge4") == ["panel.ack"]
        assert await court.acts("judge2") == ["panel.blame"]
        assert (newest(court).state.status, newest(court).state.blamed) == (SessionStatus.BLAMED, (3,))
        assert progress(court.world.view, panel_of(court)).barred == (court.world.id("judge3"),)
        # The next attempt bars him without a word of the registrar's; the two who are left deal.
        await proposed(court, LATER)
        assert newest(court).state.session.header.barred == (3,)
        assert duties(court.world.view, court.world.id("judge3")) == ()
        for _ in range(2):
            for judge in LATER:
                await court.acts(judge)
        second: Any = panel_of(court).state.current
        assert (second.epoch, second.Y) == (2, first.Y)
        assert progress(court.world.view, panel_of(court)).barred == ()


async def test_the_twin_of_a_betrayal_certifies_at_once(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        await proposed(court, LATER)
        assert await court.acts("judge1") == ["panel.deal"]
        assert await court.acts("judge3") == ["panel.deal"]
        for judge in ("judge4", "judge2", "judge1"):
            assert await court.acts(judge) == ["panel.ack"]
        current: Any = panel_of(court).state.current
        assert current.epoch == 2


async def test_an_adversary_revoked_by_the_authority_is_barred_by_the_registrars_client(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        revoke(court.world, "judge3")
        assert progress(court.world.view, panel_of(court)).barred == (court.world.id("judge3"),)
        await proposed(court, LATER)
        assert newest(court).state.session.header.barred == (3,)
        for _ in range(2):
            for judge in LATER:
                await court.acts(judge)
        current: Any = panel_of(court).state.current
        assert current.epoch == 2


async def test_an_adversary_who_spoilt_a_key_generation_is_not_proposed_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(JUDGES[:3], 2)
        for judge in JUDGES[:2]:
            assert await court.acts(judge) == ["panel.deal"]
        betray(court, "judge3", victim=1, share=False)
        assert await court.acts("judge1") == ["panel.blame"]
        async with court.client("registrar") as registrar:
            again = tuple(court.world.id(judge) for judge in JUDGES[:3])
            with pytest.raises(Refused) as caught:
                await propose(registrar, again, 2, court.panel_id)
            assert (caught.value.code, "judge3" in caught.value.message) == ("dealer_blamed", True)
            with pytest.raises(Refused) as caught:
                await open_session(registrar, court.panel_id)
            assert caught.value.code == "dealer_blamed"
        await proposed(court, LATER)
        for _ in range(2):
            for judge in LATER:
                await court.acts(judge)
        current: Any = panel_of(court).state.current
        assert current.epoch == 1
