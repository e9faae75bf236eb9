"""Two devices for a person: a further key that signs for the same member, beside his own.

Only the member's own key names devices, replaces itself, and is what orders name as a recipient's; so a device that is
stolen can neither keep the member out nor ask for evidence in his name. Its word is retired by the member, by itself,
or by a registrar; all devices are when he is revoked, or a registrar gives him a new key.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Device, Devices, KeyHolder
from app.rules.members import key_unused, own_key, subject
from app.statements.keys import thumbprint
from app.statements.kinds import MemberDevice, MemberUndevice

MOST = 4


def add(act: Act[MemberDevice]) -> Iterator[Aggregate]:
    """A member names a further device of his, with a key that was never in use."""
    signer = act.member()
    person, claims = subject(act), act.claims
    if signer.id != person.id:
        raise refuse("wrong_signer", f"a device of {person.id} is named by himself")
    own_key(act, person)
    key_unused(act, claims.key)
    found = act.view.find(Devices, person.id)
    there = found.devices if found is not None else ()
    if len(there) >= MOST:
        raise refuse("too_many_devices", f"the member {person.id} has {MOST} further devices", "Retire one.")
    key = thumbprint(claims.key)
    yield KeyHolder(id=key, key=claims.key, holder="member", member=person.id, retired=False)
    yield Devices(id=person.id, devices=(*there, Device(key=key, notes=claims.notes)))


def remove(act: Act[MemberUndevice]) -> Iterator[Aggregate]:
    """The member's own key, the device itself, or a registrar retires a device."""
    signer = act.member()
    person, key = subject(act), act.claims.key
    found = act.view.find(Devices, person.id)
    holder = act.view.find(KeyHolder, key)
    if found is None or holder is None or all(each.key != key for each in found.devices):
        raise refuse("unknown_device", f"the member {person.id} has no device with the key {key}")
    if signer.id == person.id:
        if act.statement.kid != key:
            own_key(act, person)
    else:
        act.member("registrar")
    yield replace(holder, retired=True)
    yield replace(found, devices=tuple(each for each in found.devices if each.key != key))
