"""A member's X.509 certificate: what a registrar binds, and what must not stand. Each attack has an honest twin."""

import pytest

from app.demo.pki import Profile
from app.rules.aggregates import Binding, Person, format_aggregate, parse_aggregate
from app.rules.identities import binding_of
from app.rules.replay import Replay
from app.statements.kinds import MemberKey, MemberRevoke
from tests.app.identities.people import bound, chain_of, issued, pki, possession
from tests.app.rules.world import NOTES, ORIGIN, World, peopled


def in_force(world: World, member: str) -> Binding | None:
    person = world.view.find(Person, member)
    assert person is not None
    return binding_of(world.view, person, world.now)


def test_a_registrar_binds_a_certificate_and_the_newest_counts() -> None:
    world = peopled()
    lawyer = world.id("lawyer1")
    first = bound(world, "lawyer1", "depositor")
    world.do("registrar", first.claims)
    found = in_force(world, lawyer)
    assert found is not None
    assert found.subject == "CN=Person lawyer1,O=Demonstration\\, worth nothing,C=ZZ"
    assert found.issuer == "CN=Test Issuing CA,O=Demonstration\\, worth nothing,C=ZZ"
    assert found.root == "CN=Test Root CA,O=Demonstration\\, worth nothing,C=ZZ"
    newer = bound(world, "lawyer1", "depositor", issued("Person renewed"))
    act = world.do("registrar", newer.claims)
    found = in_force(world, lawyer)
    assert found is not None
    assert found.statement == act.digest
    assert "renewed" in found.subject
    assert parse_aggregate(f"identity/{lawyer}", format_aggregate(found)) == found
    assert world.genesis is not None
    replay = Replay(origin=ORIGIN, genesis=world.genesis.digest, seen=world.facts)
    replay.extend(world.entries)
    assert replay.view.aggregates == world.view.aggregates


def test_only_a_registrar_and_not_for_himself() -> None:
    world = peopled()
    claims = bound(world, "lawyer1", "depositor").claims
    for name in ("lawyer1", "clerk", "authority1", "service"):
        assert world.refused(name, claims) == "wrong_signer"
    own = bound(world, "registrar", "registrar").claims
    assert world.refused("registrar", own) == "self_identified"
    world.enrol("registrar2", "registrar")
    world.do("registrar2", own)
    world.do("registrar", claims)


def test_another_members_binding_is_of_no_use() -> None:
    world = peopled()
    mine, others = bound(world, "lawyer1", "depositor"), bound(world, "lawyer2", "party")
    assert world.refused("registrar", mine.but(member=world.id("lawyer2"), role="party")) == "bad_possession"
    assert world.refused("registrar", mine.but(signature=others.claims.signature)) == "bad_possession"
    assert world.refused("registrar", mine.but(certificates=others.claims.certificates)) == "bad_possession"
    assert world.refused("registrar", mine.but(role="party")) == "wrong_role"
    assert world.refused("registrar", mine.but(member=world.id("nobody"))) == "unknown_member"
    world.do("registrar", mine.claims)
    world.do("registrar", others.claims)


def test_a_possession_for_another_registry_key_or_algorithm_is_refused() -> None:
    world = peopled()
    honest = bound(world, "lawyer1", "depositor")
    elsewhere = bound(world, "lawyer1", "depositor", origin="ledger.example/other")
    assert world.refused("registrar", elsewhere.claims) == "bad_possession"
    other_key = bound(world, "lawyer1", "depositor", key=world.id("lawyer2"))
    assert world.refused("registrar", other_key.claims) == "bad_possession"
    for algorithm in ("rsa-pss-sha256", "rsa-pkcs1v15-sha256", "ecdsa-p384-sha384"):
        assert world.refused("registrar", honest.but(algorithm=algorithm)) == "bad_possession"
    for wrong in (b"", b"\x30\x00", honest.claims.signature + b"\x00", honest.claims.signature[:-1]):
        assert world.refused("registrar", honest.but(signature=wrong)) == "bad_possession"
    thief = issued("Thief")
    stolen = honest.but(signature=possession(world, "lawyer1", thief))
    assert world.refused("registrar", stolen) == "bad_possession"
    world.do("registrar", honest.claims)


def test_a_new_key_and_a_revocation_end_the_binding() -> None:
    world = peopled()
    lawyer = world.id("lawyer1")
    old = bound(world, "lawyer1", "depositor")
    world.do("registrar", old.claims)
    new = world.signer("lawyer1 new")
    world.do("lawyer1", MemberKey(member=lawyer, role="depositor", key=new.public, notes=NOTES))
    assert in_force(world, lawyer) is None
    assert world.refused("registrar", old.claims) == "bad_possession", "the same act for the new key"
    world.do("registrar", bound(world, "lawyer1", "depositor", key=new.kid).claims)
    assert in_force(world, lawyer) is not None
    world.do("registrar", MemberRevoke(member=lawyer, role="depositor"))
    assert in_force(world, lawyer) is None
    assert world.refused("registrar", bound(world, "lawyer1", "depositor", key=new.kid).claims) == "unknown_member"


def test_an_ended_certificate_is_not_bound_and_a_binding_ends_with_it() -> None:
    world = peopled()
    short = issued("Short", days=3)
    claims = bound(world, "lawyer1", "depositor", short).claims
    late = peopled()
    late.now += 3 * 86_400
    assert late.refused("registrar", claims) == "certificate_ended"
    early = peopled()
    early.now -= 2 * 86_400
    early_claims = early.sign("registrar", claims)
    refusal = early.offer(early_claims)
    assert getattr(refusal, "code", "") == "certificate_not_yet"
    world.do("registrar", claims)
    ends = int(short.certificate.not_valid_after_utc.timestamp())
    world.now = ends
    assert in_force(world, world.id("lawyer1")) is not None
    world.now = ends + 1
    assert in_force(world, world.id("lawyer1")) is None


def test_chains_that_are_none_are_refused() -> None:
    world = peopled()
    honest = bound(world, "lawyer1", "depositor")
    leaf, issuing, root = honest.claims.certificates
    other = chain_of(issued("Other", names="Other"), names="Other")

    def refused(*certificates: bytes) -> str:
        return world.refused("registrar", honest.but(certificates=certificates))

    assert refused(leaf, issuing, other[2]) == "bad_chain", "another root"
    assert refused(leaf, other[1], other[2]) == "bad_chain", "another authority"
    assert refused(leaf, root) == "bad_chain", "one left out"
    assert refused(leaf, root, issuing) == "bad_chain", "out of order"
    assert refused(leaf, leaf, issuing, root) == "bad_chain", "issued by a person"
    assert refused(issuing, root) == "bad_chain", "an authority as a person"
    assert refused(leaf, issuing + b"\x00", root) == "bad_certificate"
    assert refused(leaf, issuing, b"") == "bad_certificate"
    assert world.refused("registrar", honest.but(ocsp=(), crls=())) == "no_revocation_evidence"
    world.do("registrar", honest.but(certificates=(leaf, issuing)))  # whoever pins the issuing authority as a root
    world.do("registrar", honest.but(ocsp=(), crls=(pki().crl("issuing"),)))


@pytest.mark.parametrize("profile", [Profile.OCSP, Profile.CA])
def test_certificates_for_other_ends_are_refused(profile: Profile) -> None:
    world = peopled()
    wrong = issued("Wrong", profile)
    claims = bound(world, "lawyer1", "depositor", wrong).claims
    assert world.refused("registrar", claims) == "bad_chain"
