"""A real service on a free port over given stores, with the people of the rules' tests; its clock is a number."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from app.canonical import b64u_encode, format_json
from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.making.capsule import encrypt
from app.rules.view import WholeView
from app.sealing.manifest import ItemSlots, Manifest, format_manifest, manifest_hash, manifest_item
from app.sealing.segments import item_length
from app.service.registry import Registry, Terms
from app.service.tokens import RESPONSE_TYP
from app.statements.kinds import Capsule, CaseAssign, Deposit, DepositSlots
from app.statements.statement import Statement, parse_leaf
from app.web.application import serve
from storage.memory import MemoryBlobStore, MemoryRecordStore
from storage.ports import BlobStore, RecordStore
from tests.app.rules.world import ORIGIN, Ceremony, Deposited, Release, World, fresh, seed, with_judges


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code, of a problem document in its form."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), (self.status, self.body)
        found = self.json
        assert set(found) == {"type", "title", "status", "detail", "instance", "code", "next_step"}
        assert found["status"] == self.status
        assert found["type"] == f"urn:muniment:problem:{found['code']}"
        assert isinstance(found["code"], str)
        return found["code"]


@dataclass
class House:
    """A running service, its clock, and the world whose statements are pushed to it."""

    world: World
    registry: Registry
    url: str
    session: aiohttp.ClientSession
    clock: list[int]
    application: web.Application
    pushed: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: bytes | None = None, *, by: str | None = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            sent["Authorization"] = f"Bearer {await self.token(by)}"
        url = URL(f"{self.url}/{path.lstrip('/')}", encoded=True)
        async with self.session.request(method, url, data=body, headers=sent, allow_redirects=False) as response:
            return Answer(status=response.status, body=await response.read(), headers=response.headers)

    async def send(self, method: str, path: str, value: object, *, by: str | None = None) -> Answer:
        return await self.call(method, path, format_json(value).encode(), by=by)

    async def post(self, statement: Statement | str | bytes) -> Answer:
        text = statement.text if isinstance(statement, Statement) else statement
        return await self.call("POST", "/v1/statements", text if isinstance(text, bytes) else text.encode())

    async def token(self, name: str) -> str:
        if name not in self.tokens:
            self.tokens[name] = await self.new_token(name)
        return self.tokens[name]

    async def new_token(self, name: str) -> str:
        signer = self.world.signer(name)
        asked = await self.send("POST", "/v1/challenge", {"kid": signer.kid})
        payload = format_json({"aud": ORIGIN, "challenge": asked.json["challenge"]})
        given = await self.send("POST", "/v1/token", {"response": signer.sign_text(RESPONSE_TYP, payload)})
        assert given.status == 200, given.body
        return str(given.json["token"])

    async def push(self) -> None:
        """Post what the world did since; the service must make exactly its leaves."""
        for entry in self.world.entries[self.pushed :]:
            self.clock[0] = parse_leaf(entry.leaf).time
            answer = await self.post(entry.statement)
            assert answer.status == 201, answer.body
            assert (answer.json["index"], answer.json["leaf"]) == (entry.index, entry.leaf)
            self.pushed += 1
        self.clock[0] = self.world.now

    async def upload(self, deposit: "RealDeposit", by: str = "lawyer1", *, leave_out: int = 0) -> None:
        """Upload all of a deposit, or all but the last `leave_out` segments."""
        base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
        answer = await self.send("PUT", base, {"case_id": deposit.claims.case_id.hex()}, by=by)
        assert answer.status in (200, 201), answer.body
        segments = deposit.segments[: len(deposit.segments) - leave_out]
        for place in (await self.places(deposit, by)).json["places"]:
            data = dict(segments).get((place["item"], place["segment"]))
            if data is not None:
                put = await self.call("PUT", place["url"], data, **place["headers"])
                assert put.status in (200, 201), put.body
        assert (await self.call("PUT", f"{base}/manifest", deposit.manifest.encode(), by=by)).status in (200, 201)
        ct_hash = deposit.claims.capsules[0].ct_hash
        assert (await self.call("PUT", f"{base}/boxes/{ct_hash.hex()}", deposit.box, by=by)).status in (200, 201)

    async def places(self, deposit: "RealDeposit", by: str = "lawyer1") -> Answer:
        names = [
            {"item": item, "segment": segment, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for (item, segment), data in deposit.segments
        ]
        return await self.send(
            "POST", f"/v1/uploads/{deposit.claims.deposit_id.hex()}/places", {"segments": names}, by=by
        )


@dataclass
class RealDeposit(Deposited):
    """A deposit with a manifest and segments of random-looking bytes."""

    manifest: str
    segments: tuple[tuple[tuple[int, int], bytes], ...]


def real_deposit(world: World, ceremony: Ceremony, case_id: bytes, name: str = "deposit") -> RealDeposit:
    """A deposit sealed to the ceremony's panel: an inventory and two items of one segment each."""
    record = ceremony.closed().record
    deposit_id = fresh(name)
    bodies = [_bytes(f"{name} {item}", item_length(50 * item + 1)) for item in range(3)]
    slot = b64u_encode(bytes(32))
    slots = ItemSlots(name=slot, type=slot, size=slot, sha256=slot, parts=slot)
    items = tuple(
        manifest_item(len(body), (hashlib.sha256(body).digest(),), slots if item else None)
        for item, body in enumerate(bodies)
    )
    manifest = format_manifest(Manifest(items=items))
    bound = label(bytes(record.Y), deposit_id, case_id, manifest_hash(manifest))
    ciphertext = encrypt(bytes(record.Y), bound, seed(f"secret {name}"), fresh(f"rnd {name}", 32))
    public = public_part(ciphertext)
    capsule = Capsule(
        panel_id=ceremony.panel_id,
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
        slots=DepositSlots(description=slot, origin=slot),
        note=None,
    )
    return RealDeposit(
        claims=claims,
        secret=seed(f"secret {name}"),
        box=box_of(ciphertext),
        manifest=manifest,
        segments=tuple(((item, 0), body) for item, body in enumerate(bodies)),
    )


