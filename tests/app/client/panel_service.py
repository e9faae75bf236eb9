"""A registry with judges, a case and sealed evidence, over HTTP, for the tests of judges and recipients.

Every person has a real age recipient, the evidence is really sealed. `heard` keeps every body posted to the one door.
"""

import atexit
import base64
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from app.client.home import Home
from app.client.judge import Judge
from app.client.registrar import approve, open_session, propose, roster
from app.client.release import order, request
from app.client.session import Client
from app.panels.capsule import GBAR, box_hash, box_of, capsule_statement, check_public, label, public_part
from app.panels.group import G, dec_elem, reduce_wide
from app.panels.making.capsule import encrypt
from app.panels.making.proof import prove
from app.rules.aggregates import Case, Delegations, Epoch, Order, Panel, Request
from app.rules.replay import Entry
from app.rules.view import WholeView
from app.sealing.age import encrypt_bytes
from app.sealing.inventory import InventoryItem, format_inventory, make_inventory
from app.sealing.manifest import Manifest, format_manifest, manifest_hash, manifest_item
from app.sealing.segments import segment_sizes
from app.sealing.x25519 import Identity
from app.statements.kinds import (
    DEFAULT_RULES,
    Access,
    Capsule,
    CaseAssign,
    Deposit,
    DepositSlots,
    MemberEnrol,
    MemberRevoke,
    ReleaseRules,
)
from app.statements.statement import parse_statement
from tests.app.client.world_service import WorldService, keys_of, trust_of
from tests.app.rules.world import World, founded, fresh, seed

JUDGES = ("judge1", "judge2", "judge3", "judge4", "judge5")
PAPER = b"IN THE NAME OF THE COURT: open the evidence for lawyer2."


async def at_once(_seconds: float) -> None:
    return


def court() -> World:
    """Genesis, a clerk, two lawyers and five judges, each with keys of his own for notes."""
    world = founded()

    def enrolment(name: str, role: Any) -> MemberEnrol:
        keys = keys_of(name)
        return MemberEnrol(key=keys.signer.public, notes=keys.card.notes, role=role, name=name)

    world.enrolment = enrolment  # type: ignore[method-assign]
    world.enrol("clerk", "clerk")
    world.enrol("lawyer1", "depositor")
    world.enrol("lawyer2", "party")
    for judge in JUDGES:
        world.enrol(judge, "judge")
    return world


@dataclass
class Evidence:
    """A sealed deposit: what a service stores of it, and what its depositor kept."""

    deposit_id: bytes
    manifest: str
    segments: dict[tuple[int, int], bytes]
    box: bytes
    claims: Deposit
    disclosures: Any


