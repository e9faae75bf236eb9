"""Whole lifetimes of a panel at random: as long as k able judges hold it every deposit opens, with fewer none does.

Able are the judges of the current epoch who are members, hold their secrets, were not recused and are no party of the
case. A judge may lose his secrets, be revoked or recused, become a party, or deal a bad share and be blamed; any k who
hold their secrets and may deal hand it on. Requests are withdrawn or expire; the case may have a notice period, or let
contributions come only at the quorum of grants.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.client.drill_id import drill_case_id, is_drill
from app.panels.capsule import check_public, label, unbox
from app.panels.closing import close_deals
from app.panels.errors import PanelError
from app.panels.group import dec_scalar, lagrange0, scalar
from app.panels.making.blame import make_blame
from app.panels.making.opening import open_capsule
from app.rules.aggregates import Panel, Request
from app.rules.replay import Replay
from app.rules.view import WholeView
from app.statements.kinds import (
    DEFAULT_RULES,
    CaseAssign,
    CaseOpen,
    CaseParty,
    CaseRecuse,
    MemberRevoke,
    PanelBlame,
    PanelClose,
    PanelDeal,
    ReleaseRules,
    ReleaseWithdraw,
)
from tests.app.panels.corrupt import corrupt_deal
from tests.app.rules.world import ORIGIN, Ceremony, Deposited, Release, World, peopled, scalar_of, sealed

DAY = 86_400
POOL = ("judge1", "judge2", "judge3", "judge4", "judge5", "judge6")


@cache
def staffed() -> World:
    """People, a presiding judge who is on no panel, and six judges."""
    world = peopled()
    for judge in ("judge", *POOL):
        world.enrol(judge, "judge")
    return world


@dataclass
class Kept:
    """A deposit with the request that waits for it, and who contributed to that."""

    deposit: Deposited
    asked: Release | None = None
    sk: str = ""
    granted: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)

    def ended(self) -> None:
        """Nothing more comes for what was asked."""
        self.asked, self.granted, self.given = None, set(), set()


class Lifetime(RuleBasedStateMachine):
    """One panel from its key generation on."""

    def __init__(self) -> None:
        super().__init__()
        common = staffed()
        self.world = replace(common, entries=list(common.entries), view=WholeView(common.view.aggregates.values()))
        self.count = 0
        self.gone: set[str] = set()
        self.lost: set[str] = set()
        self.blamed: set[str] = set()
        self.recused: set[str] = set()
        """Recused, or a party of the case: he decides nothing in it."""
        self.deposits: list[Kept] = []
        self.drills = 0

    # What the model says

    def holding(self) -> list[str]:
        """The current judges who have their secrets and their office, in index order."""
        return [each for each in self.panel.judges if each not in self.lost | self.gone]

    def able(self) -> list[str]:
        """Those of them who can contribute in the case."""
        return [each for each in self.holding() if each not in self.recused]

    def barred(self) -> tuple[int, ...]:
        return tuple(i for i, each in enumerate(self.panel.judges, 1) if each in self.blamed | self.gone)

    def next_name(self) -> str:
        self.count += 1
        return f"attempt {self.count}"

    def roster(self, data: st.DataObject) -> tuple[tuple[str, ...], int]:
        members = [each for each in POOL if each not in self.gone]
        judges = tuple(data.draw(st.permutations(members))[: data.draw(st.integers(2, min(4, len(members))))])
        return judges, data.draw(st.integers(2, len(judges)))

    # What happens

    @initialize(data=st.data())
    def key_generation(self, data: st.DataObject) -> None:
        judges, k = self.roster(data)
        self.panel = Ceremony(world=self.world, judges=judges, k=k, name=self.next_name())
        self.panel.run()
        self.rules = replace(
            DEFAULT_RULES,
            notice_seconds=data.draw(st.sampled_from((0, DAY))),
            request_seconds=30 * DAY,
            contribute=data.draw(st.sampled_from(("with-grant", "at-quorum"))),
        )
        self.case_id = self.world.open_case("case", "lawyer1", "lawyer2", rules=self.rules)
        claims = CaseAssign(case_id=self.case_id, panel_id=self.panel.panel_id, presiding=self.world.id("judge"))
        self.world.do("clerk", claims)
        self.deposit()

    @rule()
    def deposit(self) -> None:
        made = sealed(self.world, self.panel, self.case_id, f"deposit {len(self.deposits)}")
        self.world.do("lawyer1", made.claims)
        self.deposits.append(Kept(made))

    @precondition(lambda self: len(self.lost) < 2)
    @rule(data=st.data())
    def a_judge_loses_his_secrets(self, data: st.DataObject) -> None:
        self.lost.add(data.draw(st.sampled_from(self.panel.judges)))

    @precondition(lambda self: len(self.gone) < 2)
    @rule(data=st.data())
    def a_judge_is_revoked(self, data: st.DataObject) -> None:
        judge = data.draw(st.sampled_from([each for each in POOL if each not in self.gone]))
        self.world.approve(self.world.do("registrar", MemberRevoke(member=self.world.id(judge), role="judge")))
        self.gone.add(judge)

    @rule(data=st.data(), by_authority=st.booleans())
    def a_judge_is_recused(self, data: st.DataObject, by_authority: bool) -> None:
        """Never so that fewer than k in office remain for the case."""
        judge = data.draw(st.sampled_from(self.panel.judges))
        if judge in self.gone | self.recused:
            return
        claims = CaseRecuse(case_id=self.case_id, judge=self.world.id(judge), note=None)
        remain = [each for each in self.panel.judges if each not in self.gone | self.recused | {judge}]
        signers = ("authority1", "authority2") if by_authority else (judge,)
        if len(remain) < self.panel.k:
            assert self.world.refused(signers[0], claims) == "too_few_judges"
            return
        for signer in signers:
            self.world.do(signer, claims)
        self.recused.add(judge)

    @rule(data=st.data())
    def a_judge_becomes_a_party(self, data: st.DataObject) -> None:
        """Never so that fewer than k in office remain for the case."""
        judge = data.draw(st.sampled_from(self.panel.judges))
        if judge in self.gone | self.recused:
            return
        claims = CaseParty(case_id=self.case_id, member=self.world.id(judge), note=None)
        remain = [each for each in self.panel.judges if each not in self.gone | self.recused | {judge}]
        if len(remain) < self.panel.k:
            assert self.world.refused("clerk", claims) == "too_few_judges"
            return
        self.world.do("clerk", claims)
        self.recused.add(judge)

    @rule(data=st.data())
    def a_request_is_withdrawn(self, data: st.DataObject) -> None:
        kept = data.draw(st.sampled_from(self.deposits))
        if kept.asked is not None and kept.asked.request is not None:
            claims = ReleaseWithdraw(request=kept.asked.request.digest, note=None)
            self.world.do("lawyer2", claims)
            assert self.world.refused("lawyer2", claims) == "request_ended"
            kept.ended()

    @rule()
    def requests_expire(self) -> None:
        self.world.now += self.rules.request_seconds
        for kept in self.deposits:
            if kept.asked is not None:
                judge = self.able()[:1]
                if judge and judge[0] not in kept.granted:
                    assert self.world.refused(judge[0], kept.asked.grant(judge[0])) == "request_expired"
                kept.ended()

    @rule(data=st.data(), dropped=st.booleans())
    def a_reshare(self, data: st.DataObject, dropped: bool) -> None:
        """To any roster, dealt by any k of those who can; perhaps after a session that was dropped half-way."""
        dealers = [each for each in self.holding() if each not in self.blamed]
        judges, k = self.roster(data)
        later = Ceremony(
            world=self.world, judges=judges, k=k, previous=self.panel, name=self.next_name(), barred=self.barred()
        )
        later.propose()
        later.give_cards()
        self.world.approve(self.world.do("registrar", later.roster()))
        if self.barred():
            assert self.world.refused("registrar", replace(later, barred=()).open()) == "barred_mismatch"
        if len(self.panel.judges) - len(self.barred()) < self.panel.k:
            assert self.world.refused("registrar", later.open()) == "bad_params"
            return
        self.world.do("registrar", later.open())
        if dropped or len(dealers) < self.panel.k:
            late = [(judge, later.deal(judge)) for judge in dealers[:1]]
            for judge, deal in late[: self.panel.k - 1]:
                self.world.do(judge, deal)
            self.world.do("registrar", PanelClose(session=later.session().session))
            for judge, deal in late:
                assert self.world.refused(judge, deal) == "deals_closed"
            if len(dealers) < self.panel.k:
                return
            later.sitting = "again"
            self.world.do("registrar", later.open())
        later.dealers = tuple(data.draw(st.permutations(dealers))[: self.panel.k])
        for judge in later.dealers:
            self.world.do(judge, later.deal(judge))
        for judge in later.judges:
            self.world.do(judge, later.ack(judge))
        assert bytes(later.closed().record.Y) == bytes(self.panel.closed().record.Y)
        self.panel, self.lost, self.blamed = later, set(), set()
        for each in self.deposits:
            each.ended()

    @rule(data=st.data())
    def a_betrayed_reshare(self, data: st.DataObject) -> None:
        """One of the dealers gives one new judge a bad share, and is blamed and barred for it."""
        dealers = [each for each in self.holding() if each not in self.blamed]
        judges, k = self.roster(data)
        if len(dealers) < self.panel.k:
            return
        later = Ceremony(
            world=self.world, judges=judges, k=k, previous=self.panel, name=self.next_name(), barred=self.barred()
        )
        later.dealers = tuple(data.draw(st.permutations(dealers))[: self.panel.k])
        later.until_open()
        traitor, victim = data.draw(st.sampled_from(later.dealers)), data.draw(st.sampled_from(judges))
        index, at = later.holders.index(traitor) + 1, judges.index(victim) + 1
        bad = corrupt_deal(
            later.session(), index, later.host(traitor), constant=self.panel.share(traitor), spoilt=(at,)
        )
        deals = {judge: bad if judge == traitor else later.deal(judge).deal for judge in later.dealers}
        for judge in later.dealers:
            self.world.do(judge, PanelDeal(deal=deals[judge]))
        closed = close_deals(later.session(), [deals[each] for each in sorted(deals, key=later.holders.index)])
        later.made = {(later.header, later.dealers): closed}
        with pytest.raises(PanelError) as caught:
            later.ack(victim)
        assert (caught.value.code, caught.value.detail) == ("bad_share", index)
        blame = make_blame(
            closed,
            dealer=index,
            judge=at,
            he=later.he(victim),
            host_seed=later.host(victim),
            rnd=bytes(32),
            upheld=(),
        )
        self.world.do(victim, PanelBlame(blame=blame))
        self.blamed.add(traitor)

    @rule(data=st.data())
    def an_opening(self, data: st.DataObject) -> None:
        self.open(data.draw(st.sampled_from(self.deposits)), data.draw(st.permutations(self.able())))

    @rule(data=st.data())
    def a_drill(self, data: st.DataObject) -> None:
        """A case of its own, in which nobody is recused: it opens exactly when k judges have their secrets."""
        self.drills += 1
        case_id, world, rules = drill_case_id(self.panel.panel_id, self.drills), self.world, DEFAULT_RULES
        world.do("clerk", CaseOpen(case_id=case_id, note=None))
        for party in ("lawyer1", "lawyer2"):
            world.do("clerk", CaseParty(case_id=case_id, member=world.id(party), note=None))
        assign = CaseAssign(case_id=case_id, panel_id=self.panel.panel_id, presiding=world.id("judge"))
        world.do("clerk", assign)
        assert is_drill(world.view, case_id)
        made = sealed(world, self.panel, case_id, f"drill {self.drills}")
        world.do("lawyer1", made.claims)
        kept, answering = Kept(made), data.draw(st.permutations(self.holding()))
        self.open(kept, answering, case_id, rules)
        assert (kept.asked is None) is (len(answering) >= self.panel.k), "a lost quorum is found by the drill"

    # What must be true

    def open(
        self, kept: Kept, willing: list[str], case_id: bytes | None = None, rules: ReleaseRules | None = None
    ) -> None:
        """It opens when k are able; else nobody is served, and what is there opens nothing."""
        asked, rules = kept.asked, rules if rules is not None else self.rules
        if asked is None:
            asked = Release(self.world, self.panel, case_id or self.case_id, kept.deposit)
            asked.order = self.world.do("judge", asked.order_claims())
            kept.ended()
            kept.asked, kept.sk = asked, self.next_name()
            asked.request = self.world.do("lawyer2", asked.request_claims(asked.message(sk=kept.sk)))
            if rules.notice_seconds and willing:
                assert self.world.refused(willing[0], asked.grant(willing[0])) == "notice_running"
                self.world.now += rules.notice_seconds
        for judge in willing[: self.panel.k]:
            if judge not in kept.granted:
                self.world.do(judge, asked.grant(judge))
                kept.granted.add(judge)
        enough = rules.contribute == "with-grant" or len(kept.granted) >= self.panel.k
        for judge in willing:
            if judge in kept.granted - kept.given and enough:
                self.world.do(judge, asked.contribute(judge))
                kept.given.add(judge)
            elif judge in kept.granted - kept.given:
                assert self.world.refused(judge, asked.contribute(judge)) == "grants_missing"
        assert asked.request is not None
        found = self.world.view.find(Request, asked.request.digest.hex())
        assert found is not None
        given = [encoded for _, encoded in sorted(found.state.contributions)]
        if len(willing) < self.panel.k and len(kept.given) < self.panel.k:
            assert self.world.refused("service", asked.access()) == "not_released"
            with pytest.raises(PanelError) as caught:
                open_capsule(found.state.release, given, sk=scalar_of(kept.sk), box=kept.deposit.box)
            assert caught.value.code == "below_threshold"
            return
        chosen = [encoded for _, encoded in sorted(found.state.contributions[: self.panel.k])]
        key = open_capsule(found.state.release, chosen, sk=scalar_of(kept.sk), box=kept.deposit.box)
        assert key == kept.deposit.secret
        self.world.do("service", asked.access())
        self.world.do("lawyer2", asked.opening())
        kept.ended()

    @invariant()
    def the_ledgers_epoch_is_the_panels(self) -> None:
        found = self.world.view.find(Panel, self.panel.panel_id.hex())
        assert found is not None
        assert found.epoch_id == self.panel.closed().record.epoch_id
        assert found.live is None

    def teardown(self) -> None:
        """Every deposit, of whatever age; the shares alone, in numbers below k; and the ledger once more."""
        if not self.deposits:
            return
        for kept in self.deposits:
            self.open(kept, self.able())
        record, kept = self.panel.closed().record, self.deposits[0]
        claims = kept.deposit.claims
        bound = label(bytes(record.Y), claims.deposit_id, claims.case_id, claims.manifest_hash)
        public = check_public(bytes(record.Y), bound, claims.capsules[0].public)
        for count, opens in ((self.panel.k, True), (self.panel.k - 1, False)):
            indices = list(range(1, count + 1))
            x = scalar(0)
            for i in indices:
                x = x + lagrange0(indices, i) * dec_scalar(self.panel.share(self.panel.judges[i - 1]))
            assert (unbox(public, x * public.U, kept.deposit.box) == kept.deposit.secret) is opens
        assert self.world.genesis is not None
        replay = Replay(origin=ORIGIN, genesis=self.world.genesis.digest, seen=self.world.facts)
        replay.extend(self.world.entries)
        assert replay.view.aggregates == self.world.view.aggregates


def test_lifetime_every_deposit_opens_while_k_judges_are_able_and_none_with_fewer() -> None:
    run_state_machine_as_test(Lifetime, settings=settings(max_examples=20, stateful_step_count=10))
