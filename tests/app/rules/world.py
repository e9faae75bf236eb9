"""A registry in memory for tests of the rules: real keys, real statements, the real replay; time is a number."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from app.rules.act import Circumstances, SeenFacts
from app.rules.decide import Admitted, Refusal
from app.rules.decide import decide as decide_rule
from app.rules.replay import Entry
from app.rules.view import WholeView
from app.statements.kinds import Approval, Authority, CaseOpen, CaseParty, Genesis, MemberEnrol, Officer, Role
from app.statements.statement import EMPTY_SEEN, Seen, Signer, Statement
from ledger.merkle import leaf_hash, root_of

ORIGIN = "ledger.example/court"
START = 1_800_000_000
NOTES = "age1pq1" + "q" * 1952


def seed(name: str) -> bytes:
    return hashlib.sha256(f"muniment test {name}".encode()).digest()


def fresh(name: str, size: int = 16) -> bytes:
    return hashlib.sha256(f"id {name}".encode()).digest()[:size]


@dataclass
class World:
    """People by name, the entries so far, and the view that they make."""

    m: int = 2
    now: int = START
    signers: dict[str, Signer] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    view: WholeView = field(default_factory=WholeView)
    count: int = 0
    genesis: Statement | None = None

    def signer(self, name: str) -> Signer:
        return self.signers.setdefault(name, Signer(seed(name)))

    def id(self, name: str) -> str:
        return self.signer(name).kid

    def seen_now(self) -> Seen:
        root = root_of([leaf_hash(entry.leaf.encode()) for entry in self.entries])
        return Seen(size=len(self.entries), root=root)

    def sign(self, name: str, claims: Any, **changes: Any) -> Statement:
        self.count += 1
        envelope = {
            "aud": ORIGIN,
            "iat": self.now,
            "exp": self.now + 3600,
            "jti": fresh(f"jti {self.count}"),
            "seen": self.seen_now(),
            **changes,
        }
        return self.signer(name).sign(claims, **envelope)

    def facts(self, size: int, before: int) -> SeenFacts:
        if size > before:
            return SeenFacts(root=None, superseded_at=None)
        leaves = [entry.leaf.encode() for entry in self.entries]
        root = root_of([leaf_hash(leaf) for leaf in leaves[:size]])
        after = None
        if size < before:
            from app.statements.statement import parse_leaf

            after = parse_leaf(leaves[size]).time
        return SeenFacts(root=root, superseded_at=after)

    def offer(self, statement: Statement) -> Admitted | Refusal:
        """Decide, and on admission append."""
        assert self.genesis is not None
        index = len(self.entries)
        circumstances = Circumstances(
            now=self.now,
            index=index,
            origin=ORIGIN,
            genesis=self.genesis.digest,
            seen=self.facts(statement.envelope.seen.size, index),
        )
        verdict = decide_rule(self.view, statement, circumstances)
        if isinstance(verdict, Admitted):
            self.view.evolve(verdict.changes)
            self.entries.append(Entry(index=index, leaf=verdict.leaf, statement=statement.text))
        return verdict

    def do(self, name: str, claims: Any, **changes: Any) -> Statement:
        """Sign and offer; it must be admitted."""
        statement = self.sign(name, claims, **changes)
        verdict = self.offer(statement)
        assert isinstance(verdict, Admitted), verdict
        return statement

    def refused(self, name: str, claims: Any, **changes: Any) -> str:
        """Sign and offer; it must be refused and change nothing. Returns the code."""
        before = dict(self.view.aggregates)
        verdict = self.offer(self.sign(name, claims, **changes))
        assert isinstance(verdict, Refusal), verdict
        assert self.view.aggregates == before
        return verdict.code

    def approve(self, act: Statement, *keys: str) -> None:
        for key in keys or tuple(f"authority{i + 1}" for i in range(self.m)):
            self.do(key, Approval(act=act.digest))

    def enrolment(self, name: str, role: Role) -> MemberEnrol:
        return MemberEnrol(key=self.signer(name).public, notes=NOTES, role=role, name=name)

    def enrol(self, name: str, role: Role) -> None:
        act = self.do("registrar", self.enrolment(name, role))
        if role in ("registrar", "clerk", "judge"):
            self.approve(act)

    def open_case(self, name: str = "case", *parties: str) -> bytes:
        case_id = fresh(name)
        self.do("clerk", CaseOpen(case_id=case_id, note=None))
        for party in parties:
            self.do("clerk", CaseParty(case_id=case_id, member=self.id(party), note=None))
        return case_id


def founded(m: int = 2, keys: int = 3) -> World:
    """A registry that holds its genesis alone."""
    world = World(m=m)
    claims = Genesis(
        origin=ORIGIN,
        log=world.signer("log").public,
        service=world.signer("service").public,
        authority=Authority(keys=tuple(world.signer(f"authority{i + 1}").public for i in range(keys)), m=m),
        registrar=Officer(key=world.signer("registrar").public, notes=NOTES, name="Registrar"),
        predecessor=None,
    )
    world.genesis = world.sign("registrar", claims, seen=EMPTY_SEEN)
    verdict = world.offer(world.genesis)
    assert isinstance(verdict, Admitted), verdict
    return world


def peopled() -> World:
    """Genesis, a clerk, two lawyers."""
    world = founded()
    world.enrol("clerk", "clerk")
    world.enrol("lawyer1", "depositor")
    world.enrol("lawyer2", "party")
    return world
