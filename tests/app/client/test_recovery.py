"""A judge loses his folder and brings his share back from paper; a void, wrong or mistyped sheet is refused by name."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.client.backup import BackupVault, back_up, open_for, restore
from app.client.home import Home, Settings, Vault
from app.client.judge import Judge
from app.client.judge_keys import HostKeys, JudgeVault
from app.client.opening import Output, open_request
from app.client.registrar import close_session, open_session, propose
from app.client.sheet import Sheet, parse_sheet, seal_sheet
from app.errors import AppError
from app.rules.aggregates import Panel
from tests.app.cli.running import Terminal
from tests.app.client.panel_service import JUDGES, PAPER, Bench, bench, with_panel
from tests.app.client.world_service import keys_of

THREE = JUDGES[:3]


def vault_of(court: Bench, name: str) -> Vault:
    return Vault(Home(court.homes / name), keys_of(name))


def hosts_of(court: Bench, name: str) -> list[HostKeys]:
    return list(JudgeVault(vault_of(court, name)).hosts())


async def sheet_of(court: Bench, judge: str) -> tuple[Sheet, str]:
    async with court.client(judge) as client:
        made = await back_up(client, court.panel_id)
    return made.sheet, made.code


async def hand_over(court: Bench, judges: tuple[str, ...], dealers: tuple[str, ...]) -> None:
    """The next epoch, of 2; only these old holders deal."""
    async with court.client("registrar") as registrar:
        await propose(registrar, tuple(court.world.id(judge) for judge in judges), 2, court.panel_id)
    for judge in judges:
        await court.acts(judge)
    await court.approve_and_open()
    for judge in (*dealers, *judges, *judges):
        await court.acts(judge)


async def refused(court: Bench, judge: str, sheet: Sheet, code: str) -> str:
    """The code of the refusal; nothing of the sheet is kept."""
    before = hosts_of(court, judge)
    async with court.client(judge) as client:
        with pytest.raises(AppError) as caught:
            await restore(client, court.panel_id, sheet, code)
    assert hosts_of(court, judge) == before
    return caught.value.code


async def test_a_lost_folder_is_restored_from_paper_and_its_judge_contributes(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        sheet, code = await sheet_of(court, "judge2")
        (kept,) = hosts_of(court, "judge2")
        shutil.rmtree(court.homes / "judge2")
        court.deposit(("evidence.txt", b"It was raining."))
        asked = await court.released("judge1")
        async with court.client("judge2") as client:
            with pytest.raises(AppError) as caught:
                await Judge(client).grant(asked, PAPER)
            assert caught.value.code == "not_my_card"
            made = await restore(client, court.panel_id, parse_sheet(" ".join(sheet.words)), code)
            assert (made.epoch, made.index, made.was_there) == (1, 2, False)
            assert (await restore(client, court.panel_id, sheet, code)).was_there
            await Judge(client).grant(asked, PAPER)
        assert hosts_of(court, "judge2") == [kept]
        async with court.client("lawyer2") as lawyer:
            opened = await open_request(lawyer, asked, Output(folder=tmp_path / "out"))
        assert [each.verdict for each in opened.items] == ["equal"]


async def test_what_was_restored_deals_in_the_next_reshare_and_is_void_afterwards(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        sheet, code = await sheet_of(court, "judge2")
        shutil.rmtree(court.homes / "judge2")
        async with court.client("judge2") as client:
            await restore(client, court.panel_id, sheet, code)
        court.world.now += 60
        await hand_over(court, THREE, dealers=("judge2", "judge3"))
        panel: Any = court.world.view.find(Panel, court.panel_id.hex())
        assert panel.state.current.epoch == 2
        assert await refused(court, "judge2", sheet, code) == "backup_void"
        async with court.client("judge2") as client:
            inbox = await Judge(client).inbox()
        assert [each.epoch for each in inbox.sheets.void] == [1]
        assert inbox.sheets.missing == (court.panel_id,)


async def test_a_home_restored_while_a_session_is_open_does_not_deal_in_it(tmp_path: Path) -> None:
    """The lying ledger hides the deal that was made before the loss: with a second one it would have proof of two."""
    async with with_panel(tmp_path) as court:
        sheet, code = await sheet_of(court, "judge2")
        others = ("judge1", "judge3", "judge4")
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(court.world.id(judge) for judge in others), 2, court.panel_id)
        for judge in others:
            await court.acts(judge)
        await court.approve_and_open()
        before = list(court.world.entries)
        assert await court.acts("judge2") == ["panel.deal"]
        shutil.rmtree(court.homes / "judge2")
        court.service.entries = before
        async with court.client("judge2") as client:
            await restore(client, court.panel_id, sheet, code)
            done = await Judge(client).act()
        assert [each.fault.code for each in done if each.fault] == ["deal_unknown"]
        dealt = [each.deal for each in court.service.claims_heard("panel.deal") if each.deal[2:4] == b"\0\2"]
        assert len(dealt) == 1
        # In a session that opens later he deals again.
        court.service.entries = court.world.entries
        court.world.now += 60
        async with court.client("registrar") as registrar:
            await close_session(registrar, court.panel_id)
            await open_session(registrar, court.panel_id)
        assert await court.acts("judge2") == ["panel.deal"]


async def test_a_sheet_made_at_visit_2_is_good_from_the_certificate_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        async with court.client("judge1") as client:
            with pytest.raises(AppError) as caught:
                await back_up(client, court.panel_id)
        assert caught.value.code == "nothing_to_back_up"
        for judge in THREE:
            await court.acts(judge)
        await court.acts("judge1")
        async with court.client("judge1") as client:
            inbox = await Judge(client).inbox()
        assert inbox.sheets.missing == (court.panel_id,)
        sheet, code = await sheet_of(court, "judge1")
        assert await refused(court, "judge1", sheet, code) == "no_epoch"
        await court.acts("judge2")
        async with court.client("judge1") as client:
            made = open_for(await client.sync(), court.panel_id, sheet, code)
        assert made in hosts_of(court, "judge1")


async def test_wrong_sheets_are_refused_by_name(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        sheet, code = await sheet_of(court, "judge1")
        other, other_code = await sheet_of(court, "judge2")
        assert await refused(court, "judge1", other, other_code) == "wrong_backup_sheet"
        assert await refused(court, "judge1", sheet, other_code) == "wrong_backup_code"
        assert await refused(court, "judge4", sheet, code) == "not_on_panel"
        (keys,) = hosts_of(court, "judge1")
        (foreign,) = hosts_of(court, "judge2")
        for host, he in ((keys.host, foreign.he), (foreign.host, keys.he)):
            forged = seal_sheet(epoch=1, card=keys.card, host=host, he=he, code=code)
            assert await refused(court, "judge1", forged, code) == "wrong_backup_sheet"
        later = Sheet(epoch=2, card_tag=sheet.card_tag, sealed=sheet.sealed)
        assert await refused(court, "judge1", later, code) == "backup_not_certified"
        for judge in THREE:
            assert BackupVault(vault_of(court, judge)).restored_at(court.panel_id) is None


async def test_a_judge_who_lost_everything_is_replaced_by_a_reshare(tmp_path: Path) -> None:
    """Judge 3 has neither folder nor sheet: the two others hand the key to a roster with judge 4 in his place."""
    async with with_panel(tmp_path) as court:
        made = court.deposit(("evidence.txt", b"It was raining."))
        shutil.rmtree(court.homes / "judge3")
        await hand_over(court, ("judge1", "judge2", "judge4"), dealers=("judge1", "judge2"))
        asked = await court.released("judge2", "judge4")
        async with court.client("lawyer2") as lawyer:
            opened = await open_request(lawyer, asked, Output(folder=tmp_path / "out"))
        assert [each.verdict for each in opened.items] == ["equal"]
        assert made.claims.capsules[0].epoch_id != opened_epoch(court)


def opened_epoch(court: Bench) -> bytes:
    panel: Any = court.world.view.find(Panel, court.panel_id.hex())
    return bytes(panel.state.current.epoch_id)


# At the command line


@dataclass
class Desk(Terminal):
    """Commands against a court of this process; everybody's folder is the court's."""

    homes: Path = Path()

    def home(self, name: str) -> Path:
        return self.homes / name

    async def does(self, name: str, *words: str | Path, code: int = 0) -> dict[str, Any]:
        return await asyncio.to_thread(self.run, name, *words, code=code)

    async def says(self, name: str, *words: str | Path) -> str:
        return await asyncio.to_thread(self.text, name, *words)

    def furnish(self, court: Bench, name: str) -> None:
        """Give a person's folder his keys, what he trusts, and where the service is."""
        home = self.person(name, keys_of(name))
        home.set_trust(court.trust.text.encode())
        home.set_settings(Settings(service=court.url))


