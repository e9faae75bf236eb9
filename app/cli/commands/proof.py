"""`muniment proof DEPOSIT`: write a proof file that anybody can check alone, or bring one that is held up to date."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, note, show
from app.cli.person import clock, connected, home_of, id_of, write_result
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.grow import Grown, Held


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "proof",
        help="write a deposit's proof file, or bring a held one up to date",
        description="Write a proof file of a deposit. It shows who deposited and when, and of the files only what you "
        "disclose: name, type, size, sha256 (of every item), description, origin. A proof grows: received, witnessed, "
        "timestamped, anchored. Name the file that you hold instead of the deposit, and it is replaced by the newest "
        "proof, with the same disclosures; so is DEPOSIT.proof.json here, when you name no other with -o.",
    )
    parser.add_argument(
        "deposit", metavar="DEPOSIT", help="the deposit's id, or a proof file of it that is to be brought up to date"
    )
    parser.add_argument(
        "--disclose", metavar="NAMES", default="", help="such as name,size,type,sha256; none by default"
    )
    parser.add_argument("--item", type=int, action="append", default=[], help="disclose of these items only")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="the proof file to write (default: DEPOSIT.proof.json)"
    )
    parser.add_argument("--trust", type=Path, help="make it for the holders of this trust file (default: your own)")
    add_json(parser)
    parser.set_defaults(run=lambda args: asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Write the proof, or replace the held one; either is verified before it is handed out."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.grow import grow_proof, replace_held  # noqa: PLC0415
    from app.client.headers import find_bundle  # noqa: PLC0415
    from app.client.kept import kept  # noqa: PLC0415
    from app.statements.prooffile import choose  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415

    held, deposit_id, output = _what(args)
    names = [each.strip() for each in args.disclose.split(",") if each.strip()]
    if held is not None and (names or args.item):
        raise BadInput(
            f"{held.path} is brought up to date with the disclosures that it has",
            "To show other things write another file (-o).",
            code="output_exists",
        )
    async with connected() as client:
        trust = client.trust
        if args.trust is not None:
            trust = parse_trust(read_file(args.trust, "the trust file", most=MAX_TRUST_BYTES))
        chain = find_bundle(home_of(), trust)
        if held is not None:
            chosen, manifest = held.disclosures, held.manifest
        elif names:
            remembered = kept(client.vault, deposit_id)
            chosen, manifest = choose(remembered.inventory.disclosures, names), remembered.manifest
            if args.item:
                chosen = tuple(each for each in chosen if each.item is None or each.item in args.item)
        else:
            chosen, manifest = (), (await client.api.deposit(deposit_id)).manifest
        grown = await grow_proof(client, deposit_id, manifest, chosen, trust=trust, chain=chain)
    before = None
    if held is not None:
        before = replace_held(held, grown, trust=trust, now=clock(), chain=chain).level.value
    else:
        write_result(output, grown.data)
    return _tell(args, output, deposit_id, grown, before)


def _what(args: argparse.Namespace) -> "tuple[Held | None, bytes, Path]":
    """The held proof file, if there is one; the deposit's id; and where the proof goes."""
    from app.client.grow import read_held  # noqa: PLC0415

    named = Path(args.deposit)
    try:
        deposit_id = id_of(args.deposit)
    except argparse.ArgumentTypeError:
        if not named.is_file():
            raise BadInput(
                f"{args.deposit!r} is neither a deposit's id nor a proof file",
                "Give 32 hex digits, or a file.",
                code="missing",
            ) from None
        if args.output is not None:
            raise BadInput(
                f"{named} is brought up to date where it is", "Leave -o out, or name the deposit's id.", code="usage"
            ) from None
        held = read_held(named)
        return held, held.deposit_id, named
    output: Path = args.output or Path(f"{deposit_id.hex()}.proof.json")
    if args.output is None and output.exists():
        held = read_held(output)
        if held.deposit_id != deposit_id:
            raise BadInput(f"{output} is the proof of another deposit", "Name a file with -o.", code="output_exists")
        return held, deposit_id, output
    return None, deposit_id, output


def _tell(args: argparse.Namespace, output: Path, deposit_id: bytes, grown: "Grown", before: str | None) -> int:
    from app.statements.prooffile import parse_proof_file  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415
    from app.verify.words import bracket_lines, level_lines  # noqa: PLC0415

    verdict = grown.verdict
    for each in grown.problems:
        note(each)
    disclosures = parse_proof_file(grown.data).disclosures
    was = "" if before is None else f" (it was {before})"
    show(
        args,
        {
            "proof": str(output),
            "bytes": len(grown.data),
            "deposit": deposit_id.hex(),
            "outcome": verdict.outcome.value,
            "level": verdict.level.value,
            "level_before": before,
            "pending": [] if verdict.bracket is None else [each.value for each in verdict.bracket.growth.pending],
            "disclosed": [{"item": each.item, "slot": each.slot} for each in disclosures],
        },
        [
            f"{output}: {len(grown.data)} bytes, {len(disclosures)} disclosures; level {verdict.level.value}{was}",
            *(f"  {each}" for each in (*level_lines(verdict), *bracket_lines(verdict))),
        ],
    )
    return 0 if verdict.outcome is Outcome.VERIFIED else verdict.outcome.exit_code
