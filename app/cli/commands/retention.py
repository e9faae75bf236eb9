"""`muniment retention extend`: keep a deposit for longer than the registry's own term."""

import argparse
import asyncio
import re
from datetime import UTC, date, datetime, time
from typing import Any

from app.cli.output import add_json, show
from app.cli.person import add_note, connected, id_of, words_of

DAY = 86_400


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "retention",
        help="keep a deposit for longer (clerk or judge of the case)",
        description="Keep a deposit for longer than the registry's own term.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    extended = actions.add_parser(
        "extend",
        help="move the end of a deposit's term to a later day",
        description="Move the end of a deposit's term to a later day. Terms only grow: the store locks every segment "
        "until then, and nobody can take that back. What counts is the later of this and the registry's own term.",
    )
    extended.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    extended.add_argument(
        "--until",
        metavar="DATE",
        type=end_of_day,
        required=True,
        help="the last day (UTC) on which it must be kept, as YYYY-MM-DD; at most a hundred years ahead",
    )
    add_note(extended, "--reason", "the reason")
    add_json(extended)
    extended.set_defaults(run=lambda args: asyncio.run(run_extend(args)))


async def run_extend(args: argparse.Namespace) -> int:
    """Extend the term."""
    from app.client.holds import extend_term  # noqa: PLC0415

    words = words_of(args.note)
    async with connected() as client:
        receipt = await extend_term(client, args.deposit, args.until, words)
    show(
        args,
        {"deposit": args.deposit.hex(), "until": args.until, "index": receipt.index},
        [
            f"the deposit {args.deposit.hex()} is kept through "
            f"{datetime.fromtimestamp(args.until - DAY, UTC):%Y-%m-%d}: entry {receipt.index}"
        ],
    )
    return 0


def end_of_day(text: str) -> int:
    """Read YYYY-MM-DD; return the first Unix second after that day, in UTC."""
    # Since 3.11 `fromisoformat` takes other forms, too.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a day as YYYY-MM-DD")
    try:
        return int(datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)).timestamp()) + DAY
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a day: {error}") from None
