"""`muniment request ORDER DEPOSIT`: ask the panel for a deposit that an order names you for."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, digest_of, id_of, words_of
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.session import Client
    from app.statements.disclosure import NamedDisclosure

MAX_DISCLOSURES_BYTES = 1 << 20


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "request",
        help="ask the judges for a deposit",
        description="Ask the panel's judges for a deposit under an order that names you. A fresh key is made and kept "
        "until the evidence was opened. Run again after an interruption: the same request is sent.",
    )
    parser.add_argument("order", type=digest_of, metavar="ORDER", help="the order's digest")
    parser.add_argument("deposit", type=id_of, metavar="DEPOSIT", help="the deposit's id")
    parser.add_argument("--panel", type=digest_of, metavar="PANEL", help="of which panel; default: the first")
    parser.add_argument(
        "--disclose",
        type=Path,
        metavar="FILE",
        help='disclosures for the judges: a JSON list of {"item","slot","disclosure"}, or an object with the key '
        '"disclosures", such as a proof file',
    )
    add_note(parser, what="words for the judges and the case")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, print, return 0."""
    from app.client.release import request  # noqa: PLC0415

    words, disclosures = words_of(args.note), _disclosures(args.disclose)

    async def work(client: "Client") -> dict[str, Any]:
        receipt = await request(
            client,
            order=args.order,
            deposit_id=args.deposit,
            panel_id=args.panel,
            words=words,
            disclosures=disclosures,
        )
        return {"request": receipt.statement.digest.hex(), "index": receipt.index}

    found = as_person(work)
    show(args, found, [f"request {found['request']}", "  waits for the judges; `muniment inbox` shows how far it is"])
    return 0


def _disclosures(path: Path | None) -> "tuple[NamedDisclosure, ...]":
    if path is None:
        return ()
    from app.canonical import parse_json, take_list  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.statements.disclosure import parse_named_disclosure  # noqa: PLC0415

    data = read_file(path, "the disclosures", most=MAX_DISCLOSURES_BYTES).removesuffix(b"\n")
    value = parse_json(data, what="the disclosures", max_bytes=MAX_DISCLOSURES_BYTES)
    if isinstance(value, dict):
        if "disclosures" not in value:
            raise BadInput(
                f"{path} has no disclosures", "Name a list of disclosures or a proof file.", code="bad_field"
            )
        value = value["disclosures"]
    given = take_list(value, "the disclosures", max_items=1000)
    return tuple(parse_named_disclosure(each, "a disclosure") for each in given)
