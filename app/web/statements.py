"""Statements, tokens, and what members read."""

from dataclasses import dataclass
from typing import Annotated

from aiohttp import web

from app.fields import Text
from app.service import handover
from app.service.reading import MAX_LIMIT, Listed
from app.service.tokens import MAX_RESPONSE_BYTES
from app.statements.keys import MemberId
from app.statements.kinds import Deposit, HoldLift, HoldPlace, RetentionExtend
from app.statements.statement import MAX_STATEMENT_BYTES, parse_statement
from app.web.answers import bytes_answer, json_answer, receipt_answer
from app.web.keys import REGISTRY
from app.web.reading import path_bytes, query_number, read_body, read_json, reader, reader_or_anyone

JOSE = "application/jose"
_MAX_INDEX = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    kid: Annotated[str, MemberId]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    response: Annotated[str, Text(MAX_RESPONSE_BYTES)]


async def post(request: web.Request) -> web.Response:
    """The one door for change."""
    registry = request.app[REGISTRY]
    statement = parse_statement(await read_body(request, MAX_STATEMENT_BYTES))
    receipt = await registry.door.admit(statement)
    if isinstance(statement.claims, Deposit | HoldPlace | HoldLift | RetentionExtend):
        registry.lock_soon()
    return receipt_answer(receipt)


async def challenge(request: web.Request) -> web.Response:
    """A challenge for a key."""
    asks = await read_json(request, _Asks)
    text, expires = request.app[REGISTRY].gate.challenge(asks.kid)
    return json_answer({"challenge": text, "expires": expires})


async def token(request: web.Request) -> web.Response:
    """A token for a signed challenge."""
    answers = await read_json(request, _Answers)
    await request.app[REGISTRY].current()
    text, expires = await request.app[REGISTRY].gate.token(answers.response)
    return json_answer({"token": text, "expires": expires})


async def statement(request: web.Request) -> web.Response:
    """A statement by its digest, verbatim."""
    digest, person = path_bytes(request, "digest", 32), await reader_or_anyone(request)
    text = await request.app[REGISTRY].reading.statement(digest, person)
    return bytes_answer(text.encode(), JOSE)


async def proof(request: web.Request) -> web.Response:
    """A statement's place and proof under the newest checkpoint."""
    digest, person = path_bytes(request, "digest", 32), await reader_or_anyone(request)
    return receipt_answer(await request.app[REGISTRY].reading.proof(digest, person))


async def me(request: web.Request) -> web.Response:
    """The member who asks: who he is, his cases and panels."""
    found = await request.app[REGISTRY].reading.me(await reader(request))
    person = found.person
    return json_answer(
        {
            "member": person.id,
            "role": person.role,
            "name": person.name,
            "cases": list(found.cases),
            "panels": list(found.panels),
        }
    )


async def case_statements(request: web.Request) -> web.Response:
    """A page of a case's statements."""
    case_id, person = path_bytes(request, "case_id", 16), await reader(request)
    after, limit = _page(request)
    listed, more = await request.app[REGISTRY].reading.case_statements(case_id, person, after=after, limit=limit)
    return _listing(listed, more)


async def member_statements(request: web.Request) -> web.Response:
    """A page of private statements about members."""
    person = await reader(request)
    after, limit = _page(request)
    listed, more = await request.app[REGISTRY].reading.member_statements(person, after=after, limit=limit)
    return _listing(listed, more)


async def open_requests(request: web.Request) -> web.Response:
    """The open requests of a panel, by digest and times: for a registrar who hands it over."""
    panel_id, person = path_bytes(request, "panel_id", 32), await reader(request)
    registry = request.app[REGISTRY]
    found = await handover.open_requests(registry.projections, panel_id, person, registry.clock())
    listed = [
        {"request": each.id, "status": status, "opens_at": each.opens_at, "expires_at": each.expires_at}
        for each, status in found
    ]
    return json_answer({"requests": listed})


async def deposit(request: web.Request) -> web.Response:
    """A deposit's statement and manifest."""
    deposit_id, person = path_bytes(request, "deposit_id", 16), await reader(request)
    found = await request.app[REGISTRY].reading.deposit(deposit_id, person)
    listed = found.listed
    return json_answer(
        {"statement": listed.statement, "index": listed.index, "leaf": listed.leaf, "manifest": found.manifest}
    )


def _page(request: web.Request) -> tuple[int, int]:
    after = query_number(request, "after", -1, least=-1, most=_MAX_INDEX)
    return after, query_number(request, "limit", MAX_LIMIT, least=1, most=MAX_LIMIT)


def _listing(listed: tuple[Listed, ...], more: bool) -> web.Response:
    statements = [{"index": each.index, "leaf": each.leaf, "statement": each.statement} for each in listed]
    return json_answer({"statements": statements, "more": more})
