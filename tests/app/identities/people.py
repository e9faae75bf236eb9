"""Persons with certificates of a loopback authority, and bindings of them; times are those of the test world."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from app.demo.pki import Issued, LoopbackPki, Profile
from app.identities.possession import binding_text
from app.statements.kinds import MemberIdentity
from tests.app.rules.world import ORIGIN, START, World

BASE = "http://127.0.0.1:1"


def pki(names: str = "Test") -> LoopbackPki:
    return _pki(names)


@cache
def _pki(names: str) -> LoopbackPki:
    return LoopbackPki(BASE, clock=lambda: START, names=names)


@cache
def issued(name: str, profile: Profile = Profile.PERSON, *, days: int = 3650, names: str = "Test") -> Issued:
    return pki(names).issue(name, profile=profile, days=days)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def chain_of(person: Issued, *, names: str = "Test") -> tuple[bytes, ...]:
    """The person's certificate, the issuing authority, the root."""
    return (person.der, *(der(each) for each in person.chain), pki(names).root_der)


def ocsp_answer(person: Issued, *, names: str = "Test") -> bytes:
    asked = x509.ocsp.OCSPRequestBuilder().add_certificate(person.certificate, person.chain[0], hashes.SHA256())
    return pki(names).ocsp(asked.build().public_bytes(Encoding.DER))


def possession(world: World, member: str, person: Issued, *, origin: str = ORIGIN, key: str | None = None) -> bytes:
    """The signature of the certificate's key for a member of the world, by name."""
    text = binding_text(
        origin=origin,
        member=world.id(member),
        key=world.id(member) if key is None else key,
        certificate=person.certificate.fingerprint(hashes.SHA256()),
    )
    return person.key.sign(text, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True)
class Bound:
    """A person and what a registrar would say of him."""

    person: Issued
    claims: MemberIdentity

    def but(self, **changes: Any) -> MemberIdentity:
        return replace(self.claims, **changes)


def bound(
    world: World, member: str, role: Any, person: Issued | None = None, *, names: str = "Test", **how: Any
) -> Bound:
    person = person or issued(f"Person {member}", names=names)
    return Bound(
        person=person,
        claims=MemberIdentity(
            member=world.id(member),
            role=role,
            certificates=chain_of(person, names=names),
            algorithm="ecdsa-p256-sha256",
            signature=possession(world, member, person, **how),
            ocsp=(ocsp_answer(person, names=names),),
            crls=(pki(names).crl("root"),),
        ),
    )
