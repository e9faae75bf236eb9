"""`muniment`: the parser, and how errors become exit codes."""

import argparse
import errno
import importlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from app.cli.output import printable
from app.errors import AppError, BadInput, CannotTell, Full
from ledger.errors import LedgerError
from storage.errors import StorageError

COMMANDS = (
    "demo",
    "init",
    "serve",
    "identity",
    "member",
    "panel",
    "case",
    "deposit",
    "proof",
    "certificate",
    "hold",
    "retention",
    "order",
    "request",
    "object",
    "withdraw",
    "inbox",
    "act",
    "decide",
    "fetch",
    "open",
    "publish",
    "erase",
    "record",
    "verify",
    "headers",
    "audit",
    "export",
    "witness",
    "monitor",
)
"""In the order in which help shows them; each is a module of `app.cli.commands`."""

_DASHED_ID = re.compile(r"-[A-Za-z0-9_-]{42}")
"""A member's id (RFC 7638 thumbprint in base64url) that begins with a dash."""
USAGE, FAILED, CANNOT_TELL, INTERRUPTED = 2, 1, 3, 130


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, or of one, so that one command does not wait for the others' imports."""
    parser = argparse.ArgumentParser(
        prog="muniment",
        description="Evidence deposition: sealed on your machine, opened by k of n judges, checkable by anyone.",
        epilog="Your keys and what you trust lie in the folder that MUNIMENT_HOME names. Exit codes: 0 done or "
        "verified, 1 does not match, refused or failed, 2 usage, 3 not on this ledger or cannot tell, 130 interrupted.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    for name in (only,) if only in COMMANDS else COMMANDS:
        importlib.import_module(f"app.cli.commands.{name}").add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = [_shielded(each) for each in (sys.argv[1:] if argv is None else argv)]
    parser = make_parser(words[0] if words else None)
    args, rest = parser.parse_known_args(words)
    for name, value in vars(args).items():
        setattr(args, name, [_bare(each) for each in value] if isinstance(value, list) else _bare(value))
    if rest:
        # argparse takes `FILE…` in one run only, and people write options between files.
        if not hasattr(args, "files") or any(each.startswith("-") for each in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        args.files = [*args.files, *map(Path, rest)]
    if args.version:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely wanted

        print(f"muniment {version('muniment')}")
        return 0
    if args.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except (AppError, LedgerError, StorageError) as error:
        return _fail(error, as_json=getattr(args, "json", False))
    except KeyboardInterrupt:
        print("muniment: interrupted; what was done before stays done", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        what = f"there is no room for {error.filename or 'what was to be written'}: {error.strerror}"
        step = "Make room and do the same again: what was done before stays done."
        return _fail(Full(what, step), as_json=getattr(args, "json", False))


def _shielded(word: str) -> str:
    """One id of a member in 64 begins with a dash: what holds a space is no option to argparse."""
    return f" {word}" if _DASHED_ID.fullmatch(word) else word


def _bare(value: object) -> object:
    return value[1:] if isinstance(value, str) and value[:1] == " " and _DASHED_ID.fullmatch(value[1:]) else value


def _fail(error: AppError | LedgerError | StorageError, *, as_json: bool) -> int:
    code = USAGE if isinstance(error, BadInput) else CANNOT_TELL if isinstance(error, CannotTell) else FAILED
    if as_json:
        found = {"code": error.code, "message": error.message, "next_step": error.next_step, "exit_code": code}
        print(json.dumps({"error": found}, ensure_ascii=False, indent=2))
    print(printable(f"muniment: {error.message} [{error.code}]"), file=sys.stderr)
    if error.next_step:
        print(printable(f"  {error.next_step}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
