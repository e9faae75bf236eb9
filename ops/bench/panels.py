"""The panel's operations, CPU time of one thread, in units of one element × scalar measured around each of them.

The figures beside them are those of the panel specification's section 12, measured with its reference implementation
on another machine. Its unit is the time of (L − 7)·(5·G): an arbitrary multiplication and one of the generator, each
from a Python integer, 0.07 to 0.10 ms there. The same expression is the unit here, so both columns count the same; the
lowest of its times is divided by 0.07 ms and the highest by 0.10 ms. The bare multiplication is shown, too.
"""

import os
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.certificate import make_certificate
from app.panels.closing import ClosedDeals, close_deals
from app.panels.contribution import aggregate, verify_contribution
from app.panels.group import G, L, dec_scalar, scalar
from app.panels.header import NO_EPOCH, Kind, make_header, verify_header
from app.panels.making.ack import make_ack, receive, recover
from app.panels.making.capsule import encrypt
from app.panels.making.card import make_card
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.making.opening import make_opening, open_capsule
from app.panels.making.request import make_request
from app.panels.making.signature import public_key
from app.panels.opening import verify_opening
from app.panels.request import Release, begin_release
from app.panels.session import Session, check_session, verify_session
from ops.bench import Row

TITLE = "unit: one element × scalar as the specification timed it, (L − 7)·(5·G)"
SIZES = ((3, 5), (5, 9), (8, 15), (16, 31))
ROUNDS = 15
_UNIT_RUNS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Medians over the rounds: CPU seconds of the operation, and its ratio to the unit of the same round."""

    seconds: float
    units: float


def run() -> tuple[Row, ...]:
    """The unit; what is done once a deposit; a release by size; ceremonies by size; a plain Shamir split."""
    unit, bare = (statistics.median([_time(each) for _ in range(ROUNDS)]) for each in (_unit, _bare))
    rows = [
        Row(what="one element × scalar, (L − 7)·(5·G)", figure=_text(unit), ratio="1", against="0.07 to 0.10 ms"),
        Row(what="the multiplication alone", figure=_text(bare), ratio=_number(bare / unit)),
    ]
    ceremonies = {size: _Ceremony(*size) for size in SIZES}
    for size in ((3, 5), (5, 9), (16, 31)):
        rows += _release_rows(ceremonies[size])
    for size in SIZES:
        rows += _ceremony_rows(ceremonies[size])
    secret, rnd = secrets.randbelow(L), [secrets.randbelow(L) for _ in range(15)]
    for k, n in ((5, 9), (16, 31)):
        rows.append(_row(f"plain Shamir split in memory, {k} of {n}", partial(_shamir, secret, rnd[: k - 1], n)))
    return tuple(rows)


def _secret() -> bytes:
    value = bytes(scalar(int.from_bytes(os.urandom(64), "big")))
    dec_scalar(value)
    return value


class _Ceremony:
    """Cards and header of a key generation and of the reshare after it; the visits are what all judges do together."""

    def __init__(self, k: int, n: int) -> None:
        self.k, self.n = k, n
        self.panel_id = os.urandom(32)
        self.hosts, self.hes = _people(n)
        self.header = self._header(Kind.KEY_GENERATION, 1, self.hosts, self.hes, NO_EPOCH)
        self.closed, self.certificate = self.generate()
        self.shares = [receive(self.closed, judge=j, he=he) for j, he in enumerate(self.hes, start=1)]
        self.new_hosts, self.new_hes = _people(n)
        record = self.closed.record
        self.next_header = self._header(Kind.RESHARE, 2, self.new_hosts, self.new_hes, record.epoch_id)

    def generate(self) -> tuple[ClosedDeals, bytes]:
        """Each judge verifies the header and deals, then verifies all deals, opens his shares and acknowledges."""
        sessions = [verify_session(self.header) for _ in self.hosts]
        deals = [
            make_deal(sessions[i], dealer=i + 1, host_seed=self.hosts[i], secret=self.hes[i], seed=os.urandom(32))
            for i in range(self.n)
        ]
        return self._acknowledged(sessions, deals, self.hosts, self.hes)

    def reshare(self) -> tuple[ClosedDeals, bytes]:
        """k old judges deal their shares; all n new ones verify and acknowledge. Each verifies the header himself."""
        sessions = [self._next_session() for _ in range(self.k + self.n)]
        deals = [
            make_deal(sessions[i], dealer=i + 1, host_seed=self.hosts[i], secret=self.shares[i], seed=os.urandom(32))
            for i in range(self.k)
        ]
        return self._acknowledged(sessions[self.k :], deals, self.new_hosts, self.new_hes)

    def _next_session(self) -> Session:
        return check_session(verify_header(self.next_header), self.closed.record, self.header)

    def _acknowledged(
        self, sessions: list[Session], deals: list[bytes], hosts: list[bytes], hes: list[bytes]
    ) -> tuple[ClosedDeals, bytes]:
        acks = []
        for j in range(self.n):
            closed = close_deals(sessions[j], deals)
            # In a reshare the new hosts are not the dealers: nobody has a deal of his own to look for.
            own = closed.deals[j].deal_hash if len(deals) == self.n and closed.session.previous is None else None
            acks.append(make_ack(closed, judge=j + 1, he=hes[j], host_seed=hosts[j], own_deal_hash=own, acked=()))
        return closed, make_certificate(closed, acks)

    def _header(self, kind: Kind, epoch: int, hosts: list[bytes], hes: list[bytes], previous: bytes) -> bytes:
        cards = [
            make_card(panel_id=self.panel_id, epoch=epoch, host_seed=host, he=he, rnd=os.urandom(32))
            for host, he in zip(hosts, hes, strict=True)
        ]
        return make_header(
            kind=kind,
            panel_id=self.panel_id,
            epoch=epoch,
            k=self.k,
            n=self.n,
            nonce=os.urandom(32),
            prev_epoch_id=previous,
            barred=[],
            cards=cards,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A deposit and a request for it, with what every party of the release holds."""

    ceremony: _Ceremony
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    order: bytes = field(default_factory=lambda: os.urandom(32))
    sk: bytes = field(default_factory=_secret)
    file_key: bytes = field(default_factory=lambda: os.urandom(32))
    manifest: bytes = field(default_factory=lambda: os.urandom(32))
    made: dict[str, bytes] = field(default_factory=dict)

    @property
    def joint_key(self) -> bytes:
        return bytes(self.ceremony.closed.record.Y)

    @property
    def label(self) -> bytes:
        return label(self.joint_key, b"deposit", b"case", self.manifest)

    def encrypt(self) -> bytes:
        return encrypt(self.joint_key, self.label, self.file_key, os.urandom(32))

    def ask(self, ct_hash: bytes) -> bytes:
        epoch_id = self.ceremony.closed.record.epoch_id
        return make_request(
            epoch_id=epoch_id,
            ct_hash=ct_hash,
            order_hash=self.order,
            requester_seed=self.seed,
            sk=self.sk,
            rnd=os.urandom(32),
        )

    def contribute(self, release: Release, share: bytes, i: int) -> bytes:
        requester = public_key(self.seed)
        return contribute(release, index=i, x=share, requester=requester, order_hash=self.order, rnd=os.urandom(32))


