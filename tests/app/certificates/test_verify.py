"""A whole certificate, checked: what it shows and carries, who sealed it; and everything that can be exchanged."""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import aiohttp
import pytest
import time_machine
from cryptography import x509

from app.certificates.claims import Certificate, Identity, PanelNamed, Renderer, format_certificate
from app.certificates.facts import make_pages, read_shown
from app.certificates.page import Attached, render, renderer, set_pages
from app.certificates.sealing import seal
from app.certificates.words import WORDS
from app.client.record import make_record
from app.demo.pki import serving_pki
from app.errors import BadInput
from app.statements.kinds import ReleaseOpening
from app.statements.prooffile import format_proof_file, parse_proof_file
from app.statements.recordfile import format_record_file, parse_record_file
from app.statements.trust import Trust, format_trust, parse_trust
from app.statements.trust_seal import SealTrust, seal_json
from app.statements.trust_time import TsaTrust, tsa_json
from app.verify.certificate import CertificateVerdict, check_certificate, is_pdf
from app.verify.proof import FileDigest
from app.verify.verdict import Outcome
from ledger.anchors.tsa_chain import Authority
from tests.app.certificates.made import Sealing, certificate, deposit, proof, proof_bytes, sealing
from tests.app.identities.people import bound
from tests.app.rules.world import Release
from tests.app.verify.proofs import FILES, Made, deposited, panelled
from tests.app.verify.records import state_of


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(deposit().world.now + 60, tick=True):
        yield


@pytest.fixture
async def world() -> AsyncIterator[tuple[Sealing, aiohttp.ClientSession]]:
    async with serving_pki() as pki, aiohttp.ClientSession() as session:
        yield sealing(pki), session


World = tuple[Sealing, aiohttp.ClientSession]


async def sealed(world: World, pdf: bytes, *, closed: bool = True) -> bytes:
    made, session = world
    found = await seal(pdf, made.signer, addresses=made.addresses, roots=made.roots, session=session)
    assert found.closed is closed, found.why
    return found.pdf


async def checked(world: World, pdf: bytes, *files: bytes) -> CertificateVerdict:
    import asyncio
    import hashlib

    digests = [FileDigest(path=f"file {n}", sha256=hashlib.sha256(each).digest()) for n, each in enumerate(files)]
    return await asyncio.to_thread(
        check_certificate,
        pdf,
        trust_with(world[0].pki.root),
        digests,
        now=int(time.time()),
    )


def trust_with(root: x509.Certificate) -> Trust:
    base = deposit().trust
    return parse_trust(
        format_trust(
            origin=base.origin,
            genesis=base.genesis,
            authority=base.authority,
            policy_text=base.policy_text,
            tsa=tsa_json(TsaTrust(m=1, authorities=(Authority(name="TSA", roots=(root,)),))),
            seal=seal_json(SealTrust(roots=(root,))),
        )
    )


def told(verdict: CertificateVerdict) -> tuple[Outcome, str]:
    return verdict.outcome, "" if verdict.failed is None else verdict.failed.code


async def test_a_good_one_verifies_with_its_files(world: World) -> None:
    pdf = await sealed(world, render(proof(), certificate()))
    assert is_pdf(pdf)
    verdict = await checked(world, pdf, *FILES.values())
    assert told(verdict) == (Outcome.VERIFIED, "")
    assert [each.name for each in verdict.checks] == [
        "the attachments",
        "the pages",
        "the seal",
        "the office's words",
        "the proof",
        "the opening",
    ]
    assert verdict.proof is not None
    assert len(verdict.proof.files) == len(FILES)
    assert verdict.to_json()["exit_code"] == 0
    assert told(await checked(world, pdf, b"another file")) == (Outcome.MISMATCH, "file_differs")


async def test_a_page_that_shows_something_else_is_found_though_the_office_sealed_it(world: World) -> None:
    made = make_pages(proof(), certificate())
    lie = replace(made, summary=("lawyer2 deposited everything.",))
    pdf = await sealed(world, set_pages(lie, _attached(format_proof_file(proof()))))
    assert told(await checked(world, pdf)) == (Outcome.MISMATCH, "pages_differ")


async def test_an_attachment_that_is_exchanged_is_found(world: World) -> None:
    made = make_pages(proof(), certificate())
    pdf = await sealed(world, set_pages(made, _attached(format_proof_file(proof("size")))))
    assert told(await checked(world, pdf)) == (Outcome.MISMATCH, "pages_differ")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"level": "witnessed"}, "level_overstated"),
        ({"level": "anchored"}, "level_overstated"),
        ({"panels": (PanelNamed(panel_id=bytes(32), k=1, n=9),)}, "other_panels"),
        ({"issued": 1_700_000_000}, "issued_otherwise"),
        ({"identity": Identity(assurance="certificate", subject="CN=Me", issuer="CN=CA")}, "identity_overstated"),
    ],
)
async def test_words_that_the_proof_does_not_bear_are_found(
    world: World, changes: dict[str, object], code: str
) -> None:
    pdf = await sealed(world, render(proof(), certificate(**changes)))
    assert told(await checked(world, pdf)) == (Outcome.MISMATCH, code)


