"""What a command shows: results to standard output, the rest to standard error, bars on a terminal only.

Names and words come from other people's machines, so no control character reaches the terminal.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def add_json(parser: ArgumentParser) -> None:
    """Give a command its `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


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


@contextmanager
def progress(label: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar for long work; yields a function that takes the bytes done so far. Silent away from a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def counter(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar for things that are counted; yields a function of (done, in all). Silent away from a terminal."""
    with phases(quiet=quiet) as tell:
        yield lambda done, total: tell(label, done, total)


@contextmanager
def phases(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work in parts; yields a function of (part, done, in all). Silent away from a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _part, _done, _all: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda part, done, total: bar.update(task, description=part, completed=done, total=total)
