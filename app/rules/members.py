"""Genesis, approvals, and who belongs to the registry.

Offices (registrar, clerk, judge) are enrolled, revoked and re-keyed by a registrar with m approvals of the authority;
others by a registrar alone. A member rotates his own key himself. Nobody enrols himself, and no key comes back.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from app.rules.act import Act, person_of, refuse
from app.rules.aggregates import Aggregate, Devices, KeyHolder, PendingAct, Person, Registry
from app.rules.view import View
from app.statements.keys import thumbprint
from app.statements.kinds import OFFICES, Approval, Genesis, MemberEnrol, MemberKey, MemberRevoke
from app.statements.statement import parse_statement


def found(genesis: Genesis, digest: bytes, index: int) -> Iterator[Aggregate]:
    """Yield what a genesis founds: registry, keys and the first registrar."""
    keys = {thumbprint(each) for each in (*genesis.authority.keys, genesis.log, genesis.service, genesis.registrar.key)}
    if len(keys) != len(genesis.authority.keys) + 3:
        raise refuse("key_in_use", "the genesis names one key twice", "Make a key of its own for each purpose.")
    if genesis.authority.m > len(genesis.authority.keys):
        raise refuse("bad_threshold", f"m is {genesis.authority.m} of only {len(genesis.authority.keys)} keys")
    yield Registry(
        genesis=digest,
        origin=genesis.origin,
        log=genesis.log,
        service=genesis.service,
        authority=genesis.authority,
    )
    for key in genesis.authority.keys:
        yield KeyHolder(id=thumbprint(key), key=key, holder="authority", member=None, retired=False)
    yield KeyHolder(id=thumbprint(genesis.log), key=genesis.log, holder="log", member=None, retired=False)
    yield KeyHolder(id=thumbprint(genesis.service), key=genesis.service, holder="service", member=None, retired=False)
    officer = genesis.registrar
    yield from _joined(
        MemberEnrol(key=officer.key, notes=officer.notes, role="registrar", name=officer.name), index=index
    )


def _joined(claims: MemberEnrol, index: int) -> Iterator[Aggregate]:
    member = thumbprint(claims.key)
    yield KeyHolder(id=member, key=claims.key, holder="member", member=member, retired=False)
    yield Person(
        id=member,
        role=claims.role,
        name=claims.name,
        key=claims.key,
        notes=claims.notes,
        active=True,
        index=index,
    )


def key_unused(act: Act[object], key: bytes) -> None:
    if act.view.find(KeyHolder, thumbprint(key)) is not None:
        raise refuse("key_in_use", f"the key {thumbprint(key)} is or was in use here", "Make a new key.")


def enrol(act: Act[MemberEnrol]) -> Iterator[Aggregate]:
    """A registrar enrols a member; an office waits for approvals."""
    act.member("registrar")
    key_unused(act, act.claims.key)
    if act.claims.role in OFFICES:
        yield pending(act)
    else:
        yield from _joined(act.claims, act.circumstances.index)


def enrolled(act: Act[MemberEnrol]) -> Iterator[Aggregate]:
    """The m-th approval of an enrolment is there."""
    key_unused(act, act.claims.key)
    yield from _joined(act.claims, act.circumstances.index)


def subject(act: Act[Any]) -> Person:
    person = person_of(act.view, act.claims.member)
    if person.role != act.claims.role:
        raise refuse("wrong_role", f"the member {person.id} is a {person.role}, not a {act.claims.role}")
    return person


def revoke(act: Act[MemberRevoke]) -> Iterator[Aggregate]:
    """A registrar revokes a member; an office waits for approvals."""
    act.member("registrar")
    subject(act)
    if act.claims.role in OFFICES:
        yield pending(act)
    else:
        yield from revoked(act)


def revoked(act: Act[MemberRevoke]) -> Iterator[Aggregate]:
    """The revocation takes effect."""
    person = subject(act)
    yield replace(person, active=False)
    yield from _retired(act, person)
    yield from without_devices(act.view, person)


def _retired(act: Act[object], person: Person) -> Iterator[Aggregate]:
    holder = act.view.find(KeyHolder, thumbprint(person.key))
    if holder is None:
        raise refuse("unknown_member", f"the member {person.id} has no key")
    yield replace(holder, retired=True)


def own_key(act: Act[Any], person: Person) -> None:
    """Raise Refused (wrong_signer) unless the member's own key signed, and not that of a further device."""
    if act.statement.kid != thumbprint(person.key):
        raise refuse("wrong_signer", f"this takes the key {thumbprint(person.key)} of {person.id}, not a device's")


def without_devices(view: View, person: Person) -> Iterator[Aggregate]:
    """Retire all devices of a member."""
    found = view.find(Devices, person.id)
    if found is None or not found.devices:
        return
    for each in found.devices:
        holder = view.find(KeyHolder, each.key)
        if holder is not None:
            yield replace(holder, retired=True)
    yield replace(found, devices=())


def rotate(act: Act[MemberKey]) -> Iterator[Aggregate]:
    """A member gives himself a new key, or a registrar gives one to a member who lost his."""
    signer = act.member()
    person = subject(act)
    key_unused(act, act.claims.key)
    if signer.id == person.id:
        own_key(act, person)
        yield from rotated(act)
        return
    act.member("registrar")
    if act.claims.role in OFFICES:
        yield pending(act)
    else:
        yield from rotated(act)


def rotated(act: Act[MemberKey]) -> Iterator[Aggregate]:
    """The new key takes effect; the old one is never accepted again."""
    person = subject(act)
    key_unused(act, act.claims.key)
    yield from _retired(act, person)
    if act.statement.kid != thumbprint(person.key):
        yield from without_devices(act.view, person)  # a lost key may have named devices since
    yield KeyHolder(id=thumbprint(act.claims.key), key=act.claims.key, holder="member", member=person.id, retired=False)
    yield replace(person, key=act.claims.key, notes=act.claims.notes)


def pending(act: Act[object]) -> PendingAct:
    """Return the act as one that waits for the authority's approvals."""
    return PendingAct(id=act.statement.digest.hex(), statement=act.statement.text, approvals=(), effective=False)


def approve(
    act: Act[Approval], effects: Mapping[str, Callable[[Act[Any]], Iterator[Aggregate]]]
) -> Iterator[Aggregate]:
    """An authority key approves an act; with the m-th, `effects` of the act's kind take place, checked again then."""
    if act.holder.holder != "authority":
        raise refuse("wrong_signer", "an approval is signed by a key of the authority", "Let the authority sign it.")
    digest = act.claims.act.hex()
    waiting = act.view.find(PendingAct, digest)
    if waiting is None:
        raise refuse("unknown_act", f"no act with the digest {digest} waits for approval", "Post the act first.")
    if act.holder.id in waiting.approvals:
        raise refuse("already_approved", f"the key {act.holder.id} approved {digest} before")
    if waiting.effective:
        raise refuse("already_effective", f"the act {digest} took effect before", "Nothing is left to do.")
    approvals = (*waiting.approvals, act.holder.id)
    effective = len(approvals) >= act.registry.authority.m
    yield replace(waiting, approvals=approvals, effective=effective)
    if effective:
        statement = parse_statement(waiting.statement)
        effective_act: Act[object] = replace(cast("Act[Any]", act), statement=statement, claims=statement.claims)
        yield from effects[statement.kind](effective_act)
