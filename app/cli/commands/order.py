"""`muniment order CASE`: the presiding judge orders deposits opened for members of the case."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, id_of, member_of, paper_of, words_of

if TYPE_CHECKING:
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "order",
        help="order deposits opened (the presiding judge)",
        description="Order deposits of a case opened for members of it. The court's paper stays on this machine; its "
        "SHA-256 is signed, and each judge compares it with the paper that he got.",
    )
    parser.add_argument("case", type=id_of, metavar="CASE", help="the case's id")
    parser.add_argument(
        "--deposit",
        dest="deposits",
        type=id_of,
        action="append",
        required=True,
        metavar="DEPOSIT",
        help="a deposit that is to be opened; repeatable",
    )
    parser.add_argument(
        "--to",
        dest="recipients",
        action="append",
        required=True,
        metavar="MEMBER",
        help="for whom: id or exact name; repeatable",
    )
    parser.add_argument("--paper", type=Path, required=True, metavar="FILE", help="the court's paper")
    add_note(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Order, print, return 0."""
    from app.client.docket import document_hash  # noqa: PLC0415
    from app.client.release import order  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415
    from app.statements.kinds import ReleaseOrder  # noqa: PLC0415

    paper, words = paper_of(args.paper), words_of(args.note)

    async def work(client: "Client") -> dict[str, Any]:
        view = (await client.sync()).view
        people = [member_of(view, each) for each in args.recipients]
        receipt = await order(
            client,
            case_id=args.case,
            deposits=args.deposits,
            recipients=[each.id for each in people],
            paper=paper,
            words=words,
        )
        claims = receipt.statement.claims
        assert isinstance(claims, ReleaseOrder)  # noqa: S101 - what was posted
        return {
            "order": receipt.statement.digest.hex(),
            "index": receipt.index,
            "document": document_hash(paper).hex(),
            "recipients": [each.name for each in people],
            "keys": [thumbprint(each) for each in claims.recipients],
        }

    found = as_person(work)
    lines = [f"order {found['order']}", f"  paper {found['document']}"]
    lines += [f"  for {name}, whose key is {key}" for name, key in zip(found["recipients"], found["keys"], strict=True)]
    show(args, found, lines)
    return 0
