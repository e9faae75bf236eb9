"""What a command shows: results to standard output, the rest to standard error; how far it is: `progress`.

Names and words come from other people's machines, so no control character reaches the terminal.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any


def add_json(parser: ArgumentParser, *, long: bool = False) -> None:
    """Give a command its `--json`; `long`: it tells how far it is."""
    lines = "; progress as lines of JSON on standard error" if long else ""
    parser.add_argument("--json", action="store_true", help=f"print one JSON document instead of text{lines}")


def show(args: Namespace, document: dict[str, Any], lines: Iterable[str]) -> None:
    """Print a result: the document with `--json`, else the lines."""
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for line in lines:
        print(printable(line))


def note(text: str) -> None:
    """Say something to the person, not to the script."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """The text without control characters, bidirectional overrides and lone surrogates; line breaks stay."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def human_size(count: int) -> str:
    """A number of bytes for people."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
