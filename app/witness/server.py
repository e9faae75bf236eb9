"""The witness over HTTP: `POST /add-checkpoint`, `GET /<hex sha256(origin)>/checkpoint`, `GET /healthz`.

Nothing identifies who asks, and nothing needs to: what counts is signed. Paths and bodies are not logged.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from app.witness.memory import Witness
from ledger.errors import LedgerError
from ledger.witness import MAX_REQUEST_BYTES
from storage.errors import StorageError

log = logging.getLogger("muniment.witness")
READ_SECONDS = 10
"""How long a request's body may take to arrive."""

_WITNESS = web.AppKey("witness", Witness)
_HASH = re.compile(r"[0-9a-f]{64}\Z")


def make_witness_application(witness: Witness) -> web.Application:
    """The aiohttp application around a witness."""
    application = web.Application(middlewares=[_guard], client_max_size=MAX_REQUEST_BYTES)
    application[_WITNESS] = witness
    application.router.add_post("/add-checkpoint", _add_checkpoint)
    application.router.add_get("/{hash}/checkpoint", _checkpoint)
    application.router.add_get("/healthz", _healthz)
    return application


async def serve_witness(witness: Witness, host: str, port: int) -> tuple[web.AppRunner, str, int]:
    """Start a server; return its runner (clean it up to stop), the host and the port that it listens on."""
    # handler_cancellation off: a decision that was begun is stored to its end, even when its sender has gone.
    runner = web.AppRunner(make_witness_application(witness), access_log=None, handler_cancellation=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    address = runner.addresses[0]
    return runner, str(address[0]), int(address[1])


async def _add_checkpoint(request: web.Request) -> web.Response:
    try:
        async with asyncio.timeout(READ_SECONDS):
            body = await request.read()
    except TimeoutError:
        return _text(408, "the request took too long to arrive")
    decision = await request.app[_WITNESS].add_checkpoint(body)
    log.info("add-checkpoint %s %d %s", decision.origin or "(unknown log)", decision.status, decision.evidence or "")
    return web.Response(
        status=int(decision.status),
        body=decision.body.encode(),
        headers={"Content-Type": decision.content_type},
    )


async def _checkpoint(request: web.Request) -> web.Response:
    name = request.match_info["hash"]
    latest = await request.app[_WITNESS].latest(name) if _HASH.match(name) else None
    if latest is None:
        return _text(404, "this witness has cosigned no checkpoint of that log")
    return web.Response(text=latest, content_type="text/plain", charset="utf-8", headers={"Cache-Control": "no-cache"})


async def _healthz(_request: web.Request) -> web.Response:
    return _text(200, "ok")


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """No trace in any answer; a memory that fails means no cosignature now."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _text(error.status, error.reason)
    except StorageError:
        log.exception("the witness's memory did not answer")
        return _text(503, "the witness's memory does not answer; send the request again later")
    except LedgerError:
        log.exception("what is remembered of a log is damaged")
        return _text(500, "what this witness remembers of that log is damaged; it signs nothing")


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n", content_type="text/plain", charset="utf-8")
