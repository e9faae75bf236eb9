"""`muniment object REQUEST`: object to another's request for evidence of your case."""

import argparse
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, digest_of, words_of

if TYPE_CHECKING:
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "object",
        help="object to another's request for evidence of your case",
        description="Object to a request, once, as a party of its case. Judges see it, with your reasons, before they "
        "decide; it stops nothing by itself. Possible until k judges have contributed; during the case's notice period "
        "no judge can have granted yet.",
    )
    parser.add_argument("request", type=digest_of, metavar="REQUEST", help="the request's digest, from `inbox`")
    add_note(parser, "--reason", "your reasons, for the case's people and its judges")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Object, print, return 0."""
    from app.client.release import object_to  # noqa: PLC0415

    words = words_of(args.note)

    async def work(client: "Client") -> dict[str, Any]:
        receipt = await object_to(client, args.request, words)
        return {
            "request": args.request.hex(),
            "objection": receipt.statement.digest.hex(),
            "index": receipt.index,
        }

    found = as_person(work)
    show(args, found, [f"objected to {found['request']}: entry {found['index']}; the judges see it"])
    return 0
