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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--static", type=Path, metavar="OUT", help="the folder to write, made if absent")
    what.add_argument(
        "--false-blames",
        type=Path,
        metavar="FOLDER",
        help="instead: the signed blames of good shares that were refused, for the authority alone: each opens one "
        "share to its reader; `muniment panel blame FILE` says whose fault it is",
    )
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
    if args.false_blames is not None:
        return _false_blames(args)
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


def _false_blames(args: Namespace) -> int:
    from app.client.files import write_file  # noqa: PLC0415
    from app.wiring import build_false_blames  # noqa: PLC0415

    async def work() -> list[str]:
        async with build_false_blames(settings_of(args)) as found:
            kept = []
            async for each in found:
                path = args.false_blames / f"{each.digest.hex()}.jws"
                write_file(path, each.text.encode())
                kept.append(str(path))
            return kept

    files = asyncio.run(work())
    show(args, {"false_blames": files}, files or ["nobody signed a false blame here"])
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
