"""`muniment export`: write a registry's public part as files that any plain web server can serve."""

import asyncio
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from app.cli.commands.serve import add_place, settings_of
from app.cli.output import add_json, show
from app.cli.progress import Teller
from app.config import Settings
from app.errors import BadInput
from app.service.export import Exported
from ledger.note import MAX_NOTE_BYTES


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "export",
        help="write the public ledger as files for a plain web server",
        description="Write checkpoint, tiles, entries and public statements of a registry into a folder, under the "
        "paths of the service. Run it again to bring the folder forward: tiles come first, the checkpoint last.",
    )
    add_place(parser)
    parser.add_argument("--static", type=Path, metavar="OUT", required=True, help="the folder to write, made if absent")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="the checkpoint to export, as the service's /checkpoint gave it; default: the newest that was published",
    )
    parser.add_argument("--whole", action="store_true", help="look at every file again, not at the new ones only")
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Export; return 0."""
    signed = None if args.checkpoint is None else _read(args.checkpoint)
    try:
        found = asyncio.run(_export(settings_of(args), args.static, signed, args))
    except OSError as error:
        raise BadInput(
            f"{args.static} cannot be written: {error.strerror or error}",
            "What the checkpoint there names stands. Correct it and run the same again.",
            code="cannot_write",
        ) from error
    lines = [f"{args.static}: {found.size} entries (before: {found.before}), {found.files} files written"]
    show(args, {"out": str(args.static), **asdict(found)}, lines)
    return 0


async def _export(settings: Settings, out: Path, signed: str | None, args: Namespace) -> Exported:
    from app.wiring import build_export  # noqa: PLC0415 - other commands start without the stores

    async with build_export(settings, out) as (export, newest):
        with Teller(as_json=args.json) as teller:
            tell = partial(teller.counting("entries"), "exporting")
            return await export.run(newest if signed is None else signed, whole=args.whole, tell=tell)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", "Name a checkpoint's file.", code="unreadable") from error
