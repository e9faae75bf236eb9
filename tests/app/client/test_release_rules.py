"""Release rules on the people's machines: what a judge is shown, what waits, what leaves, what is destroyed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from app.cli.commands import decide
from app.client.duties import DutyKind
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.opening import Output, open_request
from app.client.record import make_record
from app.client.release import (
    AskedVault,
    object_to,
    order,
    others_requests,
    own_request,
    progress_of,
    request,
    withdraw,
)
from app.errors import AppError, Refused
from app.panels.errors import PanelError
from app.rules.aggregates import Request
from app.statements.kinds import DEFAULT_RULES, ReleaseContribution, ReleaseRules
from app.verify.record import check_record
from app.verify.verdict import Outcome
from tests.app.client.panel_service import PAPER, Bench, copy_of, with_panel
from tests.app.client.test_betrayal import LATER, panel_of, proposed
from tests.app.client.test_grant import kept_grant, left_the_machine
from tests.app.client.world_service import keys_of

DAY = 86_400
NOTICE = replace(DEFAULT_RULES, notice_seconds=3 * DAY, request_seconds=10 * DAY)
QUORUM = replace(DEFAULT_RULES, contribute="at-quorum")


@asynccontextmanager
async def asked(tmp_path: Path, rules: ReleaseRules) -> AsyncIterator[tuple[Bench, bytes]]:
    """A panel of 2 of 3, a case under these rules, a deposit, an order and a request."""
    async with with_panel(tmp_path) as court:
        court.assign("ruled", rules)
        court.deposit(("a.txt", b"evidence"))
        yield court, await court.released()


def kept_grants(court: Bench, judge: str) -> int:
    return len(JudgeVault(Vault(Home(court.homes / judge), keys_of(judge))).grants())


def kept_requests(court: Bench, name: str) -> int:
    return len(tuple(AskedVault(Vault(Home(court.homes / name), keys_of(name))).all()))


# Contributions at the quorum of grants


async def test_no_contribution_leaves_before_k_grants_and_the_next_visit_sends_it(tmp_path: Path) -> None:
    async with asked(tmp_path, QUORUM) as (court, request):
        async with court.client("judge2") as client:
            granted, sent = await Judge(client).grant(request, PAPER)
            assert granted is not None
            assert sent is None
        contribution = kept_grant(court, "judge2", request)
        assert await court.acts("judge2") == []
        async with court.client("judge2") as client:
            inbox = await Judge(client).inbox()
            assert inbox.duties == ()
            assert [each.id for each in inbox.waiting] == [request.hex()]
        assert not left_the_machine(court, contribution)
        async with court.client("judge3") as client:
            _, sent = await Judge(client).grant(request, PAPER)
        assert sent is not None, "the k-th grant is on the ledger: his contribution follows at once"
        assert not left_the_machine(court, contribution)
        assert await court.acts("judge2") == ["release.contribution"]
        assert left_the_machine(court, contribution)
        assert (kept_grants(court, "judge2"), kept_grants(court, "judge3")) == (0, 0)


async def test_an_adversary_who_gathers_one_grant_here_and_one_there_gets_nothing(tmp_path: Path) -> None:
    """lawyer2 withdraws after one grant and asks again: two judges granted, each another request."""
    async with asked(tmp_path, QUORUM) as (court, first):
        async with court.client("judge2") as client:
            await Judge(client).grant(first, PAPER)
        contribution = kept_grant(court, "judge2", first)
        async with court.client("lawyer2") as client:
            await withdraw(client, first)
            ordered = (await client.sync()).view.find(Request, first.hex())
            assert ordered is not None
            again = await request(client, order=ordered.order, deposit_id=ordered.deposit_id)
        async with court.client("judge3") as client:
            await Judge(client).grant(again.statement.digest, PAPER)
        for judge in ("judge2", "judge3"):
            assert await court.acts(judge) == []
        assert court.service.claims_heard("release.contribution") == []
        assert not left_the_machine(court, contribution)
        assert kept_grants(court, "judge2") == 0, "what can be of no use any more is destroyed"


# Notice


async def test_a_judge_grants_nothing_while_the_others_may_object(tmp_path: Path) -> None:
    async with asked(tmp_path, NOTICE) as (court, request):
        async with court.client("judge2") as client:
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
            assert caught.value.code == "notice_running"
        assert court.service.claims_heard("release.decision") == []
        assert kept_grants(court, "judge2") == 0
        court.world.now += 3 * DAY
        async with court.client("judge2") as client:
            await Judge(client).grant(request, PAPER)


async def test_an_adversary_whose_clock_runs_ahead_does_not_shorten_the_notice(tmp_path: Path) -> None:
    """The registry's ledger says that three days have passed; the judge's own clock says two."""
    async with asked(tmp_path, NOTICE) as (court, request):
        court.world.now += 3 * DAY
        async with court.client("judge2", slow=DAY) as client:
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
            assert caught.value.code == "notice_running"
        assert court.service.claims_heard("release.decision") == []


async def test_judges_see_objections_and_reasons_before_they_decide(tmp_path: Path) -> None:
    async with asked(tmp_path, NOTICE) as (court, request):
        async with court.client("lawyer1") as client:
            (seen,) = others_requests(await client.sync())
            assert seen.id == request.hex()
            await object_to(client, request, "The letters are privileged.")
            with pytest.raises(Refused) as caught:
                await object_to(client, request)
            assert caught.value.code == "already_objected"
        async with court.client("lawyer2") as client:
            state = await client.sync()
            assert others_requests(state) == ()
            assert progress_of(state.view, request).objections == ("lawyer1",)
        async with court.client("judge3") as client:
            await Judge(client).refuse(request, "I agree with that.")
        async with court.client("judge2") as client:
            docket, words = await Judge(client).docket(request)
            assert words.objections == (("lawyer1", "The letters are privileged."),)
            assert words.refusals == (("judge3", "I agree with that."),)
            assert words.faults == ()
            lines = "\n".join(decide._lines(decide._document(docket, words)))
        assert "OBJECTION of lawyer1:\n    The letters are privileged." in lines
        assert "refused by judge3:\n    I agree with that." in lines
        assert "nobody may grant it, before" in lines


# Earlier requests


async def test_a_judge_sees_that_contributions_add_up_across_requests(tmp_path: Path) -> None:
    """judge3 contributed to a request that was withdrawn: with one more for the next, two exist for the deposit."""
    async with asked(tmp_path, DEFAULT_RULES) as (court, first):
        async with court.client("judge3") as client:
            await Judge(client).grant(first, PAPER)
        async with court.client("lawyer2") as client:
            await withdraw(client, first)
            before = (await client.sync()).view.find(Request, first.hex())
            assert before is not None
            again = await request(client, order=before.order, deposit_id=before.deposit_id)
        async with court.client("judge2") as client:
            docket, words = await Judge(client).docket(again.statement.digest)
            (earlier,) = docket.earlier
            assert (earlier.request, earlier.status, earlier.requester) == (first, "withdrawn", "lawyer2")
            assert (earlier.granted, earlier.contributed, earlier.adds_up) == (("judge3",), ("judge3",), True)
            assert docket.in_hand == 1
            lines = "\n".join(decide._lines(decide._document(docket, words)))
        assert "BEWARE: these contributions add up" in lines
        assert "contributions of 1 judges exist for this deposit; 2 open it" in lines


# Withdrawal and expiry


async def test_who_withdraws_keeps_nothing_that_opens_what_came(tmp_path: Path) -> None:
    async with asked(tmp_path, DEFAULT_RULES) as (court, first):
        assert kept_requests(court, "lawyer2") == 1
        async with court.client("lawyer1") as client:
            with pytest.raises(Refused) as caught:
                await withdraw(client, first)
            assert caught.value.code == "not_a_recipient"
        async with court.client("lawyer2") as client:
            await withdraw(client, first, "We agreed.")
            assert kept_requests(court, "lawyer2") == 0
            with pytest.raises(Refused) as caught:
                await withdraw(client, first)
            assert caught.value.code == "request_ended"
            state = await client.sync()
            assert progress_of(state.view, first).status == "withdrawn"
            with pytest.raises(Refused):
                own_request(state, progress_of(state.view, first).deposit_id)


async def test_a_withdrawal_that_was_cut_off_is_finished_by_the_next_request(tmp_path: Path) -> None:
    """kill -9 after the ledger has it and before the key is destroyed: the key goes with the next request."""
    async with asked(tmp_path, DEFAULT_RULES) as (court, first):
        court.service.unanswered.add("release.withdraw")
        async with court.client("lawyer2") as client:
            with pytest.raises(AppError):
                await withdraw(client, first)
            assert kept_requests(court, "lawyer2") == 1
            court.service.unanswered.clear()
            found = (await client.sync()).view.find(Request, first.hex())
            assert found is not None
            assert found.end == "withdrawn"
            await request(client, order=found.order, deposit_id=found.deposit_id)
        (kept,) = AskedVault(Vault(Home(court.homes / "lawyer2"), keys_of("lawyer2"))).all()
        assert kept.req_hash != found.state.req_hash


async def test_an_expired_request_waits_for_nobody_and_a_new_one_is_made(tmp_path: Path) -> None:
    async with asked(tmp_path, NOTICE) as (court, first):
        court.world.now += 10 * DAY
        async with court.client("judge2") as client:
            assert (await Judge(client).inbox()).duties == ()
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(first, PAPER)
            assert caught.value.code == "request_expired"
        async with court.client("lawyer2") as client:
            state = await client.sync()
            assert progress_of(state.view, first, state.taken_at).status == "expired"
            found = state.view.find(Request, first.hex())
            assert found is not None
            await request(client, order=found.order, deposit_id=found.deposit_id)
        assert kept_requests(court, "lawyer2") == 1, "the old key was destroyed"


# Several deposits and recipients


async def test_one_order_for_both_parties_and_two_deposits_and_one_visit_sends_all(tmp_path: Path) -> None:
    """lawyer2 asks for the first, lawyer1 for the second; two judges grant; one `act` of judge2 sends both. Then they
    take turns."""
    async with with_panel(tmp_path) as court:
        court.assign("ruled", QUORUM)
        first, second = (court.deposit((f"{name}.txt", name.encode()), name=name) for name in ("one", "two"))
        async with court.client("judge1") as client:
            ordered = await order(
                client,
                case_id=court.case_id,
                deposits=[first.deposit_id, second.deposit_id],
                recipients=[court.world.id("lawyer1"), court.world.id("lawyer2")],
                paper=PAPER,
            )
        digest = ordered.statement.digest
        made = []
        for name, deposit in (("lawyer2", first), ("lawyer1", second)):
            async with court.client(name) as client:
                made.append((await request(client, order=digest, deposit_id=deposit.deposit_id)).statement.digest)
        async with court.client("lawyer1") as client:
            with pytest.raises(PanelError) as caught:
                await request(client, order=digest, deposit_id=first.deposit_id)
            assert caught.value.code == "request_open"
        for judge in ("judge2", "judge3"):
            async with court.client(judge) as client:
                for asked_for in made:
                    await Judge(client).grant(asked_for, PAPER)
        assert len(court.service.claims_heard("release.contribution")) == 2
        assert await court.acts("judge2") == ["release.contribution", "release.contribution"]
        async with court.client("lawyer2") as client:
            await open_request(client, made[0], Output(folder=tmp_path / "first"))
        assert (tmp_path / "first" / "one.txt").read_bytes() == b"one"
        async with court.client("lawyer1") as client:
            await open_request(client, made[1], Output(folder=tmp_path / "second"))
            turn = await request(client, order=digest, deposit_id=first.deposit_id)
        assert (tmp_path / "second" / "two.txt").read_bytes() == b"two"
        async with court.client("judge1") as client:
            duties = (await Judge(client).inbox()).duties
        assert [(each.kind, each.subject) for each in duties] == [(DutyKind.DECIDE, turn.statement.digest)]


async def test_a_silent_recipient_has_what_was_released_after_another_took_his_turn(tmp_path: Path) -> None:
    async with asked(tmp_path, NOTICE) as (court, first):
        court.world.now += 3 * DAY
        for judge in ("judge2", "judge3"):
            async with court.client(judge) as client:
                await Judge(client).grant(first, PAPER)
        court.world.now += 7 * DAY
        async with court.client("judge1") as client:
            deposit_id = progress_of((await client.sync()).view, first).deposit_id
            ordered = await order(
                client,
                case_id=court.case_id,
                deposits=[deposit_id],
                recipients=[court.world.id("lawyer1")],
                paper=PAPER,
            )
        async with court.client("lawyer1") as client:
            await request(client, order=ordered.statement.digest, deposit_id=deposit_id)
        async with court.client("lawyer2") as client:
            state = await client.sync()
            assert progress_of(state.view, first).status == "expired"
            assert own_request(state, deposit_id) == first
            found = await open_request(client, first, Output(folder=tmp_path / "out"))
            assert found.key_destroyed
            assert progress_of((await client.sync()).view, first).status == "opened"
        assert (tmp_path / "out" / "a.txt").read_bytes() == b"evidence"


# The record


@pytest.mark.parametrize("reader", ["judge3", "lawyer1", "clerk"])
async def test_whoever_reads_the_case_writes_its_record_from_what_he_replayed(tmp_path: Path, reader: str) -> None:
    """What a client is shown suffices: enrolments of lawyers, the panel, every act; and it verifies offline."""
    async with asked(tmp_path, DEFAULT_RULES) as (court, request):
        for judge in ("judge2", "judge3"):
            async with court.client(judge) as client:
                await Judge(client).grant(request, PAPER)
        async with court.client("lawyer2") as client:
            await open_request(client, request, Output(folder=tmp_path / "out"))
        async with court.client(reader) as client:
            made = make_record(await client.sync(), request, client.trust)
            verdict = check_record(made.data, client.trust)
    assert verdict.outcome is Outcome.VERIFIED, verdict.failed
    assert (verdict.status, verdict.items, made.holds_key) == ("opened", ("equal",), False)
    assert {"judge2", "judge3"} <= {each.who for each in verdict.events if each.says == "contributes"}


async def test_a_contribution_granted_before_a_reshare_is_refused_after_it_around_the_client(tmp_path: Path) -> None:
    """The grant stands, the contribution was made in the old epoch and did not arrive; then the key has new holders."""
    async with with_panel(tmp_path) as court:
        court.deposit(("a.txt", b"evidence"))
        first = await court.released()
        court.service.lost.add("release.contribution")
        async with court.client("judge3") as client:
            with pytest.raises(AppError):
                await Judge(client).grant(first, PAPER)
            (made,) = JudgeVault(client.vault).grants()
        court.service.lost.clear()
        twin = copy_of(court.world)
        claims = ReleaseContribution(request=first, contribution=made.contribution)
        twin.do("judge3", claims)  # before the reshare it is taken
        await proposed(court, LATER)
        for judge in (*LATER[:2], *LATER):
            await court.acts(judge)
        current: Any = panel_of(court).state.current
        assert current.epoch == 2
        before = dict(court.world.view.aggregates)
        text = court.world.sign("judge3", claims).text
        async with ClientSession() as http, http.post(f"{court.url}v1/statements", data=text) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (409, "wrong_epoch")
        assert court.world.view.aggregates == before
        asked_for = court.world.view.find(Request, first.hex())
        assert asked_for is not None
        assert asked_for.state.contributions == ()
