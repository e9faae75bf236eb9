"""Two corrupt judges of a panel 3 of 5, a corrupt requester, registrar and service, each trying what could pay.

Every attack is offered to the rules, which anyone's client replays: it is refused by its named error and leaves the
state as it was. Its twin is the honest act in the same place, which passes, also after the attack.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from app.panels.capsule import label
from app.panels.closing import close_deals
from app.panels.group import G
from app.panels.header import Kind, make_header
from app.panels.making.ack import make_ack
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.request import begin_release
from app.rules.aggregates import Request
from app.statements.kinds import (
    PanelAck,
    PanelBlame,
    PanelClose,
    PanelDeal,
    PanelOpen,
    PanelPropose,
)
from app.statements.statement import parse_statement
from tests.app.panels.corrupt import (
    corrupt_blame,
    corrupt_contribution,
    corrupt_deal,
    corrupt_request,
    elements,
    secret,
)
from tests.app.rules.stages import FIVE, LATER, Said, Stage, granted, made, panel_release
from tests.app.rules.world import Release, fresh, sealed, seed

# Ceremonies


def rogue_constant(stage: Stage) -> Said:
    """judge4 takes judge1's public share of the secret for his own, as if he knew it."""
    session = stage.first.session()
    (stolen,) = elements(stage.first.deal("judge1").deal[68:100])
    deal = corrupt_deal(session, 4, stage.first.host("judge4"), claimed_constant=stolen)
    return "judge4", PanelDeal(deal=deal)


def cancelling_constant(stage: Stage) -> Said:
    """judge4's constant takes away what the others dealt, so that Y would be a key that he chose."""
    session = stage.first.session()
    target = secret("Y") * G
    for judge in FIVE[:3]:
        (constant,) = elements(stage.first.deal(judge).deal[68:100])
        target = target - constant
    return "judge4", PanelDeal(deal=corrupt_deal(session, 4, stage.first.host("judge4"), claimed_constant=target))


def copied_ephemeral(stage: Stage) -> Said:
    """judge4 copies judge1's P, so that a blame against him would open judge1's shares."""
    (copied,) = elements(stage.first.deal("judge1").deal[36:68])
    deal = corrupt_deal(stage.first.session(), 4, stage.first.host("judge4"), claimed_ephemeral=copied)
    return "judge4", PanelDeal(deal=deal)


def second_deal(stage: Stage) -> Said:
    """A dealer shows some judges another deal than he made first."""
    other = make_deal(
        stage.first.session(),
        dealer=1,
        host_seed=stage.first.host("judge1"),
        secret=stage.first.he("judge1"),
        seed=fresh("another seed", 32),
    )
    return "judge1", PanelDeal(deal=other)


def others_deal(stage: Stage) -> Said:
    return "judge4", stage.first.deal("judge5")


def others_eta(stage: Stage) -> Said:
    """judge4 acknowledges a set in which judge5 dealt something else."""
    session = stage.first.session()
    deals = [stage.first.deal(judge).deal for judge in FIVE[:4]]
    deals.append(corrupt_deal(session, 5, stage.first.host("judge5"), constant=stage.first.he("judge5")))
    ack = make_ack(
        close_deals(session, deals),
        judge=4,
        he=stage.first.he("judge4"),
        host_seed=stage.first.host("judge4"),
        own_deal_hash=close_deals(session, deals).deals[3].deal_hash,
        acked=(),
    )
    return "judge4", PanelAck(ack=ack)


def false_blame(lie: bool) -> Callable[[Stage], Said]:
    def attack(stage: Stage) -> Said:
        first = stage.first
        made = corrupt_blame(first.closed(), 1, 4, first.he("judge4"), first.host("judge4"), lie=lie)
        return "judge4", PanelBlame(blame=made)

    return attack


def without_authority(stage: Stage) -> Said:
    """A registrar slips a judge of his own into the roster: another header than the authority approved."""
    second = replace(stage.second, judges=("judge4", "judge5", "judge6"), k=2, name="rogue")
    second.cards = stage.second.cards
    stage.world.do("registrar", PanelClose(session=stage.second.session().session))
    second.propose()
    second.give_cards()
    return "registrar", second.open()


