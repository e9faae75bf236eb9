"""A panel hands its key to other judges at a real service, while some of the old ones are away, and evidence stays."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.client.deposit import Depositor, Evidence
from app.client.duties import progress
from app.client.fetch import fetch
from app.client.handover import open_requests, open_seen, words_of_destruction
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import GrantMade, JudgeVault
from app.client.opening import Output, open_request
from app.client.registrar import approve, open_session, propose, roster
from app.client.release import AskedVault, own_request, progress_of, request
from app.client.release import order as order_open
from app.client.visit import panel_of, record_of
from app.errors import AppError
from app.panels.errors import PanelError
from app.statements.kinds import ReleaseDecision
from tests.app.client.panel_service import PAPER
from tests.app.client.world_service import keys_of
from tests.app.rules.world import seed
from tests.journeys.test_opened_together import Place, case_with, registry


async def hand_over(place: Place, panel_id: bytes, judges: tuple[str, ...], k: int, dealers: tuple[str, ...]) -> None:
    """The next epoch; of the old holders only the dealers come, and of the others nobody is asked."""
    async with place.client("registrar") as registrar:
        ids = tuple(place.world.id(judge) for judge in judges)
        await propose(registrar, ids, k, panel_id)
    await place.acts(*judges)
    async with place.client("registrar") as registrar:
        act = await roster(registrar, panel_id)
        for key in ("authority1", "authority2"):
            await approve(registrar, act.digest, seed(key))
        await open_session(registrar, panel_id)
    await place.acts(*dealers, *judges)


async def first_panel(place: Place) -> bytes:
    """judge1 to judge3, two of whom open."""
    judges = ("judge1", "judge2", "judge3")
    async with place.client("registrar") as registrar:
        panel_id = (await propose(registrar, tuple(place.world.id(judge) for judge in judges), 2)).panel_id
    await place.acts(*judges)
    async with place.client("registrar") as registrar:
        act = await roster(registrar, panel_id)
        for key in ("authority1", "authority2"):
            await approve(registrar, act.digest, seed(key))
        await open_session(registrar, panel_id)
    await place.acts(*judges, *judges)
    return panel_id


async def deposit(place: Place, case_id: bytes, path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    async with place.client("lawyer1") as depositor:
        return (await Depositor(depositor).deposit(case_id, [Evidence(path=path)])).deposit_id


async def asks(place: Place, order: bytes, deposit_id: bytes) -> bytes:
    async with place.client("lawyer2") as lawyer:
        return (await request(lawyer, order=order, deposit_id=deposit_id)).statement.digest


async def grants(place: Place, asked: bytes, *judges: str) -> None:
    for judge in judges:
        async with place.client(judge) as client:
            await Judge(client).grant(asked, PAPER)


async def opens(place: Place, asked: bytes, out: Path) -> dict[str, bytes]:
    async with place.client("lawyer2") as lawyer:
        opened = await open_request(lawyer, asked, Output(folder=out))
    assert [each.verdict for each in opened.items] == ["equal"]
    return {each.name: each.read_bytes() for each in out.iterdir() if each.is_file()}


async def record(place: Place, panel_id: bytes) -> Any:
    async with place.client("registrar") as registrar:
        state = await registrar.sync()
        return record_of(state.view, panel_of(state.view, panel_id))


def hosts(place: Place, judge: str) -> int:
    return len(list(JudgeVault(Vault(Home(place.homes / judge), keys_of(judge))).hosts()))


async def lists_what_a_handover_overtakes(
    place: Place, panel_id: bytes, expected: dict[bytes, tuple[str, bytes, int]]
) -> None:
    """Judges see request and deposit; the registrar, who reads no case, the requests alone; both the same ones."""
    async with place.client("judge1") as judge:
        state = await judge.sync()
        seen = await open_requests(judge, state, panel_id)
    shown = {each.request: (each.status, each.seen.deposit_id, each.seen.granted) for each in seen if each.seen}
    assert shown == expected
    async with place.client("registrar") as registrar:
        state = await registrar.sync()
        told = await open_requests(registrar, state, panel_id)
    assert [replace(each, seen=None) for each in seen] == list(told)
    async with place.client("lawyer1") as lawyer:
        state = await lawyer.sync()
        assert [each.seen for each in await open_requests(lawyer, state, panel_id)] == [each.seen for each in seen]
        with pytest.raises(AppError) as caught:
            await lawyer.api.open_requests(panel_id)
        assert caught.value.code == "forbidden"


async def test_other_judges_take_over_and_open_what_was_deposited_before(tmp_path: Path) -> None:
    async with registry(tmp_path) as place:
        panel_id = await first_panel(place)
        case_id = await case_with(place, panel_id)
        waiting = await deposit(place, case_id, tmp_path / "waiting.txt", b"asked for before the handover")
        released = await deposit(place, case_id, tmp_path / "released.txt", b"released before the handover")
        async with place.client("judge1") as presiding:
            ordered = await order_open(
                presiding,
                case_id=case_id,
                deposits=[waiting, released],
                recipients=[place.world.id("lawyer2")],
                paper=PAPER,
            )
        order = ordered.statement.digest
        early, given = await asks(place, order, waiting), await asks(place, order, released)
        await grants(place, early, "judge3")
        await grants(place, given, "judge2", "judge3")
        before = await record(place, panel_id)
        expected = {early: ("waits", waiting, 1), given: ("released", released, 2)}
        await lists_what_a_handover_overtakes(place, panel_id, expected)

        # judge1 is on leave for all of it; judge3 leaves; judge4 and judge5 join.
        await hand_over(place, panel_id, ("judge2", "judge4", "judge5"), 2, ("judge2", "judge3"))
        after = await record(place, panel_id)
        assert (after.epoch, after.Y) == (2, before.Y)

        # The old judges' secrets are destroyed at their next visit; who stays holds those of the new epoch alone.
        assert [hosts(place, judge) for judge in ("judge1", "judge2", "judge3", "judge4")] == [1, 2, 1, 1]
        begun = JudgeVault(Vault(Home(place.homes / "judge1"), keys_of("judge1")))
        begun.put_grant(GrantMade(request=early, document=bytes(32), contribution=bytes(162)))
        await place.acts("judge1", "judge2", "judge3")
        assert begun.grants() == ()
        assert [hosts(place, judge) for judge in ("judge1", "judge2", "judge3", "judge4")] == [0, 1, 0, 1]
        async with place.client("lawyer2") as anyone:
            state = await anyone.sync()
            panel = panel_of(state.view, panel_id)
            words = words_of_destruction(state.view, panel)
            assert [(each.epoch, each.index is not None) for each in words] == [(1, True), (1, True), (1, True)]
            assert open_seen(state.view, panel, state.taken_at) == ()

        # The request that was open is overtaken: nobody grants it any more, by his client or around it.
        async with place.client("lawyer2") as lawyer:
            state = await lawyer.sync()
            assert progress_of(state.view, early).stale
            assert not progress_of(state.view, given).stale
            with pytest.raises(AppError) as caught:
                own_request(state, waiting)
            assert caught.value.code == "unknown_request"
            with pytest.raises(PanelError) as refused:
                await fetch(lawyer, waiting, tmp_path / "no", request=early)
            assert refused.value.code == "wrong_epoch"
        for judge, code in (("judge2", "wrong_epoch"), ("judge4", "wrong_epoch")):
            async with place.client(judge) as client:
                with pytest.raises(PanelError) as refused:
                    await Judge(client).grant(early, PAPER)
                assert refused.value.code == code
        async with place.client("judge1") as client:
            await client.sync()
            claims = ReleaseDecision(request=early, decision="grant", contribution=bytes(32), note=None)
            with pytest.raises(AppError) as caught:
                await client.post(claims)
            assert caught.value.code == "wrong_epoch"

        # What was released before stays fetchable; what was not is asked for again, and the new judges open it.
        assert await opens(place, given, tmp_path / "given") == {"released.txt": b"released before the handover"}
        again = await asks(place, order, waiting)
        asked = AskedVault(Vault(Home(place.homes / "lawyer2"), keys_of("lawyer2")))
        assert [each.deposit_id for each in asked.all()] == [waiting]
        await grants(place, again, "judge4", "judge5")
        assert await opens(place, again, tmp_path / "again") == {"waiting.txt": b"asked for before the handover"}

        # A third epoch with another k, dealt by two who came last; deposits of both ages open under it.
        young = await deposit(place, case_id, tmp_path / "young.txt", b"deposited under the second epoch")
        await hand_over(place, panel_id, ("judge1", "judge2", "judge3", "judge4"), 3, ("judge4", "judge5"))
        async with place.client("registrar") as registrar:
            state = await registrar.sync()
            shown = progress(state.view, panel_of(state.view, panel_id))
            assert (shown.stage, shown.epoch, shown.k, len(shown.judges)) == ("certified", 3, 3, 4)
        async with place.client("judge1") as presiding:
            later = await order_open(
                presiding, case_id=case_id, deposits=[young], recipients=[place.world.id("lawyer2")], paper=PAPER
            )
        last = await asks(place, later.statement.digest, young)
        await grants(place, last, "judge1", "judge3")
        async with place.client("lawyer2") as lawyer:
            with pytest.raises(AppError) as caught:
                await fetch(lawyer, young, tmp_path / "early")
            assert caught.value.code == "not_released"
        await grants(place, last, "judge4")
        assert await opens(place, last, tmp_path / "last") == {"young.txt": b"deposited under the second epoch"}
        old = await asks(place, order, waiting)
        await grants(place, old, "judge2", "judge3", "judge4")
        assert await opens(place, old, tmp_path / "old") == {"waiting.txt": b"asked for before the handover"}
