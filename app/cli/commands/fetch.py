"""`muniment fetch DEPOSIT -o OUT`: download released evidence as age files, every segment compared."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, human_size, show
from app.cli.person import as_person, digest_of, id_of

if TYPE_CHECKING:
    from app.client.fetch import Fetched
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fetch",
        help="download released evidence, still sealed",
        description="Download a released deposit: one age file an item. Goes on where it was cut off; never overwrites "
        "other files; a segment that was changed is named, and nothing is left.",
    )
    parser.add_argument("deposit", type=id_of, metavar="DEPOSIT", help="the deposit's id")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder")
    parser.add_argument(
        "--request", type=digest_of, metavar="REQUEST", help="your request; default: the newest open one"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch, print, return 0."""
    from app.cli.progress import Meter  # noqa: PLC0415
    from app.client.fetch import fetch  # noqa: PLC0415

    async def work(client: "Client") -> "Fetched":
        with Meter("fetching", quiet=args.json) as meter:
            return await fetch(client, args.deposit, args.output, request=args.request, progress=meter)

    found = as_person(work)
    document = {
        "request": found.request.hex(),
        "deposit": found.deposit_id.hex(),
        "folder": str(found.folder),
        "files": [str(each) for each in found.files],
        "bytes": found.total_bytes,
    }
    lines = [f"{len(found.files)} files, {human_size(found.total_bytes)}, in {found.folder}"]
    show(args, document, [*lines, f"open them with `muniment open {found.request.hex()} --sealed {found.folder} -o …`"])
    return 0
