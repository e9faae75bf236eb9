"""Requests read strictly: bodies under a limit that is looked at before a byte is read, canonical JSON, ids, tokens."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TypeVar

from aiohttp import web

from app.canonical import hex_decode, parse_json
from app.errors import BadInput, Refused
from app.fields import read_record
from app.rules.aggregates import Person
from app.web.keys import REGISTRY
from app.web.problems import unauthorized

MAX_JSON_BYTES = 16_384
QUIET_SECONDS = 60
"""How long a sender may be silent in the middle of a body."""
_PIECE = 256 * 1024
_NUMBER = re.compile(r"-1|0|[1-9][0-9]{0,15}", re.ASCII)

T = TypeVar("T")


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the whole body of at most `limit` bytes. Raises BadInput (`too_large`)."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    found = bytearray()
    async for piece in pieces(request):
        found += piece
        if len(found) > limit:
            raise _too_large(limit)
    return bytes(found)


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises HTTPRequestTimeout when nothing comes for a minute."""
    while True:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                piece = await request.content.read(_PIECE)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if not piece:
            return
        yield piece


async def read_json(request: web.Request, record: type[T]) -> T:
    """Return the record that a JSON body spells: canonical form, exactly its keys. Raises BadInput."""
    return read_record(record, await read_value(request))


async def read_value(request: web.Request) -> object:
    """Return the JSON value of a body in canonical form. Raises BadInput."""
    data = await read_body(request, MAX_JSON_BYTES)
    return parse_json(data, what="the body", max_bytes=MAX_JSON_BYTES, max_depth=6)


def path_bytes(request: web.Request, name: str, size: int) -> bytes:
    """Return a part of the path as `size` bytes of hex. Raises BadInput."""
    return hex_decode(request.match_info[name], f"{name} in the path", size)


def path_number(request: web.Request, name: str) -> int:
    """Return a part of the path as a number 0 to 999,999. Raises BadInput."""
    text = request.match_info[name]
    if not re.fullmatch(r"0|[1-9][0-9]{0,5}", text, re.ASCII):
        raise BadInput(f"{name} in the path is no number from 0 to 999999", "Correct it.", code="bad_field")
    return int(text)


def query_number(request: web.Request, name: str, default: int, *, least: int, most: int) -> int:
    """Return a number of the query within both bounds. Raises BadInput (also when it is given twice)."""
    values = request.query.getall(name, [])
    if not values:
        return default
    if len(values) > 1 or not _NUMBER.fullmatch(values[0]) or not least <= int(values[0]) <= most:
        raise BadInput(f"{name} in the query is no number from {least} to {most}", "Correct it.", code="bad_field")
    return int(values[0])


def bearer(request: web.Request) -> str | None:
    """Return the bearer token that was sent, or None. Raises Refused (`bad_token`) for another scheme."""
    given = request.headers.getall("Authorization", [])
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token:
        raise Refused("Authorization is not one bearer token", "Send Authorization: Bearer TOKEN.", code="bad_token")
    return token


async def reader(request: web.Request) -> Person:
    """Return the member who asks. Raises Refused (401)."""
    await request.app[REGISTRY].current()
    token = bearer(request)
    if token is None:
        raise unauthorized()
    return await request.app[REGISTRY].gate.person(token)


async def reader_or_anyone(request: web.Request) -> Person | None:
    """Return the member who asks, or None where no token was sent."""
    await request.app[REGISTRY].current()
    token = bearer(request)
    return None if token is None else await request.app[REGISTRY].gate.person(token)


def _too_large(limit: int) -> BadInput:
    return BadInput(f"the body has more than {limit} bytes", "See the limits in /v1/registry.", code="too_large")
