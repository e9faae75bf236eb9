"""Whole ceremonies and releases in a few calls, every random byte drawn from one seed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.certificate import make_certificate, verify_certificate
from app.panels.chain import Link, visit_check
from app.panels.closing import close_deals
from app.panels.deal import deal_hash
from app.panels.group import L
from app.panels.header import NO_EPOCH, Kind, make_header, verify_header
from app.panels.making.ack import make_ack, recover
from app.panels.making.capsule import encrypt
from app.panels.making.card import make_card
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.making.request import make_request
from app.panels.making.signature import public_key
from app.panels.record import EpochRecord
from app.panels.request import Release, begin_release


@dataclass
class Draw:
    """A stream of test bytes: the same seed, the same bytes."""

    seed: str
    count: int = 0

    def __call__(self, size: int = 32) -> bytes:
        self.count += 1
        return hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(size)

    def scalar(self) -> bytes:
        """A secret scalar, 32 bytes, not zero."""
        return (int.from_bytes(self(64), "big") % (L - 1) + 1).to_bytes(32, "little")


@dataclass(frozen=True, kw_only=True)
class Judge:
    host_seed: bytes
    he: bytes


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One certified epoch with all its secrets, and the links that lead to it."""

    draw: Draw
    panel_id: bytes
    record: EpochRecord
    judges: tuple[Judge, ...]
    shares: tuple[bytes, ...]
    links: tuple[Link, ...]
    approved: tuple[bytes, ...]
    acks: tuple[bytes, ...] = field(repr=False)

    @property
    def Y(self) -> bytes:
        return bytes(self.record.Y)


def generate(draw: Draw, k: int, n: int) -> Panel:
    """Key generation among n new judges."""
    return _epoch(draw, k, n, None, range(1, n + 1))


def reshare(old: Panel, k: int, n: int, dealers: Sequence[int]) -> Panel:
    """The same joint key for n new judges, dealt by exactly k of the old ones."""
    return _epoch(old.draw, k, n, old, dealers)


def _epoch(draw: Draw, k: int, n: int, old: Panel | None, dealers: Sequence[int]) -> Panel:
    panel_id = old.panel_id if old else draw()
    judges = tuple(Judge(host_seed=draw(), he=draw.scalar()) for _ in range(n))
    number = old.record.epoch + 1 if old else 1
    cards = [
        make_card(panel_id=panel_id, epoch=number, host_seed=judge.host_seed, he=judge.he, rnd=draw())
        for judge in judges
    ]
    header = make_header(
        kind=Kind.RESHARE if old else Kind.KEY_GENERATION,
        panel_id=panel_id,
        epoch=number,
        k=k,
        n=n,
        nonce=draw(),
        prev_epoch_id=old.record.epoch_id if old else NO_EPOCH,
        barred=[],
        cards=cards,
    )
    links = old.links if old else ()
    approved = (*(old.approved if old else ()), verify_header(header).roster_hash)
    session = visit_check(links, approved, header)
    deals = tuple(
        make_deal(
            session,
            dealer=i,
            host_seed=(old.judges if old else judges)[i - 1].host_seed,
            secret=old.shares[i - 1] if old else judges[i - 1].he,
            seed=draw(),
        )
        for i in dealers
    )
    closed = close_deals(session, deals)
    acks = tuple(
        make_ack(
            closed,
            judge=j,
            he=judge.he,
            host_seed=judge.host_seed,
            own_deal_hash=deal_hash(deals[j - 1]) if old is None else None,
            acked=(),
        )
        for j, judge in enumerate(judges, start=1)
    )
    certificate = make_certificate(closed, acks)
    record = verify_certificate(closed, certificate)
    shares = tuple(recover(closed, certificate, judge=j, he=judge.he) for j, judge in enumerate(judges, start=1))
    link = Link(header=header, deals=deals, certificate=certificate)
    return Panel(
        draw=draw,
        panel_id=panel_id,
        record=record,
        judges=judges,
        shares=shares,
        links=(*links, link),
        approved=approved,
        acks=acks,
    )


@dataclass(frozen=True, kw_only=True)
class Deposit:
    """A capsule under a panel's joint key, and what it was made from."""

    deposit_id: bytes
    case_id: bytes
    manifest_hash: bytes
    label: bytes
    file_key: bytes
    public: bytes
    box: bytes
    ct_hash: bytes


def deposit(panel: Panel) -> Deposit:
    draw = panel.draw
    ids, file_key = (draw(16), draw(16), draw()), draw()
    bound = label(panel.Y, *ids)
    ciphertext = encrypt(panel.Y, bound, file_key, draw())
    public = public_part(ciphertext)
    return Deposit(
        deposit_id=ids[0],
        case_id=ids[1],
        manifest_hash=ids[2],
        label=bound,
        file_key=file_key,
        public=public,
        box=box_of(ciphertext),
        ct_hash=check_public(panel.Y, bound, public).ct_hash,
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a deposit, with the recipient's secrets."""

    release: Release
    sk: bytes
    requester_seed: bytes
    encoded: bytes


def ask(panel: Panel, made: Deposit) -> Asked:
    draw = panel.draw
    sk, seed = draw.scalar(), draw()
    encoded = make_request(
        epoch_id=panel.record.epoch_id, ct_hash=made.ct_hash, order_hash=draw(), requester_seed=seed, sk=sk, rnd=draw()
    )
    release = begin_release(panel.record, made.label, made.public, encoded)
    return Asked(release=release, sk=sk, requester_seed=seed, encoded=encoded)


def contributions(panel: Panel, asked: Asked, indices: Sequence[int]) -> list[bytes]:
    return [
        contribute(
            asked.release,
            index=i,
            x=panel.shares[i - 1],
            requester=public_key(asked.requester_seed),
            order_hash=asked.release.request.order_hash,
            rnd=panel.draw(),
        )
        for i in indices
    ]
