"""A judge's clerk prepares and never contributes: drafts of decisions, and everything that is wrong with a file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical import format_json
from app.client.draft import TYP, Draft, agree, check_signature, parse_draft, prepare, read, unseal_draft
from app.client.hands import delegate, undelegate
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.errors import AppError, BadInput, Mismatch
from app.fields import write_record
from app.rules.aggregates import Request
from app.sealing.age import encrypt_bytes
from app.statements.kinds import ReleaseContribution, ReleaseDecision
from app.statements.statement import Signer
from tests.app.client.panel_service import PAPER, Bench, with_panel
from tests.app.client.world_service import keys_of
from tests.app.rules.world import ORIGIN, seed

DAY = 86_400
CLERK = "greffier"


@asynccontextmanager
async def drafting(folder: Path) -> AsyncIterator[tuple[Bench, bytes]]:
    """A request before judge2, who lets a clerk of his prepare for thirty days."""
    async with with_panel(folder) as court:
        court.world.enrol(CLERK, "clerk")
        court.assign("drafted")
        court.deposit(("a.txt", b"evidence"))
        request = await court.released()
        async with court.client("judge2") as judge:
            await delegate(judge, court.case_id, court.world.id(CLERK), ("prepare",), days=30)
        yield court, request


async def draft_of(court: Bench, request: bytes, **how: Any) -> bytes:
    how = {"judge": court.world.id("judge2"), "paper": PAPER, "reason": None, **how}
    async with court.client(how.pop("by", CLERK)) as clerk:
        file, _, _ = await prepare(clerk, request, how.pop("judge"), **how)
    return file


async def refused(court: Bench, file: bytes, request: bytes | None = None, by: str = "judge2") -> str:
    """Why a judge's client takes no draft from this file; nothing is posted."""
    heard = len(court.service.heard)
    async with court.client(by) as judge:
        with pytest.raises(AppError) as caught:
            await read(judge, file, request)
    assert len(court.service.heard) == heard
    return caught.value.code


def sealed(court: Bench, signer: Signer, typ: str = TYP, **changes: Any) -> bytes:
    """A draft as anybody could seal it to judge2."""
    draft = Draft(
        origin=ORIGIN, judge=court.world.id("judge2"), request=bytes(32), decision="grant", reason=None, made_at=1
    )
    text = signer.sign_text(typ, format_json(write_record(replace(draft, **changes)))).encode()
    return encrypt_bytes(text, [keys_of("judge2").notes.recipient], seed_bytes)