def wrong_constant(stage: Stage) -> Said:
    """judge4 deals a reshare from a value of his own in place of his old share."""
    deal = corrupt_deal(stage.second.session(), 4, stage.second.host("judge4"))
    return "judge4", PanelDeal(deal=deal)


def foreign_constant(stage: Stage) -> Said:
    """judge4 claims his old share publicly, and deals from another."""
    record = stage.first.closed().record
    deal = corrupt_deal(stage.second.session(), 4, stage.second.host("judge4"), claimed_constant=record.shares[3])
    return "judge4", PanelDeal(deal=deal)


def of_first_session(stage: Stage) -> Said:
    """judge4's deal of the key generation, once more."""
    return "judge4", stage.first.deal("judge4")


def to_new_judge(stage: Stage) -> Said:
    """A judge of the new roster, who holds no old share, deals."""
    return "judge6", PanelDeal(deal=stage.second.deal("judge4").deal)


def second_successor(stage: Stage) -> Said:
    """A registrar opens another reshare of epoch 1, on the very roster that was approved for epoch 2."""
    return "registrar", PanelOpen(header=again(stage))


def again(stage: Stage) -> bytes:
    return make_header(
        kind=Kind.RESHARE,
        panel_id=stage.first.panel_id,
        epoch=2,
        k=3,
        n=len(LATER),
        nonce=fresh("other nonce", 32),
        prev_epoch_id=stage.second.prev_epoch_id,
        barred=(),
        cards=stage.second.raw_cards(),
    )


def proposed_again(stage: Stage) -> Said:
    claims: Any = stage.second.proposal
    return "registrar", claims.claims


def next_epoch(stage: Stage) -> Said:
    record = stage.second.closed().record
    claims = PanelPropose(
        panel_id=stage.first.panel_id,
        epoch=3,
        prev_epoch_id=record.epoch_id,
        k=2,
        judges=tuple(stage.world.id(judge) for judge in FIVE[:3]),
    )
    return "registrar", claims


def barring_the_honest(stage: Stage) -> Said:
    """A registrar bars honest holders, so that the corrupt ones deal alone."""
    stage.world.do("registrar", PanelClose(session=stage.second.session().session))
    return "registrar", replace(stage.second, barred=(1, 2), sitting="barring").open()


def opened_again(stage: Stage) -> Said:
    """The honest twin: the registrar withdraws the session and opens another on the same roster."""
    live = stage.panel.live
    if live is not None:
        stage.world.do("registrar", PanelClose(session=live))
    return "registrar", PanelOpen(header=again(stage))


def late_deal(stage: Stage) -> Said:
    """A deal of a session that was withdrawn, when the next one is open."""
    said = "judge4", stage.second.deal("judge4")
    stage.world.do(*opened_again(stage))
    return said


def late_deal_renamed(stage: Stage) -> Said:
    """The same with the new session's id written over the old one."""
    deal = stage.second.deal("judge4").deal
    stage.world.do(*opened_again(stage))
    live = stage.panel.live
    assert live is not None
    return "judge4", PanelDeal(deal=deal[:4] + live + deal[36:])


def deal_anew(stage: Stage) -> Said:
    """The honest twin of a late message: a deal of the session that is open."""
    if stage.panel.live == stage.second.session().session:
        stage.world.do(*opened_again(stage))
    return "judge4", replace(stage.second, header=again(stage), sitting="anew").deal("judge4")


# Releases


def replayed(what: str) -> Callable[[Stage], Said]:
    """judge4's contribution to the first request, sent for another request, recipient, deposit or epoch."""

    def attack(stage: Stage) -> Said:
        old = stage.release.contribution("judge4")
        return granted(stage, "judge4", another(stage, what), old)

    return attack


def another(stage: Stage, what: str) -> Release:
    if what == "deposit":
        deposit = sealed(stage.world, stage.first, stage.release.case_id, "second deposit")
        stage.world.do("lawyer1", deposit.claims)
        return stage.asked_again(deposit=deposit)
    stage.finish()
    if what == "recipient":
        return stage.asked_again(recipient="lawyer1")
    return stage.asked_again()


