"""Fetching what authorities say of revocation: down, slow, lying, huge, garbage; and one that answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from app.client import revocation
from app.client.revocation import MAX_EVIDENCE_BYTES, fetch_evidence
from app.demo.pki import LoopbackPki, Profile, serving_pki
from app.errors import AppError, Unreachable
from app.identities.judging import judge_chain

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chain_in(pki: LoopbackPki) -> list[x509.Certificate]:
    person = pki.issue("Person", profile=Profile.PERSON)
    return [person.certificate, *person.chain, pki.root]


async def gathered(chain: list[x509.Certificate]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    async with aiohttp.ClientSession() as session:
        return await fetch_evidence(chain, session)


@asynccontextmanager
async def lying(handler: Handler) -> AsyncIterator[list[x509.Certificate]]:
    """A chain whose certificates name a server that answers with `handler`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield chain_in(LoopbackPki(f"http://127.0.0.1:{port}"))
    finally:
        await runner.cleanup()


async def test_an_answer_for_the_person_and_a_list_for_the_authority() -> None:
    async with serving_pki() as pki:
        chain = chain_in(pki)
        answers, lists = await gathered(chain)
        assert (len(answers), len(lists)) == (1, 1)
        assert pki.asked == ["/ocsp", "/crl/root.crl"]
        ders = [each.public_bytes(Encoding.DER) for each in chain]
        at = int(pki.now().timestamp())
        await judge_chain(ders, roots=ders[2:], ocsp_answers=answers, lists=lists, at=at)


async def test_the_list_is_asked_where_ocsp_is_down_and_nothing_is_taken_for_an_answer() -> None:
    async with serving_pki() as pki:
        pki.faults.add("/ocsp")
        answers, lists = await gathered(chain_in(pki))
        assert (len(answers), len(lists)) == (0, 2)
        pki.faults.add("/crl/issuing.crl")
        with pytest.raises(Unreachable, match="answered 503") as caught:
            await gathered(chain_in(pki))
        assert caught.value.code == "no_revocation_evidence"


async def _huge(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(MAX_EVIDENCE_BYTES + 1))


async def _elsewhere(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def _slow(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(("handler", "why"), [(_huge, "more than"), (_elsewhere, "answered 302"), (_slow, "Timeout")])
async def test_authorities_that_are_huge_slow_or_send_us_elsewhere(
    handler: Handler, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "TIMEOUT", aiohttp.ClientTimeout(total=0.3 if handler is _slow else 30))
    async with lying(handler) as chain:
        with pytest.raises(Unreachable, match=why):
            await gathered(chain)


async def test_garbage_is_no_answer_and_as_a_list_it_is_refused() -> None:
    async def garbage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x30\x03\x0a\x01\x06")

    async with lying(garbage) as chain:
        answers, lists = await gathered(chain)
        assert answers == ()
        ders = [each.public_bytes(Encoding.DER) for each in chain]
        with pytest.raises(AppError) as caught:
            await judge_chain(ders, roots=ders[2:], ocsp_answers=answers, lists=lists, at=1_800_000_000)
        assert caught.value.code == "bad_evidence"
