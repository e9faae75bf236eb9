"""`muniment audit --stores`, and how `muniment verify` shows the report that it leaves."""

import asyncio
import time
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import human_size, note, show
from app.cli.person import write_result
from app.cli.progress import Teller
from app.config import Settings
from app.errors import CannotTell
from app.times import time_text
from storage.errors import StorageError

if TYPE_CHECKING:
    from app.service.progress_file import ProgressFile
    from app.service.store_audit import Progress
    from app.statements.store_report import StoreReport
    from app.statements.trust import Trust

FAILED = 1


def run_stores(args: Namespace, settings: Settings) -> int:
    """Audit the stores, or go on with it; write the report; return 0 when nothing was found in all runs.

    Raises CannotTell when a store does not answer: the same command goes on.
    """
    from app.service.progress_file import held  # noqa: PLC0415 - other audits do without it

    folder = settings.published.parent
    state: Path = args.state or folder / "store-audit.progress"
    with held(state) as file:
        earlier = file.load()
        if earlier is not None:
            note(
                f"going on with the audit of {time_text(earlier.begun)}: {_many(earlier.deposits, 'deposit')}, "
                f"{_many(earlier.segments, 'segment')} ({human_size(earlier.bytes)}) and "
                f"{_many(earlier.count, 'finding')} before"
            )
        try:
            text, report = asyncio.run(_audit(settings, args, file, earlier))
        except StorageError as error:
            raise CannotTell(
                f"a store does not tell what it holds: {error.message}",
                f"{error.next_step} Then the same command goes on where it was ({state}).".strip(),
                code=error.code,
            ) from error
        path: Path = args.report or folder / f"store-audit-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.jws"
        write_result(path, f"{text}\n".encode())
        file.remove()
    show(args, {"ok": not report.count, "report": str(path), **to_json(report)}, [*_lines(report), f"report: {path}"])
    return FAILED if report.count else 0


async def _audit(
    settings: Settings, args: Namespace, file: "ProgressFile", earlier: "Progress | None"
) -> "tuple[str, StoreReport]":
    from app.cli.commands.audit import print_finding  # noqa: PLC0415 - it imports this module
    from app.service.store_audit import Pacer  # noqa: PLC0415
    from app.statements.store_report import sign_report  # noqa: PLC0415
    from app.wiring import build_store_audit, now  # noqa: PLC0415

    told = set[str]()
    pacer = Pacer(args.rate)
    with Teller(as_json=args.json) as teller:
        tell = teller.counting("segments")
        async with build_store_audit(settings, earlier, pace=pacer.read, save=file.save, tell=tell) as built:
            audit, genesis, signer = built
            async for each in audit.findings():
                if not args.json:
                    print_finding(each, told)
            report = audit.report(genesis, finished=now(), bytes_per_second=args.rate)
    return sign_report(report, signer), report


def run_report(args: Namespace, data: bytes, trust: "Trust") -> int:
    """Check a signed report and show it; return 0 when it is authentic and names nothing, 1 when it names findings.

    Raises Mismatch, CannotTell, BadInput: it is not authentic, or that cannot be told.
    """
    from app.statements.store_report import check_report, parse_report  # noqa: PLC0415

    signed = parse_report(data)
    check_report(signed, trust)
    report = signed.report
    document = {"outcome": "verified", "ok": not report.count, "trust_sha256": trust.sha256.hex(), **to_json(report)}
    lines = [
        f"SIGNED by the service key of {trust.origin}  {args.proof}",
        f"  trust file: {args.trust}, SHA-256 {trust.sha256.hex()}",
        *_lines(report),
    ]
    for each in report.findings:
        where = "" if each.start is None or each.end is None else f", bytes {each.start} to {each.end - 1}"
        lines += [f"{each.place}{where}: {each.message} [{each.code}]", f"  {each.next_step}"]
    lines.append("The signature binds the operator to this; it does not show that he looked.")
    show(args, document, lines)
    return FAILED if report.count else 0


def to_json(report: "StoreReport") -> dict[str, Any]:
    """Return a report for `--json`, without the statement and the checkpoint in it."""
    found = asdict(report)
    del found["genesis"], found["checkpoint"]
    found["ledger"] = {"size": report.ledger.size, "root": report.ledger.root.hex()}
    for each in found["findings"]:
        each["deposit"] = None if each["deposit"] is None else each["deposit"].hex()
    return found


def _lines(report: "StoreReport") -> list[str]:
    lines = [
        f"{_many(report.count, 'finding') if report.count else 'all is well'}: {_many(report.deposits, 'deposit')}, "
        f"{_many(report.segments, 'segment')} ({human_size(report.bytes)}), of {report.ledger.size} entries with the "
        f"root {report.ledger.root.hex()}",
        f"  begun {time_text(report.begun)}, finished {time_text(report.finished)}"
        + (f", interrupted {_many(report.interruptions, 'time')}" if report.interruptions else ""),
    ]
    if report.pending:
        lines.append(f"  locks and holds of {_many(report.pending, 'deposit')} are due and were not judged")
    if report.more:
        lines.append(f"  only {len(report.findings)} findings are listed")
    return lines


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
