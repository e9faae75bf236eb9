"""Judges' ceremonies through their clients: nothing is made twice, nothing is sent before it is kept."""

from pathlib import Path
from typing import Any

import pytest

from app.client.duties import DutyKind, duties
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.lock import only_one
from app.client.registrar import approve, close_session, open_session, propose, roster
from app.errors import Refused
from app.panels.deal import deal_statement, parse_deal
from app.panels.group import dec_scalar, scalar
from app.panels.hashing import H2S, u16
from app.panels.making.deal import make_deal
from app.panels.making.proof import prove
from app.panels.making.signature import signed
from app.panels.session import Session, verify_session
from app.panels.states import SessionStatus
from app.rules.aggregates import Panel
from app.rules.aggregates import Session as SessionAggregate
from app.statements.kinds import PanelDeal, PanelDestroy
from app.statements.statement import parse_statement
from tests.app.client.panel_service import JUDGES, Bench, bench, with_panel
from tests.app.client.world_service import keys_of
from tests.app.rules.world import seed

THREE = JUDGES[:3]


def vault_of(each: Bench, name: str) -> JudgeVault:
    return JudgeVault(Vault(Home(each.homes / name), keys_of(name)))


def panel_of(each: Bench) -> Panel:
    panel = each.world.view.find(Panel, each.panel_id.hex())
    assert panel is not None
    return panel


def session_of(each: Bench, session: bytes | None = None) -> SessionAggregate:
    named = session or panel_of(each).state.sessions[-1].session
    found = each.world.view.find(SessionAggregate, named.hex())
    assert found is not None
    return found


def fault_of(done: tuple[Any, ...]) -> list[str]:
    return [each.fault.code for each in done if each.fault is not None]


