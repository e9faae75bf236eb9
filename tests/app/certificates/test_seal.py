"""Seals against a real authority with OCSP, lists and time-stamps on loopback; and whoever alters a sealed file."""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import time_machine
from asn1crypto import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfTimeStamper

from app.certificates.authorities import MAX_REPLY_BYTES, Authorities, NoTimestamp
from app.certificates.judging import Judged, judge
from app.certificates.sealing import NotClosed, Sealed, close, load_seal, renew, seal
from app.demo.pki import LoopbackPki, serving_pki
from app.errors import AppError, BadInput, CannotTell, Mismatch, Refused
from tests.app.certificates.made import Sealing, pages, sealing

DAY = 86_400
YEAR = 365 * DAY


class Clock:
    """The clock of this process, set ahead at will: pyHanko reads the system's clock in many places."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    @property
    def now(self) -> float:
        return time.time()

    def ahead(self, seconds: float) -> None:
        self._traveller.shift(seconds)


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(1_800_000_000, tick=True) as traveller:
        yield Clock(traveller)


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[tuple[Sealing, aiohttp.ClientSession]]:
    async with serving_pki() as pki, aiohttp.ClientSession() as session:
        yield sealing(pki), session


World = tuple[Sealing, aiohttp.ClientSession]


async def sealed(world: World) -> Sealed:
    made, session = world
    return await seal(pages(), made.signer, addresses=made.addresses, roots=made.roots, session=session)


async def judged(world: World, pdf: bytes) -> Judged:
    return await judge(pdf, seal_roots=world[0].roots, tsa_roots=world[0].roots, now=int(time.time()))


async def code_of(world: World, pdf: bytes) -> tuple[str, str]:
    with pytest.raises(AppError) as caught:
        await judged(world, pdf)
    return type(caught.value).__name__, caught.value.code


async def test_a_sealed_file_is_closed_and_holds_for_years(world: World, clock: Clock) -> None:
    made = await sealed(world)
    assert made.closed
    assert made.pdf.startswith(pages())
    begin = clock.now
    for later in (0, 5 * YEAR, 4 * YEAR):
        clock.ahead(later)
        found = await judged(world, made.pdf)
        assert "Seal of the Court" in found.subject
        assert "TSA 1" in found.closed_by
        assert abs(found.sealed_at - begin) < 60
    clock.ahead(2 * YEAR)
    assert await code_of(world, made.pdf) == ("CannotTell", "renewal_missed")
    clock.ahead(-12 * YEAR)
    assert await code_of(world, made.pdf) == ("CannotTell", "from_the_future")


async def test_without_status_it_stops_early_and_is_closed_later(world: World) -> None:
    made, session = world
    made.pki.faults.update(("/ocsp", "/crl/issuing.crl"))
    early = await sealed(world)
    assert not early.closed
    assert "status" in early.why
    assert await code_of(world, early.pdf) == ("CannotTell", "not_closed_yet")
    assert await code_of(world, early.pdf + b"\n") == ("Mismatch", "changed_after_seal")
    with pytest.raises(NotClosed):
        await close(early.pdf, addresses=made.addresses, roots=made.roots, session=session)
    made.pki.faults.clear()
    late = await close(early.pdf, addresses=made.addresses, roots=made.roots, session=session)
    assert late.startswith(early.pdf)
    await judged(world, late)


async def test_another_authority_steps_in_and_none_means_no_certificate(world: World) -> None:
    made, _ = world
    made.pki.faults.add("/tsa/1")
    found = await sealed(world)
    assert found.closed
    made.pki.faults.add("/tsa/2")
    with pytest.raises(NoTimestamp, match=r"/tsa/1.*503.*/tsa/2"):
        await sealed(world)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x30\x05\x30\x03\x02\x01\x02",
        b"garbage" * 100,
        b"\x00" * (MAX_REPLY_BYTES + 1),
        b"<html>login</html>",
    ],
    ids=["empty", "rejection", "garbage", "huge", "portal"],
)
async def test_what_a_lying_authority_answers_is_never_used(world: World, reply: bytes) -> None:
    made, _ = world
    for each in made.pki.tsas:
        each.behaviour = lambda _token: reply
    with pytest.raises(NoTimestamp):
        await sealed(world)


async def test_a_token_over_something_else_or_played_again_is_not_used(world: World) -> None:
    made, session = world
    stamper = Authorities(made.addresses[:1], session)
    made.pki.tsas[0].behaviour = lambda token: replace(token, imprint=bytes(32))
    with pytest.raises(NoTimestamp, match="something else"):
        await stamper.async_timestamp(b"\x01" * 32, "sha256")
    made.pki.tsas[0].behaviour = lambda token: replace(token, nonce=7)
    with pytest.raises(NoTimestamp, match="nonce"):
        await stamper.async_timestamp(b"\x01" * 32, "sha256")


async def test_a_silent_authority_is_given_up(world: World) -> None:
    made, session = world
    server = await asyncio.start_server(lambda _r, _w: asyncio.Event().wait(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        stamper = Authorities((f"http://127.0.0.1:{port}/", made.addresses[0]), session, timeout=0.2)
        token = await stamper.async_timestamp(b"\x01" * 32, "sha256")
        assert token["content_type"].native == "signed_data"
        server.close()


async def test_a_revoked_seal_seals_nothing(world: World) -> None:
    made, session = world
    issued = made.pki.issue("Revoked Seal")
    made.pki.revoke(issued.certificate)
    signer = load_seal(issued.key_pem(), issued.certificates_pem())
    with pytest.raises(Refused) as caught:
        await seal(pages(), signer, addresses=made.addresses, roots=made.roots, session=session)
    assert caught.value.code == "seal_revoked"


async def test_strangers_seals_and_authorities_are_not_trusted(world: World) -> None:
    made = await sealed(world)
    async with serving_pki(names="Other") as other:
        foreign = (x509.Certificate.load(other.root_der),)
    with pytest.raises(CannotTell) as caught:
        await judge(made.pdf, seal_roots=foreign, tsa_roots=world[0].roots, now=int(time.time()))
    assert caught.value.code == "seal_not_trusted"
    with pytest.raises(CannotTell) as caught:
        await judge(made.pdf, seal_roots=world[0].roots, tsa_roots=foreign, now=int(time.time()))
    assert caught.value.code == "unknown_tsa_root"


async def test_no_flipped_bit_passes(world: World) -> None:
    """Sampled with a fixed seed over the whole file, and more closely over the last time-stamp's own bytes."""
    made = await sealed(world)
    rng, size = random.Random(7), len(made.pdf)
    last = made.pdf.rindex(b"/Contents <") + 11
    ends = made.pdf.index(b">", last)
    token = last + 2 * (len(bytes.fromhex(made.pdf[last:ends].decode()).rstrip(b"\0")))
    places = rng.sample(range(size), 60) + rng.sample(range(last - 1, token), 90) + [ends - 1, ends, size - 1]
    for at in places:
        changed = bytearray(made.pdf)
        changed[at] ^= 1 << rng.randrange(8)
        assert (await code_of(world, bytes(changed)))[0] == "Mismatch", at


