"""A registry in memory for tests of the rules: real keys, real statements, the real replay; time is a number."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from app.canonical import b64u_encode
from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.closing import ClosedDeals, close_deals
from app.panels.deal import deal_hash
from app.panels.header import Kind, make_header, roster_hash
from app.panels.making.ack import make_ack, receive
from app.panels.making.capsule import encrypt
from app.panels.making.card import make_card
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.making.request import make_request
from app.panels.request import begin_release
from app.panels.session import Session as PanelSession
from app.panels.session import verify_session
from app.rules.act import Circumstances, SeenFacts
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.replay import Entry
from app.rules.view import WholeView
from app.sealing.hybrid import PqIdentity
from app.statements.kinds import (
    DEFAULT_RULES,
    Access,
    Approval,
    Authority,
    Capsule,
    CaseAssign,
    CaseOpen,
    CaseParty,
    Deposit,
    DepositSlots,
    Genesis,
    MemberEnrol,
    Officer,
    PanelAck,
    PanelCard,
    PanelDeal,
    PanelOpen,
    PanelPropose,
    PanelRoster,
    ReleaseContribution,
    ReleaseDecision,
    ReleaseOpening,
    ReleaseOrder,
    ReleaseRequest,
    ReleaseRules,
    Role,
)
from app.statements.statement import EMPTY_SEEN, Seen, Signer, Statement, parse_leaf
from ledger.merkle import leaf_hash, root_of

ORIGIN = "ledger.example/court"
START = 1_800_000_000
NOTES = "age1pq1" + "q" * 1952


def seed(name: str) -> bytes:
    return hashlib.sha256(f"muniment test {name}".encode()).digest()


def fresh(name: str, size: int = 16) -> bytes:
    return hashlib.sha256(f"id {name}".encode()).digest()[:size]


def notes_of(name: str) -> str:
    """The recipient of a person's notes identity, whose seed is `seed("notes NAME")`."""
    return PqIdentity(seed(f"notes {name}")).recipient.format()


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
    law: Law = decide

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
        verdict = self.law(self.view, statement, circumstances)
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
        return MemberEnrol(key=self.signer(name).public, notes=notes_of(name), role=role, name=name)

    def enrol(self, name: str, role: Role) -> None:
        act = self.do("registrar", self.enrolment(name, role))
        if role in ("registrar", "clerk", "judge"):
            self.approve(act)

    def open_case(self, name: str = "case", *parties: str, rules: ReleaseRules = DEFAULT_RULES) -> bytes:
        case_id = fresh(name)
        self.do("clerk", CaseOpen(case_id=case_id, rules=rules, note=None))
        for party in parties:
            self.do("clerk", CaseParty(case_id=case_id, member=self.id(party), note=None))
        return case_id


def founded(m: int = 2, keys: int = 3, now: int = START) -> World:
    """A registry that holds its genesis alone."""
    world = World(m=m, now=now)
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


def scalar_of(name: str) -> bytes:
    """A scalar below the group order, never zero."""
    return bytes([*seed(f"scalar {name}")[:31], 1])


PANEL_ID = fresh("panel", 32)


