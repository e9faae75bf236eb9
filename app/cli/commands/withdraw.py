"""`muniment withdraw REQUEST`: take your own request back."""

import argparse
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, digest_of, words_of

if TYPE_CHECKING:
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "withdraw",
        help="take your request back",
        description="Take your own request back. Its key is destroyed, so that contributions that came for it open "
        "nothing, and another recipient has his turn. You may ask again under the same order.",
    )
    parser.add_argument("request", type=digest_of, metavar="REQUEST", help="your request's digest, from `inbox`")
    add_note(parser, "--reason", "why, for the case's people and its judges")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Withdraw, print, return 0."""
    from app.client.release import withdraw  # noqa: PLC0415

    words = words_of(args.note)

    async def work(client: "Client") -> dict[str, Any]:
        receipt = await withdraw(client, args.request, words)
        return {"request": args.request.hex(), "index": receipt.index}

    found = as_person(work)
    show(args, found, [f"withdrew {found['request']}: entry {found['index']}; its key was destroyed"])
    return 0
