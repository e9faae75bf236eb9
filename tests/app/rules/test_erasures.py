"""Erasure: by a registrar with m keys, of a deposit with everything on it, and never of one that is held."""

from dataclasses import replace

import pytest

from app.errors import Mismatch, Refused
from app.rules.aggregates import Deposited, Erased, Fate, Publication, Request, SealedCapsule, Trail
from app.rules.deposits import trail_id
from app.rules.erasures import NONE, beyond, deposit_named, erasures_of
from app.rules.replay import Entry, Replay
from app.statements.kinds import Approval, DepositAcknowledge, DepositSupersede, Erase, HoldLift, HoldPlace
from app.statements.statement import Statement, leaf_of, parse_leaf, parse_statement
from tests.app.rules.publishing import permit, publication, released
from tests.app.rules.world import ORIGIN, Release, World, fresh, ready_to_release, sealed


def hash_of(release: Release) -> str:
    return trail_id(release.deposit.claims.deposit_id)


def erasure(release: Release, **changes: object) -> Erase:
    """What a reader of the case has the registrar sign."""
    trail = release.world.view.find(Trail, hash_of(release))
    assert trail is not None
    claims = Erase(
        deposit=bytes.fromhex(hash_of(release)),
        entries=trail.entries,
        reason="order of 3 May, limitation of storage",
        document=fresh("erase.txt", 32),
    )
    return replace(claims, **changes)  # type: ignore[arg-type]


def erase(release: Release) -> Statement:
    act = release.world.do("registrar", erasure(release))
    release.world.approve(act)
    return act


def used() -> Release:
    """A deposit with every statement on it, in an order together with another one, which supersedes it."""
    release = ready_to_release()
    world = release.world
    other = sealed(world, release.ceremony, release.case_id, "other").claims
    world.do("lawyer1", other)
    third = sealed(world, release.ceremony, release.case_id, "third").claims
    world.do("lawyer1", third)
    world.do("clerk", DepositAcknowledge(deposit_id=release.deposit.claims.deposit_id))
    hold = world.do("clerk", HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None)).digest
    world.do("clerk", HoldLift(deposit_id=release.deposit.claims.deposit_id, hold=hold, note=None))
    both = replace(release.order_claims(), deposits=(release.deposit.claims.deposit_id, other.deposit_id))
    release.order_claims = lambda: both  # type: ignore[method-assign]
    released(release, "judge1", "judge3")
    world.do("service", release.access())
    world.do("lawyer2", release.opening())
    world.do("judge1", permit(release))
    world.do("lawyer2", publication(release, "judge1", "judge3"))
    mine = release.deposit.claims.deposit_id
    world.do("lawyer1", DepositSupersede(deposit_id=third.deposit_id, by=mine, note=None))
    world.do("lawyer1", DepositSupersede(deposit_id=mine, by=other.deposit_id, note=None))
    return release


def replayed_without(world: World) -> Replay:
    """What somebody has who is not shown the erased statements any more."""
    statements = [parse_statement(each.statement) for each in world.entries]
    erasures = erasures_of(statements)
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts, erasures=erasures)
    for each in world.entries:
        if each.index in erasures.entries:
            replay.pass_over(each.index, each.leaf)
        else:
            replay.add(each)
    return replay


def test_the_trail_has_every_statement_on_a_deposit_and_no_other() -> None:
    release = used()
    world = release.world
    trail = world.view.find(Trail, hash_of(release))
    assert trail is not None
    kinds = [parse_statement(world.entries[index].statement).kind for index in trail.entries]
    assert sorted(kinds) == sorted(
        [
            "deposit",
            "deposit.acknowledge",
            "hold.place",
            "hold.lift",
            "release.request",
            *["release.decision", "release.contribution"] * 2,
            "access",
            "release.opening",
            "release.permit",
            "release.publish",
            "deposit.supersede",
        ]
    )


def test_after_an_erasure_everything_else_replays_to_the_same_state() -> None:
    """The aggregates of the erased deposit are gone, and no other one differs."""
    release = used()
    world = release.world
    erase(release)
    world.do("lawyer1", sealed(world, release.ceremony, release.case_id, "after").claims)
    replay = replayed_without(world)
    mine = release.deposit.claims
    gone = {
        f"{Deposited.PREFIX}/{mine.deposit_id.hex()}",
        f"{Fate.PREFIX}/{mine.deposit_id.hex()}",
        f"{Trail.PREFIX}/{hash_of(release)}",
        f"{SealedCapsule.PREFIX}/{mine.capsules[0].ct_hash.hex()}",
        f"{Request.PREFIX}/{release.request.digest.hex()}",  # type: ignore[union-attr]
        f"{Publication.PREFIX}/{release.request.digest.hex()}",  # type: ignore[union-attr]
    }
    assert set(world.view.aggregates) - set(replay.view.aggregates) == gone
    kept = {key: each for key, each in world.view.aggregates.items() if key not in gone}
    assert replay.view.aggregates == kept


def test_without_the_act_a_missing_statement_is_a_fault() -> None:
    """The same entries, and nobody who was told: an order names a deposit that never was."""
    release = used()
    world = release.world
    trail = world.view.find(Trail, hash_of(release))
    assert trail is not None
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts, erasures=NONE)
    with pytest.raises(Mismatch) as caught:
        replay.extend(each for each in world.entries if each.index not in trail.entries)
    assert caught.value.code == "replay_refused"