@asynccontextmanager
async def desk(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Desk, Bench]]:
    async with with_panel(tmp_path) as court:
        monkeypatch.setattr("app.cli.person.clock", lambda: court.world.now)
        made = Desk(tmp_path, capsys, monkeypatch, homes=court.homes)
        for judge in THREE:
            made.furnish(court, judge)
        yield made, court


async def test_backup_and_restore_at_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path, capsys, monkeypatch) as (place, court):
        panel = court.panel_id.hex()
        acted = await place.does("judge1", "act")
        assert acted["left"]["paper"] == {"missing": [panel], "void": []}
        assert "muniment panel backup" in await place.says("judge1", "act")
        page, text = tmp_path / "sheet.html", tmp_path / "sheet.txt"
        first = await place.does("judge1", "panel", "backup", panel, "-o", page)
        second = await place.does("judge1", "panel", "backup", panel, "-o", text)
        await place.does("judge1", "panel", "backup", panel, "-o", text, code=2)
        await place.does("judge1", "panel", "backup", panel, "-o", tmp_path / "sheet.pdf", code=2)
        assert first["code"] != second["code"]
        assert (await place.does("judge1", "act"))["left"]["paper"] == {"missing": [], "void": []}
        for file, code in ((page, first["code"]), (text, second["code"])):
            assert code not in file.read_text()
            assert "://" not in file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "<svg" in page.read_text()
        codes = {name: tmp_path / f"code-{name}" for name in ("first", "second", "bad")}
        codes["first"].write_text(first["code"] + "\n")
        codes["second"].write_text(second["code"].lower().replace("-", " "))
        codes["bad"].write_text("0000-0000-0000-0000-0000-0000")
        words = tmp_path / "words"
        words.write_text("\n".join(parse_sheet(text.read_text()).words))
        checking = ("panel", "restore", panel, "--check")
        assert (await place.does("judge1", *checking, "--sheet", page, "--code", codes["first"]))["good"]
        await place.does("judge1", *checking, "--sheet", page, "--code", codes["second"], code=1)
        await place.does("judge1", *checking, "--sheet", page, "--code", codes["bad"], code=2)
        await place.does("judge1", *checking, "--code", codes["first"], code=2)
        await place.does("judge1", *checking, "--sheet", page, code=2)

        shutil.rmtree(court.homes / "judge1")
        place.furnish(court, "judge1")
        made = await place.does("judge1", "panel", "restore", panel, "--sheet", words, "--code", codes["second"])
        assert (made["restored"], made["epoch"], made["index"]) == (True, 1, 1)
        assert (await place.does("judge1", "act"))["left"]["paper"] == {"missing": [], "void": []}

        await hand_over(court, THREE, dealers=("judge2", "judge3"))
        shown = await place.says("judge1", "inbox")
        assert "is void" in shown
        refusal = await place.does(
            "judge1", "panel", "restore", panel, "--sheet", words, "--code", codes["second"], code=1
        )
        assert refusal["error"]["code"] == "backup_void"
        assert (await place.does("judge1", "panel", "backup", panel, "--destroyed"))["destroyed"] == [1]
        assert (await place.does("judge1", "inbox"))["paper"] == {"missing": [panel], "void": []}