@dataclass
class PanelService(WorldService):
    """The world's service with judges' cases, deposits and downloads."""

    evidence: dict[str, Evidence] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    """Every statement that was posted, admitted or not."""
    bodies: list[bytes] = field(default_factory=list)
    """The body of every request of any kind."""
    lost: set[str] = field(default_factory=set)
    """Kinds that do not arrive: the service fails before it admits them."""
    unanswered: set[str] = field(default_factory=set)
    """Kinds that are admitted, and whose answer is lost."""
    hidden_after: str | None = None
    """A kind after whose admission the ledger is shown as it was before."""

    def claims_heard(self, kind: str) -> list[Any]:
        """The claims of the posted statements of a kind."""
        return [each.claims for each in map(parse_statement, self.heard) if each.kind == kind]

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return await super().answer(request)

    def post(self, text: str) -> web.Response:
        self.heard.append(text)
        kind = parse_statement(text).kind
        if kind in self.lost:
            return self.problem(500, "lost")
        before = list(self.world.entries)
        answer = super().post(text)
        if kind == self.hidden_after and answer.status == 201:
            self.entries = before
        return self.problem(500, "lost") if kind in self.unanswered else answer

    def signed_in(self, request: web.Request, parts: list[str]) -> web.Response:
        member = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if member is None:
            return self.problem(401, "not_signed_in")
        match [request.method, *parts]:
            case ["GET", "v1", "me"]:
                cases = [each.id for each in self.people() if isinstance(each, Case) and self.reads(each, member)]
                person: Any = self.world.view.aggregates[f"member/{member}"]
                found = {"member": member, "role": person.role, "name": person.name, "cases": cases, "panels": []}
                return web.json_response(found)
            case ["GET", "v1", "deposits", deposit_id]:
                kept = self.evidence[deposit_id]
                entry = next(each for each in self.shown if _is_deposit(each, kept.deposit_id))
                return web.json_response(
                    {"statement": entry.statement, "index": entry.index, "leaf": entry.leaf, "manifest": kept.manifest}
                )
            case ["GET", "v1", "deposits", deposit_id, "segments", item, segment]:
                return web.Response(body=self.evidence[deposit_id].segments[int(item), int(segment)])
        return super().signed_in(request, parts)

    def route(self, request: web.Request, parts: list[str], body: bytes) -> web.Response:
        if [request.method, *parts] == ["POST", "v1", "downloads"]:
            return self.download(bytes.fromhex(json.loads(body)["request"]))
        return super().route(request, parts, body)

    def download(self, digest: bytes) -> web.Response:
        asked = self.world.view.find(Request, digest.hex())
        assert asked is not None
        if not asked.state.released:
            return self.problem(409, "not_released")
        if not asked.accessed:
            self.world.do("service", Access(deposit_id=asked.deposit_id, request=digest, recipient=asked.recipient))
        kept = self.evidence[asked.deposit_id.hex()]
        capsule = kept.claims.capsules[0]
        boxes = [
            {
                "panel_id": capsule.panel_id.hex(),
                "ct_hash": capsule.ct_hash.hex(),
                "box": base64.urlsafe_b64encode(kept.box).rstrip(b"=").decode(),
            }
        ]
        return web.json_response(
            {"access": fresh("access", 32).hex(), "deposit_id": asked.deposit_id.hex(), "boxes": boxes}
        )

    def reads(self, case: Case, member: str) -> bool:
        judges = {
            judge
            for each in self.people()
            if isinstance(each, Epoch) and each.panel_id in case.panels
            for judge in each.judges
        }
        given = [each for each in self.people() if isinstance(each, Delegations) and each.id == case.id]
        running = {each.delegate for found in given for each in found.given if each.until > self.world.now}
        return member in (case.opened_by, case.presiding, *case.parties) or member in judges | running

    def of_case(self, case: Case) -> list[Entry]:
        return [each for each in self.shown if self.concerns(each, case)]

    def concerns(self, entry: Entry, case: Case) -> bool:
        claims: Any = parse_statement(entry.statement).claims
        if isinstance(claims, MemberEnrol):
            return self.world.id(claims.name) in case.parties
        if isinstance(claims, MemberRevoke):
            return claims.member in case.parties
        if getattr(claims, "case_id", b"").hex() == case.id:
            return True
        for of, name in ((Order, "order"), (Request, "request")):
            digest = getattr(claims, name, None)
            found = self.world.view.find(of, digest.hex()) if isinstance(digest, bytes) else None
            if found is not None and found.case_id.hex() == case.id:
                return True
        return False


def _is_deposit(entry: Entry, deposit_id: bytes) -> bool:
    claims = parse_statement(entry.statement).claims
    return isinstance(claims, Deposit) and claims.deposit_id == deposit_id


