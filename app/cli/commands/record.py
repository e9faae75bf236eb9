"""`muniment record REQUEST -o FILE`: write the release record of a request, for `muniment verify`."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from app.cli.output import add_json, note, show
from app.cli.person import connected, digest_of, write_result


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "record",
        help="write the record of a release: who asked, who decided what and when, with all proofs",
        description="Write everything that the ledger says of a request, with its proofs, so that anybody with a trust "
        "file can check it offline: muniment verify FILE --trust TRUST. Whoever reads the case can write it. The file "
        "holds private statements of the case (people, decisions, orders): handing it on discloses them. Sealed notes "
        "are not in it.",
    )
    parser.add_argument("request", type=digest_of, metavar="REQUEST", help="the request's digest, as `case show` lists")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the record to write")
    parser.add_argument("--trust", type=Path, help="make it for the holders of this trust file (default: your own)")
    add_json(parser)
    parser.set_defaults(run=lambda args: asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Write the record, and verify it before it is handed out."""
    from app.cli.releaserecord import lines  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.record import make_record  # noqa: PLC0415
    from app.errors import Mismatch  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415
    from app.verify.record import check_record  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    async with connected() as client:
        trust = client.trust
        if args.trust is not None:
            trust = parse_trust(read_file(args.trust, "the trust file", most=MAX_TRUST_BYTES))
        made = make_record(await client.sync(), args.request, trust)
    verdict = check_record(made.data, trust)
    if verdict.outcome is Outcome.MISMATCH:
        failed = verdict.failed
        raise Mismatch(
            f"the record does not verify: {failed.detail if failed else ''}",
            "Nothing was written. Keep your folder as it is and report this.",
            code="bad_record",
        )
    write_result(args.output, made.data)
    if made.holds_key:
        note("BEWARE: the request was ended by a public opening: the record holds THE KEY OF THE DEPOSIT.")
    document = {
        "record": str(args.output),
        "bytes": len(made.data),
        "entries": made.entries,
        "leaves": made.leaves,
        "holds_key": made.holds_key,
        **verdict.to_json(),
    }
    head = f"{args.output}: {len(made.data)} bytes, {made.entries} statements, {made.leaves} entries of the ledger"
    show(args, document, [head, *lines(str(args.output), "this one", verdict)])
    return 0 if verdict.outcome is Outcome.VERIFIED else verdict.outcome.exit_code
