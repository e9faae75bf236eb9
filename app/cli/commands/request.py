"""`muniment request ORDER DEPOSIT…`: ask the panel for deposits that an order names you for."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, digest_of, id_of, words_of
from app.errors import BadInput, Refused

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
    parser.add_argument(
        "deposits", type=id_of, nargs="+", metavar="DEPOSIT", help="the deposit's id; each is a request of its own"
    )
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
    from app.panels.errors import PanelError  # noqa: PLC0415

    words, disclosures = words_of(args.note), _disclosures(args.disclose)

    if len(args.deposits) > 1 and disclosures:
        raise BadInput("disclosures are of one deposit", "Ask for each deposit alone.", code="bad_option")

    async def work(client: "Client") -> list[dict[str, Any]]:
        found = []
        for deposit_id in dict.fromkeys(args.deposits):
            try:
                receipt = await request(
                    client,
                    order=args.order,
                    deposit_id=deposit_id,
                    panel_id=args.panel,
                    words=words,
                    disclosures=disclosures,
                )
            except (PanelError, Refused) as error:
                # Somebody else's request for this deposit is open, say: the others do not wait for it.
                if len(args.deposits) == 1:
                    raise
                fault = {"code": error.code, "message": error.message, "next_step": error.next_step}
                found.append({"deposit": deposit_id.hex(), "request": None, "index": None, "fault": fault})
            else:
                made = receipt.statement.digest.hex()
                found.append({"deposit": deposit_id.hex(), "request": made, "index": receipt.index, "fault": None})
        return found

    found, lines = as_person(work), []
    for each in found:
        if each["fault"] is None:
            lines += [f"request {each['request']}" + (f" for the deposit {each['deposit']}" if len(found) > 1 else "")]
        else:
            lines += [f"NOT asked for {each['deposit']}: {each['fault']['message']} [{each['fault']['code']}]"]
    if any(each["fault"] is None for each in found):
        lines.append("  waits for the judges; `muniment inbox` shows how far it is")
    show(args, found[0] if len(found) == 1 else {"requests": found}, lines)
    return 1 if any(each["fault"] is not None for each in found) else 0


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
