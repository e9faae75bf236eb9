"""`muniment serve`: run a registry until SIGTERM or SIGINT."""

import asyncio
import contextlib
import os
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.config import FILE_NAME, Settings, format_listen, load_settings, parse_listen
from app.errors import BadInput
from app.logs import LogForm, set_up_logs
from app.rules.decide import Law, decide


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "serve", help="run a registry", description="Run the registry in DIR until SIGTERM."
    )
    add_place(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="listen there instead; port 0 takes a free one")
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="first make the projections anew from the ledger; no other process may run",
    )
    parser.set_defaults(run=run)


def add_place(parser: ArgumentParser) -> None:
    """Add --dir and --config, of which one must be given."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--dir", type=Path, metavar="DIR", help=f"the registry's folder, with its {FILE_NAME}")
    place.add_argument("--config", type=Path, metavar="FILE", help="the registry's configuration")


def settings_of(args: Namespace) -> Settings:
    """Return the settings that --dir or --config name, with the variables laid over them. Raises BadInput."""
    file: Path = args.config if args.config is not None else args.dir / FILE_NAME
    return load_settings(file, os.environ)


def run(args: Namespace) -> int:
    """Serve; return 0 after an orderly end."""
    settings = settings_of(args)
    if args.listen is not None:
        host, port = parse_listen(args.listen)
        settings = replace(settings, host=host, port=port)
    set_up_logs(LogForm(settings.log))
    asyncio.run(serve_until_stopped(settings, rebuild=args.rebuild))
    return 0


async def serve_until_stopped(settings: Settings, law: Law = decide, *, rebuild: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; print the line that says where. `law`: see `app.wiring.build`."""
    from app.web.application import serve  # noqa: PLC0415 - other commands start without the server
    from app.web.metrics import serve_metrics  # noqa: PLC0415
    from app.wiring import build  # noqa: PLC0415

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with build(settings, law) as registry:
        if rebuild:
            await registry.rebuild()
        async with contextlib.AsyncExitStack() as stack:
            with _listening(settings.host, settings.port, "--listen"):
                runner, host, port = await serve(
                    registry, settings.host, settings.port, shutdown_seconds=settings.shutdown_seconds
                )
            stack.push_async_callback(runner.cleanup)
            lines = [f"listening on http://{format_listen(host, port)}"]
            if settings.metrics is not None:
                with _listening(*settings.metrics, "port for the setting 'metrics'"):
                    watched, host, port = await serve_metrics(runner.app, *settings.metrics)
                stack.push_async_callback(watched.cleanup)
                lines.append(f"metrics on http://{format_listen(host, port)}/metrics")
            print("\n".join(lines), flush=True)
            await stop.wait()


@contextlib.contextmanager
def _listening(host: str, port: int, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"cannot listen on {format_listen(host, port)}: {error.strerror or error}",
            f"Stop what listens there, or choose another {what}.",
            code="cannot_listen",
        ) from error