@dataclass
class Bench:
    """One running service, and the clients of everybody, each with a home of his own below `homes`."""

    service: PanelService
    url: str
    homes: Path
    trust: Any
    panel_id: bytes = b""
    case_id: bytes = b""

    @property
    def world(self) -> World:
        return self.service.world

    @asynccontextmanager
    async def client(self, name: str, **changes: Any) -> AsyncIterator[Client]:
        """A fresh process of that person."""
        trust = changes.pop("trust", self.trust)
        url = changes.pop("url", self.url)
        slow = changes.pop("slow", 0)
        async with Client(
            Home(self.homes / name), keys_of(name), trust, url, clock=lambda: self.world.now - slow, pause=at_once
        ) as client:
            yield client

    async def act(self, name: str) -> Any:
        async with self.client(name) as client:
            return await Judge(client).act()

    async def acts(self, name: str) -> list[str]:
        """A visit in which nothing stands in the way; what was said."""
        done = await self.act(name)
        assert [each.fault for each in done if each.fault is not None] == []
        return [each.said for each in done]

    async def ceremony(self, judges: Iterable[str] = JUDGES, k: int = 3) -> None:
        """The whole ceremony through the clients; each judge comes three times."""
        await self.until_open(judges, k)
        for _ in range(2):
            for judge in judges:
                await self.acts(judge)

    async def until_open(self, judges: Iterable[str] = JUDGES, k: int = 3) -> None:
        """Up to the opened session."""
        async with self.client("registrar") as registrar:
            ids = tuple(self.world.id(judge) for judge in judges)
            self.panel_id = (await propose(registrar, ids, k)).panel_id
        for judge in judges:
            assert await self.acts(judge) == ["panel.card"]
        await self.approve_and_open()

    async def approve_and_open(self) -> None:
        async with self.client("registrar") as registrar:
            act = await roster(registrar, self.panel_id)
            for key in ("authority1", "authority2"):
                await approve(registrar, act.digest, seed(key))
            await open_session(registrar, self.panel_id)

    def assign(self, name: str = "case", rules: ReleaseRules = DEFAULT_RULES) -> None:
        """Open a case of both lawyers under these rules, with the panel and judge1 presiding; it is the one at hand."""
        self.case_id = self.world.open_case(name, "lawyer1", "lawyer2", rules=rules)
        self.world.do(
            "clerk", CaseAssign(case_id=self.case_id, panel_id=self.panel_id, presiding=self.world.id("judge1"))
        )

    async def released(self, *judges: str) -> bytes:
        """Order and request of the newest deposit for lawyer2, granted by these judges. Returns the request."""
        deposit_id = bytes.fromhex(list(self.service.evidence)[-1])
        async with self.client("judge1") as presiding:
            ordered = await order(
                presiding,
                case_id=self.case_id,
                deposits=[deposit_id],
                recipients=[self.world.id("lawyer2")],
                paper=PAPER,
            )
        async with self.client("lawyer2") as lawyer:
            asked = (await request(lawyer, order=ordered.statement.digest, deposit_id=deposit_id)).statement.digest
        for judge in judges:
            async with self.client(judge) as client:
                await Judge(client).grant(asked, PAPER)
        return asked

    def deposit(self, *files: tuple[str, bytes], name: str = "deposit", **wrong: Any) -> Evidence:
        """Deposit files; `wrong` makes a depositor's client that does not do what it says."""
        made = sealed(self.world, self.panel_id, self.case_id, files, name, **wrong)
        self.world.do("lawyer1", made.claims)
        self.service.evidence[made.deposit_id.hex()] = made
        return made


