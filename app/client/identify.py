"""A registrar binds a member's certificate: the file is checked as every reader will, then under the court's roots."""

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from app.client.revocation import fetch_evidence
from app.client.session import Client, Receipt
from app.errors import CannotTell, Refused
from app.identities.bindingfile import BindingFile
from app.identities.chain import Chain, check_time, read_chain
from app.identities.judging import judge_chain
from app.identities.possession import check_possession
from app.rules.act import person_of
from app.rules.aggregates import Binding, Person
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import MemberIdentity
from app.statements.statement import parse_leaf

VALID_SECONDS = 3_600
"""The evidence is of now: the statement is admitted now, or signed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A member whose certificate was bound."""

    person: Person
    chain: Chain
    receipt: Receipt


async def identify(client: Client, binding: BindingFile, roots: Sequence[x509.Certificate]) -> Identified:
    """Check a binding under roots, fetch what its authorities say, and put it on the ledger.

    Raises Refused (other_registry, other_key, unknown_member, bad_possession, certificate_revoked, certificate_ended,
    …), CannotTell (unknown_root, chain_not_accepted), Unreachable, BadInput.
    """
    state = await client.sync()
    person = person_of(state.view, binding.member)
    if binding.origin != client.trust.origin:
        raise Refused(
            f"the binding is for {binding.origin!r}, and this registry is {client.trust.origin!r}",
            "The person binds again, with this registry's trust file.",
            code="other_registry",
        )
    if binding.key != thumbprint(person.key):
        raise Refused(
            f"the binding is to the key {binding.key}, and {person.name} has {thumbprint(person.key)} now",
            "The person binds again, with his present keys.",
            code="other_key",
        )
    certificates = under(binding.certificates, roots)
    chain = read_chain(certificates)
    now = client.clock()
    check_time(chain, now)
    check_possession(
        chain, binding.algorithm, binding.signature, origin=binding.origin, member=person.id, key=binding.key
    )
    async with aiohttp.ClientSession() as session:
        parsed = [x509.load_der_x509_certificate(each) for each in certificates]
        answers, lists = await fetch_evidence(parsed, session)
    await judge_chain(certificates, roots=_ders(roots), ocsp_answers=answers, lists=lists, at=now)
    claims = MemberIdentity(
        member=person.id,
        role=person.role,
        certificates=certificates,
        algorithm=binding.algorithm,
        signature=binding.signature,
        ocsp=answers,
        crls=lists,
    )
    return Identified(person=person, chain=chain, receipt=await client.post(claims, valid_seconds=VALID_SECONDS))


async def check_again(client: Client, member: str, roots: Sequence[x509.Certificate]) -> Binding:
    """Judge a recorded binding under roots of one's own, at the time when it was entered; return it.

    Raises Refused (unknown_member, not_identified, certificate_revoked), CannotTell (unknown_root, …).
    """
    state = await client.sync()
    found = binding_or_refuse(state.view, member)
    claims = state.statement(found.statement).claims
    assert isinstance(claims, MemberIdentity)  # noqa: S101 - the rules made the aggregate from it
    at = parse_leaf(state.entries[found.index].leaf).time
    await judge_chain(claims.certificates, roots=_ders(roots), ocsp_answers=claims.ocsp, lists=claims.crls, at=at)
    return found


def binding_or_refuse(view: View, member: str) -> Binding:
    """The newest binding of a member, in force or not. Raises Refused (not_identified)."""
    found = view.find(Binding, member)
    if found is None:
        raise Refused(f"no certificate was ever bound to the member {member}", "", code="not_identified")
    return found


def under(certificates: Sequence[bytes], roots: Sequence[x509.Certificate]) -> tuple[bytes, ...]:
    """Complete a chain with its root. Raises CannotTell (unknown_root)."""
    known = _ders(roots)
    if certificates[-1] in known:
        return tuple(certificates)
    top = x509.load_der_x509_certificate(certificates[-1])
    for root, der in zip(roots, known, strict=True):
        try:
            top.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return (*certificates, der)
    raise CannotTell(
        f"none of the {len(known)} roots that you named issued {top.subject.rfc4514_string()}",
        "Name the roots that the court accepts for people, or have the person add the authorities between.",
        code="unknown_root",
    )


def _ders(roots: Sequence[x509.Certificate]) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in roots]
