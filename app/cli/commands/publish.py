"""`muniment publish REQUEST`: show in public what a released deposit held, or that its depositor made it malformed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from app.cli.output import add_json, note, show
from app.cli.person import add_note, as_person, connected, digest_of, paper_of, words_of, write_result
from app.errors import BadInput, Refused

WARNING = (
    "THIS SHOWS THE KEY OF THE DEPOSIT to everybody who reads the case, now and later: they can open its sealed",
    "files, whatever was released to whom. It cannot be taken back. It says nothing about other deposits.",
)


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "publish",
        help="show in public what a released deposit held (its recipient; the presiding judge permits it)",
        description="Open a deposit in public, after you opened it for yourself: from then on anybody who reads the "
        "case can check which key the capsule held, so that no released file can be swapped; or that its depositor "
        "made it malformed, which takes no permission and blames no judge. The statement shows THE KEY OF THIS "
        "DEPOSIT to all readers of the case. The presiding judge permits it first, with --permit.",
    )
    parser.add_argument("request", type=digest_of, metavar="REQUEST", help="the request's digest")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--permit", metavar="PAPER", type=Path, help="permit it, under this paper (the presiding judge)")
    what.add_argument(
        "--export", metavar="FILE", type=Path, help="write a file of what was published, for `muniment verify`"
    )
    what.add_argument(
        "--forget", action="store_true", help="destroy what is kept here for it: after that it cannot be published"
    )
    parser.add_argument("--trust", type=Path, help="with --export: for the holders of this trust file")
    add_note(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it, print, return 0."""
    if args.note is not None and args.permit is None:
        raise BadInput("words go with --permit", "Leave out --note.", code="bad_option")
    if args.trust is not None and args.export is None:
        raise BadInput("--trust goes with --export", "Leave it out.", code="bad_option")
    if args.permit is not None:
        return _permit(args)
    if args.export is not None:
        return _export(args)
    if args.forget:
        return _forget(args)
    return _publish(args)


def _permit(args: argparse.Namespace) -> int:
    from app.client.docket import document_hash  # noqa: PLC0415
    from app.client.publication import permit  # noqa: PLC0415

    paper, words = paper_of(args.permit), words_of(args.note)
    receipt = as_person(lambda client: permit(client, args.request, paper, words))
    document = {"request": args.request.hex(), "document": document_hash(paper).hex(), "index": receipt.index}
    show(args, document, [f"a public opening of {args.request.hex()} is permitted: entry {receipt.index}"])
    return 0


def _publish(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    from app.client.publication import look, publish  # noqa: PLC0415
    from app.client.session import Receipt  # noqa: PLC0415
    from app.panels.opening import Verdict  # noqa: PLC0415

    async def work() -> tuple[Verdict, Receipt]:
        async with connected() as client:
            found = await look(client, args.request)
            if found.verdict is Verdict.FILE_KEY and not found.done:
                _confirm(args)
            return found.verdict, await publish(client, args.request)

    verdict, receipt = asyncio.run(work())
    words = {
        Verdict.FILE_KEY: "shows the key that the depositor sealed",
        Verdict.MALFORMED: "shows that the capsule is malformed: its depositor made it so, and no judge is to blame",
    }[verdict]
    document = {"request": args.request.hex(), "verdict": verdict.value, "index": receipt.index}
    lines = [f"entry {receipt.index} {words}", f"  for others: muniment publish {args.request.hex()} --export FILE"]
    show(args, document, lines)
    return 0


def _confirm(args: argparse.Namespace) -> None:
    for line in WARNING:
        note(line)
    if args.yes:
        return
    if not sys.stdin.isatty() or args.json:
        raise Refused("the key was not published: nobody confirmed it", "Add --yes.", code="not_confirmed")
    if input("Publish the key? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("you did not confirm it; nothing was sent", "Ask the court.", code="not_confirmed")


def _export(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    from app.client.files import read_file  # noqa: PLC0415
    from app.client.publication import export  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415

    async def work() -> bytes:
        async with connected() as client:
            trust = client.trust
            if args.trust is not None:
                trust = parse_trust(read_file(args.trust, "the trust file", most=MAX_TRUST_BYTES))
            return await export(client, args.request, trust)

    data = asyncio.run(work())
    write_result(args.export, data)
    text = f"{args.export}: {len(data)} bytes; whoever has it holds the key of the deposit, if it has one"
    show(args, {"publication": str(args.export), "bytes": len(data)}, [text])
    return 0


def _forget(args: argparse.Namespace) -> int:
    from app.client.publication import forget  # noqa: PLC0415

    async def work(client: Any) -> None:
        forget(client, args.request)

    as_person(work)
    show(args, {"forgotten": args.request.hex()}, ["what was kept for a public opening is destroyed"])
    return 0
