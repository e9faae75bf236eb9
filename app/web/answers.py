"""Answers: JSON and bytes, with the headers that each of them needs."""

from aiohttp import web

from app.canonical import format_json
from app.service.accept import Receipt


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """Return canonical JSON that nobody may cache."""
    return web.Response(
        status=status,
        body=format_json(value).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def bytes_answer(data: bytes, content_type: str, *, immutable: bool = False) -> web.Response:
    """Return bytes; `immutable` where the path names them for ever and anyone may have them."""
    cache = "public, max-age=31536000, immutable" if immutable else "no-store"
    return web.Response(body=data, content_type=content_type, headers={"Cache-Control": cache})


def receipt_answer(receipt: Receipt) -> web.Response:
    """Return a receipt; 201 when the statement was admitted just now."""
    value = {
        "index": receipt.index,
        "digest": receipt.digest.hex(),
        "leaf": receipt.leaf,
        "size": receipt.size,
        "tlog_proof": receipt.tlog_proof,
    }
    return json_answer(value, status=201 if receipt.created else 200)