def anew(what: str) -> Callable[[Stage], Said]:
    """The honest twin: a contribution that judge2 made for that request itself."""

    def honest(stage: Stage) -> Said:
        found = [each for each in stage.world.view.aggregates.values() if isinstance(each, Request)]
        later = another(stage, what) if len(found) == 1 else again_of(stage, what)
        message = contribution_for(stage, later, "judge2", "lawyer1" if what == "recipient" else "lawyer2")
        return granted(stage, "judge2", later, message)

    return honest


def again_of(stage: Stage, what: str) -> Release:
    """The request that the attack made, found once more."""
    later = replace(stage.release)
    for each in map(parse_statement, (entry.statement for entry in stage.world.entries)):
        if each.kind == "release.order":
            later.order = each
        if each.kind == "release.request":
            later.request = each
    if what == "deposit":
        later.deposit = sealed(stage.world, stage.first, stage.release.case_id, "second deposit")
    return later


def contribution_for(stage: Stage, asked: Release, judge: str, recipient: str) -> bytes:
    assert asked.order is not None
    return contribute(
        panel_release(replace(stage, release=asked)),
        index=asked.ceremony.judges.index(judge) + 1,
        x=asked.ceremony.share(judge),
        requester=stage.world.signer(recipient).public,
        order_hash=asked.order.digest,
        rnd=fresh("anew", 32),
    )


def of_old_epoch(stage: Stage) -> Said:
    """judge5 holds an old and a new share and sends what he makes from the old one."""
    stage.release.ask()
    old = corrupt_contribution(panel_release(stage), 4, stage.first.share("judge5"))
    return granted(stage, "judge5", stage.release, old)


def replayed_from_epoch_1(stage: Stage) -> Said:
    """judge5's true contribution of epoch 1, to a request of that time, sent for one of epoch 2."""
    old = replace(stage.release, ceremony=stage.first)
    old.order = stage.world.do("judge1", old.order_claims())
    record, claims = stage.first.closed().record, old.deposit.claims
    bound = label(bytes(record.Y), claims.deposit_id, old.case_id, claims.manifest_hash)
    then = contribute(
        begin_release(record, bound, claims.capsules[0].public, old.message()),
        index=5,
        x=stage.first.share("judge5"),
        requester=stage.world.signer("lawyer2").public,
        order_hash=old.order.digest,
        rnd=fresh("then", 32),
    )
    stage.release.ask()
    return granted(stage, "judge5", stage.release, then)


def of_new_epoch(stage: Stage) -> Said:
    if stage.release.request is None:
        stage.release.ask()
    return granted(stage, "judge2", stage.release, stage.release.contribution("judge2"))


def as_honest_judge(stage: Stage) -> Said:
    """judge5 contributes in the name of judge1, with the share that he has."""
    made = corrupt_contribution(panel_release(stage), 1, stage.first.share("judge5"))
    return granted(stage, "judge5", stage.release, made)


def with_other_share(stage: Stage) -> Said:
    """judge5 contributes with judge4's share, to count twice."""
    made = corrupt_contribution(panel_release(stage), 5, stage.first.share("judge4"))
    return granted(stage, "judge5", stage.release, made)


def twice(stage: Stage) -> Said:
    return "judge4", stage.release.contribute("judge4")


def unasked(stage: Stage) -> Said:
    """A contribution that no grant announced."""
    return "judge5", stage.release.contribute("judge5")


def honest_contribution(stage: Stage) -> Said:
    return granted(stage, "judge2", stage.release, stage.release.contribution("judge2"))


def rogue_recipient(stage: Stage) -> Said:
    """The requester takes judge1's public share for his recipient key."""
    stage.release.order = stage.world.do("judge1", stage.release.order_claims())
    record, capsule = stage.first.closed().record, stage.release.deposit.claims.capsules[0]
    message = corrupt_request(
        epoch_id=record.epoch_id,
        ct_hash=capsule.ct_hash,
        order=stage.release.order.digest,
        seed=seed("lawyer2"),
        PK_R=record.shares[0],
    )
    return "lawyer2", stage.release.request_claims(message)