def _bytes(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


@cache
def _court() -> tuple[World, Ceremony, bytes]:
    world, ceremony = with_judges()
    ceremony.run()
    world.enrol("auditor", "auditor")
    world.enrol("outsider", "depositor")
    case_id = world.open_case("case", "lawyer1", "lawyer2")
    world.do("clerk", CaseAssign(case_id=case_id, panel_id=ceremony.panel_id, presiding=world.id("judge1")))
    return world, ceremony, case_id


def court() -> Release:
    """A panel of 2 of 3, a case of both lawyers with judge1 presiding, and a deposit of lawyer1 yet to be made."""
    old, before, case_id = _court()
    world = World(
        m=old.m,
        now=old.now,
        signers=old.signers,
        entries=list(old.entries),
        view=WholeView(old.view.aggregates.values()),
        count=old.count,
        genesis=old.genesis,
    )
    ceremony = Ceremony(
        world=world,
        judges=before.judges,
        k=before.k,
        panel_id=before.panel_id,
        proposal=before.proposal,
        cards=before.cards,
        header=before.header,
    )
    return Release(world=world, ceremony=ceremony, case_id=case_id, deposit=real_deposit(world, ceremony, case_id))


def terms_of(world: World) -> Terms:
    """The terms of the world's registry; a short window and cadence keep tests quick."""
    assert world.genesis is not None
    return Terms(
        origin=ORIGIN,
        genesis=world.genesis.digest,
        log_seed=seed("log"),
        service_seed=seed("service"),
        batch_seconds=0.0,
        checkpoint_seconds=3600,
        publication_seconds=0.005,
    )


@asynccontextmanager
async def open_house(
    world: World,
    records: RecordStore | None = None,
    blobs: BlobStore | None = None,
    *,
    pushed: int = 0,
    terms: Terms | None = None,
) -> AsyncIterator[House]:
    """Run the world's service until the block ends; nothing is pushed yet."""
    clock = [world.now]
    registry = Registry(
        terms or terms_of(world),
        records if records is not None else MemoryRecordStore(),
        blobs if blobs is not None else MemoryBlobStore(clock=lambda: clock[0]),
        lambda: clock[0],
    )
    runner, host, port = await serve(registry, "127.0.0.1", 0, shutdown_seconds=1)
    try:
        async with aiohttp.ClientSession() as session:
            yield House(
                world=world,
                registry=registry,
                url=f"http://{host}:{port}",
                session=session,
                clock=clock,
                application=runner.app,
                pushed=pushed,
            )
    finally:
        await runner.cleanup()
