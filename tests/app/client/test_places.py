"""Places elsewhere: what an object store answers to a segment, and what the client makes of it."""

import hashlib
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.client.activity import silent
from app.client.api import TRIES, Api
from app.client.problems import StoreRefused
from app.client.uploading import Meter, Uploader, _Held
from app.errors import Unreachable
from app.sealing.pipeline import Segment
from app.sealing.x25519 import Identity
from tests.app.client.court import at_once
from tests.app.rules.world import ORIGIN, World

BODY = b"a sealed segment"


class Store:
    """A service and an object store that answer by a script; `asked` is what came."""

    def __init__(self, *answers: int, present_after: int | None = None) -> None:
        self.answers, self.present_after = list(answers), present_after
        self.places, self.asked = 0, list[tuple[str, str | None, bytes]]()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/challenge":
            return web.json_response({"challenge": "x", "expires": 1})
        if request.path == "/v1/token":
            return web.json_response({"token": "secret", "expires": 10**9})
        if request.path.endswith("/places"):
            self.places += 1
            there = self.present_after is not None and self.places > self.present_after
            url = f"http://{request.host}/bucket/{self.places}?X-Amz-Signature=00"
            headers = {"content-length": str(len(BODY)), "if-none-match": "*"}
            place = {"item": 1, "segment": 0, "present": there, "url": url, "headers": headers}
            return web.json_response({"places": [place]})
        self.asked.append((request.path_qs, request.headers.get("Authorization"), await request.read()))
        return web.Response(status=self.answers.pop(0), text="<Error><Code>No</Code></Error>")

    async def upload(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with TestServer(app) as server:
            signer = World().signer("somebody")
            url = str(server.make_url("/"))
            async with Api(url, origin=ORIGIN, signer=signer, clock=lambda: 0, pause=at_once) as api:
                uploader = Uploader(api, bytes(16), Identity.generate(bytes).recipient, cast("Any", None), [])
                segment = SimpleNamespace(index=0, data=memoryview(BODY), sha256=hashlib.sha256(BODY).digest())
                held = _Held(1, cast("Segment", segment))
                await uploader._upload([held], Meter(silent, len(BODY)))


async def test_a_segment_goes_to_the_store_as_it_is_without_the_token() -> None:
    store = Store(200)
    await store.upload()
    assert store.asked == [("/bucket/1?X-Amz-Signature=00", None, BODY)]


async def test_a_place_whose_time_has_passed_is_asked_for_anew() -> None:
    store = Store(403, 200)
    await store.upload()
    assert [path for path, _, _ in store.asked] == ["/bucket/1?X-Amz-Signature=00", "/bucket/2?X-Amz-Signature=00"]


async def test_a_segment_that_stands_there_already_is_done_when_the_service_says_so() -> None:
    """The answer to the first try was lost; the store refuses the second, since nothing is overwritten."""
    store = Store(503, 412, present_after=1)
    await store.upload()
    assert len(store.asked) == 2


@pytest.mark.parametrize(
    ("answers", "asked"), [([404], 1), ([400, 400, 400], 3), ([403, 403, 403], 3), ([412, 412, 412], 3), ([307], 1)]
)
async def test_what_the_store_does_not_take_is_told_with_its_status(answers: list[int], asked: int) -> None:
    store = Store(*answers)
    with pytest.raises(StoreRefused, match=f"answered {answers[-1]}") as caught:
        await store.upload()
    assert (len(store.asked), caught.value.code) == (asked, "store_refused")


async def test_a_store_that_does_not_answer_is_named_with_what_the_operator_can_do() -> None:
    store = Store(*[503] * TRIES)
    with pytest.raises(Unreachable) as caught:
        await store.upload()
    assert "pass through the service" in caught.value.next_step