def _release_rows(ceremony: _Ceremony) -> list[Row]:
    k, n, asked = ceremony.k, ceremony.n, _Asked(ceremony=ceremony)
    record, joint_key, bound = ceremony.closed.record, asked.joint_key, asked.label
    ciphertext = asked.encrypt()
    public, box = public_part(ciphertext), box_of(ciphertext)
    ct_hash = check_public(joint_key, bound, public).ct_hash
    request = asked.ask(ct_hash)
    release = begin_release(record, bound, public, request)
    parts = [asked.contribute(release, ceremony.shares[i - 1], i) for i in range(1, k + 1)]
    opening = make_opening(release, parts, sk=asked.sk, rnd=os.urandom(32))

    def everybody() -> None:
        """A release from the request to the opened key: recipient, k judges, service. Every check of everyone."""
        message = asked.ask(ct_hash)
        admitted = begin_release(record, bound, public, message)
        given = []
        for i in range(1, k + 1):
            seen = begin_release(record, bound, public, message)
            share = recover(ceremony.closed, ceremony.certificate, judge=i, he=ceremony.hes[i - 1])
            given.append(asked.contribute(seen, share, i))
            verify_contribution(admitted, given[-1])
        open_capsule(begin_release(record, bound, public, message), given, sk=asked.sk, box=box)

    size, five = f"{k} of {n}", (k, n) == (5, 9)
    rows = []
    if five:
        rows += [
            _row("encrypt", asked.encrypt, 0.27, 0.40),
            _row("check ciphertext", lambda: check_public(joint_key, bound, public), 0.26, 0.38),
            _row("make a request", lambda: asked.ask(ct_hash), 0.17, 0.26),
            _row("check ciphertext + request", lambda: begin_release(record, bound, public, request), 0.56, 0.80),
        ]
    return [
        *rows,
        _row(f"contribute, {size}", lambda: asked.contribute(release, ceremony.shares[0], 1), *_if(five, 0.43, 0.66)),
        _row(f"verify a contribution, {size}", lambda: verify_contribution(release, parts[0]), *_if(five, 0.41, 0.62)),
        _row(f"verify and aggregate {k}, {size}", lambda: aggregate(release, parts), *_if(five, 2.8, 4.1)),
        _row(
            f"recipient verifies {k} and opens, {size}",
            lambda: open_capsule(release, parts, sk=asked.sk, box=box),
            *_if(five, 2.9, 4.2),
        ),
        _row(
            f"make a public opening, {size}",
            lambda: make_opening(release, parts, sk=asked.sk, rnd=os.urandom(32)),
            *_if(five, 3.0, 4.4),
        ),
        _row(
            f"verify a public opening, {size}",
            lambda: verify_opening(release, parts, opening, box),
            *_if(five, 3.1, 4.6),
        ),
        _row(f"a release, everyone's CPU together, {size}", everybody, rounds=5),
    ]


