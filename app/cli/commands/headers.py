"""`muniment headers update|show`: your own bundle of Bitcoin headers, followed from the trust file's checkpoint."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show

if TYPE_CHECKING:
    from app.statements.trust import Trust
    from ledger.anchors.headers import Chain


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "headers",
        help="keep Bitcoin's block headers, so that anchors are located offline",
        description="Keep a bundle of Bitcoin's block headers, 80 bytes each, checked for work and linkage from the "
        "header checkpoint of your trust file. With it `muniment verify` locates an anchor on your own chain, offline.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    update = actions.add_parser(
        "update", help="go on with the bundle", description="Go on with the bundle from a source."
    )
    update.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        required=True,
        help="the address of a Bitcoin node's REST interface (http://127.0.0.1:8332), or a file of headers that begins "
        "with the checkpoint's own; it needs no trust, as all of it is checked",
    )
    shown = actions.add_parser("show", help="say what there is", description="Say how far the bundle reaches.")
    for each, run in ((update, _update), (shown, _show)):
        each.add_argument("--trust", type=Path, help="the trust file whose checkpoint counts (default: your own)")
        add_json(each)
        each.set_defaults(run=run)


def _update(args: argparse.Namespace) -> int:
    from app.cli.person import home_of  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.headers import (  # noqa: PLC0415
        MAX_BUNDLE_BYTES,
        bundle_path,
        check_agrees,
        checkpoint_of,
        follow_file,
        keep_bundle,
    )

    trust = _trust(args)
    checkpoint, kept = checkpoint_of(trust), _kept(trust)
    if args.source.startswith(("http://", "https://")):
        chain = asyncio.run(_from_node(args.source, trust, kept))
    else:
        data = read_file(Path(args.source), "the file of headers", most=MAX_BUNDLE_BYTES)
        chain = follow_file(kept, checkpoint, data, args.source)
    check_agrees(chain, trust, args.source)
    path = bundle_path(home_of(), checkpoint)
    if chain != kept:
        keep_bundle(path, chain)
    return _tell(args, trust, chain, path, new=(len(chain.headers) - len(kept.headers)) // 80)


async def _from_node(source: str, trust: "Trust", kept: "Chain") -> "Chain":
    import aiohttp  # noqa: PLC0415

    from app.client.header_source import node_source  # noqa: PLC0415
    from app.client.headers import checkpoint_of, follow  # noqa: PLC0415

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        return await follow(kept, checkpoint_of(trust), node_source(session, source), source)


def _show(args: argparse.Namespace) -> int:
    from app.cli.person import home_of  # noqa: PLC0415
    from app.client.headers import bundle_path, checkpoint_of  # noqa: PLC0415

    trust = _trust(args)
    return _tell(args, trust, _kept(trust), bundle_path(home_of(), checkpoint_of(trust)))


def _trust(args: argparse.Namespace) -> "Trust":
    from app.cli.person import home_of  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415
    from app.verify.proof import read_whole  # noqa: PLC0415

    return home_of().trust() if args.trust is None else parse_trust(read_whole(args.trust, MAX_TRUST_BYTES))


def _kept(trust: "Trust") -> "Chain":
    """What there is: the bundle, else the headers that the trust file carries."""
    from app.cli.person import home_of  # noqa: PLC0415
    from app.client.headers import checkpoint_of, find_bundle  # noqa: PLC0415
    from ledger.anchors.headers import Chain  # noqa: PLC0415

    found = find_bundle(home_of(), trust)
    carried = trust.headers.chain if trust.headers is not None else None
    if found is None or (carried is not None and carried.tip > found.tip):
        found = carried
    return found if found is not None else Chain(height=checkpoint_of(trust).height, headers=b"")


def _tell(args: argparse.Namespace, trust: "Trust", chain: "Chain", path: Path, new: int | None = None) -> int:
    from app.client.headers import checkpoint_of  # noqa: PLC0415
    from app.verify.words import time_text  # noqa: PLC0415
    from ledger.anchors.headers import HEADER_BYTES, parse_header  # noqa: PLC0415

    checkpoint = checkpoint_of(trust)
    tip = parse_header(chain.headers[-HEADER_BYTES:]) if chain.headers else None
    count = len(chain.headers) // HEADER_BYTES
    value: dict[str, object] = {
        "bundle": str(path) if path.exists() else None,
        "checkpoint": {"height": checkpoint.height, "hash": checkpoint.hash[::-1].hex()},
        "headers": count,
        "tip": None if tip is None else {"height": chain.tip, "hash": tip.text, "time": tip.time},
    }
    lines = [f"checkpoint: block {checkpoint.height}, {checkpoint.hash[::-1].hex()}"]
    if tip is None:
        lines.append("no headers yet: anchors can be weighed, and not located (muniment headers update)")
    else:
        lines.append(f"{count} headers, checked for work and linkage, to block {chain.tip}, {tip.text}")
        lines.append(f"of about {time_text(tip.time)}; later blocks are weighed, and not located")
    if new is not None:
        value["new"] = new
        lines.append(f"{new} new" if new > 0 else "nothing new")
    show(args, value, lines)
    return 0