async def test_another_version_of_typst_cannot_tell_and_says_which_is_needed(world: World) -> None:
    old = Renderer(typst="0.13.0", template=renderer().template)
    pdf = await sealed(world, render(proof(), certificate(renderer=old)))
    verdict = await checked(world, pdf)
    assert told(verdict) == (Outcome.UNKNOWN, "other_renderer")
    assert verdict.failed is not None
    assert "0.13.0" in verdict.failed.next_step
    # What does not match is said before what cannot be told.
    assert told(await checked(world, pdf, b"another file")) == (Outcome.MISMATCH, "file_differs")


async def test_what_is_not_closed_yet_cannot_tell(world: World) -> None:
    world[0].pki.faults.update(("/ocsp", "/crl/issuing.crl"))
    pdf = await sealed(world, render(proof(), certificate()), closed=False)
    assert told(await checked(world, pdf)) == (Outcome.UNKNOWN, "not_closed_yet")


async def test_an_unsealed_or_other_pdf_does_not_match(world: World) -> None:
    assert told(await checked(world, render(proof(), certificate()))) == (Outcome.MISMATCH, "no_seal")
    for data in (b"", b"%PDF-1.7", b"%PDF-1.7\n" + b"x" * 500, proof_bytes()):
        verdict = await checked(world, data)
        assert verdict.outcome is Outcome.MISMATCH
        assert len(verdict.checks) == 1


async def test_the_certificate_of_another_deposit_does_not_carry_this_file(world: World) -> None:
    pdf = await sealed(world, render(proof(), certificate()))
    assert told(await checked(world, pdf, FILES["scan.png"] + b"x")) == (Outcome.MISMATCH, "file_differs")


async def test_what_an_opening_found_is_shown_and_rests_on_the_release_record(world: World) -> None:
    made, record = opened()
    file = parse_proof_file(made.proof(("name", "sha256")))
    words = certificate(file, opened=hashlib.sha256(record).digest(), lang="en", issued=int(time.time()))
    good = make_pages(file, words, record)
    said = [each.rows[-1].values[0].text for each in good.sections if each.title.startswith("File ")]
    assert said == [WORDS[each][0] for each in ("equal", "not_equal", "undeclared")]
    pdf = await sealed(world, render(file, words, record))
    assert told(await checked(world, pdf)) == (Outcome.VERIFIED, "")
    # A record whose decisions were left out, under the same seal: the office is believed no more than anybody.
    less = format_record_file(replace(parse_record_file(record), entries=parse_record_file(record).entries[:-1]))
    words = replace(words, opened=hashlib.sha256(less).digest())
    with pytest.raises(BadInput):
        render(file, words, less)
    # The record of another deposit.
    other = certificate(opened=hashlib.sha256(record).digest(), lang="en", issued=int(time.time()))
    pdf = await sealed(world, render(proof(), other, record))
    assert told(await checked(world, pdf)) == (Outcome.MISMATCH, "other_deposit")
    # Named, and not attached.
    pdf = await sealed(world, set_pages(good, _attached(made.proof(("name", "sha256")), words)))
    assert told(await checked(world, pdf))[0] is Outcome.MISMATCH


def opened() -> tuple[Made, bytes]:
    """A deposit that two of three judges released and its recipient opened, and the record of it."""
    world, ceremony, case_id = panelled()
    world.now += 7  # another deposit statement than the one without a release
    made = deposited(world, ceremony, case_id)
    release = Release(world=world, ceremony=ceremony, case_id=case_id, deposit=made.deposit)  # type: ignore[arg-type]
    release.ask()
    for judge in ("judge1", "judge3"):
        world.do(judge, release.grant(judge))
        world.do(judge, release.contribute(judge))
    world.do("service", release.access())
    assert release.request is not None
    items = ("equal", "not_equal", "undeclared")
    world.do("lawyer2", ReleaseOpening(request=release.request.digest, outcome="opened", items=items))
    return made, make_record(state_of(world), release.request.digest, made.trust).data


def _attached(proof_file: bytes, words: Certificate | None = None) -> list[Attached]:
    return [
        Attached(name="proof.json", text=proof_file.decode(), says=""),
        Attached(name="certificate.json", text=format_certificate(words or certificate()), says=""),
    ]


async def test_a_bound_identity_is_on_the_page_and_must_be_that_of_the_proof(world: World) -> None:
    made = identified()
    of = parse_proof_file(made.proof(("name", "sha256")))
    shown = read_shown(of)
    assert shown.identity.assurance == "certificate"
    good = certificate(of, identity=shown.identity, lang="en")
    printed = json.dumps(make_pages(of, good), default=str)
    assert "CN=Person lawyer1" in printed
    assert "the registrar's word" in printed
    assert told(await checked(world, await sealed(world, render(of, good)))) == (Outcome.VERIFIED, "")
    for wrong in (
        replace(shown.identity, subject="CN=Somebody else"),
        replace(shown.identity, issuer="CN=A better authority"),
        Identity(assurance="enrolled", subject=None, issuer=None),
    ):
        pdf = await sealed(world, render(of, replace(good, identity=wrong)))
        assert told(await checked(world, pdf)) == (Outcome.MISMATCH, "identity_overstated")


def identified() -> Made:
    """A deposit by somebody to whose key an X.509 certificate is bound."""
    ledger, ceremony, case_id = panelled()
    ledger.do("registrar", bound(ledger, "lawyer1", "depositor").claims)
    return deposited(ledger, ceremony, case_id)