@dataclass
class Ceremony:
    """One attempt at an epoch, by its steps, with each judge's secrets: the first epoch, or a reshare of `previous`."""

    world: World
    judges: tuple[str, ...]
    k: int
    panel_id: bytes = PANEL_ID
    proposal: Statement | None = None
    cards: list[Statement] = field(default_factory=list)
    header: bytes = b""
    previous: "Ceremony | None" = None
    name: str = ""
    """Tells attempts at one epoch apart, each with cards of its own."""
    sitting: str = ""
    """Tells sessions on the same roster apart."""
    barred: tuple[int, ...] = ()
    dealers: tuple[str, ...] = ()
    """Who deals: all judges, or in a reshare the first k of the old ones, unless others are named."""
    made: dict[Any, ClosedDeals] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.dealers:
            self.dealers = self.judges if self.previous is None else self.previous.judges[: self.previous.k]

    @property
    def epoch(self) -> int:
        return 1 if self.previous is None else self.previous.epoch + 1

    @property
    def prev_epoch_id(self) -> bytes:
        return bytes(32) if self.previous is None else self.previous.closed().record.epoch_id

    @property
    def holders(self) -> tuple[str, ...]:
        """Those who may deal, in index order."""
        return self.judges if self.previous is None else self.previous.judges

    @property
    def mark(self) -> str:
        return self.panel_id.hex() if self.epoch == 1 and not self.name else f"{self.epoch} {self.name}"

    def propose(self) -> None:
        claims = PanelPropose(
            panel_id=self.panel_id,
            epoch=self.epoch,
            prev_epoch_id=self.prev_epoch_id,
            k=self.k,
            judges=tuple(self.world.id(judge) for judge in self.judges),
        )
        self.proposal = self.world.do("registrar", claims)

    def host(self, judge: str) -> bytes:
        return seed(f"host {judge} {self.panel_id.hex()}")

    def he(self, judge: str) -> bytes:
        return scalar_of(f"he {judge} {self.mark}")

    def card(self, judge: str) -> PanelCard:
        card = make_card(
            panel_id=self.panel_id,
            epoch=self.epoch,
            host_seed=self.host(judge),
            he=self.he(judge),
            rnd=fresh(judge, 32),
        )
        return PanelCard(card=card)

    def give_cards(self) -> None:
        self.cards = [self.world.do(judge, self.card(judge)) for judge in self.judges]

    def raw_cards(self) -> list[bytes]:
        return [card.claims.card for card in self.cards]  # type: ignore[union-attr]

    def roster(self) -> PanelRoster:
        assert self.proposal is not None
        return PanelRoster(
            propose=self.proposal.digest,
            cards=tuple(card.digest for card in self.cards),
            panel_id=self.panel_id,
            epoch=self.epoch,
            prev_epoch_id=self.prev_epoch_id,
            roster_hash=roster_hash(
                panel_id=self.panel_id,
                epoch=self.epoch,
                k=self.k,
                n=len(self.judges),
                prev_epoch_id=self.prev_epoch_id,
                cards=self.raw_cards(),
            ),
        )

    def open(self) -> PanelOpen:
        self.header = make_header(
            kind=Kind.KEY_GENERATION if self.previous is None else Kind.RESHARE,
            panel_id=self.panel_id,
            epoch=self.epoch,
            k=self.k,
            n=len(self.judges),
            nonce=fresh(f"nonce{self.sitting}{self.mark if self.epoch > 1 or self.name else ''}", 32),
            prev_epoch_id=self.prev_epoch_id,
            barred=self.barred,
            cards=self.raw_cards(),
        )
        return PanelOpen(header=self.header)

    def session(self) -> PanelSession:
        if self.previous is None:
            return verify_session(self.header)
        return verify_session(self.header, self.previous.closed().record.encoded, self.previous.header)

    def deal(self, judge: str, session: PanelSession | None = None) -> PanelDeal:
        deal = make_deal(
            self.session() if session is None else session,
            dealer=self.holders.index(judge) + 1,
            host_seed=self.host(judge),
            secret=self.he(judge) if self.previous is None else self.previous.share(judge),
            seed=fresh(f"deal {judge}{self.mark if self.epoch > 1 or self.name else ''}", 32),
        )
        return PanelDeal(deal=deal)

    def closed(self) -> ClosedDeals:
        key = (self.header, self.dealers)
        if key not in self.made:
            session, order = self.session(), sorted(self.dealers, key=self.holders.index)
            self.made[key] = close_deals(session, [self.deal(judge, session).deal for judge in order])
        return self.made[key]

    def ack(self, judge: str) -> PanelAck:
        dealt = self.holders.index(judge) + 1 if judge in self.dealers else None
        own = self.closed().deal_of(dealt) if dealt is not None else None
        made = make_ack(
            self.closed(),
            judge=self.judges.index(judge) + 1,
            he=self.he(judge),
            host_seed=self.host(judge),
            own_deal_hash=deal_hash(own.encoded) if own is not None else None,
            acked=(),
        )
        return PanelAck(ack=made)

    def share(self, judge: str) -> bytes:
        return receive(self.closed(), judge=self.judges.index(judge) + 1, he=self.he(judge))

    def until_open(self) -> None:
        """Proposal, cards, roster, approvals, session."""
        self.propose()
        self.give_cards()
        self.world.approve(self.world.do("registrar", self.roster()))
        self.world.do("registrar", self.open())

    def run(self) -> None:
        """The whole ceremony."""
        self.until_open()
        for judge in self.dealers:
            self.world.do(judge, self.deal(judge))
        for judge in self.judges:
            self.world.do(judge, self.ack(judge))


JUDGES = ("judge1", "judge2", "judge3")


def with_judges() -> tuple[World, Ceremony]:
    """People and three judges; the ceremony 2 of 3 has not begun."""
    world = peopled()
    for judge in JUDGES:
        world.enrol(judge, "judge")
    return world, Ceremony(world=world, judges=JUDGES, k=2)


@dataclass
class Deposited:
    """A deposit in the making: its secrets and its claims."""

    claims: Deposit
    secret: bytes
    box: bytes