def _ceremony_rows(ceremony: _Ceremony) -> list[Row]:
    k, n = ceremony.k, ceremony.n
    rounds = 3 if n > 9 else 7
    times = {(3, 5): 50.0, (8, 15): 680.0, (16, 31): 5100.0}.get((k, n), 0.0)
    recovery = {5: 3.0, 15: 15.0, 31: 54.0}.get(n, 0.0)
    made = _measure(ceremony.generate, rounds)
    again = _measure(ceremony.reshare, rounds)
    return [
        _as_row(f"key generation {k} of {n}, all judges", made, times, times),
        _as_row("  a judge", Measured(seconds=made.seconds / n, units=made.units / n), times / n, times / n),
        _as_row(f"resharing {k} of {n} to {n}, all judges", again),
        _as_row("  a new judge", Measured(seconds=again.seconds / n, units=again.units / n)),
        _row(
            f"recovery of one share, {k} of {n}",
            lambda: recover(ceremony.closed, ceremony.certificate, judge=1, he=ceremony.hes[0]),
            recovery,
            recovery,
        ),
    ]


def _shamir(secret: int, coefficients: list[int], n: int) -> list[int]:
    """The split of a textbook, by a dealer who knows the secret: no commitments, no proofs, no encryption."""
    shares = []
    for j in range(1, n + 1):
        total = 0
        for each in reversed(coefficients):
            total = (total + each) * j % L
        shares.append((total + secret) % L)
    return shares


def _unit() -> None:
    scalar(L - 7) * (scalar(5) * G)


_FACTOR = scalar(L - 7)
_POINT = scalar(5) * G


def _bare() -> None:
    _FACTOR * _POINT


def _time(operation: Callable[[], object], runs: int = _UNIT_RUNS) -> float:
    times = []
    for _ in range(runs):
        start = time.thread_time_ns()
        operation()
        times.append(time.thread_time_ns() - start)
    return statistics.median(times) / 1e9


def _measure(operation: Callable[[], object], rounds: int) -> Measured:
    """Each round: the unit, the operation, the unit again; the operation is repeated for about 5 ms."""
    once = _time(operation, 1)
    repeats = max(1, int(0.005 / max(once, 1e-9)))
    seconds, units = [], []
    for _ in range(rounds):
        before = _time(_unit)
        seconds.append(_time(operation, repeats))
        units.append(seconds[-1] / ((before + _time(_unit)) / 2))
    return Measured(seconds=statistics.median(seconds), units=statistics.median(units))


def _row(
    what: str, operation: Callable[[], object], low_ms: float = 0, high_ms: float = 0, rounds: int = ROUNDS
) -> Row:
    return _as_row(what, _measure(operation, rounds), low_ms, high_ms)


def _as_row(what: str, measured: Measured, low_ms: float = 0, high_ms: float = 0) -> Row:
    reference = "—"
    if low_ms:
        low, high = sorted((low_ms / 0.07, high_ms / 0.10))
        reference = f"reference {_number(low)}" + ("" if _number(low) == _number(high) else f" to {_number(high)}")
    return Row(what=what, figure=_text(measured.seconds), ratio=_number(measured.units), against=reference)


def _if(here: bool, low_ms: float, high_ms: float) -> tuple[float, float]:
    return (low_ms, high_ms) if here else (0.0, 0.0)


def _number(units: float) -> str:
    return f"{units:,.0f}" if units >= 100 else f"{units:.3g}"


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _people(n: int) -> tuple[list[bytes], list[bytes]]:
    return [os.urandom(32) for _ in range(n)], [_secret() for _ in range(n)]
