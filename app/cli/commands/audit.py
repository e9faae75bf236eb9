"""`muniment audit`: derive everything of a registry again from its stores, and name what differs."""

import asyncio
from argparse import ArgumentParser, Namespace
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
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Audit; return 0 when nothing was found."""
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
                    print(printable(_line(each)), flush=True)
                    if each.code not in told:
                        print(printable(f"  {each.next_step}"), flush=True)
                        told.add(each.code)
                elif len(kept) < MAX_KEPT:
                    kept.append(each)
            return kept, count, audit.audited


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