def old_epochs_request(stage: Stage) -> Said:
    """A request for the epoch before, whose judges are out of office."""
    old = replace(stage.release, ceremony=stage.first)
    old.order = stage.world.do("judge1", old.order_claims())
    return "lawyer2", old.request_claims()


def of_other_capsule(stage: Stage) -> Said:
    """Under the order for one deposit the requester asks for the capsule of another."""
    other = sealed(stage.world, stage.first, stage.release.case_id, "second deposit")
    stage.world.do("lawyer1", other.claims)
    stage.release.order = stage.world.do("judge1", stage.release.order_claims())
    message = replace(stage.release, deposit=other).message()
    return "lawyer2", stage.release.request_claims(message)


def second_request(stage: Stage) -> Said:
    """Two requests at once, to gather two judges each and add them up."""
    later = replace(stage.release)
    later.order = stage.world.do(
        "judge1", replace(later.order_claims(), recipients=(stage.world.signer("lawyer1").public,))
    )
    return "lawyer1", later.request_claims(later.message(name="lawyer1", sk="lawyer1"))


def second_request_in_turn(stage: Stage) -> Said:
    """The honest twin: the first is opened before the second is made."""
    stage.finish()
    return second_request(stage)


def honest_request(stage: Stage) -> Said:
    stage.release.order = stage.world.do("judge1", stage.release.order_claims())
    return "lawyer2", stage.release.request_claims()


def stolen_label(stage: Stage) -> Said:
    """lawyer1 deposits another's capsule under a label of his own, to have it opened for himself."""
    other = sealed(stage.world, stage.first, stage.release.case_id, "mine")
    return "lawyer1", replace(other.claims, capsules=stage.release.deposit.claims.capsules)


def mixed_halves(stage: Stage) -> Said:
    """The first half of one capsule with the box of another."""
    other = sealed(stage.world, stage.first, stage.release.case_id, "mine")
    mine, his = other.claims.capsules[0], stage.release.deposit.claims.capsules[0]
    mixed = replace(mine, public=his.public[:129] + mine.public[129:])
    return "lawyer1", replace(other.claims, capsules=(mixed,))


def other_box(stage: Stage) -> Said:
    other = sealed(stage.world, stage.first, stage.release.case_id, "mine")
    mine, his = other.claims.capsules[0], stage.release.deposit.claims.capsules[0]
    mixed = replace(mine, public=mine.public[:129] + his.public[129:])
    return "lawyer1", replace(other.claims, capsules=(mixed,))


def honest_deposit(stage: Stage) -> Said:
    return "lawyer1", sealed(stage.world, stage.first, stage.release.case_id, "mine").claims


def served_early(stage: Stage) -> Said:
    """The service serves a recipient for whom one judge decided."""
    return "service", stage.release.access()


def served_in_time(stage: Stage) -> Said:
    for judge in FIVE[:2]:
        stage.world.do(judge, stage.release.grant(judge))
        stage.world.do(judge, stage.release.contribute(judge))
    return "service", stage.release.access()


@dataclass(frozen=True)
class Attack:
    """What is tried at a stage, the named refusal, and the honest act in its place."""

    stage: str
    tried: Callable[[Stage], Said]
    refused: str
    honest: Callable[[Stage], Said]


def says(signer: str, make: Callable[[Stage], Any]) -> Callable[[Stage], Said]:
    return lambda stage: (signer, make(stage))


DEAL = says("judge4", lambda stage: stage.first.deal("judge4"))
ACK = says("judge4", lambda stage: stage.first.ack("judge4"))
RESHARE_DEAL = says("judge4", lambda stage: stage.second.deal("judge4"))

