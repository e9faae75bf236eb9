"""Own blame verified before it is sent: what a blame of a good share gives away, to whoever receives it.

Reshare of 2 of 3 to judge1, judge2 and judge4; judge1 and judge3 deal, honestly. judge4 is corrupt, and so is the
service: with one blame of judge2's against judge1 they have two shares of judge1's polynomial, and so his old share.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.client.blames import verdict_of
from app.client.home import Home, Vault
from app.client.judge_keys import JudgeVault
from app.panels.blame import parse_blame
from app.panels.deal import Deal, parse_deal, share_of
from app.panels.group import Element, G, Scalar, dec_scalar, lagrange0, scalar
from app.panels.session import Session as PanelSession
from app.panels.states import SessionStatus
from app.rules.act import Circumstances
from app.rules.aggregates import Aggregate, Session
from app.rules.decide import Admitted, Refusal, decide
from app.rules.view import View
from app.statements.kinds import PanelDeal
from app.statements.statement import Statement, parse_statement
from tests.app.client.panel_service import Bench, with_panel
from tests.app.client.test_betrayal import LATER, newest, panel_of, proposed
from tests.app.client.test_client_rules import changed, faults
from tests.app.client.world_service import keys_of


@asynccontextmanager
async def dealt(folder: Path) -> AsyncIterator[Bench]:
    """The reshare, with good deals of judge1 and judge3."""
    async with with_panel(folder) as court:
        await proposed(court, LATER)
        for judge in ("judge1", "judge3"):
            assert await court.acts(judge) == ["panel.deal"]
        assert newest(court).state.status is SessionStatus.DEALT
        yield court


@contextmanager
def without(name: str, naive: Callable[..., Any], *, really: bool) -> Iterator[None]:
    """A client that lacks one protection, if `really`."""
    with pytest.MonkeyPatch.context() as patch:
        if really:
            patch.setattr(name, naive)
        yield


@contextmanager
def misreading(dealer: int) -> Iterator[None]:
    """A machine that miscalculates (a flipped bit, a bad build): it finds this dealer's good share bad."""

    def share(session: PanelSession, deal: Deal, receiver: int, shared: Element) -> Scalar | None:
        return None if deal.dealer == dealer else share_of(session, deal, receiver, shared)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.panels.making.ack.share_of", share)
        yield


def old_share(court: Bench) -> bool:
    """Whether the service and judge4 have judge1's old share, from the blame that was posted."""
    state = newest(court).state
    (posted,) = court.service.claims_heard("panel.blame")
    keys = JudgeVault(Vault(Home(court.homes / "judge4"), keys_of("judge4"))).host_of(
        state.session.header.cards[2].encoded
    )
    assert keys is not None
    deal = state.closed_deals[0]
    blamed = share_of(state.session, deal, 2, parse_blame(posted.blame).S)
    own = share_of(state.session, deal, 3, dec_scalar(keys.he) * deal.P)
    assert blamed is not None
    assert own is not None
    share = lagrange0([2, 3], 2) * blamed + lagrange0([2, 3], 3) * own
    record: Any = panel_of(court).state.current
    return bool(share * G == record.shares[deal.dealer - 1])


@pytest.mark.parametrize("naive", [False, True], ids=["verified", "not verified"])
async def test_a_blame_that_does_not_verify_is_not_sent(tmp_path: Path, naive: bool) -> None:
    """It would make its sender the false accuser, and give the dealer's old share away."""
    async with dealt(tmp_path) as court:
        with (
            misreading(dealer=1),
            without("app.panels.making.blame.verify_blame", lambda *_: None, really=naive),
        ):
            codes = await faults(court, "judge2", decide)
        assert codes == ["blame_unfounded"]  # his own word, or the registry's to what he sent
        assert len(court.service.claims_heard("panel.blame")) == naive
        if naive:
            assert old_share(court)
            async with court.client("judge4") as client:
                verdict = verdict_of(await client.sync(), parse_statement(court.service.heard[-1]))
            assert (verdict.upheld, verdict.at_fault) == (False, court.world.id("judge2"))
        # With his machine in order he acknowledges.
        assert newest(court).state.status is SessionStatus.DEALT
        assert await court.acts("judge2") == ["panel.ack"]


def altering(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """A replay that takes judge1's deal with another share for judge2 in it than he signed."""
    verdict = decide(view, statement, circumstances)
    return changed(verdict, _altered) if isinstance(statement.claims, PanelDeal) else verdict


def _altered(each: Aggregate) -> Aggregate:
    if not isinstance(each, Session) or each.state.session.previous is None:
        return each
    deals = tuple(_spoilt(each.state.session, deal) if deal.dealer == 1 else deal for deal in each.state.deals)
    return replace(each, state=replace(each.state, deals=deals))


def _spoilt(session: PanelSession, deal: Deal) -> Deal:
    at = 68 + 32 * (session.header.k + 1)
    wrong = bytes(deal.encrypted_shares[1] + scalar(1))
    return parse_deal(session, deal.encoded[:at] + wrong + deal.encoded[at + 32 :])


@pytest.mark.parametrize("naive", [False, True], ids=["verified", "not verified"])
async def test_no_blame_follows_from_a_deal_that_the_service_altered(tmp_path: Path, naive: bool) -> None:
    """Nobody but the dealer makes him look corrupt, and a blame of the altered deal would open the true one."""
    async with dealt(tmp_path) as court:
        with without("app.panels.closing.verify_deal", parse_deal, really=naive):
            codes = await faults(court, "judge2", altering)
        assert len(court.service.claims_heard("panel.blame")) == naive
        if naive:
            assert codes == ["blame_unknown_deal"]
            assert old_share(court)
        else:
            assert codes == ["bad_signature"]
        assert await court.acts("judge2") == ["panel.ack"]
