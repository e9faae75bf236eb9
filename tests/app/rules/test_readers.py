"""The readers column, for every kind of statement and every role."""

import pytest

from app.rules.aggregates import Person
from app.rules.decide import Admitted
from app.rules.readers import links_of, reads_topic, topic_of
from app.rules.replay import Replay
from app.statements.kinds import (
    KINDS,
    CaseAssign,
    CaseDelegate,
    CaseRecuse,
    CaseUndelegate,
    DepositAcknowledge,
    DepositSupersede,
    DepositWithdraw,
    HoldLift,
    HoldPlace,
    MemberDevice,
    MemberKey,
    MemberRevoke,
    MemberUndevice,
    ReleaseObjection,
    ReleaseWithdraw,
    RetentionExtend,
    is_public,
)
from tests.app.identities.people import bound
from tests.app.rules.publishing import permit, publication
from tests.app.rules.world import NOTES, ORIGIN, Release, World, ready_to_release, sealed

PEOPLE = (
    "registrar",
    "clerk",
    "clerk2",
    "judge1",
    "judge2",
    "judge3",
    "judge4",
    "lawyer1",
    "lawyer2",
    "outsider",
    "auditor",
)
CASE = {"clerk", "judge1", "judge2", "judge3", "lawyer1", "lawyer2"}
"""Who opened it, its parties, its presiding judge, its panel; not the registrar, another clerk, another judge."""

PRIVATE = {
    "case.open": CASE,
    "case.assign": CASE,
    "case.party": CASE,
    "case.recuse": CASE,
    "case.delegate": CASE,
    "case.undelegate": CASE,
    "deposit": CASE,
    "deposit.acknowledge": CASE,
    "deposit.withdraw": CASE,
    "deposit.supersede": CASE,
    "release.order": CASE,
    "release.request": CASE,
    "release.objection": CASE,
    "release.withdraw": CASE,
    "release.decision": CASE,
    "release.contribution": CASE,
    "release.opening": CASE,
    "release.permit": CASE,
    "release.publish": CASE,
    "hold.place": CASE,
    "hold.lift": CASE,
    "retention.extend": CASE,
    "access": CASE,
    "member.enrol": {"registrar", "outsider"},
    "member.key": {"registrar", "outsider"},
    "member.device": {"registrar", "outsider"},
    "member.undevice": {"registrar", "outsider"},
    "member.identity": {"registrar", "outsider"},
    "member.revoke": {"registrar"},  # shown by test_a_revoked_member_reads_nothing
}


@pytest.fixture(scope="module")
def whole() -> tuple[World, list[Admitted]]:
    """One of every kind, with people of every role."""
    release: Release = ready_to_release()
    world = release.world
    for name, role in (("clerk2", "clerk"), ("judge4", "judge"), ("outsider", "party"), ("auditor", "auditor")):
        world.enrol(name, role)  # type: ignore[arg-type]
    release.order = world.do("judge1", release.order_claims())
    withdrawn = world.do("lawyer2", release.request_claims(release.message(sk="withdrawn")))
    world.do("lawyer1", ReleaseObjection(request=withdrawn.digest, note=None))
    world.do("lawyer2", ReleaseWithdraw(request=withdrawn.digest, note=None))
    release.request = world.do("lawyer2", release.request_claims())
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do(judge, release.contribute(judge))
    world.do("service", release.access())
    world.do("lawyer2", release.opening())
    world.do("judge1", permit(release))
    world.do("lawyer2", publication(release, "judge1", "judge3"))
    world.do("clerk", DepositAcknowledge(deposit_id=release.deposit.claims.deposit_id))
    later = sealed(world, release.ceremony, release.case_id, "later").claims
    world.do("lawyer1", later)
    old = release.deposit.claims.deposit_id
    world.do("lawyer1", DepositSupersede(deposit_id=old, by=later.deposit_id, note=None))
    world.do("lawyer1", DepositWithdraw(deposit_id=later.deposit_id, note=None))
    outsider = world.id("outsider")
    given = CaseDelegate(case_id=release.case_id, delegate=outsider, scope=("read",), until=world.now + 9, note=None)
    world.do("lawyer1", given)
    world.do("lawyer1", CaseUndelegate(case_id=release.case_id, delegate=outsider))
    world.do("judge3", CaseRecuse(case_id=release.case_id, judge=world.id("judge3"), note=None))
    deposit_id = release.deposit.claims.deposit_id
    hold = world.do("clerk", HoldPlace(deposit_id=deposit_id, note=None)).digest
    world.do("judge2", HoldLift(deposit_id=deposit_id, hold=hold, note=None))
    world.do("clerk", RetentionExtend(deposit_id=deposit_id, until=world.now + 9, note=None))
    member = world.id("outsider")
    laptop = world.signer("outsider laptop")
    world.do("outsider", MemberDevice(member=member, role="party", key=laptop.public, notes=NOTES))
    world.do("outsider", MemberUndevice(member=member, role="party", key=laptop.kid))
    world.do("registrar", bound(world, "outsider", "party").claims)
    world.do("registrar", bound(world, "judge4", "judge").claims)
    world.do("outsider", MemberKey(member=member, role="party", key=world.signer("outsider new").public, notes=NOTES))
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    return world, [replay.add(entry) for entry in world.entries]


