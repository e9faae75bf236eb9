"""A ceremony that fails goes on without the guilty: in one step with a reserve roster, in one after the authority's."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical import format_json, parse_json
from app.client.authority import write_authority_key
from app.client.blames import verdict_of
from app.client.registrar import approve, open_session, propose
from app.client.reserve import (
    MAX_RESERVE_BYTES,
    Reserve,
    consent,
    format_reserve,
    left_out,
    parse_reserve,
    prepare,
    restart,
)
from app.errors import AppError, BadInput
from app.panels.states import SessionStatus
from app.service.statements import StatementStore
from app.statements.statement import parse_statement
from tests.app.cli.running import PASSPHRASE
from tests.app.client.court import court as real_court
from tests.app.client.panel_service import JUDGES, Bench, bench, with_panel
from tests.app.client.test_betrayal import betray, newest, panel_of
from tests.app.client.test_recovery import Desk
from tests.app.rules.stages import made
from tests.app.rules.test_adversary import false_blame
from tests.app.rules.world import seed

FOUR = JUDGES[:4]


async def ready(court: Bench, judges: tuple[str, ...] = FOUR, k: int = 2, spare: str | None = None) -> Reserve:
    """A session that is open on the approved roster, and a reserve file with both approvals, nothing of it posted."""
    if spare is not None:
        # The spare judge gives his card for a first proposal; it serves the next one, too.
        async with court.client("registrar") as registrar:
            court.panel_id = (await propose(registrar, tuple(map(court.world.id, (*judges, spare))), k)).panel_id
        for judge in (*judges, spare):
            assert await court.acts(judge) == ["panel.card"]
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(map(court.world.id, judges)), k, court.panel_id)
        for judge in (*judges, spare):
            assert await court.acts(judge) == []
        await court.approve_and_open()
    else:
        await court.until_open(judges, k)
    size = len(court.world.entries)
    async with court.client("registrar") as registrar:
        reserve = await prepare(registrar, court.panel_id, court.world.id(spare) if spare else None)
    for key in ("authority1", "authority2"):
        async with court.client("registrar") as anybody:
            reserve = await consent(anybody, parse_reserve(format_reserve(reserve).encode()), seed(key), lambda _: None)
    assert len(court.world.entries) == size
    return reserve


async def spoilt(court: Bench) -> None:
    """judge4 deals judge1 a bad share, and is blamed."""
    for judge in FOUR[:3]:
        assert await court.acts(judge) == ["panel.deal"]
    betray(court, "judge4", victim=1, share=False)
    assert await court.acts("judge1") == ["panel.blame"]


async def code_of(court: Bench, reserve: Reserve | None, *without: str) -> str:
    before = len(court.world.entries)
    async with court.client("registrar") as registrar:
        with pytest.raises(AppError) as caught:
            await restart(registrar, court.panel_id, reserve, tuple(map(court.world.id, without)))
    assert len(court.world.entries) == before
    return caught.value.code


async def certified(court: Bench, judges: tuple[str, ...]) -> None:
    for _ in range(2):
        for judge in judges:
            await court.acts(judge)
    current: Any = panel_of(court).state.current
    assert current is not None
    assert newest(court).judges == tuple(map(court.world.id, judges))
    assert newest(court).state.status is SessionStatus.CERTIFIED


@pytest.mark.parametrize("spare", [None, "judge5"])
async def test_a_blamed_dealer_is_left_out_in_one_step(tmp_path: Path, spare: str | None) -> None:
    async with bench(tmp_path) as court:
        reserve = await ready(court, spare=spare)
        await spoilt(court)
        court.world.now += 20 * 86_400  # the reserve was signed long before
        async with court.client("registrar") as registrar:
            done = await restart(registrar, court.panel_id, reserve)
        assert done.left_out == (court.world.id("judge4"),)
        assert done.session is not None
        # Nobody gives another card: two visits, as before.
        await certified(court, (*FOUR[:3], spare) if spare else FOUR[:3])


async def test_without_a_reserve_one_step_is_left_after_the_authoritys_approval(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(FOUR, 2)
        await spoilt(court)
        async with court.client("registrar") as registrar:
            done = await restart(registrar, court.panel_id)
            assert done.session is None
            again = await restart(registrar, court.panel_id)
            assert again.act == done.act
            for key in ("authority1", "authority2"):
                await approve(registrar, done.act, seed(key))
            await open_session(registrar, court.panel_id)
        await certified(court, FOUR[:3])


async def test_in_a_reshare_the_same_roster_goes_on_at_once_without_the_dealer(tmp_path: Path) -> None:
    """judge3, who leaves the panel, deals a bad share: he is barred, and the roster, which he is not of, stands."""
    async with with_panel(tmp_path) as court:
        later = ("judge1", "judge2", "judge4")
        async with court.client("registrar") as registrar:
            await propose(registrar, tuple(map(court.world.id, later)), 2, court.panel_id)
        for judge in later:
            await court.acts(judge)
        await court.approve_and_open()
        assert await court.acts("judge1") == ["panel.deal"]
        betray(court, "judge3", victim=2, share=True)
        assert await court.acts("judge2") == ["panel.blame"]
        async with court.client("registrar") as registrar:
            done = await restart(registrar, court.panel_id)
        assert done.session is not None
        assert newest(court).state.session.header.barred == (3,)
        await certified(court, later)


async def test_a_judge_who_does_not_come_is_left_out_by_name(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        reserve = await ready(court)
        for judge in FOUR[:3]:
            await court.acts(judge)
        assert await code_of(court, reserve) == "session_open"
        assert await code_of(court, reserve, "judge5") == "session_open"
        async with court.client("registrar") as registrar:
            absent = (court.world.id("judge4"),)
            done = await restart(registrar, court.panel_id, reserve, absent)
        assert done.left_out == absent
        assert await code_of(court, reserve, "judge4") == "session_open"  # run again: the new session is left alone
        await certified(court, FOUR[:3])


async def test_a_restart_cut_off_anywhere_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        reserve = await ready(court)
        await spoilt(court)
        for kind in ("panel.propose", "panel.roster", "approval", "panel.open"):
            for stay in (court.service.lost, court.service.unanswered):
                stay.add(kind)
                async with court.client("registrar") as registrar:
                    with pytest.raises(AppError) as caught:
                        await restart(registrar, court.panel_id, reserve)
                stay.clear()
                if caught.value.code == "session_open":
                    break
        assert panel_of(court).live is not None
        assert len(court.service.claims_heard("panel.open")) == 3
        await certified(court, FOUR[:3])


async def test_reserves_that_do_not_fit_are_refused_and_nothing_is_posted(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        reserve = await ready(court)
        await spoilt(court)
        assert await code_of(court, replace(reserve, panel_id=bytes(32))) == "no_reserve"
        assert await code_of(court, replace(reserve, rosters=reserve.rosters[:3])) == "no_reserve"
        bare = tuple(replace(each, approvals=each.approvals[:1]) for each in reserve.rosters)
        assert await code_of(court, replace(reserve, rosters=bare)) == "not_enough_approvals"
        # The same approval twice is one approval.
        twice = tuple(replace(each, approvals=each.approvals[:1] * 2) for each in reserve.rosters)
        assert await code_of(court, replace(reserve, rosters=twice)) == "not_enough_approvals"
        # A roster that a judge signed, not the registrar.
        async with court.client("judge5") as other:
            forged = (await other.sign(reserve.rosters[3].claims)).text
        rosters = (*reserve.rosters[:3], replace(reserve.rosters[3], roster=forged))
        assert await code_of(court, replace(reserve, rosters=rosters)) == "wrong_role"
        async with court.client("registrar") as registrar:
            goes_without = list(left_out((await registrar.sync()).view, reserve))
        assert goes_without == [(court.world.id(judge),) for judge in FOUR]
        mixed = replace(reserve.rosters[3], propose=reserve.rosters[2].propose)
        assert await code_of(court, replace(reserve, rosters=(mixed,))) in ("no_reserve", "roster_mismatch")


async def test_a_reserve_is_shown_before_it_is_approved_and_only_the_authority_approves(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(FOUR, 2)
        shown: list[tuple[str, ...]] = []
        async with court.client("registrar") as registrar:
            reserve = await prepare(registrar, court.panel_id)
            with pytest.raises(AppError) as caught:
                await consent(registrar, reserve, seed("judge1"), shown.append)
            assert (caught.value.code, shown) == ("wrong_signer", [])
            given = await consent(registrar, reserve, seed("authority1"), shown.append)
            again = await consent(registrar, given, seed("authority1"), shown.append)
        assert [len(each.approvals) for each in again.rosters] == [1, 1, 1, 1]
        assert len(shown) == 8
        assert "judge4" in "".join(shown[0])
        assert "judge4" not in "".join(shown[3])


async def test_two_of_two_leave_nobody_to_go_without(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(JUDGES[:2], 2)
        async with court.client("registrar") as registrar:
            with pytest.raises(AppError) as caught:
                await prepare(registrar, court.panel_id)
        assert caught.value.code == "too_few_judges"
        assert await code_of(court, None) == "session_open"
        assert await code_of(court, None, "judge2") == "too_few_judges"
        assert panel_of(court).live is not None


# Who is at fault


async def test_a_blame_on_the_ledger_names_the_dealer(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        await court.until_open(FOUR, 2)
        await spoilt(court)
        (text,) = [each for each in court.service.heard if parse_statement(each).kind == "panel.blame"]
        async with court.client("judge5") as anybody:
            found = verdict_of(await anybody.sync(), parse_statement(text))
            assert (found.upheld, found.at_fault) == (True, court.world.id("judge4"))
            with pytest.raises(BadInput):
                verdict_of(await anybody.sync(), parse_statement(court.service.heard[0]))


async def test_a_false_accuser_is_named_by_what_he_signed_and_the_ledger_does_not_publish_it(tmp_path: Path) -> None:
    """At the real service: refused, kept apart once, and proof against him in anybody's hands."""
    stage = made("all dealt").copy()
    async with real_court(stage.world, tmp_path) as court:
        _, lie = false_blame(False)(stage)
        size = len(stage.world.entries)
        async with court.client("judge4") as accuser:
            signed = await accuser.sign(lie)
            for _ in range(2):
                with pytest.raises(AppError) as caught:
                    await accuser.submit(signed)
                assert caught.value.code == "blame_unfounded"
            assert (await accuser.sync()).checkpoint.size == size
            state = accuser.state
        (kept,) = [each async for each in StatementStore(court.records).false_blames()]
        assert kept.text == signed.text
        assert state is not None
        found = verdict_of(state, kept)
        assert (found.upheld, found.at_fault) == (False, stage.world.id("judge4"))
        with pytest.raises(AppError) as caught:
            async with court.client("judge2") as other:
                verdict_of(state, await other.sign(lie))
        assert caught.value.code == "wrong_signer"


