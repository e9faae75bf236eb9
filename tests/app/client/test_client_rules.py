"""What a judge's client checks though the rules checked it: each time a service that lies would gain if it did not.

A `law` stands for a registry, and for a replay, that lets the lie pass; the judge's own client must still stop. Beside
these: one acknowledgment a session (test_judge), a grant before a contribution and its proof (test_grant), a blame that
opens a good share (test_own_blame), keys that are anybody's (test_keys_refused, test_recipients_key).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from app.client.home import Home
from app.client.judge import Judge
from app.client.panel import follow
from app.client.session import Client
from app.client.visit import panel_of
from app.errors import AppError
from app.panels import admission
from app.panels.errors import PanelError
from app.panels.header import parse_header, roster_hash
from app.panels.states import SessionStatus
from app.rules.act import Circumstances
from app.rules.aggregates import Aggregate, Panel, PendingAct
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.view import View
from app.statements.kinds import Approval, PanelAck, PanelOpen, PanelRoster
from app.statements.statement import Statement, parse_statement
from tests.app.client.panel_service import JUDGES, PAPER, Bench, at_once, bench, with_panel
from tests.app.client.test_betrayal import betray, newest
from tests.app.client.world_service import keys_of

THREE = JUDGES[:3]
A = TypeVar("A", bound=Aggregate)


@dataclass
class Over:
    """A view in which one panel is another."""

    below: View
    panel: Panel

    def find(self, of: type[A], id: str) -> A | None:
        return self.panel if isinstance(self.panel, of) and id == self.panel.id else self.below.find(of, id)


def changed(verdict: Admitted | Refusal, change: Callable[[Aggregate], Aggregate | None]) -> Admitted | Refusal:
    if isinstance(verdict, Refusal):
        return verdict
    kept = [after for each in verdict.changes if (after := change(each)) is not None]
    return replace(verdict, changes=tuple(kept))


def without_authority(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """A registry that opens sessions on whatever roster its registrar likes: nobody's approval of a roster counts."""
    if isinstance(statement.claims, Approval):
        act = view.find(PendingAct, statement.claims.act.hex())
        if act is not None and isinstance(parse_statement(act.statement).claims, PanelRoster):
            return changed(
                decide(view, statement, circumstances),
                lambda each: None if isinstance(each, Panel) else _never(each),
            )
    if isinstance(statement.claims, PanelOpen):
        header = parse_header(statement.claims.header)
        panel = view.find(Panel, header.panel_id.hex())
        assert panel is not None
        assert panel.proposal is not None
        cards = [card.encoded for card in header.cards]
        named = roster_hash(
            panel_id=header.panel_id,
            epoch=header.epoch,
            k=header.k,
            n=header.n,
            prev_epoch_id=header.prev_epoch_id,
            cards=cards,
        )
        state = admission.approve_roster(panel.state, header.epoch, named)
        liked = replace(panel, state=state, approved_judges=panel.proposal.judges)
        return decide(Over(view, liked), statement, circumstances)
    return decide(view, statement, circumstances)


def _never(each: Aggregate) -> Aggregate:
    return replace(each, effective=False) if isinstance(each, PendingAct) else each


def with_invented_ack(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """A registry whose certificate has a signature that the last judge never gave."""
    verdict = decide(view, statement, circumstances)
    if not isinstance(statement.claims, PanelAck):
        return verdict

    def invent(each: Aggregate) -> Aggregate:
        if not isinstance(each, Panel) or not each.state.epochs:
            return each
        last = each.state.epochs[-1]
        forged = replace(last, certificate=last.certificate[:-64] + last.certificate[-128:-64])
        return replace(each, state=replace(each.state, epochs=(*each.state.epochs[:-1], forged)))

    return changed(verdict, invent)


@asynccontextmanager
async def believing(court: Bench, name: str, law: Law) -> AsyncIterator[Client]:
    """A person whose replay lets the lie pass."""
    home = Home(court.homes / name)
    clock = lambda: court.world.now  # noqa: E731 - one line, as everywhere in these tests
    async with Client(home, keys_of(name), court.trust, court.url, clock=clock, pause=at_once, law=law) as client:
        yield client


async def faults(court: Bench, name: str, law: Law) -> list[str]:
    async with believing(court, name, law) as client:
        return [each.fault.code for each in await Judge(client).act() if each.fault is not None]


@pytest.mark.parametrize("law", [decide, without_authority], ids=["approved", "invented"])
async def test_no_visit_without_the_authoritys_approval_of_the_roster(tmp_path: Path, law: Law) -> None:
    """Whoever chooses the roster has the key: an honest judge deals and acknowledges for nobody but the authority."""
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        expected = [] if law is decide else ["roster_not_approved"]
        assert await faults(court, "judge1", law) == expected
        assert len(court.service.claims_heard("panel.deal")) == (law is decide)
        for judge in THREE:
            await court.act(judge)
        before = len(court.service.claims_heard("panel.ack"))
        waiting = [each for each in THREE if each != "judge3"]
        assert newest(court).state.status is SessionStatus.DEALT
        assert await faults(court, waiting[0], law) == expected
        assert len(court.service.claims_heard("panel.ack")) - before == (law is decide)


@pytest.mark.parametrize(
    ("law", "code"),
    [(decide, None), (without_authority, "roster_not_approved"), (with_invented_ack, "bad_signature")],
    ids=["certified", "no approval", "no certificate"],
)
async def test_no_share_is_used_and_nothing_sealed_without_certificate_and_approval(
    tmp_path: Path, law: Law, code: str | None
) -> None:
    """Without n signatures the judges may have seen different deals, and share and Y be another's: the judge gives no
    contribution, and the depositor takes no Y.
    """
    async with with_panel(tmp_path) as court:
        court.deposit(("evidence.txt", b"It was raining."))
        asked = await court.released()
        async with believing(court, "judge2", law) as client, believing(court, "lawyer1", law) as lawyer:
            state = await lawyer.sync()
            assert panel_of(state.view, court.panel_id).epoch_id is not None
            if code is None:
                await Judge(client).grant(asked, PAPER)
                assert follow(state, court.panel_id).epoch == 1
            else:
                with pytest.raises((PanelError, AppError)) as caught:
                    await Judge(client).grant(asked, PAPER)
                assert caught.value.code == code
                with pytest.raises((PanelError, AppError)) as caught:
                    follow(state, court.panel_id)
                assert caught.value.code == code
        assert len(court.service.claims_heard("release.contribution")) == (code is None)


async def test_a_second_blame_against_one_dealer_is_not_sent(tmp_path: Path) -> None:
    """The dealer spoilt two shares. Each blame opens one to whoever receives it, published or refused; so who comes
    second looks again, and keeps his."""
    async with bench(tmp_path) as court:
        await court.until_open(THREE, 2)
        for judge in THREE[:2]:
            assert await court.acts(judge) == ["panel.deal"]
        betray(court, "judge3", victim=(1, 2), share=False)
        async with court.client("judge2") as second:
            await second.sync()  # he saw the session DEALT
            assert await court.acts("judge1") == ["panel.blame"]
            assert await Judge(second).act() == ()
        assert len(court.service.claims_heard("panel.blame")) == 1
