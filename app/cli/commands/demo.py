"""`muniment demo [FILE…] --dir DIR`: the whole main job on this machine, with three attacks that fail."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from app.cli.output import add_json


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="play the whole main job on this machine",
        description="Deposit, prove, open by k of n judges and verify, with a real service and real cryptography, in "
        "DIR. Without FILE it makes a small dossier: a scan, a contract, a recording of 256 MiB.",
    )
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="evidence to deposit")
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="a new folder for everything")
    parser.add_argument("--judges", type=int, default=5, metavar="N", help="how many judges there are (5)")
    parser.add_argument("--threshold", type=int, default=3, metavar="K", help="how many of them open (3)")
    parser.add_argument("--records", metavar="URL", help="keep the records there: mongodb://host/database")
    parser.add_argument("--blobs", metavar="URL", help="keep the segments there: s3+https://host/bucket")
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="how many processes serve the registry; one is killed (1)"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play; return 0. Raises AppError when anything does not go as told."""
    import contextlib  # noqa: PLC0415
    import json  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from app.demo.play import Plan, Play, check_plan, closing_words  # noqa: PLC0415
    from app.demo.story import Story  # noqa: PLC0415

    stores = {name: getattr(args, name) for name in ("records", "blobs") if getattr(args, name) is not None}
    plan = Plan(
        folder=args.dir,
        files=tuple(args.files),
        judges=args.judges,
        threshold=args.threshold,
        stores=stores,
        replicas=args.replicas,
    )
    check_plan(plan)
    story = Story()
    # With --json the story goes to standard error: one document on standard output.
    with contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext():
        summary = asyncio.run(Play(plan, story).run())
        story.head("Done")
        for line in closing_words(summary, plan.folder):
            story.say(line)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False, indent=2))
    return 0
