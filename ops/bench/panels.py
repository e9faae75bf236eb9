"""The panel's operations in units of one element × scalar, measured in turns with it in the same run.

The figures beside them are those of the specification's reference implementation, measured on another machine where one
multiplication took 0.07 to 0.10 ms: its lowest time is divided by 0.07 ms and its highest by 0.10 ms, so that both
columns count multiplications.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.certificate import make_certificate
from app.panels.closing import ClosedDeals, close_deals
from app.panels.contribution import verify_contribution
from app.panels.group import G, L, dec_scalar, scalar
from app.panels.header import NO_EPOCH, Kind, make_header
from app.panels.making.ack import make_ack, receive, recover
from app.panels.making.capsule import encrypt
from app.panels.making.card import make_card
from app.panels.making.contribution import contribute
from app.panels.making.deal import make_deal
from app.panels.making.opening import make_opening, open_capsule
from app.panels.making.request import make_request
from app.panels.making.signature import public_key
from app.panels.opening import verify_opening
from app.panels.request import begin_release
from app.panels.session import verify_session
from ops.bench import Row

TITLE = "5 of 9 judges; unit: one element × scalar"
ROUNDS = 15
_UNIT_RUNS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Medians over the rounds: seconds of the operation, and its ratio to the unit of the same round."""

    seconds: float
    units: float


def run() -> tuple[Row, ...]:
    """The release operations for 5 of 9, then key generation for several sizes."""
    k, n = 5, 9
    ceremony = _Ceremony(k, n)
    closed, _ = ceremony.all_visits()
    shares = [receive(closed, judge=j, he=he) for j, he in enumerate(ceremony.hes, start=1)]
    record = closed.record
    joint_key, seed, order, sk, file_key = (
        bytes(record.Y),
        os.urandom(32),
        os.urandom(32),
        _secret(),
        os.urandom(32),
    )
    bound = label(joint_key, b"deposit", b"case", os.urandom(32))
    ciphertext = encrypt(joint_key, bound, file_key, os.urandom(32))
    public, box = public_part(ciphertext), box_of(ciphertext)
    ct_hash = check_public(joint_key, bound, public).ct_hash

    def request() -> bytes:
        return make_request(
            epoch_id=record.epoch_id, ct_hash=ct_hash, order_hash=order, requester_seed=seed, sk=sk, rnd=os.urandom(32)
        )

    asked = request()
    release = begin_release(record, bound, public, asked)
    requester = public_key(seed)

    def contribution(i: int) -> bytes:
        return contribute(release, index=i, x=shares[i - 1], requester=requester, order_hash=order, rnd=os.urandom(32))

    parts = [contribution(i) for i in range(1, k + 1)]
    opening = make_opening(release, parts, sk=sk, rnd=os.urandom(32))
    rows = [
        _row("encrypt", lambda: encrypt(joint_key, bound, file_key, os.urandom(32)), 0.27, 0.40),
        _row("check ciphertext", lambda: check_public(joint_key, bound, public), 0.26, 0.38),
        _row("make a request", request, 0.17, 0.26),
        _row("check ciphertext + request", lambda: begin_release(record, bound, public, asked), 0.56, 0.80),
        _row("contribute", lambda: contribution(1), 0.43, 0.66),
        _row("verify a contribution", lambda: verify_contribution(release, parts[0]), 0.41, 0.62),
        _row("recipient verifies 5 and opens", lambda: open_capsule(release, parts, sk=sk, box=box), 2.9, 4.2),
        _row("make a public opening", lambda: make_opening(release, parts, sk=sk, rnd=os.urandom(32)), 3.0, 4.4),
        _row("verify a public opening", lambda: verify_opening(release, parts, opening, box), 3.1, 4.6),
    ]
    for size, low, high in (((3, 5), 50.0, 50.0), ((5, 9), 0, 0), ((8, 15), 680.0, 680.0), ((16, 31), 5100.0, 5100.0)):
        sized = _Ceremony(*size)
        name = f"key generation {size[0]} of {size[1]}, all judges together"
        rows.append(_row(name, lambda sized=sized: sized.all_visits(), low, high, rounds=3 if size[1] > 9 else 7))
        closed, certificate = sized.all_visits()
        rows.append(
            _row(
                f"recovery of one share, {size[0]} of {size[1]}",
                lambda sized=sized, closed=closed, certificate=certificate: recover(
                    closed, certificate, judge=1, he=sized.hes[0]
                ),
                *{5: (3.0, 3.0), 15: (15.0, 15.0), 31: (54.0, 54.0)}.get(size[1], (0, 0)),
            )
        )
    unit = statistics.median([_unit() for _ in range(ROUNDS)])
    return (Row(what="one element × scalar", figure=_text(unit), ratio="1", against="unit"), *rows)


