"""A chain under roots, with evidence of revocation; every refusal beside what is accepted."""

import asyncio

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from app.demo.pki import Issued, LoopbackPki, Profile
from app.errors import AppError, BadInput
from app.identities.judging import judge_chain
from tests.app.identities.people import BASE, chain_of, issued, ocsp_answer, pki
from tests.app.rules.world import START

DAY = 86_400
ROOT = pki().root_der


async def judged(person: Issued, **changes: object) -> str:
    """The code of the refusal, or nothing."""
    given_: dict[str, object] = {
        "roots": [ROOT],
        "ocsp_answers": [ocsp_answer(person)],
        "lists": [pki().crl("root")],
        "at": START,
        **changes,
    }
    try:
        await judge_chain(chain_of(person), **given_)  # type: ignore[arg-type]
    except AppError as error:
        return error.code
    return ""


async def test_a_good_chain_is_accepted_with_an_answer_or_a_list() -> None:
    person = issued("Good")
    assert await judged(person) == ""
    assert await judged(person, ocsp_answers=[], lists=[pki().crl("root"), pki().crl("issuing")]) == ""
    assert await judged(person, roots=[pki("Other").root_der, ROOT]) == ""


async def test_another_root_is_not_trusted() -> None:
    person = issued("Good")
    assert await judged(person, roots=[]) == "unknown_root"
    assert await judged(person, roots=[pki("Other").root_der]) == "unknown_root"


async def test_evidence_must_be_there_fresh_and_of_this_certificate() -> None:
    person, other = issued("Good"), issued("Somebody else")
    assert await judged(person, ocsp_answers=[]) == "chain_not_accepted"
    assert await judged(person, lists=[]) == "chain_not_accepted", "the issuing authority names a list"
    assert await judged(person, ocsp_answers=[ocsp_answer(other)]) == "chain_not_accepted"
    assert await judged(person, at=START + 6 * DAY) == ""
    assert await judged(person, at=START + 8 * DAY) == "chain_not_accepted", "the answer is a week old"
    assert await judged(person, at=START - DAY // 2) == "chain_not_accepted", "the answer is not yet"
    forged = pki("Other").crl("issuing")
    assert await judged(person, ocsp_answers=[], lists=[pki().crl("root"), forged]) == "chain_not_accepted"


async def test_a_revoked_certificate_is_refused_and_was_good_before() -> None:
    authority = LoopbackPki(BASE, clock=lambda: START, names="Revoking")
    person = authority.issue("Lost his card", profile=Profile.PERSON)
    chain = (person.der, person.chain[0].public_bytes(Encoding.DER), authority.root_der)

    async def judge(lists: list[bytes]) -> str:
        try:
            await judge_chain(chain, roots=[authority.root_der], ocsp_answers=[], lists=lists, at=START)
        except AppError as error:
            return error.code
        return ""

    before = [authority.crl("root"), authority.crl("issuing")]
    authority.revoke(person.certificate)
    assert await judge([authority.crl("root"), authority.crl("issuing")]) == "certificate_revoked"
    assert await judge(before) == ""


async def test_a_chain_that_ended_is_not_accepted() -> None:
    short = issued("Short", days=3)
    assert await judged(short) == ""
    assert await judged(short, at=START + 3 * DAY) == "chain_not_accepted"


@pytest.mark.parametrize("what", ["ocsp_answers", "lists"])
async def test_garbage_as_evidence_is_named(what: str) -> None:
    for data in (b"", b"\x30\x00", b"\x30\x80\x00\x00", b"\xff" * 40, ocsp_answer(issued("Good")) + b"\x00"):
        assert await judged(issued("Good"), **{what: [data]}) == "bad_evidence"


ANSWER = ocsp_answer(issued("Good"))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(ANSWER) - 1), st.integers(1, 255))
def test_a_changed_answer_never_says_good_of_another_time_or_certificate(at: int, mask: int) -> None:
    changed = ANSWER[:at] + bytes([ANSWER[at] ^ mask]) + ANSWER[at + 1 :]
    code = asyncio.run(judged(issued("Good"), ocsp_answers=[changed]))
    assert code in ("", "bad_evidence", "chain_not_accepted", "certificate_revoked")
    if code == "":
        # Outside what the responder signed: its certificate stands beside it, and bits of that may not matter.
        assert changed[: len(ANSWER) - 700] == ANSWER[: len(ANSWER) - 700]


def test_the_codes_are_of_our_own_errors() -> None:
    with pytest.raises(BadInput):
        asyncio.run(judge_chain([ROOT, ROOT], roots=[ROOT], ocsp_answers=[b"x"], lists=[], at=START))
