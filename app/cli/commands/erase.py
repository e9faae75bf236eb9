"""`muniment erase`: list what is on a deposit, ask for its erasure, show the certificate of one."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import as_person, digest_of, id_of, paper_of, write_result
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.erasing import Certificate


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "erase",
        help="erase a deposit under an order of the court: list, ask, show",
        description="Erase a deposit under an order of the court. A reader of the case lists what is on it; a "
        "registrar asks for the erasure with that list; the authority approves, as other acts (muniment member "
        "approve); then boxes, notes and statements are destroyed. A legal hold refuses it. The act is PUBLIC.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listed = actions.add_parser(
        "list",
        help="write the list that the registrar needs (a reader of the case)",
        description="Write the list that the registrar needs: a hash of the deposit's id, and ledger indices.",
    )
    listed.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    listed.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the list to write")
    add_json(listed)
    listed.set_defaults(run=run_list)

    asked = actions.add_parser(
        "ask",
        help="ask for the erasure (a registrar)",
        description="Ask for the erasure. It waits for the authority's approvals.",
    )
    asked.add_argument("list", metavar="LIST", type=Path, help="what `muniment erase list` wrote")
    asked.add_argument(
        "--reason", required=True, help="why, in at most 500 characters; PUBLIC: no names, nothing of the case"
    )
    asked.add_argument("--paper", metavar="FILE", type=Path, required=True, help="the court's paper; it stays here")
    add_json(asked)
    asked.set_defaults(run=run_ask)

    shown = actions.add_parser(
        "show",
        help="show the certificate of an erasure",
        description="Show the certificate of an erasure: what it proves, what not, and where copies may remain.",
    )
    shown.add_argument("deposit", metavar="HASH", type=digest_of, help="the SHA-256 of the deposit's id, from the act")
    add_json(shown)
    shown.set_defaults(run=run_show)


def run_list(args: argparse.Namespace) -> int:
    """Write the list."""
    from app.client.erasing import format_list, list_entries  # noqa: PLC0415

    found = as_person(lambda client: list_entries(client, args.deposit))
    write_result(args.output, format_list(found))
    document = {"deposit": found.deposit.hex(), "entries": list(found.entries), "list": str(args.output)}
    show(
        args,
        document,
        [f"{args.output}: {len(found.entries)} entries on the deposit with the hash {document['deposit']}"],
    )
    return 0


def run_ask(args: argparse.Namespace) -> int:
    """Ask."""
    from app.client.erasing import MAX_LIST_BYTES, ask, parse_list  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415

    listed = parse_list(read_file(args.list, "the list", most=MAX_LIST_BYTES))
    paper = paper_of(args.paper)
    if not 1 <= len(args.reason) <= 500 or not args.reason.isprintable():
        raise BadInput("the reason has 1 to 500 printable characters", "Write it shorter.", code="bad_option")
    receipt = as_person(lambda client: ask(client, listed, args.reason, paper))
    digest = receipt.statement.digest.hex()
    lines = [
        f"the erasure of {len(listed.entries)} entries: entry {receipt.index}",
        f"  it waits for the authority: muniment member approve {digest}",
        f"  afterwards: muniment erase show {listed.deposit.hex()}",
    ]
    show(args, {"act": digest, "index": receipt.index, "deposit": listed.deposit.hex()}, lines)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show the certificate."""
    from app.client.erasing import CLIENTS, COPIES, DOES_NOT_PROVE, PROVES, certify  # noqa: PLC0415

    found: Certificate = as_person(lambda client: certify(client, args.deposit))
    document = {
        "format": "muniment-erasure-certificate/v1",
        "deposit": found.deposit.hex(),
        "act": found.act.hex(),
        "act_index": found.act_index,
        "effective_index": found.effective_index,
        "time": found.time,
        "reason": found.reason,
        "document": found.document.hex(),
        "approvals": list(found.approvals),
        "entries": list(found.entries),
        "gone": found.gone,
        "checkpoint": {"size": found.checkpoint_size, "root": found.checkpoint_root.hex()},
        "proves": list(PROVES),
        "clients_do": list(CLIENTS),
        "does_not_prove": list(DOES_NOT_PROVE),
        "copies_may_remain": list(COPIES),
    }
    when = datetime.fromtimestamp(found.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        "CERTIFICATE OF ERASURE",
        f"  deposit     the one whose id has the SHA-256 {found.deposit.hex()}",
        f"  act         {found.act.hex()}, entry {found.act_index}",
        f"  in effect   from entry {found.effective_index} on, {when} by the registry's clock",
        f"  reason      {found.reason}",
        f"  paper       SHA-256 {found.document.hex()}",
        *(f"  approved by {each}" for each in found.approvals),
        f"  entries     {', '.join(str(each) for each in found.entries)}",
        f"  the registry says that {found.gone} of these {len(found.entries)} statements are destroyed",
        f"  ledger      size {found.checkpoint_size}, root {found.checkpoint_root.hex()}",
        "  This proves:",
        *(f"    - {each}" for each in PROVES),
        "  What clients do:",
        *(f"    - {each}" for each in CLIENTS),
        "  It does not prove:",
        *(f"    - {each}" for each in DOES_NOT_PROVE),
        "  Copies may remain:",
        *(f"    - {each}" for each in COPIES),
    ]
    show(args, document, lines)
    return 0
