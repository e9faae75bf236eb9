"""A panel is drilled: everybody runs one command, at a real service; a silent judge, and a lost quorum, are seen."""

from pathlib import Path
from typing import Any

import pytest

from app.client.backup import back_up
from app.client.deposit import Depositor, Evidence
from app.client.drill import DAY, begin, drills_of, health_of, visit_drill
from app.client.drill_id import drill_case_id, drill_paper, drill_text, is_drill
from app.client.home import Home, Settings, Vault
from app.client.judge_keys import JudgeVault
from app.client.registrar import approve
from app.client.release import order
from app.client.sheet import Sheet
from app.errors import AppError
from app.statements.kinds import MemberRevoke
from tests.app.client.test_recovery import Desk
from tests.app.client.world_service import keys_of
from tests.app.rules.world import seed
from tests.journeys.test_opened_together import Place, registry
from tests.journeys.test_succession import first_panel, hand_over

THREE = ("judge1", "judge2", "judge3")


async def steps(place: Place, panel_id: bytes, name: str, **how: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a person's visit did, and whom the drill waits for then."""
    async with place.client(name) as client:
        made = await visit_drill(client, panel_id, **how)
    return made.did, made.whom


async def health(place: Place, panel_id: bytes, name: str = "judge1") -> Any:
    async with place.client(name) as client:
        return health_of(await client.sync(), panel_id)


async def begun(place: Place, panel_id: bytes, presiding: str | None = None) -> int:
    async with place.client("clerk") as clerk:
        presides = place.world.id(presiding) if presiding else None
        return await begin(clerk, panel_id, place.world.id("lawyer1"), presides)


async def until_asked(place: Place, panel_id: bytes) -> None:
    assert (await steps(place, panel_id, "lawyer1"))[0] == ("deposited the test text",)
    assert (await steps(place, panel_id, "judge1"))[0] == ("ordered the deposit opened",)
    assert (await steps(place, panel_id, "lawyer1"))[0] == ("asked for it",)


async def test_a_drill_from_case_to_opening_and_what_the_panels_health_says(tmp_path: Path) -> None:
    async with registry(tmp_path) as place:
        panel_id = await first_panel(place)
        before = await health(place, panel_id)
        assert (before.drill, before.may_be_lost, before.is_overdue(place.world.now)) == (None, None, False)
        assert await begun(place, panel_id) == 1
        assert await steps(place, panel_id, "judge2") == ((), ("lawyer1",))
        await until_asked(place, panel_id)
        async with place.client("clerk") as clerk:
            with pytest.raises(AppError) as caught:
                await begin(clerk, panel_id, place.world.id("lawyer1"))
        assert caught.value.code == "drill_running"
        assert await steps(place, panel_id, "lawyer1") == ((), THREE)
        for answering, left in (("judge2", ("judge1", "judge3")), ("judge1", ("judge3",)), ("judge3", ("lawyer1",))):
            did, whom = await steps(place, panel_id, answering)
            assert (len(did), whom) == (1, left)
        during = await health(place, panel_id)
        assert (during.may_be_lost, during.finished_at) == (1, None)
        assert (await steps(place, panel_id, "lawyer1"))[0] == ("opened the capsule: the text is equal",)
        assert await steps(place, panel_id, "lawyer1") == ((), ())
        after = await health(place, panel_id)
        assert [judge for judge, _ in after.answered] == [place.world.id(judge) for judge in THREE]
        assert (after.drill, after.silent, after.may_be_lost) == (1, (), 1)
        assert after.finished_at is not None
        assert after.due_at == after.finished_at + 365 * DAY
        assert not after.is_due(after.due_at - 31 * DAY)
        assert after.is_due(after.due_at - 30 * DAY)
        assert after.is_overdue(after.due_at)
        # The next one, in which judge3 has lost what he had and judge2's share comes from paper.
        assert await begun(place, panel_id) == 2
        await until_asked(place, panel_id)
        async with place.client("judge2") as client:
            printed = await back_up(client, panel_id)
        for judge in ("judge2", "judge3"):
            kept = JudgeVault(Vault(Home(place.homes / judge), keys_of(judge)))
            for made in tuple(kept.hosts()):
                kept.destroy_host(made)
        for judge in ("judge2", "judge3"):
            with pytest.raises(AppError) as caught:
                await steps(place, panel_id, judge)
            assert caught.value.code == "not_my_card"
        spoilt = Sheet(epoch=1, card_tag=printed.sheet.card_tag, sealed=bytes(80))
        with pytest.raises(AppError) as caught:
            await steps(place, panel_id, "judge2", backup=(spoilt, printed.code))
        assert caught.value.code == "wrong_backup_code"
        did, _ = await steps(place, panel_id, "judge2", backup=(printed.sheet, printed.code))
        assert did == ("answered: granted, and sent the contribution made from the backup sheet",)
        assert list(JudgeVault(Vault(Home(place.homes / "judge2"), keys_of("judge2"))).hosts()) == []
        assert (await health(place, panel_id)).may_be_lost == -1
        await steps(place, panel_id, "judge1")
        assert await steps(place, panel_id, "lawyer1") == ((), ("judge3",))
        assert (await steps(place, panel_id, "lawyer1", finish=True))[0] == ("opened the capsule: the text is equal",)
        last = await health(place, panel_id)
        assert (last.drill, last.silent, last.may_be_lost) == (2, (place.world.id("judge3"),), 0)


async def test_a_handover_and_a_revocation_count_in_the_panels_health(tmp_path: Path) -> None:
    async with registry(tmp_path) as place:
        panel_id = await first_panel(place)
        await begun(place, panel_id)
        await until_asked(place, panel_id)
        await steps(place, panel_id, "judge2")
        await hand_over(place, panel_id, ("judge1", "judge2", "judge4"), 2, ("judge1", "judge2"))
        assert (await health(place, panel_id)).drill is None
        # The capsule of the first epoch opens under the second: the depositor asks anew under the same order.
        assert (await steps(place, panel_id, "lawyer1"))[0] == ("asked for it",)
        for judge in ("judge1", "judge2", "judge4"):
            assert len((await steps(place, panel_id, judge))[0]) == 1
        async with place.client("registrar") as registrar:
            act = await registrar.post(MemberRevoke(member=place.world.id("judge4"), role="judge"))
            for key in ("authority1", "authority2"):
                await approve(registrar, act.statement.digest, seed(key))
        found = await health(place, panel_id)
        assert (found.inactive, found.may_be_lost) == ((place.world.id("judge4"),), 0)


async def test_no_drill_leads_to_the_release_of_evidence(tmp_path: Path) -> None:
    """A corrupt clerk names the case of a drill to a depositor as his: nothing is deposited. A corrupt presiding judge
    signs an order with another paper into a drill: nobody answers it by routine.
    """
    async with registry(tmp_path) as place:
        panel_id = await first_panel(place)
        await begun(place, panel_id)
        case_id = drill_case_id(panel_id, 1)
        (tmp_path / "evidence").write_bytes(b"It was raining.")
        async with place.client("lawyer1") as lawyer:
            assert is_drill((await lawyer.sync()).view, case_id)
            assert is_drill(lawyer.state.view, drill_case_id(panel_id, 2))  # type: ignore[union-attr]
            assert not is_drill(lawyer.state.view, bytes(16))  # type: ignore[union-attr]
            with pytest.raises(AppError) as caught:
                await Depositor(lawyer).deposit(case_id, [Evidence(path=tmp_path / "evidence")])
        assert caught.value.code == "drill_case"
        await steps(place, panel_id, "lawyer1")
        async with place.client("judge1") as presiding:
            (drill,) = drills_of(await presiding.sync(), panel_id)
            assert drill.deposit is not None
            await order(
                presiding,
                case_id=case_id,
                deposits=[bytes.fromhex(drill.deposit.id)],
                recipients=[place.world.id("lawyer1")],
                paper=b"another paper",
            )
        await steps(place, panel_id, "lawyer1")
        with pytest.raises(AppError) as caught:
            await steps(place, panel_id, "judge2")
        assert caught.value.code == "not_a_drill"


def test_the_texts_of_a_drill_are_everybodys() -> None:
    panel_id = bytes(range(32))
    assert (
        drill_case_id(panel_id, 1).hex()
        == __import__("hashlib").sha256(b"muniment/drill/v1" + panel_id + b"\0\0\0\1").hexdigest()[:32]
    )
    texts = {drill_text(panel_id, 1), drill_text(panel_id, 2), drill_text(bytes(32), 1)}
    papers = {drill_paper(panel_id, 1), drill_paper(panel_id, 2), drill_paper(bytes(32), 1)}
    assert len(texts | papers) == 6


async def test_a_drill_at_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with registry(tmp_path) as place:
        panel_id = await first_panel(place)
        desk = Desk(tmp_path, capsys, monkeypatch, homes=place.homes)
        monkeypatch.setattr("app.cli.person.clock", lambda: place.world.now)
        monkeypatch.setattr("app.cli.commands.panel_drill.clock", lambda: place.world.now)
        for name in ("clerk", "lawyer1", *THREE):
            home = desk.person(name, keys_of(name))
            home.set_trust(place.trust.text.encode())
            home.set_settings(Settings(service=place.url))
        panel = panel_id.hex()
        monkeypatch.setenv("MUNIMENT_DRILL_DAYS", "10")
        assert "no drill of this epoch" in await desk.says("judge1", "panel", "health")
        assert "due by" in await desk.says("judge1", "inbox")
        place.world.now += 10 * DAY
        assert "OVERDUE" in await desk.says("judge1", "act")
        monkeypatch.setenv("MUNIMENT_DRILL_DAYS", "0")
        await desk.does("judge1", "panel", "health", code=2)
        monkeypatch.setenv("MUNIMENT_DRILL_DAYS", "365")
        drill = ("panel", "drill", panel)
        assert (await desk.does("judge1", *drill, code=1))["error"]["code"] == "no_drill"
        made = await desk.does("clerk", *drill, "--depositor", place.world.id("lawyer1"), "--presiding", "judge2")
        assert (made["drill"], made["waits_for"], made["whom"]) == (1, "the deposit", ["lawyer1"])
        for name in ("lawyer1", "judge2", "lawyer1"):
            made = await desk.does(name, *drill)
        assert made["whom"] == list(THREE)
        assert "answer the drill" in await desk.says("judge1", "inbox")
        await desk.does("judge1", "panel", "backup", panel, "-o", tmp_path / "sheet.txt")
        code = (await desk.does("judge1", "panel", "backup", panel, "-o", tmp_path / "second.txt"))["code"]
        (tmp_path / "code").write_text(code)
        await desk.does("judge1", *drill, "--sheet", tmp_path / "second.txt", code=2)
        sheet = ("--sheet", tmp_path / "second.txt", "--code", tmp_path / "code")
        made = await desk.does("judge1", *drill, "--from-backup", *sheet)
        assert made["did"] == ["answered: granted, and sent the contribution made from the backup sheet"]
        for name in ("judge2", "judge3", "lawyer1"):
            made = await desk.does(name, *drill)
        assert made["waits_for"] == "nothing: it is finished"
        shown = await desk.says("judge3", "panel", "health", panel)
        assert "3 of 3 answered" in shown
        assert "1 of those who answered may be lost" in shown
