"""`muniment proof DEPOSIT -o FILE`: write a proof file that anybody can check alone."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from app.cli.output import add_json, show
from app.cli.person import connected, id_of, write_result


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "proof",
        help="write a deposit's proof file",
        description="Write a proof file of a deposit. It shows who deposited and when, and of the files only what you "
        "disclose: name, type, size, sha256 (of every item), description, origin.",
    )
    parser.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    parser.add_argument(
        "--disclose", metavar="NAMES", default="", help="such as name,size,type,sha256; none by default"
    )
    parser.add_argument("--item", type=int, action="append", default=[], help="disclose of these items only")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the proof file to write")
    parser.add_argument("--trust", type=Path, help="make it for the holders of this trust file (default: your own)")
    add_json(parser)
    parser.set_defaults(run=lambda args: asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Write the proof, and verify it before it is handed out."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.kept import kept  # noqa: PLC0415
    from app.client.proof import make_proof  # noqa: PLC0415
    from app.errors import Mismatch  # noqa: PLC0415
    from app.statements.prooffile import choose  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415
    from app.verify.proof import check_proof  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    names = [each.strip() for each in args.disclose.split(",") if each.strip()]
    async with connected() as client:
        trust = client.trust
        if args.trust is not None:
            trust = parse_trust(read_file(args.trust, "the trust file", most=MAX_TRUST_BYTES))
        state = await client.sync()
        if names:
            remembered = kept(client.vault, args.deposit)
            chosen, manifest = choose(remembered.inventory.disclosures, names), remembered.manifest
            if args.item:
                chosen = tuple(each for each in chosen if each.item is None or each.item in args.item)
        else:
            chosen, manifest = (), (await client.api.deposit(args.deposit)).manifest
        data = make_proof(state, args.deposit, manifest, chosen, trust)
    verdict = check_proof(data, trust)
    if verdict.outcome is Outcome.MISMATCH:
        failed = verdict.failed
        raise Mismatch(
            f"the proof does not verify: {failed.detail if failed else ''}",
            "Nothing was written. Keep your folder as it is and report this.",
        )
    write_result(args.output, data)
    show(
        args,
        {
            "proof": str(args.output),
            "bytes": len(data),
            "deposit": args.deposit.hex(),
            "outcome": verdict.outcome.value,
            "level": verdict.level.value,
            "disclosed": [{"item": each.item, "slot": each.slot} for each in chosen],
        },
        [f"{args.output}: {len(data)} bytes, {len(chosen)} disclosures; level {verdict.level.value}"],
    )
    return 0 if verdict.outcome is Outcome.VERIFIED else verdict.outcome.exit_code
