"""`muniment hold`: place, lift and list legal holds on a deposit."""

import argparse
import asyncio
from datetime import UTC, datetime
from typing import Any

from app.cli.output import add_json, show
from app.cli.person import add_note, connected, digest_of, id_of, words_of


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "hold",
        help="place, lift and list legal holds (clerk or judge of the case)",
        description="A legal hold keeps a deposit whatever its term: while one stands, nothing of it is deleted or "
        "erased. Holds stand side by side, each with its own digest; lifting one leaves the others.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    placed = actions.add_parser(
        "place", help="place a hold", description="Place a legal hold (clerk or judge of the case)."
    )
    placed.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    add_note(placed, "--reason", "the reason")
    add_json(placed)
    placed.set_defaults(run=lambda args: asyncio.run(run_place(args)))

    lifted = actions.add_parser(
        "lift", help="lift a hold", description="Lift a legal hold (clerk or judge of the case)."
    )
    lifted.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    lifted.add_argument("--hold", metavar="DIGEST", type=digest_of, help="which, where several stand (`hold list`)")
    add_note(lifted, "--reason", "the reason")
    add_json(lifted)
    lifted.set_defaults(run=lambda args: asyncio.run(run_lift(args)))

    listed = actions.add_parser(
        "list", help="list the holds that stand", description="List the holds that stand on a deposit, and its term."
    )
    listed.add_argument("deposit", metavar="DEPOSIT", type=id_of, help="the deposit's id")
    add_json(listed)
    listed.set_defaults(run=lambda args: asyncio.run(run_list(args)))


async def run_place(args: argparse.Namespace) -> int:
    """Place a hold."""
    from app.client.holds import place_hold  # noqa: PLC0415

    words = words_of(args.note)
    async with connected() as client:
        receipt = await place_hold(client, args.deposit, words)
    hold = receipt.statement.digest.hex()
    show(
        args,
        {"deposit": args.deposit.hex(), "hold": hold, "index": receipt.index},
        [
            f"hold {hold}: entry {receipt.index}",
            f"  nothing of the deposit {args.deposit.hex()} is deleted until it is lifted",
        ],
    )
    return 0


async def run_lift(args: argparse.Namespace) -> int:
    """Lift a hold."""
    from app.client.holds import lift_hold, standing  # noqa: PLC0415
    from app.statements.kinds import HoldLift  # noqa: PLC0415

    words = words_of(args.note)
    async with connected() as client:
        receipt = await lift_hold(client, args.deposit, args.hold, words)
        _, others = await standing(client, args.deposit)
    claims = receipt.statement.claims
    assert isinstance(claims, HoldLift)  # noqa: S101 - what was posted
    remain = f"{len(others)} still stand on it" if others else "none stands on it any more; its term counts"
    show(
        args,
        {
            "deposit": args.deposit.hex(),
            "hold": claims.hold.hex(),
            "index": receipt.index,
            "remaining": [each.hold.hex() for each in others],
        },
        [f"hold {claims.hold.hex()} on the deposit {args.deposit.hex()} is lifted: entry {receipt.index}; {remain}"],
    )
    return 0


async def run_list(args: argparse.Namespace) -> int:
    """List the holds that stand."""
    from app.client.holds import standing  # noqa: PLC0415
    from app.rules.aggregates import KeyHolder, Person  # noqa: PLC0415

    async with connected() as client:
        deposit, found = await standing(client, args.deposit)
        view = (await client.sync()).view
    rows = []
    for each in found:
        holder = view.find(KeyHolder, each.placed_by)
        person = view.find(Person, holder.member) if holder is not None and holder.member is not None else None
        rows.append(
            {
                "hold": each.hold.hex(),
                "index": each.index,
                "placed_at": each.placed_at,
                "by": None if person is None else person.name,
                "reason": each.reason,
            }
        )
    count = "1 hold stands" if len(rows) == 1 else f"{len(rows) or 'no'} holds stand"
    lines = [f"deposit {deposit.id}: {count}"]
    for row, hold in zip(rows, found, strict=True):
        lines.append(f"  hold {row['hold']}, placed {_day(hold.placed_at)} by {row['by'] or 'somebody'}")
        lines += [f"    {row['reason']}"] if row["reason"] else []
    if deposit.retain_until:
        lines.append(f"  its term was extended to {_day(deposit.retain_until)}")
    show(args, {"deposit": deposit.id, "holds": rows, "retain_until": deposit.retain_until or None}, lines)
    return 0


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
