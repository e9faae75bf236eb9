"""`muniment panel backup` and `panel restore`: a judge's share on paper, under a code that is kept elsewhere.

Neither sheet nor code is ever an argument: sheets come from files, codes from a file or the terminal.
"""

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, note, show
from app.cli.person import as_person, clock, digest_of, write_result
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.backup import Printed, Restored, Sheets
    from app.client.session import Client
    from app.client.sheet import Sheet

MAX_CODE_BYTES = 1024


def add(acts: "argparse._SubParsersAction[Any]") -> None:
    """Add both acts."""
    backup = acts.add_parser(
        "backup",
        help="put your share on a paper sheet (judge)",
        description="Write a sheet to print: a QR code and 72 words, sealed under a code that only the terminal shows. "
        "Keep the two apart. The sheet is void when the panel's next epoch begins.",
    )
    backup.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
    what = backup.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a new file: FILE.html with a QR code, or FILE.txt"
    )
    what.add_argument(
        "--destroyed", action="store_true", help="say that the paper of void sheets is destroyed, to be told no more"
    )
    add_json(backup)
    backup.set_defaults(run=_backup)
    restore = acts.add_parser(
        "restore",
        help="bring your share back from its paper sheet (judge)",
        description="Bring your share back: from the sheet, its code, and the panel's public transcript. The share is "
        "compared with the public one before anything is kept.",
    )
    restore.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
    restore.add_argument("--check", action="store_true", help="only test sheet and code; keep nothing")
    add_sheet(restore)
    add_json(restore)
    restore.set_defaults(run=_restore)


def add_sheet(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that `sheet_and_code` reads."""
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help="what the QR code says, or the 72 words, or the sheet's own file; - for stdin; default: asked for",
    )
    parser.add_argument("--code", type=Path, metavar="FILE", help="a file that holds the code; default: asked for")


def sheet_and_code(args: argparse.Namespace) -> "tuple[Sheet, str]":
    """Read sheet and code. Raises BadInput (bad_backup_sheet, bad_backup_code, not_utf8, no_terminal)."""
    from app.client.sheet import MAX_TEXT_BYTES, parse_code, parse_sheet  # noqa: PLC0415

    if args.sheet is not None:
        text = _text(args.sheet, "the sheet", MAX_TEXT_BYTES)
    else:
        _need_terminal("--sheet")
        note("Type the 72 words, or paste what the QR code says; end with an empty line.")
        text = "\n".join(iter(input, ""))
    sheet = parse_sheet(text)
    if args.code is not None:
        return sheet, parse_code(_text(args.code, "the code", MAX_CODE_BYTES))
    if str(args.sheet) != "-":
        _need_terminal("--code")
    return sheet, parse_code(getpass.getpass("Code of the sheet: "))


def paper_document(found: "Sheets") -> dict[str, Any]:
    """What a judge should do about paper, as JSON."""
    return {
        "missing": [each.hex() for each in found.missing],
        "void": [{"panel": each.panel_id.hex(), "epoch": each.epoch} for each in found.void],
    }


def paper_lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = []
    for panel in document["missing"]:
        lines.append(f"your share of the panel {panel} is on no backup sheet; make one:")
        lines.append(f"  muniment panel backup {panel} -o sheet.html")
    for each in document["void"]:
        lines.append(f"your sheet for the epoch {each['epoch']} of the panel {each['panel']} is void:")
        lines.append("  destroy paper and code")
        lines.append(f"  then: muniment panel backup {each['panel']} --destroyed")
    return lines


def _backup(args: argparse.Namespace) -> int:
    from app.client.backup import back_up, destroyed, noted  # noqa: PLC0415
    from app.client.paper import sheet_html, sheet_text  # noqa: PLC0415

    if args.destroyed:

        async def forget(client: "Client") -> list[int]:
            await client.sync()
            return [each.epoch for each in destroyed(client, args.panel)]

        epochs = as_person(forget)
        said = f"noted for the epochs {', '.join(map(str, epochs))}" if epochs else "no sheet of that panel was void"
        show(args, {"panel": args.panel.hex(), "destroyed": epochs}, [said])
        return 0
    if args.output.suffix not in (".html", ".txt"):
        raise BadInput(f"{args.output} is neither .html nor .txt", "Name FILE.html or FILE.txt.", code="bad_option")

    async def work(client: "Client") -> None:
        made = await back_up(client, args.panel)
        text = sheet_html(made, made_at=clock()) if args.output.suffix == ".html" else sheet_text(made)
        write_result(args.output, text.encode())
        _show_made(args, made)
        sys.stdout.flush()
        noted(client, made)

    as_person(work)
    return 0


def _show_made(args: argparse.Namespace, made: "Printed") -> None:
    document = {
        "panel": made.panel_id.hex(),
        "epoch": made.sheet.epoch,
        "sheet": str(args.output),
        "code": made.code,
    }
    lines = [
        f"sheet for the epoch {made.sheet.epoch}, sealed: {args.output}",
        "print it, then delete the file; test what you printed with `muniment panel restore … --check`",
        "",
        f"  the code: {made.code}",
        "",
        "write the code down by hand and keep it in another place than the sheet; it is shown this once",
    ]
    show(args, document, lines)


def _restore(args: argparse.Namespace) -> int:
    from app.client.backup import open_for, restore, tested  # noqa: PLC0415

    sheet, code = sheet_and_code(args)

    async def check(client: "Client") -> None:
        open_for(await client.sync(), args.panel, sheet, code)
        tested(client, args.panel, sheet)

    async def work(client: "Client") -> "Restored":
        return await restore(client, args.panel, sheet, code)

    if args.check:
        as_person(check)
        show(
            args,
            {"panel": args.panel.hex(), "epoch": sheet.epoch, "good": True, "restored": False},
            [f"the sheet is good: it gives your share of the epoch {sheet.epoch}; nothing was kept"],
        )
        return 0
    made = as_person(work)
    said = "restored; it fits the public one" if not made.was_there else "was here, and the sheet gives the same"
    show(
        args,
        {
            "panel": made.panel_id.hex(),
            "epoch": made.epoch,
            "index": made.index,
            "good": True,
            "restored": not made.was_there,
        },
        [f"your share of the panel {made.panel_id.hex()}, epoch {made.epoch}, judge {made.index}: {said}"],
    )
    return 0


def _text(path: Path, what: str, most: int) -> str:
    from app.client.files import read_file  # noqa: PLC0415

    data = sys.stdin.buffer.read(most + 1) if str(path) == "-" else read_file(path, what, most=most)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{what} is not UTF-8 text: {path}", "Write it as plain text.", code="not_utf8") from None


def _need_terminal(option: str) -> None:
    if not sys.stdin.isatty():
        raise BadInput("there is no terminal to ask on", f"Name a file with {option}.", code="no_terminal")
