"""Answers that keep to no interface end in errors of our own, and nothing is sent where it must not go."""

import json
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.client.api import Api, SegmentName
from app.client.problems import refusal_of, why_unreachable
from app.errors import AppError, BadInput, Refused, Unreachable
from tests.app.client.court import at_once
from tests.app.rules.world import ORIGIN, World

ID, DIGEST = bytes(16), bytes(32)
SEGMENT = SegmentName(item=1, segment=0, size=3, sha256=DIGEST)
JUNK = [
    b"",
    b"\xff",
    b"null",
    b"[]",
    b"{",
    b"[" * 100_000,
    b"{}",
    b'{"index":-1}',
    b'{"index":true,"digest":"00","leaf":"","size":1,"tlog_proof":""}',
    b'{"cases":["zz"],"panels":[],"member":"","role":"","name":""}',
    b'{"statements":[1],"more":false}',
    b'{"statements":[],"more":true}',
    b'{"case_id":"' + b"0" * 32 + b'","segments":[{}],"boxes":[]}',
    b'{"places":[{"item":1,"segment":1,"url":"/x"}]}',
    b'{"places":[{"item":1,"segment":0,"url":7}]}',
    b'{"places":[{"item":1,"segment":0,"url":"/x","headers":{"a":1}}]}',
    b'{"access":"' + b"0" * 64 + b'","deposit_id":"' + b"0" * 32 + b'","boxes":[{"panel_id":"x"}]}',
    b'{"challenge":1}',
    b'{"token":"x","expires":1e400}',
]


async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> TestServer:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    return server


def api_at(server: TestServer) -> Api:
    signer = World().signer("somebody")
    return Api(str(server.make_url("/")), origin=ORIGIN, signer=signer, clock=lambda: 0, pause=at_once)


async def test_junk_is_named_as_such() -> None:
    body = b""

    async def junk(request: web.Request) -> web.Response:
        if request.path == "/v1/challenge":
            return web.json_response({"challenge": "x", "expires": 1})
        if request.path == "/v1/token":
            return web.json_response({"token": "x", "expires": 10**9})
        return web.Response(body=body)

    server = await answering(junk)
    async with api_at(server) as api:
        calls: list[Callable[[], Awaitable[Any]]] = [
            api.registry,
            api.me,
            lambda: api.post_statement("a.b.c"),
            lambda: api.case_statements(ID),
            api.member_statements,
            lambda: api.proof(DIGEST),
            lambda: api.deposit(ID),
            lambda: api.upload(ID),
            lambda: api.places(ID, (SEGMENT,)),
            lambda: api.begin_download(DIGEST),
        ]
        for each in JUNK:
            body = each
            for call in calls:
                if call == api.registry and each.startswith(b"{") and each != b"{":
                    continue  # any object will do: nothing rests on what a registry says of itself
                with pytest.raises(Refused) as caught:
                    await call()
                assert caught.value.code == "bad_answer", each[:60]
    await server.close()


async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else() -> None:
    seen: list[str] = []

    async def stranger(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.headers.get('Authorization', 'no token')}")
        await request.read()
        return web.Response(status=201)

    other = await answering(stranger)

    async def service(request: web.Request) -> web.Response:
        if request.path == "/v1/challenge":
            return web.json_response({"challenge": "x", "expires": 1})
        if request.path == "/v1/token":
            return web.json_response({"token": "secret", "expires": 10**9})
        if request.path.endswith("/places"):
            place = {"item": 1, "segment": 0, "present": False, "url": str(other.make_url("/bucket")), "headers": {}}
            return web.json_response({"places": [place]})
        return web.Response(status=302, headers={"Location": str(other.make_url("/"))})

    server = await answering(service)
    async with api_at(server) as api:
        with pytest.raises(Refused):
            await api.me()
        assert seen == []
        (place,) = await api.places(ID, (SEGMENT,))
        await api.put_segment(place, memoryview(b"abc"))
        assert seen == ["PUT no token"]
        with pytest.raises(Refused) as caught:
            await api.put_segment(
                type(place)(item=1, segment=0, present=False, url="file:///etc/passwd", headers={}), memoryview(b"abc")
            )
        assert caught.value.code == "bad_answer"
    await other.close()
    await server.close()


async def test_a_segment_is_sent_with_its_length_and_whole() -> None:
    got: list[tuple[str | None, int]] = []

    async def service(request: web.Request) -> web.Response:
        got.append((request.headers.get("Content-Length"), len(await request.read())))
        return web.Response(status=201)

    server = TestServer(web.Application(client_max_size=1 << 24))
    server.app.router.add_route("PUT", "/{path:.*}", service)
    await server.start_server()
    data = bytes(1_000_001)
    async with api_at(server) as api:
        from app.client.api import Place

        stranger = str(server.make_url("/x")).replace("127.0.0.1", "localhost")
        await api.put_segment(Place(item=1, segment=0, present=False, url=stranger, headers={}), memoryview(data))
    assert got == [("1000001", 1_000_001)]
    await server.close()


async def test_a_service_that_is_not_there_is_unreachable() -> None:
    api = Api("http://127.0.0.1:1", origin=ORIGIN, signer=None, clock=lambda: 0, pause=at_once)
    async with api:
        with pytest.raises(Unreachable):
            await api.checkpoint()
        with pytest.raises(AppError):
            await api.me()


@pytest.mark.parametrize("url", ["", "court.example", "ftp://court.example", "http://", "http://a/?x", "file:///x"])
def test_what_is_no_service_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        Api(url, origin=ORIGIN, signer=None, clock=lambda: 0)


def test_a_problem_is_told_in_its_own_words_without_control_characters() -> None:
    problem = {"code": "stale", "detail": "too\x1b[2J old", "next_step": "again", "type": "x"}
    error = refusal_of(409, json.dumps(problem).encode())
    assert (error.code, error.message, error.next_step, error.status) == ("stale", "too [2J old", "again", 409)
    for body in (b"", b"<html>", b"[" * 100_000, b"[1]", b'{"code":7}'):
        assert refusal_of(500, body).code == "status_500"
        assert refusal_of(404, body).code == "not_found"


async def test_why_there_is_no_answer_is_said_in_a_few_words() -> None:
    async with Api("http://127.0.0.1:1", origin=ORIGIN, signer=None, clock=lambda: 0, pause=at_once) as api:
        with pytest.raises(Unreachable) as caught:
            await api.checkpoint()
    assert caught.value.message == "127.0.0.1:1 cannot be reached: Connection refused"
    assert "nothing was lost" in caught.value.next_step


async def test_an_answer_that_ends_early_is_said_to_be_broken_off() -> None:
    async def short(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"some")
        assert request.transport is not None
        request.transport.close()
        return answer

    application = web.Application()
    application.router.add_get("/checkpoint", short)
    async with TestServer(application) as server, api_at(server) as api:
        with pytest.raises(Unreachable) as caught:
            await api.checkpoint()
    assert re.fullmatch(r"127\.0\.0\.1:[0-9]+ broke its answer off", caught.value.message), caught.value.message
    assert "tell the operator" in caught.value.next_step


def not_connected(error: OSError) -> aiohttp.ClientConnectorError:
    key: Any = None
    return aiohttp.ClientConnectorError(key, error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (not_connected(socket.gaierror(-2, "Name or service not known")), "Name or service not known"),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError("Timeout on reading data"), "no answer in time"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (OSError(), "OSError"),
    ],
)
def test_other_reasons(error: Exception, said: str) -> None:
    assert why_unreachable(error) == said