def sealed(world: World, ceremony: Ceremony, case_id: bytes, name: str = "deposit") -> Deposited:
    """A deposit sealed to the ceremony's panel."""
    record = ceremony.closed().record
    deposit_id, manifest_hash, secret = fresh(name), fresh(f"manifest {name}", 32), seed(f"secret {name}")
    bound = label(bytes(record.Y), deposit_id, case_id, manifest_hash)
    ciphertext = encrypt(bytes(record.Y), bound, secret, fresh(f"rnd {name}", 32))
    public = public_part(ciphertext)
    capsule = Capsule(
        panel_id=ceremony.panel_id,
        epoch_id=record.epoch_id,
        y=bytes(record.Y),
        public=public,
        ct_hash=check_public(bytes(record.Y), bound, public).ct_hash,
    )
    slots = DepositSlots(description=b64u_encode(fresh("d", 32)), origin=b64u_encode(fresh("o", 32)))
    claims = Deposit(
        deposit_id=deposit_id,
        case_id=case_id,
        manifest_hash=manifest_hash,
        capsules=(capsule,),
        slots=slots,
        note=None,
    )
    return Deposited(claims=claims, secret=secret, box=box_of(ciphertext))


@dataclass
class Release:
    """A deposit in a case with a panel, ordered opened for lawyer2."""

    world: World
    ceremony: Ceremony
    case_id: bytes
    deposit: Deposited
    order: Statement | None = None
    request: Statement | None = None

    def order_claims(self) -> ReleaseOrder:
        return ReleaseOrder(
            case_id=self.case_id,
            deposits=(self.deposit.claims.deposit_id,),
            recipients=(self.world.signer("lawyer2").public,),
            document=fresh("order.txt", 32),
            note=None,
        )

    def message(self, name: str = "lawyer2", order: bytes | None = None, sk: str = "sk") -> bytes:
        capsule = self.deposit.claims.capsules[0]
        if order is None:
            assert self.order is not None
            order = self.order.digest
        return make_request(
            epoch_id=self.ceremony.closed().record.epoch_id,
            ct_hash=capsule.ct_hash,
            order_hash=order,
            requester_seed=seed(name),
            sk=scalar_of(sk),
            rnd=fresh(f"rnd {sk}", 32),
        )

    def request_claims(self, message: bytes | None = None) -> ReleaseRequest:
        assert self.order is not None
        return ReleaseRequest(
            order=self.order.digest,
            deposit_id=self.deposit.claims.deposit_id,
            panel_id=self.ceremony.panel_id,
            request=self.message() if message is None else message,
            note=None,
        )

    def ask(self) -> None:
        self.order = self.world.do("judge1", self.order_claims())
        self.request = self.world.do("lawyer2", self.request_claims())

    def contribution(self, judge: str) -> bytes:
        assert self.request is not None
        assert self.order is not None
        record = self.ceremony.closed().record
        claims = self.deposit.claims
        bound = label(bytes(record.Y), claims.deposit_id, self.case_id, claims.manifest_hash)
        release = begin_release(record, bound, claims.capsules[0].public, self.request.claims.request)  # type: ignore[union-attr]
        return contribute(
            release,
            index=self.ceremony.judges.index(judge) + 1,
            x=self.ceremony.share(judge),
            requester=self.world.signer("lawyer2").public,
            order_hash=self.order.digest,
            rnd=fresh(f"contribution {judge}", 32),
        )

    def grant(self, judge: str) -> ReleaseDecision:
        assert self.request is not None
        digest = hashlib.sha256(self.contribution(judge)).digest()
        return ReleaseDecision(request=self.request.digest, decision="grant", contribution=digest, note=None)

    def refusal(self) -> ReleaseDecision:
        assert self.request is not None
        return ReleaseDecision(request=self.request.digest, decision="refuse", contribution=None, note=None)

    def contribute(self, judge: str) -> ReleaseContribution:
        assert self.request is not None
        return ReleaseContribution(request=self.request.digest, contribution=self.contribution(judge))

    def access(self) -> Access:
        assert self.request is not None
        return Access(
            deposit_id=self.deposit.claims.deposit_id,
            request=self.request.digest,
            recipient=self.world.id("lawyer2"),
        )

    def opening(self) -> ReleaseOpening:
        assert self.request is not None
        return ReleaseOpening(request=self.request.digest, outcome="opened", items=("equal", "undeclared"))


def ready_to_release(rules: ReleaseRules = DEFAULT_RULES) -> Release:
    """A panel of 2 of 3, a case of both lawyers with judge1 presiding, one deposit of lawyer1."""
    world, ceremony = with_judges()
    ceremony.run()
    case_id = world.open_case("case", "lawyer1", "lawyer2", rules=rules)
    world.do("clerk", CaseAssign(case_id=case_id, panel_id=ceremony.panel_id, presiding=world.id("judge1")))
    deposit = sealed(world, ceremony, case_id)
    world.do("lawyer1", deposit.claims)
    return Release(world=world, ceremony=ceremony, case_id=case_id, deposit=deposit)
