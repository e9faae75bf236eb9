"""`muniment audit`: derive everything of a registry again from its stores, and name what differs."""

import asyncio
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.cli.commands.serve import add_place, settings_of
from app.cli.output import add_json, human_size, printable, show
from app.cli.progress import Teller
from app.config import Settings
from app.errors import BadInput
from app.service.audit import Audited
from app.service.findings import Finding
from app.statements.prooffile import MAX_PROOF_BYTES

FAILED = 1
MAX_KEPT = 1000
"""Findings in a `--json` document; more are counted only."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "audit",
        help="derive a registry again from its stores",
        description="Read every stored byte of a registry and name whatever is missing or changed. It changes nothing, "
        "and the service may run meanwhile; exit code 0 when all is well, 1 when something is not.",
    )
    add_place(parser)
    parser.add_argument(
        "--receipt",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="receipts that somebody holds: proof files, or C2SP tlog-proofs; each must be borne out",
    )
    stores = parser.add_argument_group("the stores alone")
    stores.add_argument(
        "--stores",
        action="store_true",
        help="read every segment of every accepted deposit, and check digest, lock and hold: can be interrupted and "
        "goes on, can be held back, and ends with a report signed by the service key; exit code 3 when a store does "
        "not answer",
    )
    stores.add_argument(
        "--rate", type=rate_of, metavar="BYTES", help="read at most so many bytes a second, for instance 20M"
    )
    stores.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where it keeps how far it is (default: store-audit.progress beside the published checkpoint)",
    )
    stores.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="where the signed report goes (default: store-audit-TIME.jws in the same folder)",
    )
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Audit; return 0 when nothing was found."""
    if args.stores:
        from app.cli.store_audit import run_stores  # noqa: PLC0415 - only where it is asked for

        if args.receipt:
            raise BadInput("--receipt and --stores do not go together", "Run two audits.", code="bad_option")
        return run_stores(args, settings_of(args))
    if args.rate or args.state or args.report:
        raise BadInput("--rate, --state and --report go with --stores", "Add --stores.", code="bad_option")
    receipts = [(str(path), _read(path)) for path in args.receipt]
    kept, count, audited = asyncio.run(_audit(settings_of(args), receipts, args))
    document = {
        "ok": not count,
        "audited": asdict(audited),
        "findings": [asdict(each) for each in kept],
        "more": count - len(kept),
    }
    receipts_text = f", {audited.receipts} receipts" if receipts else ""
    line = (
        f"{'all is well' if not count else f'{count} findings'}: {audited.size} entries, "
        f"{audited.deposits} deposits, {audited.segments} segments ({human_size(audited.segment_bytes)}), "
        f"{audited.notes} notes{receipts_text}"
    )
    show(args, document, [line])
    return FAILED if count else 0


async def _audit(
    settings: Settings, receipts: list[tuple[str, bytes]], args: Namespace
) -> tuple[list[Finding], int, Audited]:
    from app.wiring import build_audit  # noqa: PLC0415 - other commands start without the stores

    kept: list[Finding] = []
    count, told = 0, set[str]()
    with Teller(as_json=args.json) as teller:
        async with build_audit(settings, receipts, teller.counting("parts")) as audit:
            async for each in audit.findings():
                count += 1
                if not args.json:
                    print_finding(each, told)
                elif len(kept) < MAX_KEPT:
                    kept.append(each)
            return kept, count, audit.audited


def rate_of(text: str) -> int:
    """Read a number of bytes, also as 512K, 20M or 1G (powers of 1,024)."""
    found = re.fullmatch(r"([1-9][0-9]{0,11})([KMG]?)", text, re.ASCII)
    if found is None:
        raise ArgumentTypeError(f"{text[:40]!r} is not a number of bytes such as 500000, 512K, 20M or 1G")
    return int(found[1]) << 10 * " KMG".index(found[2] or " ")


def print_finding(each: Finding, told: set[str]) -> None:
    """Print a finding, and what to do when that was not said before."""
    print(printable(_line(each)), flush=True)
    if each.code not in told:
        print(printable(f"  {each.next_step}"), flush=True)
        told.add(each.code)


def _line(finding: Finding) -> str:
    where = "" if finding.span is None else f", bytes {finding.span[0]} to {finding.span[1] - 1}"
    return f"{finding.place}{where}: {finding.message} [{finding.code}]"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PROOF_BYTES + 1)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", "Name the receipt's file.", code="unreadable"
        ) from error
