"""The metrics' own server: `GET /metrics` on a port of its own, for the operator's network alone, and nothing else."""

import asyncio

from aiohttp import web

from app.service.exposition import MEDIA, format_exposition
from app.service.metrics import Metrics
from app.web.keys import REGISTRY, TRAFFIC


async def serve_metrics(served: web.Application, host: str, port: int) -> tuple[web.AppRunner, str, int]:
    """Serve the metrics of a running application; return the runner, and the host and port that it listens on.

    Raises OSError when it cannot listen there.
    """
    metrics, traffic, reading = Metrics(served[REGISTRY]), served[TRAFFIC], asyncio.Lock()

    async def page(_request: web.Request) -> web.Response:
        # One at a time: whoever asks often must not multiply the questions to the stores.
        async with reading:
            text = format_exposition([*await metrics.read(), *traffic.samples()])
        return web.Response(body=text.encode(), headers={"Content-Type": MEDIA, "Server": "muniment"})

    application = web.Application(client_max_size=0)
    application.router.add_get("/metrics", page)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    address = runner.addresses[0]
    return runner, str(address[0]), int(address[1])
