"""`muniment monitor URL --trust TRUST --state DIR`: follow another's ledger, keep evidence of what contradicts."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, note, printable, show

if TYPE_CHECKING:
    from app.monitor.follow import Look
    from ledger.policy import Policy

INTERVAL_SECONDS = 60.0


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "monitor",
        help="follow another's ledger (any C2SP tlog-tiles log), and keep evidence of a split view or a rollback",
        description="Follow a ledger: each new checkpoint must verify under your policy and extend the last one that "
        "you saw; what contradicts is kept in DIR/evidence. Exit 0 consistent, 1 it contradicts itself or was not "
        "signed by that log, 3 cannot tell (unreachable, or your quorum is missing).",
    )
    parser.add_argument("url", metavar="URL", help="the ledger's address: URL/checkpoint and URL/tile/… are read")
    parser.add_argument("--trust", type=Path, required=True, help="your trust file, or a C2SP policy of one log")
    parser.add_argument("--state", metavar="DIR", type=Path, required=True, help="what was seen; one folder a ledger")
    parser.add_argument("--once", action="store_true", help="look once and stop")
    parser.add_argument(
        "--entries", action="store_true", help="download every entry, too, and derive the root from them"
    )
    parser.add_argument(
        "--interval", metavar="SECONDS", type=float, default=INTERVAL_SECONDS, help="between looks (default: 60)"
    )
    add_json(parser, long=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look once, or until a signal or a contradiction. Raises BadInput."""
    import asyncio  # noqa: PLC0415 - `verify` loads this module too, and must not wait for asyncio

    from app.client.lock import only_one  # noqa: PLC0415
    from app.errors import BadInput  # noqa: PLC0415

    if not 0.1 <= args.interval <= 86_400 * 365:
        raise BadInput(f"--interval {args.interval} is no number of seconds from 0.1 up", "Write it as --interval 60.")
    policy = _policy(args.trust)
    with only_one(args.state):
        return asyncio.run(_follow(args, policy))


def _policy(path: Path) -> "Policy":
    from app.client.files import read_file  # noqa: PLC0415
    from app.errors import BadInput  # noqa: PLC0415
    from app.statements.trust import parse_trust  # noqa: PLC0415
    from ledger.errors import LedgerError  # noqa: PLC0415
    from ledger.policy import MAX_POLICY_BYTES, Policy  # noqa: PLC0415
    from ledger.text import decode_utf8  # noqa: PLC0415

    data = read_file(path, "the trust file", most=2 * MAX_POLICY_BYTES)
    if data.startswith(b"{"):
        return parse_trust(data).policy
    try:
        policy = Policy.parse(decode_utf8(data, "the policy"))
        policy.log  # noqa: B018 - exactly one
    except LedgerError as error:
        raise BadInput(f"{path}: {error.message}", error.next_step, code=error.code) from error
    return policy


async def _follow(args: argparse.Namespace, policy: "Policy") -> int:
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import time  # noqa: PLC0415

    from app.cli.progress import Teller  # noqa: PLC0415
    from app.monitor.folder import Folder  # noqa: PLC0415
    from app.monitor.follow import Monitor, Outcome  # noqa: PLC0415
    from app.monitor.source import HttpSource  # noqa: PLC0415

    stop = asyncio.Event()
    if not args.once:
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with HttpSource(args.url) as source:
        monitor = Monitor(source, policy, Folder(args.state), lambda: int(time.time()))
        shown = None
        while True:
            with Teller(as_json=args.json) as teller:
                tell = teller.counting("entries")
                look = await monitor.look(entries=args.entries, tell=partial(tell, "reading entries"))
            if args.once:
                show(args, _document(look), _lines(look))
                return look.outcome.exit_code
            if (found := (look.outcome, look.message, look.root)) != shown:
                shown = found
                text = json.dumps(_document(look), ensure_ascii=False) if args.json else "\n".join(_lines(look))
                print(text if args.json else printable(text), flush=True)
            if look.outcome is Outcome.CONTRADICTS:
                return look.outcome.exit_code
            try:
                await asyncio.wait_for(stop.wait(), args.interval)
            except TimeoutError:
                continue
            note("stopped; the folder remembers what was seen")
            return look.outcome.exit_code


def _document(look: "Look") -> dict[str, Any]:
    return {
        "outcome": look.outcome.value,
        "message": look.message,
        "origin": look.origin,
        "size": look.size,
        "root": None if look.root is None else look.root.hex(),
        "before": look.before,
        "cosigners": list(look.cosigners),
        "entries_read": look.read,
        "evidence": [str(path) for path in look.evidence],
    }


def _lines(look: "Look") -> list[str]:
    lines = [f"{look.outcome.value.upper()}  {look.origin}: {look.message}"]
    if look.size is not None and look.root is not None:
        before = "seen for the first time" if look.before is None else f"{look.before} before"
        lines.append(f"  size {look.size} ({before}), root {look.root.hex()}")
        lines.append(f"  cosigned by {', '.join(look.cosigners) or 'nobody in your policy'}")
    lines.extend(f"  evidence: {path}" for path in look.evidence)
    if look.evidence:
        lines.append("  Keep these files, and show them to the authority and to the ledger's witnesses.")
    return lines