def seed_bytes(size: int) -> bytes:
    return (seed("rng of the draft") * (size // 32 + 1))[:size]


async def test_a_clerk_drafts_and_the_judge_grants_by_his_own_word(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request):
        heard = len(court.service.heard)
        file = await draft_of(court, request)
        assert len(court.service.heard) == heard, "a draft is posted nowhere"
        asked = court.world.view.find(Request, request.hex())
        assert asked is not None
        assert asked.decisions == ()
        assert tuple((court.homes / CLERK).rglob("*host*")) == ()
        assert JudgeVault(Vault(Home(court.homes / CLERK), keys_of(CLERK))).grants() == ()
        async with court.client("judge2") as judge:
            prepared = await read(judge, file, None)
            assert (prepared.by.name, prepared.draft.request, prepared.draft.decision) == (CLERK, request, "grant")
            assert len(court.service.heard) == heard, "looking at it decides nothing"
            with pytest.raises(AppError) as caught:
                agree(prepared, "refuse")
            assert caught.value.code == "draft_differs"
            agree(prepared, "grant")
            await Judge(judge).grant(prepared.draft.request, PAPER)
        asked = court.world.view.find(Request, request.hex())
        assert asked is not None
        assert [each.member for each in asked.decisions] == [court.world.id("judge2")]


async def test_a_refusal_is_drafted_with_its_reason_for_the_judge_alone(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request):
        file = await draft_of(court, request, paper=None, reason="The letters are privileged.")
        assert b"privileged" not in file
        assert b"muniment-draft" not in file
        assert await refused(court, file, by="judge3") == "no_matching_key"
        async with court.client("judge2") as judge:
            prepared = await read(judge, file, request)
            agree(prepared, "refuse")
            await Judge(judge).refuse(request, prepared.draft.reason)
        async with court.client("judge3") as other:
            _, words = await Judge(other).docket(request)
        assert words.refusals == (("judge2", "The letters are privileged."),)


async def test_a_draft_that_is_not_for_this_judge_and_request_or_not_by_his_clerk_is_refused(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request):
        file, clerk = await draft_of(court, request), keys_of(CLERK).signer
        assert await refused(court, file, bytes(32)) == "other_request"
        assert await refused(court, sealed(court, clerk, judge=court.world.id("judge3"))) == "other_judge"
        assert await refused(court, sealed(court, clerk, origin="elsewhere.example/log")) == "wrong_ledger"
        assert await refused(court, sealed(court, Signer(bytes(32)), request=request)) == "unknown_key"
        assert await refused(court, sealed(court, clerk)) == "unknown_request"
        for other in ("lawyer1", "judge3", "registrar"):
            foreign = sealed(court, keys_of(other).signer, request=request)
            assert await refused(court, foreign) == "not_delegated", other
        statement = sealed(court, clerk, typ="muniment-statement+jws", request=request)
        assert await refused(court, statement) == "unknown_value"
        own = sealed(court, clerk, request=request, reason="why", decision="grant")
        assert await refused(court, own) == "bad_draft"


async def test_an_altered_draft_is_refused(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request):
        file = await draft_of(court, request)
        assert await refused(court, file[:-1] + bytes([file[-1] ^ 1])) == "bad_payload"
        async with court.client("judge2") as judge:
            head, payload, signature = unseal_draft(file, judge).split(b".")
        # Whoever holds the judge's recipient can seal another text to him; the clerk's signature is for his own.
        other = Signer(bytes(32)).sign_text(TYP, "{}").encode().split(b".")[2]
        swapped = encrypt_bytes(b".".join((head, payload, other)), [keys_of("judge2").notes.recipient], seed_bytes)
        assert signature != other
        assert await refused(court, swapped) == "bad_signature"


async def test_whoever_is_no_clerk_of_his_or_is_no_more_drafts_nothing(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request):
        file = await draft_of(court, request)
        for wrong in ({"judge": court.world.id("judge3")}, {"by": "lawyer1"}, {"by": "clerk"}):
            with pytest.raises(AppError) as caught:
                await draft_of(court, request, **wrong)
            assert caught.value.code == "not_delegated", wrong
        with pytest.raises(AppError) as caught:
            await draft_of(court, request, paper=b"another paper")
        assert caught.value.code == "wrong_document"
        async with court.client("judge2") as judge:
            await undelegate(judge, court.case_id, court.world.id(CLERK))
        assert await refused(court, file) == "not_delegated"


async def test_a_clerk_decides_and_contributes_nothing_by_his_client_or_around_it(tmp_path: Path) -> None:
    async with drafting(tmp_path) as (court, request), court.client(CLERK) as clerk:
        with pytest.raises(AppError) as caught:
            await Judge(clerk).grant(request, PAPER)
        assert caught.value.code == "not_on_panel"
        grant = ReleaseDecision(request=request, decision="grant", contribution=bytes(32), note=None)
        sent = ReleaseContribution(request=request, contribution=bytes(162))
        for claims in (grant, sent):
            with pytest.raises(AppError) as caught:
                await clerk.post(claims)
            assert caught.value.code == "wrong_signer"


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_any_bytes_are_a_draft_or_refused_by_name(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_draft(data)


def checked(text: bytes, key: bytes) -> None:
    parse_draft(text)
    check_signature(text, key)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=80)
def test_one_flipped_bit_is_refused(at: int, bit: int) -> None:
    signer = Signer(bytes(32))
    draft = Draft(origin=ORIGIN, judge="A" * 43, request=bytes(32), decision="refuse", reason="why\n\tso", made_at=5)
    text = signer.sign_text(TYP, format_json(write_record(draft))).encode()
    assert parse_draft(text) == (signer.kid, draft)
    check_signature(text, signer.public)
    at %= len(text)
    flipped = text[:at] + bytes([text[at] ^ (1 << bit)]) + text[at + 1 :]
    with pytest.raises((BadInput, Mismatch)):
        checked(flipped, signer.public)
