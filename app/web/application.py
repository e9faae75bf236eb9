"""The aiohttp application: routes, one place for errors, security headers, the access log; and the server around it."""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from app.logs import REQUEST
from app.service.registry import Registry
from app.web.keys import MANIFEST_ROOM, REGISTRY, SEGMENT_ROOM, TRAFFIC
from app.web.openapi import describe
from app.web.problems import answer, problem_of
from app.web.rooms import MANIFESTS, SEGMENTS, Room
from app.web.routes import ROUTES
from app.web.traffic import NO_ROUTE, NOT_HTTP, Traffic

log = logging.getLogger("muniment.access")
MAX_LINE = 8190
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Server": "muniment",
}

REQUEST_ID = "Muniment-Request"
"""The header that tells the client his request's id, which the log's lines and a problem's `instance` have too."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_application(registry: Registry) -> web.Application:
    """Return the application for a registry; it starts and closes the registry with itself."""
    application = web.Application(middlewares=[_guard], client_max_size=0)
    application[REGISTRY], application[TRAFFIC] = registry, Traffic()
    application[SEGMENT_ROOM], application[MANIFEST_ROOM] = Room("segments", SEGMENTS), Room("manifests", MANIFESTS)
    for route in ROUTES:
        application.router.add_route(route.method, route.pattern, route.handler)
    application.router.add_route("GET", "/openapi.json", describe)
    application.cleanup_ctx.append(_life)
    application.on_response_prepare.append(_headers)
    return application


async def serve(
    registry: Registry, host: str, port: int, *, shutdown_seconds: float = 30
) -> tuple[web.AppRunner, str, int]:
    """Start a server; return its runner (clean it up to stop), the host and the port that it listens on."""
    runner = _Runner(
        make_application(registry),
        access_log=None,  # the path of a request may name what nobody needs to know: see `_guard`
        shutdown_timeout=shutdown_seconds,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        handler_cancellation=False,  # a posted statement is settled even when its sender has gone
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except BaseException:
        await runner.cleanup()
        raise
    address = runner.addresses[0]
    return runner, str(address[0]), int(address[1])


class _Protocol(web.RequestHandler):
    """aiohttp's protocol, but what is no HTTP is answered by a problem and not quoted in the log."""

    __slots__ = ("traffic",)
    traffic: Traffic

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes what was sent
    ) -> web.StreamResponse:
        REQUEST.set(secrets.token_hex(8))
        log.info("no answerable request: %d %s", status, type(exc).__name__)
        self.traffic.count("", NOT_HTTP, status, 0.0)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        error = web.HTTPBadRequest() if status < 500 else exc if isinstance(exc, Exception) else RuntimeError()
        response = answer(problem_of(error, "a request"))
        response.headers.update(HEADERS)
        response.headers[REQUEST_ID] = REQUEST.get()
        response.force_close()
        return response


class _Server(web.Server):
    traffic: Traffic

    def __call__(self) -> web.RequestHandler:
        made = _Protocol(self, loop=self._loop, **self._kwargs)
        made.traffic = self.traffic
        return made


class _Runner(web.AppRunner):
    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp gives no other way to choose the protocol; the tests send what is no HTTP and so hold this.
        server.__class__ = _Server
        assert isinstance(server, _Server)  # noqa: S101 - just made so
        server.traffic = self.app[TRAFFIC]
        return server


async def _life(application: web.Application) -> AsyncIterator[None]:
    registry = application[REGISTRY]
    await registry.start()
    yield
    await registry.close()


async def _headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers[REQUEST_ID] = REQUEST.get()


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer every error as a problem, and log method, route and status: never a body, a token or a query."""
    # One task serves a connection's requests one after the other: each sets its own id. A sender's is not taken over.
    REQUEST.set(secrets.token_hex(8))
    began = time.monotonic()
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else NO_ROUTE
    what = f"{request.method} {route}"
    try:
        response = await handler(request)
    except ConnectionError:
        # Whoever asked has gone, in the middle of his body or of our answer; nobody reads this one.
        response = answer(problem_of(web.HTTPBadRequest(), what))
    except Exception as error:
        response = answer(problem_of(error, what))
    seconds = time.monotonic() - began
    request.app[TRAFFIC].count(request.method, route, response.status, seconds)
    log.info("%s %d %.1f ms", what, response.status, 1000 * seconds)
    return response
