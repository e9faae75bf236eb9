"""Three attacks that must fail, each with all that its attacker can have."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.client.deposit import Depositor, Evidence
from app.client.fetch import fetch
from app.client.founding import format_policy
from app.client.home import Home, Keys
from app.demo import rogue
from app.demo.cast import Cast, Person, connected
from app.demo.copies import alter_segment, copy_registry
from app.demo.founding import appoint, hold_ceremony
from app.demo.process import running, serve_elsewhere
from app.demo.usurped import usurped_by
from app.errors import AppError, Mismatch
from app.statements.kinds import Approval, Authority, CaseAssign
from app.statements.trust import format_trust, parse_trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """How an attack failed: the error that the honest client gave."""

    code: str
    message: str


def backdate(proof: Path, changed: Path) -> None:
    """Write a copy of a proof file whose deposit is a day older."""
    value = json.loads(proof.read_text(encoding="utf-8"))
    leaf = json.loads(value["leaf"])
    leaf["time"] -= 86_400
    value["leaf"] = json.dumps(leaf, separators=(",", ":"))
    changed.write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


async def substitute_panel(
    registry: Path, folder: Path, cast: Cast, *, case_id: bytes, files: Sequence[Path], threshold: int
) -> tuple[Failed, Failed]:
    """The operator and the registrar run a second service with the real log key, and a panel of their own.

    They have everything but the authority's keys and the witnesses': five judges of theirs go through a whole, correct
    ceremony, and the panel is assigned to the case. Lawyer 1 deposits there: with his trust file, and with one that
    demands no witness. Raises AssertionError if his client lets him.
    """
    folder.mkdir(mode=0o700)
    await copy_registry(registry, folder / "registry")
    crown = Keys.generate("Usurper", os.urandom)
    law = usurped_by(Authority(keys=(crown.signer.public,), m=1))
    lenient = _without_witnesses(cast["lawyer-1"])

    def conspirator(name: str, keys: Keys) -> Person:
        home = Home(folder / name)
        home.path.mkdir(mode=0o700)
        home.set_trust(lenient.encode())
        return Person(name=name, home=home, keys=keys, passphrase="")

    crooks = [conspirator(f"crook-{i}", Keys.generate(f"Crook {i}", os.urandom)) for i in range(1, 6)]
    registrar, usurper = conspirator("registrar", cast["registrar"].keys), conspirator("usurper", crown)
    async with running(folder, rogue.command(folder / "registry", crown.signer.public)) as url:
        async with connected([registrar, usurper, *crooks], url, law) as clients:

            async def consent(act: bytes) -> None:
                await clients["usurper"].post(Approval(act=act))

            for crook in crooks:
                await appoint(clients["registrar"], consent, crook, "judge")
            judges = [(clients[crook.name], crook) for crook in crooks]
            panel_id = await hold_ceremony(clients["registrar"], consent, judges, threshold)
            assign = CaseAssign(case_id=case_id, panel_id=panel_id, presiding=crooks[0].id)
            await clients["registrar"].post(assign)
        careless = conspirator("lawyer-1-without-witnesses", cast["lawyer-1"].keys)
        return (
            await _try_deposit(cast["lawyer-1"], url, case_id, files),
            await _try_deposit(careless, url, case_id, files),
        )


async def _try_deposit(person: Person, url: str, case_id: bytes, files: Sequence[Path]) -> Failed:
    async with connected([person], url) as clients:
        try:
            await Depositor(clients[person.name]).deposit(case_id, [Evidence(path=each) for each in files])
        except AppError as error:
            return Failed(code=error.code, message=error.message)
    raise AssertionError("the client sealed to a panel that the authority never approved")


def _without_witnesses(person: Person) -> str:
    """The person's trust file, but for its demand of cosignatures."""
    trust = parse_trust((person.home.path / "trust.json").read_bytes())
    policy = format_policy(trust.policy.log, ())
    return format_trust(origin=trust.origin, genesis=trust.genesis, authority=trust.authority, policy_text=policy)


async def alter_evidence(
    registry: Path, folder: Path, reader: Person, *, deposit_id: bytes, request: bytes, place: tuple[int, int]
) -> Failed:
    """A copy of the registry, one byte of one segment changed and its lock record with it, served elsewhere.

    Raises AssertionError if the recipient's client takes it.
    """
    folder.mkdir(mode=0o700)
    await copy_registry(registry, folder / "registry")
    await alter_segment(folder / "registry", deposit_id, *place)
    async with running(folder, serve_elsewhere(folder / "registry")) as url, connected([reader], url) as clients:
        try:
            await fetch(clients[reader.name], deposit_id, folder / "fetched", request=request)
        except Mismatch as error:
            return Failed(code=error.code, message=error.message)
    raise AssertionError("the client took a segment that was changed")
