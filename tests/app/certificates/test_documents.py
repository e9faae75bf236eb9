"""Sealed records and reports: their pages are what is attached says, under the reader's own trust file."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import aiohttp
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from app.certificates.documents import DocumentWords, format_words, number_of, parse_words, render_document
from app.certificates.page import renderer
from app.certificates.sealing import seal
from app.demo.pki import LoopbackPki, serving_pki
from app.errors import AppError, BadInput
from app.statements.store_report import sign_report
from app.statements.trust import Trust, format_trust, parse_trust
from app.statements.trust_seal import SealTrust, seal_json
from app.statements.trust_time import TsaTrust, tsa_json
from app.verify.document import DocumentVerdict, check_document, is_document
from app.verify.verdict import Outcome
from ledger.anchors.tsa_chain import Authority
from tests.app.certificates.made import OFFICE, Sealing, sealing
from tests.app.verify.records import Story, told
from tests.docs.make_report_vectors import registry


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(1_800_000_000, tick=True):
        yield


@pytest.fixture(scope="module")
def story() -> Story:
    return told()


@pytest.fixture
async def world() -> AsyncIterator[tuple[Sealing, aiohttp.ClientSession]]:
    async with serving_pki() as pki, aiohttp.ClientSession() as session:
        yield sealing(pki), session


World = tuple[Sealing, aiohttp.ClientSession]


def with_roots(text: str, pki: LoopbackPki) -> Trust:
    base = parse_trust(text)
    return parse_trust(
        format_trust(
            origin=base.origin,
            genesis=base.genesis,
            authority=base.authority,
            policy_text=base.policy_text,
            tsa=tsa_json(TsaTrust(m=1, authorities=(Authority(name="TSA", roots=(pki.root,)),))),
            seal=seal_json(SealTrust(roots=(pki.root,))),
        )
    )


def words(content: bytes, kind: str, trust: Trust, lang: str = "en+zh") -> DocumentWords:
    import hashlib

    now = int(time.time())
    return DocumentWords(
        kind=kind,  # type: ignore[arg-type]
        renderer=renderer(),
        number=number_of(content, now),
        issued=now,
        zone=60,
        lang=lang,  # type: ignore[arg-type]
        office=OFFICE,
        trust=trust.sha256,
        sha256=hashlib.sha256(content).digest(),
    )


async def sealed(world: World, pdf: bytes) -> bytes:
    made, session = world
    return (await seal(pdf, made.signer, addresses=made.addresses, roots=made.roots, session=session)).pdf


async def checked(pdf: bytes, trust: Trust) -> DocumentVerdict:
    return await asyncio.to_thread(check_document, pdf, trust, now=int(time.time()))


def said(verdict: DocumentVerdict) -> tuple[Outcome, str]:
    return verdict.outcome, "" if verdict.failed is None else verdict.failed.code


def report() -> tuple[bytes, str]:
    made, found, trust = registry()
    return sign_report(found, made.signer("service")).encode(), trust


@pytest.mark.parametrize("lang", ["en", "zh", "en+zh"])
async def test_a_report_and_a_record_are_sealed_and_verify(world: World, story: Story, lang: str) -> None:
    content, text = report()
    trust = with_roots(text, world[0].pki)
    pdf = await sealed(world, render_document(content, words(content, "audit", trust, lang), trust))
    assert is_document(pdf)
    assert said(await checked(pdf, trust)) == (Outcome.VERIFIED, "")
    content, trust = story.make().data, with_roots(story.trust.text, world[0].pki)
    pdf = await sealed(world, render_document(content, words(content, "record", trust, lang), trust))
    assert said(await checked(pdf, trust)) == (Outcome.VERIFIED, "")


async def test_pages_of_one_and_the_attachment_of_another_are_found(world: World, story: Story) -> None:
    content, text = report()
    trust = with_roots(text, world[0].pki)
    good = words(content, "audit", trust)
    pdf = render_document(content, good, trust)
    other = render_document(content, replace(good, number="another"), trust)
    # The office seals pages that say another number than the words that are attached.
    at = next(i for i, (a, b) in enumerate(zip(pdf, other, strict=False)) if a != b)
    assert at > 0
    forged = await sealed(world, other)
    assert said(await checked(forged, trust)) == (Outcome.VERIFIED, "")
    data = bytearray(forged)
    data[at] ^= 1
    assert (await checked(bytes(data), trust)).outcome is Outcome.MISMATCH


async def test_another_ledger_cannot_be_told_and_an_unsealed_one_does_not_match(world: World, story: Story) -> None:
    content, text = report()
    trust = with_roots(text, world[0].pki)
    unsealed = render_document(content, words(content, "audit", trust), trust)
    assert said(await checked(unsealed, trust)) == (Outcome.MISMATCH, "no_seal")
    record, elsewhere = story.make().data, with_roots(story.trust.text, world[0].pki)
    pdf = await sealed(world, render_document(record, words(record, "record", elsewhere), elsewhere))
    broken = story.make().data.replace(b'"start":', b'"start": ')
    with pytest.raises(AppError):
        render_document(broken, words(broken, "record", elsewhere), elsewhere)
    with pytest.raises(BadInput):
        render_document(content, words(record, "audit", trust), trust)
    assert (await checked(pdf, elsewhere)).outcome is Outcome.VERIFIED
    for data in (b"", b"%PDF-1.7", b"%PDF-1.7" + bytes(300)):
        assert not is_document(data)
        assert (await checked(data, trust)).outcome is Outcome.MISMATCH


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_words(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_words(data)


def test_the_words_have_one_form() -> None:
    content, text = report()
    good = words(content, "audit", parse_trust(text))
    encoded = format_words(good).encode()
    assert parse_words(encoded) == good
    for changed in (encoded + b"\n", encoded.replace(b'"kind":"audit"', b'"kind":"other"'), encoded[:-1]):
        with pytest.raises(BadInput):
            parse_words(changed)
