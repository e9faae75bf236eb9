"""Public openings: what the recipient shows cannot be another key, and whose fault a malformed capsule is."""

from dataclasses import replace

import pytest

from app.panels.group import G, scalar
from app.rules.aggregates import Publication, Request, format_aggregate, parse_aggregate
from app.rules.replay import Replay
from app.statements.kinds import CaseRecuse, ReleasePublish
from tests.app.rules.publishing import permit, publication, released, sealed_malformed
from tests.app.rules.world import ORIGIN, Release, fresh, ready_to_release


@pytest.fixture
def ready() -> Release:
    """Released to lawyer2 by judge1 and judge3; a public opening is permitted."""
    release = ready_to_release()
    released(release, "judge1", "judge3")
    release.world.do("judge1", permit(release))
    return release


@pytest.fixture
def spoilt() -> Release:
    """The same of a deposit whose capsule is malformed; nothing is permitted."""
    release = ready_to_release()
    release.deposit = sealed_malformed(release.world, release.ceremony, release.case_id, "spoilt")
    release.world.do("lawyer1", release.deposit.claims)
    released(release, "judge1", "judge3")
    return release


def shown(release: Release) -> Publication:
    assert release.request is not None
    found = release.world.view.find(Publication, release.request.digest.hex())
    assert found is not None
    return found


def ended(release: Release) -> bool:
    assert release.request is not None
    found = release.world.view.find(Request, release.request.digest.hex())
    assert found is not None
    return found.state.ended


def test_a_recipient_shows_the_key_of_the_deposit(ready: Release) -> None:
    made = ready.world.do("lawyer2", publication(ready, "judge1", "judge3"))
    assert (shown(ready).verdict, shown(ready).statement) == ("file_key", made.digest)
    assert ended(ready)
    assert ready.world.refused("lawyer2", publication(ready, "judge1", "judge3")) == "opening_known"


def test_also_after_the_request_has_ended(ready: Release) -> None:
    world = ready.world
    world.do("service", ready.access())
    world.do("lawyer2", ready.opening())
    world.do("lawyer2", publication(ready, "judge1", "judge3"))
    assert shown(ready).verdict == "file_key"


def test_a_malformed_capsule_is_shown_without_a_permission_and_blames_no_judge(spoilt: Release) -> None:
    spoilt.world.do("lawyer2", publication(spoilt, "judge1", "judge3"))
    assert (shown(spoilt).verdict, shown(spoilt).document) == ("malformed", None)


def test_an_adversary_publishes_no_key_without_the_courts_decision() -> None:
    release = ready_to_release()
    released(release, "judge1", "judge3")
    claims = publication(release, "judge1", "judge3")
    assert release.world.refused("lawyer2", claims) == "not_permitted"
    assert not ended(release)
    release.world.do("judge1", permit(release))
    release.world.do("lawyer2", claims)


def test_an_adversarial_recipient_shows_no_other_key_and_no_false_malformed(ready: Release) -> None:
    """K is proven: another one, the same with another box, or one of another request are refused."""
    world = ready.world
    good = publication(ready, "judge1", "judge3")
    other_key = bytes(scalar(7) * G) + good.opening[32:]
    assert world.refused("lawyer2", replace(good, opening=other_key)) == "opening_proof"
    assert world.refused("lawyer2", replace(good, box=bytes(48))) == "box_mismatch"
    flipped = bytearray(good.opening)
    flipped[40] ^= 1
    assert world.refused("lawyer2", replace(good, opening=bytes(flipped))) == "opening_proof"
    assert world.refused("lawyer2", replace(good, indices=(1, 2))) == "unknown_contribution"
    assert world.refused("lawyer2", replace(good, indices=(3, 1))) == "index_order"
    assert world.refused("lawyer2", replace(good, indices=(1, 1))) == "duplicate_index"
    assert world.refused("lawyer2", replace(good, indices=(1, 3, 3))) == "too_many"
    assert world.refused("lawyer2", replace(good, request=fresh("?", 32))) == "unknown_request"
    world.do("lawyer2", good)


def test_an_opening_names_the_contributions_that_it_was_made_from(ready: Release) -> None:
    """Another subset of the judges gives other sums, and the proof fails against them."""
    world = ready.world
    world.do("judge2", ready.grant("judge2"))
    world.do("judge2", ready.contribute("judge2"))
    claims = publication(ready, "judge1", "judge3")
    assert world.refused("lawyer2", replace(claims, indices=(1, 2))) == "opening_proof"
    world.do("lawyer2", publication(ready, "judge1", "judge2"))


@pytest.mark.parametrize("signer", ["lawyer1", "judge1", "clerk", "registrar"])
def test_nobody_else_publishes(ready: Release, signer: str) -> None:
    claims = publication(ready, "judge1", "judge3")
    assert ready.world.refused(signer, claims) == "not_a_recipient"
    ready.world.do("lawyer2", claims)


def test_who_permits_and_when() -> None:
    release = ready_to_release()
    world = release.world
    release.ask()
    assert world.refused("judge1", permit(release)) == "not_released"
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do(judge, release.contribute(judge))
    for signer in ("judge2", "judge3"):
        assert world.refused(signer, permit(release)) == "not_presiding"
    for signer in ("lawyer2", "clerk", "registrar", "authority1", "service"):
        assert world.refused(signer, permit(release)) == "wrong_signer"
    assert world.refused("judge1", replace(permit(release), request=fresh("?", 32))) == "unknown_request"
    world.do("judge1", permit(release))
    assert world.refused("judge1", permit(release)) == "already_permitted"


def test_a_recused_presiding_judge_permits_nothing() -> None:
    release = ready_to_release()
    released(release, "judge2", "judge3")
    world = release.world
    world.do("judge1", CaseRecuse(case_id=release.case_id, judge=world.id("judge1"), note=None))
    assert world.refused("judge1", permit(release)) == "recused"


def test_a_publication_is_replayed_and_stored(ready: Release) -> None:
    world = ready.world
    done = world.do("lawyer2", publication(ready, "judge1", "judge3"))
    assert isinstance(done.claims, ReleasePublish)
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates
    for key, each in world.view.aggregates.items():
        assert parse_aggregate(key, format_aggregate(each)) == each