# The file


async def test_the_file_is_read_as_it_was_written_and_no_other_way(tmp_path: Path) -> None:
    async with bench(tmp_path) as court:
        reserve = await ready(court, FOUR[:3])
    text = format_reserve(reserve).encode()
    assert parse_reserve(text) == reserve
    assert parse_reserve(text + b"\n") == reserve
    one, other, _ = reserve.rosters
    for wrong in (
        replace(reserve, panel_id=bytes(32)),
        replace(reserve, epoch=2),
        replace(reserve, rosters=(replace(one, approvals=other.approvals),)),
        replace(reserve, rosters=(replace(one, propose=one.roster),)),
        replace(reserve, rosters=(replace(one, roster=one.propose),)),
        replace(reserve, rosters=(replace(one, approvals=(one.roster,)),)),
    ):
        with pytest.raises(BadInput):
            parse_reserve(format_reserve(wrong).encode())
    value: Any = parse_json(text, what="it", max_bytes=MAX_RESERVE_BYTES)
    with pytest.raises(BadInput):
        parse_reserve(format_json({**value, "more": 1}).encode())
    for place in range(0, len(text), 997):
        changed = bytes([*text[:place], text[place] ^ 1, *text[place + 1 :]])
        with contextlib.suppress(BadInput):
            assert parse_reserve(changed) != reserve


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_reserve_or_named_bad(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_reserve(data)


# At the command line


async def test_from_reserve_to_restart_at_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as court:
        monkeypatch.setattr("app.cli.person.clock", lambda: court.world.now)
        place = Desk(tmp_path, capsys, monkeypatch, homes=court.homes)
        place.furnish(court, "registrar")
        await court.until_open(FOUR, 2)
        panel, files = court.panel_id.hex(), [tmp_path / f"reserve{i}" for i in range(3)]
        made = await place.does("registrar", "panel", "reserve", panel, "-o", files[0])
        assert made["without"] == [[judge] for judge in FOUR]
        for i, key in enumerate(("authority1", "authority2")):
            write_authority_key(tmp_path / key, seed(key), PASSPHRASE, log_n=4)
            agree = ("panel", "consent", files[i], "--key", tmp_path / key, "-o", files[i + 1])
            assert (await place.does("registrar", *agree))["approvals"] == i + 1
        await spoilt(court)
        (text,) = [each for each in court.service.heard if parse_statement(each).kind == "panel.blame"]
        (tmp_path / "blame.jws").write_text(text)
        for named in (tmp_path / "blame.jws", parse_statement(text).digest.hex()):
            assert "judge4 is at fault" in await place.says("registrar", "panel", "blame", named)
        restart_words = ("panel", "restart", panel, "--reserve")
        few = await place.does("registrar", *restart_words, files[1], code=1)
        assert few["error"]["code"] == "not_enough_approvals"
        done = await place.does("registrar", *restart_words, files[2])
        assert (done["left_out"], len(done["session"])) == (["judge4"], 64)
        await certified(court, FOUR[:3])
