"""`muniment deposit FILE… --case CASE`: seal files and folders and deposit them; resume what was interrupted."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from app.cli import mistakes
from app.cli.output import add_json, human_size, note, show
from app.cli.person import add_note, connected, digest_of, id_of, words_of
from app.cli.progress import Teller
from app.errors import AppError, BadInput, Refused

if TYPE_CHECKING:
    from app.client.api import Usage
    from app.client.deposit import Accepted, Depositor
    from app.client.panel import CertifiedPanel


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "deposit",
        help="seal and deposit files and folders",
        description="Seal files on this machine and deposit them in a case. All files of one deposit open together. "
        "Of a folder everything is deposited that lies in it, at any depth, and comes back in the same folders when "
        "it is opened. The key is destroyed once the registry has accepted; what the files are can be disclosed "
        "later, one by one. An interrupted deposit goes on with --resume where it was, on this machine, also after a "
        "restart; the files must stay unchanged until it is accepted; one that changes is refused.",
    )
    parser.add_argument(
        "files", metavar="FILE", type=Path, nargs="*", help="files and folders; 1 to 4,096 files in all, of any size"
    )
    parser.add_argument(
        "--case", metavar="CASE", type=id_of, help="the id of the case, as `muniment case list` shows it"
    )
    text = "hidden, can be disclosed; a text file"
    parser.add_argument("--description", metavar="FILE", type=Path, help=f"what this is; {text}")
    parser.add_argument("--origin", metavar="FILE", type=Path, help=f"where it comes from; {text}")
    add_note(parser)
    parser.add_argument(
        "--panel",
        metavar="PANEL",
        type=digest_of,
        action="append",
        default=[],
        help="seal to this panel of the case; up to three (default: the case's own)",
    )
    parser.add_argument(
        "--leave-out-links",
        action="store_true",
        help="leave out symbolic links and devices in folders, naming each; without it they are refused",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask whether these are the right judges")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resume", metavar="DEPOSIT", type=id_of, help="go on with an interrupted deposit")
    what.add_argument("--discard", metavar="DEPOSIT", type=id_of, help="destroy an interrupted deposit's state")
    what.add_argument("--list", action="store_true", help="list the interrupted deposits")
    what.add_argument("--room", action="store_true", help="show how much you have in the store, and how much you may")
    mistakes.add_options(parser, what)
    add_json(parser, long=True)
    parser.set_defaults(run=lambda args: mistakes.run(args) if mistakes.asked(args) else asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Deposit, resume, discard or list."""
    from app.client.deposit import Depositor  # noqa: PLC0415
    from app.client.evidence import gather  # noqa: PLC0415
    from app.client.lock import only_one  # noqa: PLC0415

    starts = args.resume is None and args.discard is None and not args.list and not args.room
    if starts and (args.case is None or not args.files):
        raise BadInput("name the case and at least one file", "muniment deposit FILE… --case CASE", code="usage")
    description, origin, words = words_of(args.description), words_of(args.origin), words_of(args.note)
    async with connected() as client:
        if args.room:
            _show_room(args, await client.api.usage())
            return 0
        depositor = Depositor(client)
        if args.list:
            with contextlib.suppress(Refused), only_one(client.home.path):
                depositor.uploads.tidy()
            _show_unfinished(args, depositor)
            return 0
        with only_one(client.home.path):
            if args.discard is not None:
                depositor.discard(args.discard)
                show(args, {"discarded": args.discard.hex()}, [f"{args.discard.hex()} is discarded"])
                return 0
            evidence = gather(
                args.files,
                own=client.home.path,
                leave_out_links=args.leave_out_links,
                left_out=lambda path, why: note(f"left out: {path} ({why})"),
            )
            begun = [args.resume] if args.resume is not None else []
            with Teller(as_json=args.json) as teller:
                how = _How(
                    approve=lambda panels: _approve(panels, teller, ask=not args.yes and not args.json),
                    progress=teller,
                )
                try:
                    if args.resume is not None:
                        accepted = await depositor.resume(args.resume, **how)
                    else:
                        accepted = await depositor.deposit(
                            args.case,
                            evidence,
                            description=description,
                            origin=origin,
                            words=words,
                            panels=args.panel,
                            planned=lambda id: _planned(id, begun),
                            **how,
                        )
                except AppError as error:
                    if begun and begun[-1] in depositor.uploads.ids():
                        again = f"To go on where it was: muniment deposit --resume {begun[-1].hex()}"
                        error.next_step = f"{error.next_step} {again}".strip()
                    raise
    _show(args, accepted)
    return 0


