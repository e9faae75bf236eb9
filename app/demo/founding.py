"""The demonstration's beginning: people, keys, genesis, the service's folder; then appointments and a key ceremony."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.client.founding import Founding, found
from app.client.judge import Judge
from app.client.registrar import approve, open_session, propose, roster
from app.client.session import Client
from app.demo.cast import AUTHORITY, REQUIRED, Cast, Person, now
from app.demo.outside import Outside
from app.demo.process import free_port
from app.demo.witnesses import make_witnesses
from app.errors import Mismatch
from app.service.found import registry_settings, write_registry
from app.statements.kinds import OFFICES, Authority, MemberEnrol, Role
from app.statements.statement import Signer
from ledger.note import KeyType, VerifierKey

ORIGIN = "ledger.example/demonstration"


Consent = Callable[[bytes], Awaitable[None]]
"""Has an act approved, named by its statement's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What was made before the service starts."""

    founding: Founding
    log: VerifierKey


async def found_registry(folder: Path, cast: Cast, stores: Mapping[str, str], outside: Outside) -> Founded:
    """Make two witnesses, genesis, trust file and policy, and write the registry's folder. `outside` vouches for time.

    `stores`: the URLs of `records` and `blobs`, where they do not lie beside the configuration.
    """
    log_seed, service_seed = os.urandom(32), os.urandom(32)
    log = VerifierKey(name=ORIGIN, type=KeyType.ED25519, public_key=Signer(log_seed).public)
    witnesses = await make_witnesses(folder.parent / "witnesses", log)
    authority = Authority(keys=tuple(cast[name].keys.signer.public for name in AUTHORITY), m=REQUIRED)
    founding = found(
        origin=ORIGIN,
        registrar=cast["registrar"].keys,
        authority=authority,
        log_seed=log_seed,
        service_seed=service_seed,
        now=now(),
        rng=os.urandom,
        witnesses=witnesses,
        tsa=outside.tsa(),
        seal=outside.seal(),
        headers=outside.headers(),
    )
    settings = registry_settings(folder, origin=ORIGIN, genesis=founding.genesis.digest, port=free_port())
    settings = replace(
        settings,
        witnesses=folder / "witnesses.txt",
        publication_milliseconds=20,
        anchors=folder / "anchors.toml",
        office=folder / "office.toml",
    )
    settings = replace(
        settings, records=stores.get("records", settings.records), blobs=stores.get("blobs", settings.blobs)
    )
    write_registry(folder, settings, log_seed=log_seed, service_seed=service_seed)
    (folder / "witnesses.txt").write_text(founding.policy, encoding="utf-8")
    outside.write_anchors(folder)
    outside.write_office(folder, founding.trust)
    return Founded(founding=founding, log=log)


def consent_of(officials: Sequence[tuple[Client, Person]]) -> Consent:
    """The consent of these officials, each of whom looks at the act with his own client."""

    async def consent(act: bytes) -> None:
        for client, official in officials:
            await approve(client, act, official.keys.seed)

    return consent


async def appoint(registrar: Client, consent: Consent, person: Person, role: Role) -> None:
    """Enrol a person, with the authority's approvals where the role is an office."""
    card = person.keys.card
    receipt = await registrar.post(MemberEnrol(key=card.key, notes=card.notes, role=role, name=card.name))
    if role in OFFICES:
        await consent(receipt.statement.digest)


async def hold_ceremony(
    registrar: Client, consent: Consent, judges: list[tuple[Client, Person]], threshold: int
) -> bytes:
    """Run the key ceremony of a new panel by all its judges; return its id."""
    panel_id = (await propose(registrar, tuple(person.id for _, person in judges), threshold)).panel_id
    await _visits([client for client, _ in judges])
    act = await roster(registrar, panel_id)
    await consent(act.digest)
    await open_session(registrar, panel_id)
    await _visits([client for client, _ in judges])
    await _visits([client for client, _ in judges])
    return panel_id


async def _visits(clients: list[Client]) -> None:
    """Let each judge's client do what is due."""
    for done in await asyncio.gather(*(Judge(client).act() for client in clients)):
        for each in done:
            if each.fault is not None:
                raise Mismatch(f"a judge's visit failed: {each.fault.message}", each.fault.next_step)
