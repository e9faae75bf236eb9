"""`muniment open REQUEST -o OUT`: open released evidence, compare every item, and publish what was found."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.commands.fetch import damage_document, fault_document
from app.cli.output import add_json, human_size, show
from app.cli.person import as_person, digest_of

if TYPE_CHECKING:
    from app.client.opening import Opened
    from app.client.session import Client
    from app.errors import AppError


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "open",
        help="open released evidence and compare it with what was declared",
        description="Verify everything, open the items into OUT, compare size and SHA-256 of each with what its "
        "depositor declared, and publish the verdicts on the ledger. Afterwards the key of the request is destroyed. "
        "Files come back in the folders that they were deposited in. Interrupted, it goes on where it was. Exit 1 when "
        "an item is not equal to its declaration, and when a segment is damaged or missing at the registry: it is "
        "named, all else is opened, what is there of its item is saved as NAME.partial, nothing is published and the "
        "key stays.",
    )
    parser.add_argument("request", type=digest_of, metavar="REQUEST", help="your request")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a folder for the files")
    parser.add_argument(
        "--sealed", type=Path, metavar="DIR", help="where `fetch` put the age files; default: OUT/.sealed"
    )
    parser.add_argument(
        "--identity-out", type=Path, metavar="FILE", help="write the key, with which stock age opens the same files"
    )
    parser.add_argument("--no-publish", action="store_true", help="publish nothing, and keep the key")
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Open, print, return 0, or 1 where something is not as it was declared."""
    from app.cli.progress import Teller  # noqa: PLC0415
    from app.client.opening import Output, open_request  # noqa: PLC0415

    async def work(client: "Client") -> "Opened":
        output = Output(folder=args.output, sealed=args.sealed, identity=args.identity_out)
        with Teller(as_json=args.json) as teller:
            return await open_request(client, args.request, output, publish=not args.no_publish, progress=teller)

    found = as_person(work)
    show(args, _document(found), _lines(found))
    good = found.outcome == "opened" and not found.damage and all(each.verdict == "equal" for each in found.items)
    return 0 if good and found.inventory_fault is None and found.posting_fault is None else 1


def _document(found: "Opened") -> dict[str, Any]:
    return {
        "request": found.request.hex(),
        "deposit": found.deposit_id.hex(),
        "outcome": found.outcome,
        "description": found.description,
        "origin": found.origin,
        "items": [
            {
                "item": each.item,
                "verdict": each.verdict,
                "name": each.name,
                "path": str(each.path) if each.path is not None else None,
                "size": each.size,
                "sha256": each.sha256.hex() if each.sha256 is not None else None,
                "fault": _fault(each.fault),
                "missing": [list(span) for span in each.missing],
            }
            for each in found.items
        ],
        "inventory_fault": _fault(found.inventory_fault),
        "published": found.receipt.statement.digest.hex() if found.receipt is not None else None,
        "posting_fault": _fault(found.posting_fault),
        "damage": [damage_document(each) for each in found.damage],
        "key_destroyed": found.key_destroyed,
    }


def _fault(fault: "AppError | None") -> dict[str, str] | None:
    return fault_document(fault) if fault else None


def _lines(found: "Opened") -> list[str]:
    words = {
        "equal": "equal to its declaration",
        "not_equal": "NOT EQUAL to its declaration",
        "undeclared": "UNDECLARED",
        "incomplete": "INCOMPLETE",
    }
    lines = [f"deposit {found.deposit_id.hex()}"]
    if found.outcome == "malformed":
        lines.append("  MALFORMED: every part is authentic and nobody can open it; the depositor made it so")
    for what, text in (("description", found.description), ("origin", found.origin)):
        if text is not None:
            lines.append(f"  {what}: {text}")
    for each in found.items:
        size = f"{human_size(each.size)}, SHA-256 {each.sha256.hex()}" if each.size is not None and each.sha256 else ""
        lines.append(f"  item {each.item}: {words[each.verdict]}: {each.path or 'not opened'}")
        lines += [f"    {size}"] if size else []
        lines += [f"    {each.fault.message} [{each.fault.code}]"] if each.fault is not None else []
        if each.path is not None and each.missing:
            spans = ", ".join(f"{start} to {end - 1}" for start, end in each.missing[:10])
            lines.append(f"    zeros stand in the file for its bytes {spans}{' …' if len(each.missing) > 10 else ''}")
    if found.inventory_fault is not None:
        lines.append(f"  inventory: {found.inventory_fault.message} [{found.inventory_fault.code}]")
    if found.receipt is not None:
        lines.append(f"  published at index {found.receipt.index}")
    elif found.damage:
        segments = "1 segment" if len(found.damage) == 1 else f"{len(found.damage)} segments"
        lines.append(f"  NOT published: {segments} cannot be had, which says nothing of the evidence")
        lines.append("  Run this again later: only what is missing is fetched. If it stays, tell the registrar: ")
        lines[-1] += "the audit names the same segments, and another copy of the store may be whole."
    elif found.posting_fault is not None:
        lines.append(f"  NOT published: {found.posting_fault.message} [{found.posting_fault.code}]; run this again")
    lines.append(
        "  the key of the request was destroyed" if found.key_destroyed else "  the key of the request is kept"
    )
    if not found.damage:
        lines.append(
            f"  to show this to others, once the presiding judge permits it: muniment publish {found.request.hex()}"
        )
    return lines