class _How(TypedDict):
    """What deposits and resumptions share."""

    approve: "Callable[[Sequence[CertifiedPanel]], None]"
    progress: Teller


def _planned(deposit_id: bytes, begun: list[bytes]) -> None:
    begun.append(deposit_id)
    note(f"deposit {deposit_id.hex()}; if interrupted: muniment deposit --resume {deposit_id.hex()}")


def _show_unfinished(args: argparse.Namespace, depositor: "Depositor") -> None:
    ids, found, lines = depositor.uploads.ids(), [], []
    for deposit_id in ids:
        plan = depositor.uploads.plan(deposit_id)
        if plan is None:
            continue
        total = sum(each.size for each in plan.items)
        found.append(
            {"deposit": deposit_id.hex(), "case": plan.case_id.hex(), "items": len(plan.items), "bytes": total}
        )
        names = plan.items[0].name + (f" and {len(plan.items) - 1} more" if len(plan.items) > 1 else "")
        lines.append(f"{deposit_id.hex()}  case {plan.case_id.hex()}  {human_size(total)}: {names}")
    document = {"unfinished": [each.hex() for each in ids], "uploads": found}
    show(args, document, lines or ["nothing is unfinished"])


def _show_room(args: argparse.Namespace, usage: "Usage") -> None:
    used = f"{human_size(usage.used)} in the store: your deposits, and uploads that are under way or not yet swept"
    if usage.limit is None:
        lines = [used, "you may have any amount"]
    else:
        left = max(0, usage.limit - usage.used)
        lines = [used, f"you may have {human_size(usage.limit)}: {human_size(left)} are left"]
    show(args, {"used": usage.used, "limit": usage.limit}, lines)


def _approve(panels: "Sequence[CertifiedPanel]", teller: Teller, *, ask: bool) -> None:
    """Show who could open this, before a file is read."""
    teller.clear()
    for panel in panels:
        note(f"sealing to the panel {panel.panel_id.hex()}, epoch {panel.epoch}: any {panel.k} of these {panel.n} open")
        for index, judge in enumerate(panel.judges, 1):
            note(f"  {index}. {judge.name} ({judge.id})")
    if ask and sys.stdin.isatty() and input("Are these the judges? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("you did not confirm the judges", "Ask the clerk which panel the case has.", code="not_confirmed")


def _show(args: argparse.Namespace, accepted: "Accepted") -> None:
    document = {
        "deposit": accepted.deposit_id.hex(),
        "case": accepted.case_id.hex(),
        "statement": accepted.receipt.statement.digest.hex(),
        "index": accepted.receipt.index,
        "size": accepted.state.checkpoint.size,
        "root": accepted.state.checkpoint.root.hex(),
        "items": [
            {"item": index, "name": each.name, "type": each.type, "size": each.size, "sha256": each.sha256.hex()}
            for index, each in enumerate(accepted.inventory.items, 1)
        ],
        "sealed_bytes": accepted.manifest.total_bytes,
        "panels": [{"panel": each.panel_id.hex(), "k": each.k, "n": each.n} for each in accepted.panels],
    }
    lines = [
        f"deposit {accepted.deposit_id.hex()} is accepted: entry {accepted.receipt.index}, proven at size "
        f"{accepted.state.checkpoint.size}",
        f"  statement {accepted.receipt.statement.digest.hex()}",
    ]
    for index, each in enumerate(accepted.inventory.items, 1):
        lines.append(f"  {index}. {each.name}  {human_size(each.size)}  SHA-256 {each.sha256.hex()}")
    lines.append("  the key is destroyed; the disclosures are kept, encrypted, in your folder")
    show(args, document, lines)
