"""`muniment verify --report`: what was found as a PDF, sealed where an office's seal is named."""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.output import note
from app.errors import BadInput

if TYPE_CHECKING:
    from app.statements.trust import Trust
    from app.verify.verdict import Check

NOBODY = "not sealed: made by whoever ran the program"


def write_report(
    args: argparse.Namespace,
    trust: "Trust",
    *,
    checks: "Sequence[Check]",
    lines: Sequence[str],
    verdict: dict[str, object],
) -> None:
    """Write the report if one is asked for. Sealing asks time-stamp authorities; verifying itself opened no socket.

    Raises BadInput (bad_option, output_exists), NoTimestamp, Refused (seal_revoked).
    """
    if args.report is None:
        if args.office is not None:
            raise BadInput("--office goes with --report", "Leave it out.", code="bad_option")
        return
    from app.certificates.verification import Verification, render_verification  # noqa: PLC0415
    from app.cli.person import clock, write_result  # noqa: PLC0415
    from app.service.office import load_office  # noqa: PLC0415
    from app.verify.proof import hash_file  # noqa: PLC0415

    if args.report.exists():
        raise BadInput(f"{args.report} exists already", "Name another file.", code="output_exists")
    office = None if args.office is None else load_office(args.office)
    found = [hash_file(Path(each)) for each in (args.proof, *args.files)]
    pdf = render_verification(
        Verification(
            outcome=str(verdict["outcome"]),
            files=tuple((each.path, each.sha256.hex()) for each in found),
            trust_sha256=trust.sha256.hex(),
            checks=tuple((each.name, each.passed, each.detail) for each in checks),
            lines=tuple(lines),
            verdict=verdict,
            at=clock(),
            by=NOBODY if office is None else office.office.name,
        )
    )
    if office is not None:
        pdf = asyncio.run(_sealed(pdf, args.office))
    write_result(args.report, pdf)
    note(f"report: {args.report}, {'sealed' if office is not None else 'not sealed'}")


async def _sealed(pdf: bytes, file: Path) -> bytes:
    import aiohttp  # noqa: PLC0415

    from app.certificates.roots import roots_of  # noqa: PLC0415
    from app.certificates.sealing import read_seal, seal  # noqa: PLC0415
    from app.service.office import load_office  # noqa: PLC0415
    from app.statements.trust import parse_trust  # noqa: PLC0415

    office = load_office(file)
    seals, stamps = roots_of(parse_trust(office.trust.read_bytes()))
    async with aiohttp.ClientSession() as session:
        made = await seal(
            pdf,
            read_seal(office.seal_key, office.seal_certificates),
            addresses=office.tsa,
            roots=(*seals, *stamps),
            session=session,
        )
    if not made.closed:
        note(f"the report is sealed and not closed: {made.why}")
    return made.pdf