async def test_five_judges_make_a_panel_in_two_visits_after_their_cards(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open()
        for judge in JUDGES[:4]:
            assert await court.acts(judge) == ["panel.deal"]
        async with court.client("judge1") as client:
            inbox = await Judge(client).inbox()
        assert inbox.duties == ()
        (panel,) = inbox.panels
        assert (panel.stage, panel.missing) == ("deals", (court.world.id("judge5"),))
        # The last dealer closes the set and can acknowledge in the same visit.
        assert await court.acts("judge5") == ["panel.deal", "panel.ack"]
        for judge in JUDGES[:4]:
            assert await court.acts(judge) == ["panel.ack"]
            assert await court.acts(judge) == []
        record = panel_of(court).state.current
        assert record is not None
        assert (record.k, record.n, record.epoch) == (3, 5, 1)
        async with court.client("judge1") as client:
            (panel,) = (await Judge(client).inbox()).panels
        assert (panel.stage, panel.k, panel.missing) == ("certified", 3, ())


@pytest.mark.parametrize("kind", ["panel.card", "panel.deal", "panel.ack"])
@pytest.mark.parametrize("arrives", [False, True])
async def test_a_step_cut_off_between_keeping_and_sending_goes_on_with_the_same_bytes(
    tmp_path: Path, kind: str, arrives: bool
) -> None:
    async with bench(tmp_path) as court:
        service = court.service
        if kind == "panel.card":
            async with court.client("registrar") as registrar:
                ids = tuple(court.world.id(judge) for judge in THREE)
                court.panel_id = (await propose(registrar, ids, 2)).panel_id
        else:
            await court.until_open(THREE, 2)
        if kind == "panel.ack":
            for judge in THREE[1:]:
                await court.acts(judge)
        (service.unanswered if arrives else service.lost).add(kind)
        done = await court.act("judge1")
        assert fault_of(done) == ["lost"]
        service.lost.clear()
        service.unanswered.clear()
        said = await court.acts("judge1")
        assert said == ([] if arrives else [kind])
        field = kind.removeprefix("panel.")
        mine = [each for each in service.heard if court.world.id("judge1") == _kid(each)]
        sent = [getattr(each, field) for each in service.claims_heard(kind)]
        assert len(mine) >= 1
        assert len({each for each in sent if _index(each, field) in (1, None)}) == 1


def _kid(text: str) -> str:
    from app.statements.statement import parse_statement

    return parse_statement(text).kid


def _index(message: bytes, field: str) -> int | None:
    return None if field == "card" else int.from_bytes(message[2:4], "big")


async def test_a_deal_in_ones_name_that_one_did_not_make_is_not_acknowledged(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        for judge in THREE:
            await court.acts(judge) if judge != "judge3" else await court.act(judge)
        kept = vault_of(court, "judge1")
        made = kept.deal(session_of(court).state.session.session)
        assert made is not None
        # Another home of the same judge dealt: this one holds the host key and no deal.
        Vault(Home(court.homes / "judge1"), keys_of("judge1")).delete("secrets", f"deal-{made.session.hex()}")
        before = len(court.service.claims_heard("panel.ack"))
        assert fault_of(await court.act("judge1")) == ["own_deal_replaced"]
        assert len(court.service.claims_heard("panel.ack")) == before


async def test_two_sets_of_deals_get_no_second_acknowledgment(tmp_path: Path) -> None:
    """An acknowledgment of another eta in the same session, or of a session without an end, stands against it."""
    from dataclasses import replace

    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        court.service.lost.add("panel.ack")
        for judge in THREE:
            await court.act(judge)
        assert fault_of(await court.act("judge1")) == ["lost"]
        court.service.lost.clear()
        kept = vault_of(court, "judge1")
        (made,) = kept.acks(court.panel_id, 1)
        kept.put_ack(replace(made, eta=bytes(32)))
        before = len(court.service.claims_heard("panel.ack"))
        assert fault_of(await court.act("judge1")) == ["ack_conflict"]
        assert len(court.service.claims_heard("panel.ack")) == before
        kept.put_ack(made)
        assert await court.acts("judge1") == ["panel.ack"]


async def test_a_session_that_ended_frees_the_judge_for_the_next_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        for judge in THREE:
            await court.acts(judge)
        assert await court.acts("judge1") == ["panel.ack"]
        async with court.client("registrar") as registrar:
            await close_session(registrar, court.panel_id)
            with pytest.raises(Refused) as caught:
                await close_session(registrar, court.panel_id)
            assert caught.value.code == "no_session"
            await open_session(registrar, court.panel_id)
        first, second = (note.session for note in panel_of(court).state.sessions)
        for _ in range(2):
            for judge in THREE:
                await court.acts(judge)
        assert session_of(court, first).state.status is SessionStatus.CLOSED
        assert session_of(court, second).state.status is SessionStatus.CERTIFIED
        assert len(vault_of(court, "judge1").acks(court.panel_id, 1)) == 2


def bad_deal(session: Session, dealer: int, host: bytes, he: bytes, victim: int) -> bytes:
    """A deal that passes every public check and whose share for one receiver is wrong."""
    fresh = seed("bad deal")
    good = make_deal(session, dealer=dealer, host_seed=host, secret=he, seed=fresh)
    deal, number, h = parse_deal(session, good), session.session, dec_scalar(he)
    at = 68 + 32 * session.header.k + 32 * (victim - 1)
    wrong = bytes(deal.encrypted_shares[victim - 1] + scalar(1))
    proven = (good[:at] + wrong + good[at + 32 :])[: -64 - 96]
    constant = H2S("deal-coef", h, fresh, number, u16(dealer), u16(0))
    ephemeral = H2S("deal-ephemeral", h, fresh, number, u16(dealer))
    proof = prove(deal_statement(deal.commitments[0], deal.P, proven), [constant, ephemeral], fresh)
    return signed(host, "deal", proven + proof)


async def test_a_bad_share_is_blamed_once_and_the_next_roster_goes_without_the_dealer(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        session = verify_session(session_of(court).state.session.header.encoded)
        keys = vault_of(court, "judge3").host_of(session.header.cards[2].encoded)
        assert keys is not None
        for judge in THREE[:2]:
            assert await court.acts(judge) == ["panel.deal"]
        court.world.do("judge3", PanelDeal(deal=bad_deal(session, 3, keys.host, keys.he, 1)))
        assert await court.acts("judge2") == ["panel.ack"]
        assert await court.acts("judge1") == ["panel.blame"]
        assert session_of(court).state.status is SessionStatus.BLAMED
        assert session_of(court).state.blamed == (3,)
        assert await court.acts("judge1") == []
        assert court.service.claims_heard("panel.ack")[-1].ack[2:4] == (2).to_bytes(2, "big")
        # A new roster without him: only the judge who is new gives a card, and what the others acknowledged before does
        # not bind them.
        async with court.client("registrar") as registrar:
            ids = tuple(court.world.id(judge) for judge in (*THREE[:2], "judge4"))
            await propose(registrar, ids, 2, court.panel_id)
        for judge, said in ((THREE[0], []), (THREE[1], []), ("judge4", ["panel.card"])):
            assert await court.acts(judge) == said
        await court.approve_and_open()
        assert await court.acts("judge1") == ["panel.deal"]
        (left,) = vault_of(court, "judge1").hosts()
        assert left.card == session_of(court).state.session.header.cards[0].encoded
        for _ in range(2):
            for judge in (*THREE[:2], "judge4"):
                await court.acts(judge)
        record = panel_of(court).state.current
        assert record is not None
        assert list(vault_of(court, "judge1").hosts()) == [left]
        # The session that failed has dealt: the secrets of whom the roster left out go with the certificate.
        assert await court.acts("judge3") == []
        assert list(vault_of(court, "judge3").hosts()) == []


async def test_a_roster_approved_while_a_session_is_open_does_not_stop_it(tmp_path: Path) -> None:
    """The visit check asks whether the session's roster was the newest when it opened, not whether it is now."""
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        live = session_of(court).state.session.session
        other = JUDGES[2:]
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(court.world.id(judge) for judge in other), 2, court.panel_id)
        assert await court.acts("judge3") == ["panel.deal"]
        for judge in other[1:]:
            assert await court.acts(judge) == ["panel.card"]
        async with court.client("registrar") as registrar:
            act = await roster(registrar, court.panel_id)
            for key in ("authority1", "authority2"):
                await approve(registrar, act.digest, seed(key))
        for _ in range(2):
            for judge in THREE:
                await court.acts(judge)
        assert session_of(court, live).state.status is SessionStatus.CERTIFIED


async def test_a_card_whose_keys_were_lost_is_given_anew_when_no_session_rests_on_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        for made in tuple(vault_of(court, "judge2").hosts()):
            vault_of(court, "judge2").destroy_host(made)
        assert fault_of(await court.act("judge2")) == ["not_my_card"]
        async with court.client("registrar") as registrar:
            await close_session(registrar, court.panel_id)
        assert await court.acts("judge2") == ["panel.card"]
        assert await court.acts("judge2") == []
        await court.approve_and_open()
        for _ in range(2):
            for judge in THREE:
                await court.acts(judge)
        record = panel_of(court).state.current
        assert record is not None
        assert record.epoch == 1


async def test_a_card_whose_keys_are_elsewhere_is_named(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        kept = vault_of(court, "judge2")
        for made in tuple(kept.hosts()):
            kept.destroy_host(made)
        assert fault_of(await court.act("judge2")) == ["not_my_card"]
        assert court.service.claims_heard("panel.deal") == []


async def test_a_reshare_hands_the_key_to_a_new_roster_and_the_old_shares_are_destroyed(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        first = panel_of(court).state.current
        assert first is not None
        later = ("judge2", "judge3", "judge4")
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(court.world.id(judge) for judge in later), 2, court.panel_id)
        for judge in later:
            assert await court.acts(judge) == ["panel.card"]
        await court.approve_and_open()
        # judge1 deals as an old holder and is not of the new roster; with judge2 that makes k old shares.
        assert await court.acts("judge1") == ["panel.deal"]
        assert await court.acts("judge2") == ["panel.deal", "panel.ack"]
        assert await court.acts("judge3") == ["panel.ack"]
        assert len(list(vault_of(court, "judge1").hosts())) == 1
        assert await court.acts("judge4") == ["panel.ack"]
        second = panel_of(court).state.current
        assert second is not None
        assert (second.epoch, second.Y) == (2, first.Y)
        for judge, kept in (("judge1", 0), ("judge2", 1), ("judge3", 1), ("judge4", 1)):
            await court.acts(judge)
            assert len(list(vault_of(court, judge).hosts())) == kept
        # Each of the first epoch says once that its secrets are destroyed; nobody says it of the current one.
        heard = [each for each in map(parse_statement, court.service.heard) if each.kind == "panel.destroy"]
        assert sorted(each.kid for each in heard) == sorted(court.world.id(judge) for judge in THREE)
        assert {each.claims for each in heard} == {PanelDestroy(session=first.session)}
        for judge in (*THREE, "judge4"):
            await court.acts(judge)
            assert vault_of(court, judge).destroyed() == ()
        assert len(court.service.claims_heard("panel.destroy")) == 3


@pytest.mark.parametrize("how", ["lost", "unanswered"])
async def test_a_word_that_did_not_arrive_is_given_at_the_next_visit_and_once(tmp_path: Path, how: str) -> None:
    async with with_panel(tmp_path) as court:
        later = ("judge2", "judge3", "judge4")
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(court.world.id(judge) for judge in later), 2, court.panel_id)
        for judge in later:
            await court.acts(judge)
        await court.approve_and_open()
        for judge in ("judge1", "judge2", "judge3", "judge4"):
            await court.acts(judge)
        trouble = court.service.lost if how == "lost" else court.service.unanswered
        trouble.add("panel.destroy")
        await court.acts("judge1")
        vault = vault_of(court, "judge1")
        assert list(vault.hosts()) == []
        assert len(vault.destroyed()) == 1
        trouble.clear()
        await court.acts("judge1")
        assert vault.destroyed() == ()
        kinds = [parse_statement(each.statement).kind for each in court.world.entries]
        assert kinds.count("panel.destroy") == 1


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        with only_one(court.homes / "judge1"), pytest.raises(Refused) as caught:
            await court.act("judge1")
        assert caught.value.code == "busy"
        assert await court.acts("judge1") == []


async def test_the_registrar_is_told_what_is_missing_and_nothing_is_posted_twice(tmp_path: Path) -> None:
    async with bench(tmp_path) as court, court.client("registrar") as registrar:
        ids = tuple(court.world.id(judge) for judge in THREE)
        court.panel_id = (await propose(registrar, ids, 2)).panel_id
        with pytest.raises(Refused) as caught:
            await roster(registrar, court.panel_id)
        assert caught.value.code == "card_missing"
        for judge in THREE:
            await court.acts(judge)
        act = await roster(registrar, court.panel_id)
        assert (await roster(registrar, court.panel_id)).digest == act.digest
        with pytest.raises(Refused) as caught:
            await open_session(registrar, court.panel_id)
        assert caught.value.code == "roster_not_approved"
        with pytest.raises(Refused) as caught:
            await approve(registrar, act.digest, seed("nobody"))
        assert caught.value.code == "wrong_signer"
        said: list[tuple[str, ...]] = []

        def not_these(lines: tuple[str, ...]) -> None:
            said.append(lines)
            raise Refused("not these", "", code="not_confirmed")

        size = len(court.world.entries)
        with pytest.raises(Refused) as caught:
            await approve(registrar, act.digest, seed("authority1"), not_these)
        assert caught.value.code == "not_confirmed"
        assert len(court.world.entries) == size
        ((head, *judges, asks),) = said
        assert f"panel {court.panel_id.hex()}, epoch 1: any 2 of these 3 open" in head
        assert judges == [f"  {i}. {judge} ({court.world.id(judge)})" for i, judge in enumerate(THREE, 1)]
        assert asks == f"asked for by Registrar ({court.world.id('registrar')})"
        await approve(registrar, act.digest, seed("authority1"))
        with pytest.raises(Refused) as caught:
            await approve(registrar, act.digest, seed("authority1"))
        assert caught.value.code == "already_approved"
        with pytest.raises(Refused) as caught:
            await open_session(registrar, court.panel_id)
        assert caught.value.code == "roster_not_approved"
        await approve(registrar, act.digest, seed("authority2"))
        await open_session(registrar, court.panel_id)
        assert [each.kind for each in duties(court.world.view, court.world.id("judge2"))] == [DutyKind.DEAL]