async def test_the_last_stamps_signer_and_time_have_one_spelling(world: World) -> None:
    """No signature covers the name of the signer, which CMS compares without regard to case; a time is signed."""
    made = await sealed(world)
    last = made.pdf.rindex(b"/Contents <") + 11
    for name in (b"Demo".hex().upper().encode(), (b"%d" % time.gmtime().tm_year).hex().encode()):
        at, found = made.pdf.rindex(name), 0
        while at > last:
            changed = bytearray(made.pdf)
            changed[at : at + 2] = b"%02X" % (int(changed[at : at + 2], 16) ^ (0x20 if name.startswith(b"4") else 0x04))
            assert (await code_of(world, bytes(changed)))[0] == "Mismatch", (name, at - last)
            at, found = made.pdf.rfind(name, 0, at), found + 1
        assert found, name


async def test_what_is_appended_is_found(world: World) -> None:
    made, session = world
    good = (await sealed(world)).pdf
    for more in (b"\n", b"%comment\n", b"\0" * 100, good):
        assert (await code_of(world, good + more))[0] == "Mismatch"
    for cut in (len(pages()), len(good) - 1, len(good) // 2, 0):
        assert (await code_of(world, good[:cut]))[0] == "Mismatch"
    changed = _retitled(good)
    assert (await code_of(world, changed))[0] == "Mismatch"
    # The forger has a time-stamp put over his change: anybody can get one.
    stamper = PdfTimeStamper(Authorities(made.addresses, session))
    closed = (await stamper.async_timestamp_pdf(IncrementalPdfFileWriter(BytesIO(changed)), "sha256")).getvalue()
    assert await code_of(world, closed) == ("Mismatch", "metadata_changed")


async def test_a_page_that_is_exchanged_afterwards_is_found(world: World) -> None:
    made, session = world
    good = (await sealed(world)).pdf
    writer = IncrementalPdfFileWriter(BytesIO(good))
    page: Any = writer.root["/Pages"]["/Kids"][0].get_object()
    page["/Rotate"] = generic.NumberObject(180)
    writer.mark_update(writer.root["/Pages"]["/Kids"].raw_get(0).reference)
    out = BytesIO()
    writer.write(out)
    stamper = PdfTimeStamper(Authorities(made.addresses, session))
    closed = (await stamper.async_timestamp_pdf(IncrementalPdfFileWriter(BytesIO(out.getvalue())), "sha256")).getvalue()
    for each in (out.getvalue(), closed):
        assert (await code_of(world, each))[0] == "Mismatch"


async def test_renewed_over_thirty_years_it_holds_and_missed_once_it_never_does(clock: Clock) -> None:
    """Authorities end after ten years; every eight years the file is stamped by a new one."""
    begin = clock.now
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        now = sealing(await stack.enter_async_context(serving_pki()))
        pdf = (await sealed((now, session))).pdf
        missed = pdf
        for era in range(2, 6):
            clock.ahead(8 * YEAR)
            newer = sealing(await stack.enter_async_context(serving_pki(names=f"Era {era}")))
            now = replace(newer, roots=(*now.roots, *newer.roots))
            pdf = await renew(pdf, addresses=now.addresses, roots=now.roots, session=session)
            found = await judged((now, session), pdf)
            assert abs(found.sealed_at - begin) < 60
            assert f"Era {era}" in found.closed_by
        assert clock.now - begin > 30 * YEAR
        assert await code_of((now, session), missed) == ("CannotTell", "renewal_missed")
        try:
            late = await renew(missed, addresses=now.addresses, roots=now.roots, session=session)
        except AppError:
            return  # refused while it is made: as good
        assert (await code_of((now, session), late))[0] == "CannotTell"


@pytest.mark.foreign("pdfsig")
async def test_other_programs_agree(world: World, tmp_path: Path) -> None:
    path = tmp_path / "c.pdf"
    path.write_bytes((await sealed(world)).pdf)
    said = _said("pdfsig", "-nocert", str(path))[1]
    assert "Signature #1:\n  - Signature Field Name: Seal" in said
    assert "Signature Validation: Signature is Valid." in said
    assert "Total document signed" in said.split("Signature #2")[1]
    assert _said("qpdf", "--check", str(path))[0] == 0
    data = bytearray(path.read_bytes())
    data[len(pages()) // 2] ^= 1
    path.write_bytes(data)
    said = _said("pdfsig", "-nocert", str(path))[1]
    assert "Digest Mismatch" in said


def test_a_seal_whose_parts_do_not_belong_together_is_named() -> None:
    pki = LoopbackPki("http://127.0.0.1:1")
    one, two = pki.issue("one"), pki.issue("two")
    for key, chain in (
        (one.key_pem(), two.certificates_pem()),
        (b"", one.certificates_pem()),
        (one.key_pem(), b""),
        (one.certificates_pem(), one.key_pem()),
    ):
        with pytest.raises(BadInput) as caught:
            load_seal(key, chain)
        assert caught.value.code == "bad_seal"


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", b"x" * 1000, pages()[:5000], pages()])
async def test_what_is_no_sealed_file_does_not_match(data: bytes) -> None:
    with pytest.raises(Mismatch):
        await judge(data, seal_roots=(), tsa_roots=(), now=0)


def _said(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def _retitled(pdf: bytes) -> bytes:
    """Append a revision in which only the metadata's title differs."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    old: Any = writer.root["/Metadata"]
    forged = generic.StreamObject(
        dict_data={
            generic.NameObject("/Type"): generic.NameObject("/Metadata"),
            generic.NameObject("/Subtype"): generic.NameObject("/XML"),
        },
        stream_data=old.data.replace(b"Certificate of Evidence Deposition", b"Certificate of Innocence"),
    )
    writer.objects[(0, writer.root.raw_get("/Metadata").idnum)] = forged
    writer._update_meta = lambda: None
    out = BytesIO()
    writer.write(out)
    return out.getvalue()
