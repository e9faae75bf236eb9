"""`muniment witness --dir DIR`: cosign other courts' ledgers, so that none of them can be shown in two versions."""

import argparse
import json
from pathlib import Path
from typing import Any

from app.cli.output import add_json, note, show


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "witness",
        help="run a witness that cosigns other ledgers (C2SP tlog-witness)",
        description="Run a C2SP witness: it cosigns a ledger's checkpoint only when the ledger extends what it "
        "cosigned before. With --init NAME make its folder and print the verifier keys to publish.",
    )
    parser.add_argument("--dir", type=Path, required=True, help="the witness's folder")
    parser.add_argument(
        "--init", metavar="NAME", help="make a new witness of this name (a schema-less URL you control)"
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (default: witness.toml's; port 0: any)")
    parser.add_argument(
        "--log", metavar="VKEY", action="append", default=[], help="a ledger to cosign, by its verifier key; repeatable"
    )
    parser.add_argument("--no-post-quantum", action="store_true", help="with --init: no ML-DSA-44 key")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make a witness, or serve until a signal. Raises BadInput, Mismatch (a lost memory)."""
    if args.init is not None:
        return _init(args)
    import asyncio  # noqa: PLC0415 - `verify` loads this module too, and must not wait for asyncio
    import logging  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_serve(args))
    return 0


def _init(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415

    from app.witness.folder import DEFAULT_LISTEN, make_folder  # noqa: PLC0415

    keys = asyncio.run(
        make_folder(
            args.dir,
            args.init,
            listen=args.listen or DEFAULT_LISTEN,
            logs=args.log,
            post_quantum=not args.no_post_quantum,
        )
    )
    show(args, {"name": args.init, "keys": [key.text for key in keys]}, [key.text for key in keys])
    note(f"The keys lie in {args.dir}. Publish the lines above; never restore an older memory.sqlite.")
    return 0


async def _serve(args: argparse.Namespace) -> None:
    import time  # noqa: PLC0415

    from app.config import parse_listen  # noqa: PLC0415
    from app.witness.folder import load_cosigners, load_witness_settings, open_memory  # noqa: PLC0415
    from app.witness.memory import Witness  # noqa: PLC0415
    from app.witness.server import serve_witness  # noqa: PLC0415

    settings = load_witness_settings(args.dir, args.log)
    host, port = (settings.host, settings.port) if args.listen is None else parse_listen(args.listen)
    if not settings.logs:
        note("This witness knows no ledger yet: add verifier keys to `logs` in witness.toml, or name them with --log.")
    cosigners = load_cosigners(args.dir, settings.name)
    records = await open_memory(args.dir, cosigners)
    try:
        witness = Witness(records, settings.logs, cosigners, lambda: int(time.time()))
        runner, shown, actual = await serve_witness(witness, host, port)
        try:
            url = f"http://[{shown}]:{actual}" if ":" in shown else f"http://{shown}:{actual}"
            document = {"name": settings.name, "url": url, "keys": [cosigner.key.text for cosigner in cosigners]}
            print(json.dumps(document) if args.json else f"witness {settings.name} listens on {url}", flush=True)
            await _until_stopped()
        finally:
            await runner.cleanup()
    finally:
        await records.close()


async def _until_stopped() -> None:
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    await stop.wait()