def readers(world: World, admitted: Admitted) -> set[str]:
    topic = topic_of(admitted)
    assert topic is not None
    found = set()
    for name in PEOPLE:
        person = world.view.find(Person, world.id(name))
        assert person is not None, name
        if reads_topic(world.view, topic, person):
            found.add(name)
    return found


def test_every_kind_is_either_public_or_in_the_table(whole: tuple[World, list[Admitted]]) -> None:
    _, admitted = whole
    public = {each.statement.kind for each in admitted if topic_of(each) is None}
    private = {each.statement.kind for each in admitted if topic_of(each) is not None}
    not_seen = {"anchor", "panel.destroy", "erase", "member.revoke", "panel.blame", "panel.close"}
    assert private == set(PRIVATE) - {"member.revoke"}
    assert public | private | not_seen == set(KINDS)
    assert public & private == {"member.enrol", "member.identity"}, "a judge's enrolment is public, a lawyer's is not"


@pytest.mark.parametrize("kind", sorted(set(PRIVATE) - {"member.revoke"}))
def test_a_private_kind_is_read_by_those_concerned_and_nobody_else(
    whole: tuple[World, list[Admitted]], kind: str
) -> None:
    world, admitted = whole
    of_kind = [each for each in admitted if each.statement.kind == kind and topic_of(each) is not None]
    if kind.startswith("member."):
        of_kind = [each for each in of_kind if topic_of(each) == f"member/{world.id('outsider')}"]
    assert of_kind
    for each in of_kind:
        assert readers(world, each) == PRIVATE[kind]


def test_public_kinds_are_those_that_found_trust(whole: tuple[World, list[Admitted]]) -> None:
    _, admitted = whole
    for each in admitted:
        public = is_public(each.statement.kind, each.statement.claims)
        assert public == (topic_of(each) is None)
        assert f'"kind":"{each.statement.kind if public else "private"}"' in each.leaf


def test_a_revoked_member_reads_nothing() -> None:
    release = ready_to_release()
    world = release.world
    topic = f"case/{release.case_id.hex()}"
    lawyer = world.view.find(Person, world.id("lawyer2"))
    assert lawyer is not None
    assert reads_topic(world.view, topic, lawyer)
    world.do("registrar", MemberRevoke(member=lawyer.id, role="party"))
    revoked = world.view.find(Person, lawyer.id)
    assert revoked is not None
    assert not reads_topic(world.view, topic, revoked)
    assert not reads_topic(world.view, f"member/{lawyer.id}", revoked)
    registrar = world.view.find(Person, world.id("registrar"))
    assert registrar is not None
    assert reads_topic(world.view, f"member/{lawyer.id}", registrar)


def test_links_lead_a_judge_to_the_cases_of_his_panel(whole: tuple[World, list[Admitted]]) -> None:
    world, admitted = whole
    links = {link for each in admitted for link in links_of(each)}
    (case,) = {target for source, target in links if source.startswith("panel/")}
    panels = {target for source, target in links if source == f"member/{world.id('judge2')}"}
    assert {(panel, case) for panel in panels} <= links
    for name in ("clerk", "lawyer1", "lawyer2", "judge1"):
        assert (f"member/{world.id(name)}", case) in links
    assert CaseAssign in {type(each.statement.claims) for each in admitted}
