"""Anchors: what a verifier pays for a proof at each level, and what a registry pays for one round over one checkpoint.

A round vouches for every deposit under its checkpoint, however many there are: its cost is divided by them. The time of
authorities and calendars is not ours and not counted; their answers are made beforehand.
"""

import os
import statistics
import time
from collections.abc import Callable

from app.verify.proof import check_proof
from ledger.anchors.headers import check_shown
from ledger.anchors.ots import parse_complete
from ledger.anchors.tsa import verify_token
from ops.bench import Row
from tests.app.verify.anchored import Anchored

TITLE = "proofs at each level; one round over one checkpoint"
ROUNDS = int(os.environ.get("MUNIMENT_BENCH_ROUNDS", "7"))
_TIMES = 20


def run() -> tuple[Row, ...]:
    """Measure `MUNIMENT_BENCH_ROUNDS` rounds (7)."""
    made = Anchored()
    bare = made.trust(tsas=0, headers=False)
    levels = (
        ("received", bare, made.proof(bare)),
        ("timestamped", made.trust(headers=False), made.proof(made.trust(headers=False))),
        ("anchored", made.trust(), made.proof()),
    )
    rows, base = [], 0.0
    for name, trust, proof in levels:
        verdict = check_proof(proof, trust, now=made.clock.now)
        assert verdict.level.value == name, verdict.failed
        took = _median(lambda trust=trust, proof=proof: check_proof(proof, trust, now=made.clock.now))  # type: ignore[misc]
        base = base or took
        rows.append(
            Row(
                what=f"check a proof, {name} ({len(proof):,} bytes)",
                figure=f"{took * 1000:.1f} ms",
                ratio=f"{took / base:.1f}",
                against="received",
            )
        )
    cost = _median(lambda: _round(made))
    rows.append(
        Row(what="one round: two tokens and a block judged, three statements signed", figure=f"{cost * 1000:.1f} ms")
    )
    for deposits in (1, 100, 10_000):
        rows.append(
            Row(
                what=f"a round for each {deposits:,} deposits",
                figure=f"{cost / deposits * 1e6:,.1f} µs a deposit",
                ratio=f"{1 / deposits:.4f}",
                against="one each",
            )
        )
    rows.append(Row(what="rounds an hour on one core", figure=f"{3600 / cost:,.0f}"))
    return tuple(rows)


def _round(made: Anchored) -> None:
    trust = made.trust()
    assert trust.tsa is not None
    assert trust.headers is not None
    signer = made.world.signer("service")
    for stored in list(made.store.values())[-3:]:
        message = stored.checkpoint.encode()
        if stored.headers is None:
            verify_token(stored.anchor, message, trust.tsa.authorities)
        else:
            attested = parse_complete(stored.anchor)
            check_shown(stored.headers, attested.height, trust.headers.checkpoint.rules)
        signer.sign_text("bench", stored.checkpoint)


def _median(work: Callable[[], object]) -> float:
    found = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(_TIMES):
            work()
        found.append((time.process_time() - begin) / _TIMES)
    return statistics.median(found)