def sealed(
    world: World,
    panel_id: bytes,
    case_id: bytes,
    files: tuple[tuple[str, bytes], ...],
    name: str = "deposit",
    *,
    declare: dict[int, bytes] | None = None,
    swap_slots: bool = False,
    wrong_key: bool = False,
    wrong_box: bool = False,
) -> Evidence:
    """Seal files to the panel. `declare`: digests to lie about; `swap_slots`: slots of item 1 that nothing
    opens; `wrong_key`: a capsule with another key; `wrong_box`: a capsule whose box opens for nobody."""
    panel = world.view.find(Panel, panel_id.hex())
    assert panel is not None
    record = panel.state.current
    assert record is not None
    deposit_id, identity = fresh(name), Identity(os.urandom(32))
    items = tuple(
        InventoryItem(
            name=file, type="text/plain", size=len(data), sha256=(declare or {}).get(i, hashlib.sha256(data).digest())
        )
        for i, (file, data) in enumerate(files, 1)
    )
    inventory = make_inventory(
        deposit_id=deposit_id, case_id=case_id, items=items, description="what it is", origin=None, rng=os.urandom
    )
    contents = [format_inventory(inventory).encode(), *[data for _, data in files]]
    listed, segments = [], {}
    for index, content in enumerate(contents):
        file = encrypt_bytes(content, [identity.recipient], os.urandom)
        parts, start = [], 0
        for size in segment_sizes(len(file)):
            parts.append(file[start : start + size])
            start += size
        segments.update({(index, i): part for i, part in enumerate(parts)})
        slots = inventory.item_slots(index) if index else None
        if swap_slots and index == 1:
            slots = inventory.item_slots(2)
        listed.append(manifest_item(len(file), tuple(hashlib.sha256(part).digest() for part in parts), slots))
    manifest = format_manifest(Manifest(items=tuple(listed)))
    bound = label(bytes(record.Y), deposit_id, case_id, manifest_hash(manifest))
    secret = os.urandom(32) if wrong_key else identity.secret
    ciphertext = encrypt(bytes(record.Y), bound, secret, os.urandom(32))
    if wrong_box:
        ciphertext = malformed(bytes(record.Y), bound)
    public = public_part(ciphertext)
    capsule = Capsule(
        panel_id=panel_id,
        epoch_id=record.epoch_id,
        y=bytes(record.Y),
        public=public,
        ct_hash=check_public(bytes(record.Y), bound, public).ct_hash,
    )
    claims = Deposit(
        deposit_id=deposit_id,
        case_id=case_id,
        manifest_hash=manifest_hash(manifest),
        capsules=(capsule,),
        slots=DepositSlots(**inventory.deposit_slots()),
        note=None,
    )
    return Evidence(
        deposit_id=deposit_id,
        manifest=manifest,
        segments=segments,
        box=box_of(ciphertext),
        claims=claims,
        disclosures=inventory.disclosures,
    )


def malformed(Y: bytes, bound: bytes) -> bytes:
    """A ciphertext that every public check accepts and that nobody opens."""
    joint, r, box = dec_elem(Y), reduce_wide(os.urandom(64)), bytes(48)
    U, Ubar = r * G, r * GBAR
    proof = prove(capsule_statement(joint, bound, U, Ubar, box_hash(box)), [r], os.urandom(32))
    return b"\x01" + bytes(U) + bytes(Ubar) + proof + box


_MADE: dict[str, tuple[World, bytes, Path]] = {}
"""A certified panel of 2 of 3 as the clients made it once: world, panel id, homes."""


@asynccontextmanager
async def with_panel(folder: Path) -> AsyncIterator[Bench]:
    """A court with a certified panel of judge1 to judge3, two of whom open, and a case of both lawyers."""
    if "3" not in _MADE:
        place = Path(tempfile.mkdtemp(prefix="panel-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        async with bench(place) as made:
            await made.ceremony(JUDGES[:3], 2)
            made.assign()
        _MADE["3"] = (made.world, made.panel_id, made.homes)
    world, panel_id, homes = _MADE["3"]
    shutil.copytree(homes, folder / "homes")
    async with bench(folder, copy_of(world)) as made:
        made.panel_id, made.case_id = panel_id, fresh("case")
        yield made


def copy_of(world: World) -> World:
    """The same world, to go its own way from here."""
    return replace(world, entries=list(world.entries), view=WholeView(world.view.aggregates.values()))


@asynccontextmanager
async def bench(folder: Path, world: World | None = None) -> AsyncIterator[Bench]:
    """A court whose service runs, without a panel yet unless the world has one."""
    service = PanelService(world if world is not None else court())
    async with service.server() as server:
        yield Bench(
            service=service, url=str(server.make_url("/")), homes=folder / "homes", trust=trust_of(service.world)
        )
