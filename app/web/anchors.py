"""Anchors, open to anyone: the bytes that the ledger names by hash, and how anchoring goes."""

from aiohttp import web

from app.canonical import b64u_encode, hex_decode
from app.errors import Refused
from app.web.answers import json_answer
from app.web.keys import REGISTRY


async def anchor(request: web.Request) -> web.Response:
    """An anchor by the SHA-256 of its bytes: what was stamped, the token or proof, for Bitcoin seven headers."""
    digest = hex_decode(request.match_info["digest"], "the digest", 32)
    found = await request.app[REGISTRY].anchors.get(digest)
    if found is None:
        raise Refused(
            f"there is no anchor {digest.hex()}", "Take the digest from an anchor statement.", code="not_found"
        )
    return json_answer(
        {
            "checkpoint": found.checkpoint.decode(),
            "anchor": b64u_encode(found.anchor),
            "headers": None if found.headers is None else b64u_encode(found.headers),
        }
    )


async def status(request: web.Request) -> web.Response:
    """How anchoring goes: up to which size there are time-stamps and blocks, and who fails."""
    anchoring = request.app[REGISTRY].anchoring
    if anchoring is None:
        return json_answer({"status": "off"})
    found = await anchoring.status()
    return json_answer(
        {
            "status": "failing" if found.failures else "working",
            "size": found.size,
            "begun": found.begun,
            "open": found.open,
            "timestamped_size": found.timestamped_size,
            "anchored_size": found.anchored_size,
            "failures": [
                {"source": source, "problem": problem, "at": at, "count": count}
                for source, problem, at, count in found.failures
            ],
        }
    )
