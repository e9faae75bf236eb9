"""A registry over HTTP for tests of the client: it serves a `World` as docs/http.md says, or lies where it is told to.

`lies` maps a path (with its leading slash) to what is served there instead: bytes, or an HTTP status.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.client.home import Keys
from app.rules.aggregates import Case, Person
from app.rules.decide import Refusal
from app.rules.replay import Entry
from app.sealing.hybrid import PqIdentity
from app.statements.kinds import MemberEnrol, MemberRevoke
from app.statements.statement import Statement, digest_of, parse_leaf, parse_statement
from app.statements.trust import Trust, format_trust, parse_trust
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.note import NoteSigner
from ledger.proof import Proof
from ledger.tiles import Bundle, encode_bundle, parse_path
from tests.app.rules.world import ORIGIN, World, seed


def keys_of(name: str) -> Keys:
    """The keys of a person of the world."""
    return Keys(seed=seed(name), notes=PqIdentity(seed(f"notes {name}")), name=name)


def log_signer() -> NoteSigner:
    return NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log")))


def trust_of(world: World, *, more: str = "", quorum: str = "none") -> Trust:
    """The trust file that pins the world."""
    assert world.genesis is not None
    policy = f"log {log_signer().key.text}\n{more}quorum {quorum}\n"
    claims: Any = world.genesis.claims
    return parse_trust(
        format_trust(origin=ORIGIN, genesis=world.genesis.digest, authority=claims.authority, policy_text=policy)
    )


def leaves_of(entries: list[Entry]) -> Any:
    from app.client.leaves import Leaves

    return Leaves(each.leaf for each in entries)


def checkpoint_of(entries: list[Entry], size: int | None = None) -> str:
    """The signed checkpoint of the first `size` entries."""
    count = len(entries) if size is None else size
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=count, root=leaves_of(entries).root(count)), log_signer())


def proof_of(entries: list[Entry], index: int) -> str:
    """The tlog-proof of an entry in the whole."""
    path = leaves_of(entries).path(index, len(entries))
    return Proof(index=index, path=path, checkpoint=checkpoint_of(entries)).format()


@dataclass
class WorldService:
    world: World
    lies: dict[str, bytes | int] = field(default_factory=dict)
    entries: list[Entry] | None = None
    """Entries to serve instead of the world's own."""
    notes: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> list[Entry]:
        return self.world.entries if self.entries is None else self.entries

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return TestServer(app)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        lie = self.lies.get(request.path)
        if isinstance(lie, int):
            return self.problem(lie, "told_to")
        if lie is not None:
            return web.Response(body=lie)
        body = await request.read()
        parts = request.path.strip("/").split("/")
        return self.route(request, parts, body)

    def route(self, request: web.Request, parts: list[str], body: bytes) -> web.Response:
        match [request.method, *parts]:
            case ["GET", "checkpoint"]:
                return web.Response(text=checkpoint_of(self.shown))
            case ["GET", "tile", "entries", *_]:
                bundle = parse_path("/".join(parts))
                assert isinstance(bundle, Bundle)
                first = bundle.index * 256
                texts = [each.leaf.encode() for each in self.shown[first : first + bundle.width]]
                return web.Response(body=encode_bundle(texts))
            case ["GET", "v1", "statements", digest]:
                for each in self.shown:
                    if digest_of(each.statement).hex() == digest and parse_leaf(each.leaf).kind != "private":
                        return web.Response(text=each.statement)
                return self.problem(404, "unknown_statement")
            case ["POST", "v1", "statements"]:
                return self.post(body.decode())
            case ["POST", "v1", "challenge"]:
                kid = json.loads(body)["kid"]
                if not any(isinstance(p, Person) and kid == self.world.id(p.name) for p in self.people()):
                    return self.problem(401, "unknown_signer")
                return web.json_response({"challenge": kid, "expires": self.world.now + 60})
            case ["POST", "v1", "token"]:
                token = f"token{len(self.tokens)}"
                payload = json.loads(body)["response"].split(".")[1]
                import base64

                kid = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["challenge"]
                self.tokens[token] = kid
                return web.json_response({"token": token, "expires": self.world.now + 900})
            case ["PUT", "v1", "notes", name]:
                assert hashlib.sha256(body).hexdigest() == name
                self.notes[name] = body
                return web.Response(status=201)
            case ["GET", "v1", "notes", name]:
                return web.Response(body=self.notes[name])
        return self.signed_in(request, parts)

    def signed_in(self, request: web.Request, parts: list[str]) -> web.Response:
        member = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if member is None:
            return self.problem(401, "not_signed_in")
        person = self.world.view.find(Person, member)
        assert person is not None
        after = int(request.query.get("after", "-1"))
        match [request.method, *parts]:
            case ["GET", "v1", "me"]:
                cases = [
                    each.id
                    for each in self.world.view.aggregates.values()
                    if isinstance(each, Case) and member in (each.opened_by, each.presiding, *each.parties)
                ]
                found = {"member": member, "role": person.role, "name": person.name, "cases": cases, "panels": []}
                return web.json_response(found)
            case ["GET", "v1", "cases", case_id, "statements"]:
                case = self.world.view.find(Case, case_id)
                assert case is not None
                return self.listing(self.of_case(case), after)
            case ["GET", "v1", "members", "statements"]:
                return self.listing(self.of_members(member, person.role == "registrar"), after)
        return self.problem(404, "not_found")

    def of_case(self, case: Case) -> list[Entry]:
        found = []
        for each in self.shown:
            claims: Any = parse_statement(each.statement).claims
            if (
                getattr(claims, "case_id", b"").hex() == case.id
                or (isinstance(claims, MemberEnrol) and self.world.id(claims.name) in case.parties)
                or (isinstance(claims, MemberRevoke) and claims.member in case.parties)
            ):
                found.append(each)
        return found

    def of_members(self, member: str, all_of_them: bool) -> list[Entry]:
        found = []
        for each in self.shown:
            claims: Any = parse_statement(each.statement).claims
            if (
                isinstance(claims, MemberEnrol)
                and parse_leaf(each.leaf).kind == "private"
                and (all_of_them or self.world.id(claims.name) == member)
            ):
                found.append(each)
        return found

    def listing(self, entries: list[Entry], after: int) -> web.Response:
        page = [each for each in entries if each.index > after]
        rows = [{"index": each.index, "leaf": each.leaf, "statement": each.statement} for each in page[:2]]
        return web.json_response({"statements": rows, "more": len(page) > 2})

    def post(self, text: str) -> web.Response:
        statement: Statement = parse_statement(text)
        known = next((each for each in self.world.entries if each.statement == text), None)
        if known is None:
            verdict = self.world.offer(statement)
            if isinstance(verdict, Refusal):
                return self.problem(409, verdict.code)
        entry = known or self.world.entries[-1]
        found = {
            "index": entry.index,
            "digest": statement.digest.hex(),
            "leaf": entry.leaf,
            "size": len(self.world.entries),
            "tlog_proof": proof_of(self.world.entries, entry.index),
        }
        return web.json_response(found, status=200 if known else 201)

    def people(self) -> list[Any]:
        return list(self.world.view.aggregates.values())

    def problem(self, status: int, code: str) -> web.Response:
        text = json.dumps({"type": f"urn:muniment:problem:{code}", "code": code, "detail": code, "next_step": ""})
        return web.Response(text=text, status=status, content_type="application/problem+json")
