"""Writes tests/vectors/protocol/store_report.json: `python -m tests.docs.make_report_vectors`. Fixed seeds, real code.

A registry that holds its genesis alone, and the signed report of an audit of its stores that found two things wrong.
"""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.fields import write_record
from app.statements.kinds import Authority
from app.statements.statement import Seen
from app.statements.store_report import Reported, StoreReport, sign_report
from app.statements.trust import format_trust
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.note import NoteSigner
from tests.app.rules.world import ORIGIN, World, founded, fresh, seed

FILE = Path(__file__).parent.parent / "vectors" / "protocol" / "store_report.json"


def registry() -> tuple[World, StoreReport, str]:
    """A registry of one entry, a report on it, and a trust file for it."""
    world = founded()
    assert world.genesis is not None
    log = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log")))
    seen = world.seen_now()
    findings = (
        Reported(
            code="segment_missing",
            place=f"deposit {fresh('deposit').hex()} item 1 segment 2",
            deposit=fresh("deposit"),
            item=1,
            segment=2,
            start=0,
            end=33_562_624,
            message="the segment is not in the store",
            next_step="Put the segment back from a copy of the blobs; the depositor may have it still.",
        ),
        Reported(
            code="truncated",
            place="ledger",
            deposit=None,
            item=None,
            segment=None,
            start=None,
            end=None,
            message="the entries cannot be read",
            next_step="Stop the service.",
        ),
    )
    report = StoreReport(
        genesis=world.genesis.text,
        checkpoint=sign_checkpoint(Checkpoint(origin=ORIGIN, size=seen.size, root=seen.root), log),
        ledger=Seen(size=seen.size, root=seen.root),
        begun=world.now,
        finished=world.now + 3600,
        interruptions=1,
        bytes_per_second=20_971_520,
        deposits=2,
        segments=7,
        bytes=201_375_928,
        pending=0,
        findings=findings,
        more=0,
    )
    keys = tuple(world.signer(f"authority{i + 1}").public for i in range(3))
    policy = f"log {log.key.text}\nquorum none\n"
    trust = format_trust(
        origin=ORIGIN, genesis=world.genesis.digest, authority=Authority(keys=keys, m=2), policy_text=policy
    )
    return world, report, trust


def vector() -> dict[str, Any]:
    """What the file holds."""
    world, report, trust = registry()
    return {
        "seed": seed("service").hex(),
        "trust": trust,
        "report": write_record(report),
        "text": sign_report(report, world.signer("service")),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vector(), indent=1) + "\n")
