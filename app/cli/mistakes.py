"""`muniment deposit --withdraw`, `--supersede` and `--acknowledge`: what becomes of a deposit that stands."""

import argparse
from typing import Any

from app.cli.output import show
from app.cli.person import as_person, id_of, words_of
from app.errors import BadInput


def add_options(parser: argparse.ArgumentParser, what: "argparse._MutuallyExclusiveGroup") -> None:
    """Give the command its options: three things to do, and `--by`."""
    what.add_argument(
        "--withdraw",
        metavar="DEPOSIT",
        type=id_of,
        help="take back a deposit of yours made by mistake, while nobody else has acknowledged it; both acts stay on "
        "the record",
    )
    what.add_argument(
        "--supersede", metavar="DEPOSIT", type=id_of, help="say that another deposit of yours, --by, takes its place"
    )
    what.add_argument(
        "--acknowledge",
        metavar="DEPOSIT",
        type=id_of,
        help="say that you have seen somebody else's deposit: it cannot be withdrawn any more",
    )
    parser.add_argument(
        "--by", metavar="DEPOSIT", type=id_of, help="the deposit that takes the place, in the same case"
    )


def asked(args: argparse.Namespace) -> bool:
    """Whether one of these is to be done. Raises BadInput (bad_option) for options that do not go together."""
    if (args.by is None) != (args.supersede is None):
        raise BadInput("--supersede and --by go together", "Name both deposits.", code="bad_option")
    if args.acknowledge is not None and args.note is not None:
        raise BadInput("an acknowledgement has no words", "Leave out --note.", code="bad_option")
    return args.withdraw is not None or args.supersede is not None or args.acknowledge is not None


def run(args: argparse.Namespace) -> int:
    """Do it, print, return 0."""
    from app.client.mistakes import acknowledge, supersede, withdraw  # noqa: PLC0415
    from app.client.session import Client, Receipt  # noqa: PLC0415

    words = words_of(args.note)

    async def work(client: Client) -> Receipt:
        if args.withdraw is not None:
            return await withdraw(client, args.withdraw, words)
        if args.supersede is not None:
            return await supersede(client, args.supersede, args.by, words)
        return await acknowledge(client, args.acknowledge)

    receipt = as_person(work)
    named: dict[str, Any] = {"deposit": (args.withdraw or args.supersede or args.acknowledge).hex()}
    if args.withdraw is not None:
        text = "is withdrawn: no order names it any more; that it was deposited and taken back stays on the record"
    elif args.supersede is not None:
        named["by"] = args.by.hex()
        text = f"is superseded by {args.by.hex()}; a court may still order it opened"
    else:
        text = "is acknowledged: it cannot be withdrawn any more"
    document = {"act": receipt.statement.kind, **named, "index": receipt.index}
    show(args, document, [f"deposit {named['deposit']} {text}: entry {receipt.index}"])
    return 0
