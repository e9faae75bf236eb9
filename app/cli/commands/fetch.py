"""`muniment fetch DEPOSIT -o OUT`: download released evidence as age files, every segment compared."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, human_size, show
from app.cli.person import as_person, digest_of, id_of

if TYPE_CHECKING:
    from app.client.downloading import Damage
    from app.client.fetch import Fetched, Incomplete
    from app.client.session import Client
    from app.errors import AppError


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fetch",
        help="download released evidence, still sealed",
        description="Download a released deposit: one age file an item. Every segment is compared with what it "
        "committed to. Goes on where it was cut off, with what is missing; never overwrites other files. A segment "
        "that is damaged or missing at the registry is named with its place, and the rest is fetched (exit 1): that "
        "item stays under item-NNN.age.part, with zeros in the segment's place.",
    )
    parser.add_argument("deposit", type=id_of, metavar="DEPOSIT", help="the deposit's id")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder")
    parser.add_argument(
        "--request", type=digest_of, metavar="REQUEST", help="your request; default: the newest open one"
    )
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch, print, return 0, or 1 where segments cannot be had."""
    from app.cli.progress import Teller  # noqa: PLC0415
    from app.client.fetch import Incomplete, fetch  # noqa: PLC0415

    async def work(client: "Client") -> "tuple[Fetched, Incomplete | None]":
        with Teller(as_json=args.json) as teller:
            try:
                return await fetch(client, args.deposit, args.output, request=args.request, progress=teller), None
            except Incomplete as error:
                return error.fetched, error

    found, fault = as_person(work)
    document = {
        "request": found.request.hex(),
        "deposit": found.deposit_id.hex(),
        "folder": str(found.folder),
        "files": [str(each) for each in found.files],
        "bytes": found.total_bytes,
        "damage": [damage_document(each) for each in found.damage],
        "error": None if fault is None else fault_document(fault),
    }
    lines = [f"{len(found.files)} files, {human_size(found.total_bytes)}, in {found.folder}"]
    if fault is not None:
        lines = [f"{len(found.files) - len({each.item for each in found.damage})} of {lines[0]}"]
        lines += damage_lines(found.damage)
        lines.append(f"  {fault.next_step}")
    lines.append(f"open them with `muniment open {found.request.hex()} --sealed {found.folder} -o …`")
    show(args, document, lines)
    return 0 if fault is None else 1


def damage_document(damage: "Damage") -> dict[str, Any]:
    """A segment that cannot be had, as JSON: bytes [start, end) of the item's age file."""
    return {
        "item": damage.item,
        "segment": damage.segment,
        "start": damage.start,
        "end": damage.end,
        "fault": fault_document(damage.fault),
    }


def damage_lines(damage: "Sequence[Damage]") -> list[str]:
    """The same for people; at most ten of them."""
    lines = [f"  MISSING: {each.text} [{each.fault.code}]" for each in damage[:10]]
    return [*lines, f"  and {len(damage) - 10} more: see --json"] if len(damage) > 10 else lines


def fault_document(fault: "AppError") -> dict[str, str]:
    """What is wrong, as JSON."""
    return {"code": fault.code, "message": fault.message, "next_step": fault.next_step}