def test_an_act_below_m_approvals_erases_nothing() -> None:
    release = ready_to_release()
    world = release.world
    act = world.do("registrar", erasure(release))
    world.do("authority1", Approval(act=act.digest))
    assert world.view.find(Erased, hash_of(release)) is None
    assert erasures_of(parse_statement(each.statement) for each in world.entries) == NONE
    world.do("judge1", release.order_claims())


def test_an_adversary_does_nothing_on_an_erased_deposit() -> None:
    """Before the stores are cleared, and after: the same refusals, by everybody."""
    release = ready_to_release()
    world = release.world
    released(release, "judge1", "judge3")
    other = sealed(world, release.ceremony, release.case_id, "other").claims
    world.do("lawyer1", other)
    erase(release)
    mine = release.deposit.claims
    for view in (world.view, replayed_without(world).view):
        world.view = view
        assert world.refused("judge1", release.order_claims()) == "erased"
        assert world.refused("lawyer1", mine) == "id_in_use"
        assert world.refused("clerk", DepositAcknowledge(deposit_id=mine.deposit_id)) == "erased"
        assert world.refused("clerk", HoldPlace(deposit_id=mine.deposit_id, note=None)) == "erased"
        supersede = DepositSupersede(deposit_id=other.deposit_id, by=mine.deposit_id, note=None)
        assert world.refused("lawyer1", supersede) == "erased"
        assert world.refused("service", release.access()) in ("erased", "unknown_request")
        assert world.refused("judge1", permit(release)) in ("erased", "unknown_request")
        again = Erase(deposit=bytes.fromhex(hash_of(release)), entries=(1,), reason="again", document=fresh("?", 32))
        assert world.refused("registrar", again) == "erased"


def test_who_erases() -> None:
    release = ready_to_release()
    world = release.world
    for signer in ("clerk", "judge1", "lawyer1", "authority1", "service"):
        assert world.refused(signer, erasure(release)) == "wrong_signer"
    act = world.do("registrar", erasure(release))
    assert world.refused("clerk", Approval(act=act.digest)) == "wrong_signer"
    world.approve(act)
    found = world.view.find(Erased, hash_of(release))
    assert found is not None
    assert (found.act, found.index) == (act.digest, len(world.entries) - 1)


def test_a_legal_hold_refuses_it_before_and_at_the_last_approval() -> None:
    release = ready_to_release()
    world = release.world
    mine = release.deposit.claims.deposit_id
    hold = world.do("clerk", HoldPlace(deposit_id=mine, note=None)).digest
    assert world.refused("registrar", erasure(release)) == "held"
    lift = world.do("clerk", HoldLift(deposit_id=mine, hold=hold, note=None))
    act = world.do("registrar", erasure(release))
    world.do("authority1", Approval(act=act.digest))
    assert lift
    world.do("judge1", HoldPlace(deposit_id=mine, note=None))
    # The hold is a statement of its own on the deposit, so the act names too few; a new one is refused as held.
    assert world.refused("authority2", Approval(act=act.digest)) == "entries_left_out"
    assert world.refused("registrar", erasure(release)) == "held"


def test_an_adversary_leaves_no_statement_without_its_deposit() -> None:
    """An act that spares a request, or one that came since, would leave everybody's replay broken."""
    release = ready_to_release()
    world = release.world
    released(release, "judge1")
    short = erasure(release)
    assert world.refused("registrar", replace(short, entries=short.entries[:-1])) == "entries_left_out"
    act = world.do("registrar", short)
    world.do("authority1", Approval(act=act.digest))
    world.do("judge3", release.grant("judge3"))
    assert world.refused("authority2", Approval(act=act.digest)) == "entries_left_out"
    erase(release)


def test_an_adversary_erases_nothing_beside_the_deposit() -> None:
    """The registry, which knows every statement, looks at that before it takes the act."""
    release = ready_to_release()
    world = release.world
    good = erasure(release)
    beyond(world.view, good)
    for claims, code in (
        (replace(good, entries=(0, *good.entries)), "wrong_entries"),
        (replace(good, deposit=fresh("?", 32)), "unknown_deposit"),
    ):
        with pytest.raises(Refused) as caught:
            beyond(world.view, claims)
        assert caught.value.code == code
    assert world.refused("registrar", replace(good, entries=good.entries[::-1] * 2)) == "wrong_entries"
    assert world.refused("registrar", replace(good, entries=(*good.entries, len(world.entries)))) == "wrong_entries"


def test_who_sees_nothing_of_the_case_decides_the_same_act() -> None:
    """The public statements alone, as a stranger has them."""
    release = used()
    world = release.world
    erase(release)
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    for each in world.entries:
        if parse_leaf(each.leaf).kind != "private":
            replay.add(each)
    found = replay.view.find(Erased, hash_of(release))
    assert found == world.view.find(Erased, hash_of(release))


def test_an_order_after_the_erasure_is_no_order_before_it() -> None:
    """What is foretold counts only up to the act: a registry that admits an order of an erased deposit is found out."""
    release = ready_to_release()
    world = release.world
    statement = world.sign("judge1", release.order_claims())
    erase(release)
    world.entries.append(Entry(index=len(world.entries), leaf=leaf_of(statement, world.now), statement=statement.text))
    with pytest.raises(Mismatch) as caught:
        replayed_without(world)
    assert caught.value.code == "replay_refused"


def test_a_statement_is_on_the_deposit_that_it_or_its_request_names() -> None:
    release = used()
    world = release.world
    mine = release.deposit.claims.deposit_id
    for each in world.entries:
        claims = parse_statement(each.statement).claims
        expected = getattr(claims, "deposit_id", None)
        if hasattr(claims, "request"):
            expected = mine
        assert deposit_named(world.view, claims) == expected
