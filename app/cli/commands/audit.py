"""`muniment audit`: derive everything of a registry again from its stores, and name what differs."""

import asyncio
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from app.cli.commands.serve import add_place, settings_of
from app.cli.output import add_json, human_size, show
from app.config import Settings
from app.service.audit import Audited, Finding

FAILED = 1


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "audit",
        help="derive a registry again from its stores",
        description="Read every stored byte of a registry and name whatever is missing or changed. It changes nothing; "
        "exit code 0 when all is well, 1 when something is not.",
    )
    add_place(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Audit; return 0 when nothing was found."""
    findings, audited = asyncio.run(_audit(settings_of(args)))
    document = {"ok": not findings, "audited": asdict(audited), "findings": [asdict(each) for each in findings]}
    lines = [f"{each.place}: {each.message} [{each.code}]" for each in findings]
    lines.append(
        f"{'all is well' if not findings else f'{len(findings)} findings'}: {audited.size} entries, "
        f"{audited.deposits} deposits, {audited.segments} segments ({human_size(audited.segment_bytes)}), "
        f"{audited.notes} notes"
    )
    show(args, document, lines)
    return FAILED if findings else 0


async def _audit(settings: Settings) -> tuple[list[Finding], Audited]:
    from app.wiring import build_audit  # noqa: PLC0415 - other commands start without the stores

    async with build_audit(settings) as audit:
        return [each async for each in audit.findings()], audit.audited