class _Ceremony:
    """Cards and header of a key generation; `all_visits` is what all judges do together."""

    def __init__(self, k: int, n: int) -> None:
        self.hosts, self.hes = [os.urandom(32) for _ in range(n)], [_secret() for _ in range(n)]
        panel_id = os.urandom(32)
        cards = [
            make_card(panel_id=panel_id, epoch=1, host_seed=host, he=he, rnd=os.urandom(32))
            for host, he in zip(self.hosts, self.hes, strict=True)
        ]
        self.header = make_header(
            kind=Kind.KEY_GENERATION,
            panel_id=panel_id,
            epoch=1,
            k=k,
            n=n,
            nonce=os.urandom(32),
            prev_epoch_id=NO_EPOCH,
            barred=[],
            cards=cards,
        )

    def all_visits(self) -> tuple[ClosedDeals, bytes]:
        """Each judge verifies the header and deals, then verifies all deals, opens his shares and acknowledges."""
        everyone = list(enumerate(zip(self.hosts, self.hes, strict=True), start=1))
        sessions = [verify_session(self.header) for _ in everyone]
        deals = [
            make_deal(sessions[i - 1], dealer=i, host_seed=host, secret=he, seed=os.urandom(32))
            for i, (host, he) in everyone
        ]
        acks = []
        for j, (host, he) in everyone:
            closed = close_deals(sessions[j - 1], deals)
            own = closed.deals[j - 1].deal_hash
            acks.append(make_ack(closed, judge=j, he=he, host_seed=host, own_deal_hash=own, acked=()))
        return closed, make_certificate(closed, acks)


_FACTOR = scalar(L - 7)
_POINT = scalar(5) * G


def _unit() -> float:
    times = []
    for _ in range(_UNIT_RUNS):
        start = time.perf_counter()
        _FACTOR * _POINT
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _measure(operation: Callable[[], object], rounds: int) -> Measured:
    """Each round: the unit, the operation, the unit again; the operation is repeated for about 5 ms."""
    start = time.perf_counter()
    operation()
    repeats = max(1, int(0.005 / (time.perf_counter() - start)))
    seconds, units = [], []
    for _ in range(rounds):
        before = _unit()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            operation()
            times.append(time.perf_counter() - start)
        seconds.append(statistics.median(times))
        units.append(seconds[-1] / ((before + _unit()) / 2))
    return Measured(seconds=statistics.median(seconds), units=statistics.median(units))


def _row(what: str, operation: Callable[[], object], low_ms: float, high_ms: float, rounds: int = ROUNDS) -> Row:
    measured = _measure(operation, rounds)
    reference = "—"
    if low_ms:
        low, high = sorted((low_ms / 0.07, high_ms / 0.10))
        reference = f"reference {_number(low)}" + ("" if _number(low) == _number(high) else f" to {_number(high)}")
    return Row(what=what, figure=_text(measured.seconds), ratio=_number(measured.units), against=reference)


def _number(units: float) -> str:
    return f"{units:,.0f}" if units >= 100 else f"{units:.3g}"


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _secret() -> bytes:
    value = bytes(scalar(int.from_bytes(os.urandom(64), "big")))
    dec_scalar(value)
    return value
