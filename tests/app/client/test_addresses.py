"""Several addresses of one registry: whichever answers will do, and a replica that dies is left for the next."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from app.client.addresses import Addresses, ServiceField, checked_service
from app.client.api import TRIES, Api, Place
from app.client.home import Home, Settings
from app.client.session import Client
from app.errors import AppError, BadInput, Mismatch, Refused, Unreachable
from app.service.registry import Registry
from app.statements.kinds import CaseOpen
from app.web.application import make_application
from tests.app.client.court import at_once, court, terms_of
from tests.app.client.world_service import keys_of, trust_of
from tests.app.rules.world import ORIGIN, World, peopled

DEAD = "http://127.0.0.1:1"


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def api_at(*service: str, pauses: list[float] | None = None) -> Api:
    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    signer = World().signer("somebody")
    return Api(service, origin=ORIGIN, signer=signer, clock=lambda: 0, pause=pause)


async def hello(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"said": f"{request.method} {request.path}"})


async def test_the_next_address_is_asked_at_once_and_kept() -> None:
    pauses: list[float] = []
    async with answering(hello) as alive, api_at(DEAD, alive, pauses=pauses) as api:
        assert await api.registry() == {"said": "GET /v1/registry"}
        assert pauses == []
        assert api.addresses.current == alive
        assert await api.registry() == {"said": "GET /v1/registry"}


@pytest.mark.parametrize("how", ["503", "cut"])
async def test_a_replica_that_stops_in_the_middle_is_left(how: str) -> None:
    asked: list[str] = []

    async def failing(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if how == "503":
            return web.json_response({"code": "stopped", "detail": "the ledger has stopped"}, status=503)
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"said"')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with answering(failing) as first, answering(hello) as second, api_at(first, second) as api:
        assert await api.registry() == {"said": "GET /v1/registry"}
        assert asked == ["/v1/registry"]


async def test_when_none_answers_it_says_so_after_a_known_number_of_tries() -> None:
    pauses: list[float] = []
    asked: list[str] = []

    async def failing(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"code": "stopped", "detail": "the ledger has stopped"}, status=503)

    async with (
        answering(failing) as first,
        answering(failing) as second,
        api_at(first, second, pauses=pauses) as api,
    ):
        with pytest.raises(Unreachable, match=r"none of the service's 2 addresses answers.*the ledger has stopped"):
            await api.registry()
        assert (len(asked), pauses) == (2 * TRIES, [0.5, 1, 2])
        asked.clear()
        with pytest.raises(Unreachable):
            await api.me()  # its token cannot be had: that is not tried anew for each try
        assert asked == ["/v1/challenge"] * 2 * TRIES


async def test_a_refusal_is_an_answer_and_no_other_replica_is_asked() -> None:
    async def refusing(_request: web.Request) -> web.Response:
        return web.json_response({"code": "stale", "detail": "too old"}, status=409)

    async with answering(refusing) as first, answering(hello) as second, api_at(first, second) as api:
        with pytest.raises(Refused, match="too old"):
            await api.post_statement("a.b.c")


async def test_a_segment_goes_to_the_replica_that_answers_and_elsewhere_only_to_its_own_url() -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    async def store(request: web.Request) -> web.Response:
        await request.read()
        seen.append((request.raw_path, request.headers.get("Authorization"), request.headers.get("Content-Length")))
        return web.Response(status=201)

    def place(url: str) -> Place:
        return Place(item=1, segment=0, present=False, url=url, headers={"content-length": "7", "x-amz-a": "b"})

    async with answering(store) as alive, api_at(DEAD, alive) as api:
        await api.put_segment(place("v1/uploads/x"), memoryview(b"abc"))
        signed = f"{alive}bucket/a%2Fb?X-Amz-Credential=a%2Fb%3D"
        await api.put_segment(place(signed), memoryview(b"abc"))
        # As it was signed, byte for byte; never the token, and the length as it is.
        assert seen == [("/v1/uploads/x", None, "3"), ("/bucket/a%2Fb?X-Amz-Credential=a%2Fb%3D", None, "3")]
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 "):
            await api.put_segment(place(DEAD + "/bucket"), memoryview(b"abc"))
        assert len(seen) == 2


async def test_two_replicas_on_the_same_stores_are_one_registry_to_a_client(tmp_path: Path) -> None:
    """One dies between two statements: the same client goes on at the other, with the token that the first one gave."""
    world = peopled()
    async with court(world, tmp_path) as house:
        other = Registry(terms_of(world), house.records, house.blobs, lambda: world.now)
        server = TestServer(make_application(other))
        await server.start_server()
        clerk = Client(
            Home(tmp_path / "clerk"),
            keys_of("clerk"),
            trust_of(world),
            (str(server.make_url("/")), house.url),
            clock=lambda: world.now,
            pause=at_once,
        )
        async with clerk:
            first = await clerk.post(CaseOpen(case_id=bytes(15) + b"\1", note=None))
            await clerk.sync()
            await server.close()
            second = await clerk.post(CaseOpen(case_id=bytes(15) + b"\2", note=None))
            assert second.index == first.index + 1
            state = await clerk.confirm(second)
            assert {first.index, second.index} <= state.entries.keys()
            again = await clerk.submit(first.statement)
            assert (again.index, again.fresh) == (first.index, False)


async def test_a_replica_that_lags_behind_is_passed_over_and_a_rollback_is_not(tmp_path: Path) -> None:
    world = peopled()
    async with court(world, tmp_path) as house:
        async with house.client("clerk") as clerk:
            old = (await clerk.sync()).signed
            await clerk.post(CaseOpen(case_id=bytes(15) + b"\1", note=None))
            newest = (await clerk.sync()).checkpoint.size

        async def lagging(_request: web.Request) -> web.Response:
            return web.Response(text=old)

        async with answering(lagging) as behind, answering(lagging) as too:

            def client(*service: str) -> Client:
                home = Home(tmp_path / "clerk")
                return Client(home, keys_of("clerk"), trust_of(world), service, clock=lambda: world.now, pause=at_once)

            async with client(behind, house.url) as clerk:
                assert (await clerk.sync()).checkpoint.size == newest
            async with client(behind, too) as clerk:
                with pytest.raises(Mismatch) as caught:
                    await clerk.sync()
                assert caught.value.code == "checkpoint_older"


def test_the_address_that_failed_is_left_once_however_many_calls_it_failed() -> None:
    addresses = Addresses(("http://a", "http://b", "http://c"))
    for _ in range(3):
        addresses.leave("http://a/")
    assert addresses.current == "http://b/"
    addresses.leave("http://b/")
    addresses.leave("http://c/")
    assert addresses.current == "http://a/"


@pytest.mark.parametrize(
    "service",
    [
        (),
        ("http://a", "http://a/"),
        ("http://a", "ftp://b"),
        ("http://a", ""),
        "http://[",
        "http://a:x",
        "http://a\x00",
        tuple(f"http://a{n}" for n in range(17)),
    ],
)
def test_what_is_no_list_of_addresses_is_refused(service: str | tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as caught:
        Addresses(service)
    assert caught.value.code == "bad_url"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://[", "/a b", "/a\r\nHost: x", "/ä"])
def test_what_is_no_place_for_a_segment_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        Addresses("http://a").absolute(url)


def test_a_service_with_tls_sends_nobody_where_there_is_none() -> None:
    addresses = Addresses("https://court.example")
    assert addresses.absolute("https://store.example/x?y") == "https://store.example/x?y"
    assert addresses.absolute("//store.example/x") == "https://store.example/x"
    assert addresses.absolute("v1/uploads/x") is None
    with pytest.raises(BadInput, match="no TLS"):
        addresses.absolute("http://store.example/x")


def test_one_address_is_kept_as_a_string_and_several_as_a_list(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for service, text in (
        ("http://a", '{"service":"http://a"}'),
        (("http://a", "http://b"), '{"service":["http://a","http://b"]}'),
    ):
        home.set_settings(Settings(service=service))
        assert (tmp_path / "settings.json").read_text() == text + "\n"
        assert home.settings() == Settings(service=service)
    assert checked_service(["http://a"]) == "http://a"
    for wrong in ("[]", '["http://a"]', '["http://a",1]', "7", '["http://a","http://a"]', '"ftp://a"', "null"):
        (tmp_path / "settings.json").write_text(f'{{"service":{wrong}}}\n')
        with pytest.raises(BadInput):
            home.settings()


json_values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)


@given(json_values | st.lists(st.sampled_from(["http://a", "https://b:1/x", "http://c"]), max_size=4))
def test_any_value_is_an_address_list_in_its_one_form_or_an_error_of_our_own(value: object) -> None:
    try:
        service = ServiceField().read(value, "service")
    except AppError:
        return
    assert ServiceField().write(service) == value
