"""Certificates over HTTP: a proof goes in, a sealed PDF comes out, and nothing of it stays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from aiohttp import web

from app.canonical import parse_json
from app.errors import Refused
from app.fields import Many, Parsed, read_record
from app.web.keys import REGISTRY
from app.web.reading import read_body, reader

if TYPE_CHECKING:
    from app.certificates.sealing import Sealed
    from app.service.issuing import Issuing

MAX_PDF_BYTES = 64 << 20
STATE_HEADER = "Muniment-Certificate"
"""`closed`, or `not-closed-yet`."""
MAX_WISH_BYTES = 64 << 20
PDF = "application/pdf"


def _as_is(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    lang: Literal["en", "zh", "en+zh"]
    annexes: Annotated[tuple[Literal["cn", "eu", "us"], ...], Many(most=3)]
    proof: Annotated[str, Parsed(_as_is)]
    record: Annotated[str, Parsed(_as_is)] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    lang: Literal["en", "zh", "en+zh"]
    text: Annotated[str, Parsed(_as_is)]


async def issue(request: web.Request) -> web.Response:
    """Issue a sealed certificate for a proof of a deposit of one's cases."""
    person = await reader(request)
    data = await read_body(request, MAX_WISH_BYTES)
    wish = read_record(_Wish, parse_json(data, what="the body", max_bytes=MAX_WISH_BYTES, max_depth=4))
    from app.service.issuing import Wish  # noqa: PLC0415 - only a registry with an office comes here

    asked = Wish(
        proof=wish.proof.encode(),
        lang=wish.lang,
        annexes=wish.annexes,
        record=None if wish.record is None else wish.record.encode(),
    )
    made = await _issuing(request).issue(asked, person)
    return _answer(made)


async def document(request: web.Request) -> web.Response:
    """Seal a release record or a store audit's report as a document."""
    person = await reader(request)
    data = await read_body(request, MAX_WISH_BYTES)
    asked = read_record(_Document, parse_json(data, what="the body", max_bytes=MAX_WISH_BYTES, max_depth=4))
    return _answer(await _issuing(request).document(asked.text.encode(), asked.lang, person))


async def longer(request: web.Request) -> web.Response:
    """Close a certificate that could not be closed when it was issued, or renew a closed one."""
    await reader(request)
    return _answer(await _issuing(request).lengthen(await read_body(request, MAX_PDF_BYTES)))


def _issuing(request: web.Request) -> "Issuing":
    found = request.app[REGISTRY].issuing
    if found is None:
        raise Refused(
            "this registry issues no certificates", "Use the proof file; or ask its operator.", code="no_office"
        )
    return found


def _answer(made: "Sealed") -> web.Response:
    return web.Response(
        body=made.pdf,
        content_type=PDF,
        headers={"Cache-Control": "no-store", STATE_HEADER: "closed" if made.closed else "not-closed-yet"},
    )