ATTACKS = {
    "a rogue constant": Attack("opened session", rogue_constant, "deal_pop", DEAL),
    "a constant that cancels the others": Attack("opened session", cancelling_constant, "deal_pop", DEAL),
    "a copied ephemeral": Attack("opened session", copied_ephemeral, "deal_pop", DEAL),
    "two deals by one dealer": Attack("opened session", second_deal, "duplicate_deal", DEAL),
    "the deal of another": Attack("opened session", others_deal, "wrong_signer", DEAL),
    "an acknowledgment of another set": Attack("all dealt", others_eta, "eta_mismatch", ACK),
    "a deal after the set is closed": Attack("all dealt", second_deal, "deals_closed", ACK),
    "a blame of a good share": Attack("all dealt", false_blame(False), "blame_unfounded", ACK),
    "a blame with another S": Attack("all dealt", false_blame(True), "blame_proof", ACK),
    "a reshare from another constant": Attack("resharing", wrong_constant, "wrong_constant", RESHARE_DEAL),
    "a reshare that claims the old share": Attack("resharing", foreign_constant, "deal_pop", RESHARE_DEAL),
    "a deal of the epoch before": Attack("resharing", of_first_session, "deals_closed", RESHARE_DEAL),
    "a deal by a judge without an old share": Attack("resharing", to_new_judge, "wrong_signer", RESHARE_DEAL),
    "a roster that nobody approved": Attack("resharing", without_authority, "roster_not_approved", opened_again),
    "barring honest holders": Attack("resharing", barring_the_honest, "barred_mismatch", opened_again),
    "a second session beside the first": Attack("resharing", second_successor, "session_open", opened_again),
    "a late deal of a withdrawn session": Attack("resharing", late_deal, "deals_closed", deal_anew),
    "a late deal under the new session's id": Attack("resharing", late_deal_renamed, "bad_signature", deal_anew),
    "a second successor epoch": Attack("reshared", second_successor, "successor_exists", next_epoch),
    "a second successor proposed": Attack("reshared", proposed_again, "wrong_epoch", next_epoch),
    "a contribution to another request": Attack("asked", replayed("request"), "contribution_proof", anew("request")),
    "a contribution for another recipient": Attack(
        "asked", replayed("recipient"), "contribution_proof", anew("recipient")
    ),
    "a contribution to another deposit": Attack("asked", replayed("deposit"), "contribution_proof", anew("deposit")),
    "a contribution of epoch 1, replayed": Attack("reshared", replayed_from_epoch_1, "wrong_signer", of_new_epoch),
    "a contribution of the old epoch": Attack("reshared", of_old_epoch, "contribution_proof", of_new_epoch),
    "a contribution in another's name": Attack("asked", as_honest_judge, "wrong_signer", honest_contribution),
    "a contribution with another's share": Attack("asked", with_other_share, "contribution_proof", honest_contribution),
    "a contribution that counts twice": Attack("asked", twice, "duplicate_contribution", honest_contribution),
    "a contribution without a grant": Attack("asked", unasked, "not_granted", honest_contribution),
    "a rogue recipient key": Attack("certified", rogue_recipient, "request_pop", honest_request),
    "a request for the epoch before": Attack("reshared", old_epochs_request, "wrong_epoch", honest_request),
    "a request for another capsule": Attack("certified", of_other_capsule, "wrong_ciphertext", honest_request),
    "two requests at once": Attack("asked", second_request, "request_open", second_request_in_turn),
    "a capsule under another label": Attack("certified", stolen_label, "ct_proof", honest_deposit),
    "one half of another capsule": Attack("certified", mixed_halves, "ct_proof", honest_deposit),
    "the box of another capsule": Attack("certified", other_box, "ct_proof", honest_deposit),
    "serving before k contributed": Attack("asked", served_early, "not_released", served_in_time),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_adversary_tries_is_refused_and_costs_nobody_anything(name: str) -> None:
    attack, stage = ATTACKS[name], made(ATTACKS[name].stage).copy()
    signer, claims = attack.tried(stage)
    assert stage.world.refused(signer, claims) == attack.refused
    stage.world.do(*attack.honest(stage))


@pytest.mark.parametrize("name", ATTACKS)
def test_the_twin_of_what_the_adversary_tries_passes(name: str) -> None:
    attack, stage = ATTACKS[name], made(ATTACKS[name].stage).copy()
    stage.world.do(*attack.honest(stage))
