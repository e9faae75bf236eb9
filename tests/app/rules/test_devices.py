"""A second device signs for its member, and takes nothing over."""

from dataclasses import replace

import pytest

from app.rules.aggregates import Devices, Person
from app.statements.kinds import CaseOpen, MemberDevice, MemberKey, MemberRevoke, MemberUndevice, Role
from tests.app.rules.world import NOTES, Release, World, fresh, peopled, ready_to_release, sealed


@pytest.fixture
def world() -> World:
    """lawyer1 has a laptop beside his own key."""
    found = peopled()
    found.do("lawyer1", device(found, "lawyer1", "laptop"))
    return found


def device(world: World, name: str, key: str, role: Role = "depositor") -> MemberDevice:
    return MemberDevice(member=world.id(name), role=role, key=world.signer(key).public, notes=NOTES)


def gone(world: World, name: str, key: str, role: Role = "depositor") -> MemberUndevice:
    return MemberUndevice(member=world.id(name), role=role, key=world.id(key))


def rotation(world: World, name: str, key: str, role: Role = "depositor") -> MemberKey:
    return MemberKey(member=world.id(name), role=role, key=world.signer(key).public, notes=NOTES)


def test_a_device_deposits_for_its_member_and_asks_for_nothing() -> None:
    release: Release = ready_to_release()
    world = release.world
    world.do("lawyer1", device(world, "lawyer1", "laptop"))
    world.do("laptop", sealed(world, release.ceremony, release.case_id, "more").claims)
    world.do("lawyer2", device(world, "lawyer2", "tablet", "party"))
    release.order = world.do("judge1", release.order_claims())
    stolen = release.request_claims(release.message("tablet"))
    assert world.refused("tablet", stolen) == "requester_not_authorised"
    world.do("lawyer2", release.request_claims())


def test_an_adversary_with_a_stolen_device_does_not_take_the_member_over(world: World) -> None:
    assert world.refused("laptop", rotation(world, "lawyer1", "thief")) == "wrong_signer"
    assert world.refused("laptop", device(world, "lawyer1", "thief")) == "wrong_signer"
    world.do("lawyer1", device(world, "lawyer1", "tablet"))
    assert world.refused("laptop", gone(world, "lawyer1", "tablet")) == "wrong_signer"
    assert world.refused("lawyer2", gone(world, "lawyer1", "laptop")) == "wrong_signer"
    world.do("lawyer1", gone(world, "lawyer1", "laptop"))
    assert world.refused("laptop", device(world, "lawyer1", "thief")) == "retired_key"
    assert world.refused("lawyer1", gone(world, "lawyer1", "laptop")) == "unknown_device"
    assert world.refused("lawyer1", device(world, "lawyer1", "laptop")) == "key_in_use"


def test_a_device_goes_by_its_own_word_or_a_registrars(world: World) -> None:
    world.do("laptop", gone(world, "lawyer1", "laptop"))
    world.do("lawyer1", device(world, "lawyer1", "tablet"))
    world.do("registrar", gone(world, "lawyer1", "tablet"))
    assert world.refused("tablet", rotation(world, "lawyer1", "x")) == "retired_key"


def test_devices_go_with_a_revocation_and_with_a_lost_key_but_not_with_ones_own_rotation(world: World) -> None:
    world.do("lawyer1", rotation(world, "lawyer1", "lawyer1 new"))
    world.do("lawyer1 new", gone(world, "lawyer1", "laptop"))
    world.do("lawyer1 new", device(world, "lawyer1", "tablet"))
    world.do("registrar", rotation(world, "lawyer1", "lawyer1 third"))
    assert world.refused("tablet", gone(world, "lawyer1", "tablet")) == "retired_key"
    world.do("lawyer1 third", device(world, "lawyer1", "phone"))
    world.do("registrar", MemberRevoke(member=world.id("lawyer1"), role="depositor"))
    assert world.refused("phone", CaseOpen(case_id=fresh("c"), note=None)) == "retired_key"
    found = world.view.find(Devices, world.id("lawyer1"))
    assert found is not None
    assert found.devices == ()


def test_who_names_devices(world: World) -> None:
    claims = device(world, "lawyer1", "other")
    for signer in ("registrar", "lawyer2", "service"):
        assert world.refused(signer, claims) == "wrong_signer"
    assert world.refused("lawyer1", replace(claims, role="party")) == "wrong_role"
    assert world.refused("lawyer1", replace(claims, member="A" * 43)) == "unknown_member"
    assert world.refused("lawyer1", device(world, "lawyer1", "lawyer2")) == "key_in_use"
    for name in ("b", "c", "d"):
        world.do("lawyer1", device(world, "lawyer1", name))
    assert world.refused("lawyer1", device(world, "lawyer1", "e")) == "too_many_devices"
    person = world.view.find(Person, world.id("lawyer1"))
    assert person is not None
    assert person.key == world.signer("lawyer1").public
