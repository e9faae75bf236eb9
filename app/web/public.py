"""What is open to anyone: checkpoint, tiles, the registry's own description, health."""

from importlib.metadata import version

from aiohttp import web

from app.errors import Refused
from app.sealing.manifest import MAX_MANIFEST_BYTES
from app.sealing.segments import MAX_SEGMENT_BYTES
from app.service.notes import MAX_NOTE_BYTES
from app.statements.statement import MAX_STATEMENT_BYTES
from app.web.answers import bytes_answer, json_answer
from app.web.keys import REGISTRY
from ledger.errors import Malformed
from ledger.tiles import Tile, parse_path

OCTETS = "application/octet-stream"


async def checkpoint(request: web.Request) -> web.Response:
    """The newest published checkpoint, with its cosignatures."""
    text = (await request.app[REGISTRY].shown()).text
    return web.Response(text=text, content_type="text/plain", charset="utf-8", headers={"Cache-Control": "no-cache"})


async def tile(request: web.Request) -> web.Response:
    """A tile of hashes or a bundle of entries, by its C2SP path."""
    registry = request.app[REGISTRY]
    try:
        wanted = parse_path(f"tile/{request.match_info['path']}")
    except Malformed as error:
        raise Refused(error.message, "See C2SP tlog-tiles for the paths.", code="not_found") from error
    if not wanted.is_in(registry.sequencer.size):
        await registry.look()
    if not wanted.is_in(registry.sequencer.size):
        raise Refused("the ledger is not that large", "Look at /checkpoint first.", code="not_found")
    tree = registry.tree
    data = await (tree.tile(wanted) if isinstance(wanted, Tile) else tree.bundle(wanted))
    return bytes_answer(data, OCTETS, immutable=True)


async def describe(request: web.Request) -> web.Response:
    """What this registry is, and its limits."""
    registry = request.app[REGISTRY]
    return json_answer(
        {
            "format": "muniment-registry/v1",
            "origin": registry.terms.origin,
            "genesis": registry.terms.genesis.hex(),
            "log": registry.log_key.text,
            "version": version("muniment"),
            "limits": {
                "statement_bytes": MAX_STATEMENT_BYTES,
                "manifest_bytes": MAX_MANIFEST_BYTES,
                "note_bytes": MAX_NOTE_BYTES,
                "segment_bytes": MAX_SEGMENT_BYTES,
            },
        }
    )


async def alive(_request: web.Request) -> web.Response:
    """The process answers."""
    return json_answer({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """Stores answer and the ledger takes statements; a problem (503) where not."""
    await request.app[REGISTRY].ready()
    registry = request.app[REGISTRY]
    scrub, lag = await registry.scrub.status(), await registry.locks.lag()
    return json_answer(
        {
            "status": "ready",
            "size": registry.sequencer.size,
            "locks": {"due": lag.due, "oldest_seconds": lag.oldest_seconds, "late": lag.late},
            "scrub": None
            if scrub is None
            else {
                "begun": scrub.begun,
                "finished": scrub.finished or None,
                "at": scrub.at,
                "findings": scrub.count,
                "findings_before": scrub.before,
            },
        }
    )
