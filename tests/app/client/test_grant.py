"""Decisions: a judge grants what he checked, and his contribution never leaves before the proven grant."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.canonical import b64u_encode
from app.cli.commands import decide
from app.client.docket import check_document, document_hash, examine
from app.client.duties import DutyKind
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.release import progress_of
from app.errors import AppError, CannotTell, Mismatch, Refused
from app.panels.errors import PanelError
from app.rules.aggregates import Person, Request
from app.rules.replay import Entry
from app.rules.view import WholeView
from app.statements.keys import thumbprint
from app.statements.kinds import CaseAssign, MemberRevoke, ReleaseOpening
from app.statements.statement import parse_statement
from ledger.checkpoint import Checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Note
from ledger.proof import Proof
from tests.app.client.panel_service import PAPER, Bench, with_panel
from tests.app.client.world_service import keys_of, trust_of
from tests.app.rules.world import Release, ready_to_release, seed

ASKER = "lawyer2"


@asynccontextmanager
async def asked(tmp_path: Path) -> AsyncIterator[tuple[Bench, bytes]]:
    """A panel of 2 of 3, a deposit, an order and a request."""
    async with with_panel(tmp_path) as court:
        court.deposit(("a.txt", b"evidence"))
        yield court, await court.released()


def kept_grant(court: Bench, judge: str, request: bytes) -> bytes:
    made = JudgeVault(Vault(Home(court.homes / judge), keys_of(judge))).grant(request)
    assert made is not None
    return made.contribution


def left_the_machine(court: Bench, contribution: bytes) -> bool:
    """Whether the contribution, in any form that a request can carry, is in a body that the service got."""
    forms = (contribution, b64u_encode(contribution).encode(), contribution.hex().encode())
    texts = list(court.service.bodies)
    for body in court.service.bodies:
        try:
            texts.append(repr(parse_statement(body).claims).encode())
        except AppError:
            continue
    return any(form in text for text in texts for form in (*forms, repr(contribution).encode()))


async def test_a_grant_is_proven_and_then_the_contribution_leaves(tmp_path: Path) -> None:
    async with asked(tmp_path) as (court, request):
        async with court.client("judge2") as client:
            judge = Judge(client)
            inbox = await judge.inbox()
            assert [(each.kind, each.subject) for each in inbox.duties] == [(DutyKind.DECIDE, request)]
            assert await judge.act() == ()
            docket, words = await judge.docket(request)
            assert (docket.requester.name, docket.k, docket.index, docket.decided) == (ASKER, 2, 2, ())
            assert docket.presiding is not None
            assert docket.presiding.name == "judge1"
            assert words.faults == ()
            granted, sent = await judge.grant(request, PAPER)
        assert granted is not None
        assert granted.index < sent.index
        (decision,) = court.service.claims_heard("release.decision")
        (contribution,) = court.service.claims_heard("release.contribution")
        assert decision.contribution == hashlib.sha256(contribution.contribution).digest()
        # The registry, which held the grant, loaded nothing of the contribution before it.
        first = next(i for i, text in enumerate(court.service.heard) if parse_statement(text).claims == decision)
        second = next(i for i, text in enumerate(court.service.heard) if parse_statement(text).claims == contribution)
        assert first < second
        assert left_the_machine(court, contribution.contribution)
        async with court.client("judge2") as client:
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
            assert caught.value.code == "already_decided"
        assert len(court.service.claims_heard("release.decision")) == 1
        found = court.world.view.find(Request, request.hex())
        assert found is not None
        assert len(found.state.contributions) == 1


async def test_the_wrong_paper_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    async with asked(tmp_path) as (court, request):
        async with court.client("judge2") as client:
            with pytest.raises(Mismatch) as caught:
                await Judge(client).grant(request, PAPER + b" and lawyer1")
        assert caught.value.code == "wrong_document"
        assert court.service.claims_heard("release.decision") == []
        assert JudgeVault(Vault(Home(court.homes / "judge2"), keys_of("judge2"))).grant(request) is None


async def test_a_ledger_that_hides_the_grant_gets_no_contribution(tmp_path: Path) -> None:
    """The service admits the grant, gives a good receipt, and shows a ledger without it."""
    async with asked(tmp_path) as (court, request):
        court.service.hidden_after = "release.decision"
        async with court.client("judge2") as client:
            with pytest.raises(Mismatch) as caught:
                await Judge(client).grant(request, PAPER)
        assert caught.value.code in ("checkpoint_older", "bad_receipt")
        contribution = kept_grant(court, "judge2", request)
        # However often he comes back, as long as the grant is hidden.
        assert [each.fault.code for each in await court.act("judge2") if each.fault] != []
        assert not left_the_machine(court, contribution)
        assert court.service.claims_heard("release.contribution") == []
        court.service.hidden_after, court.service.entries = None, None
        assert await court.acts("judge2") == ["release.contribution"]
        assert court.service.claims_heard("release.contribution")[0].contribution == contribution


@pytest.mark.parametrize("where", ["receipt", "checkpoint"])
async def test_a_grant_without_the_quorum_of_the_judges_policy_gets_no_contribution(tmp_path: Path, where: str) -> None:
    """A witness that his trust file demands cosigned everything until the grant, and not the grant."""
    async with asked(tmp_path) as (court, request):
        witness = Ed25519Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(seed("witness")))
        demanding = trust_of(court.world, more=f"witness w1 {witness.key.text}\n", quorum="w1")
        service: Any = court.service
        until = len(court.world.entries)
        honest = {"receipt": False, "checkpoint": False}

        answer = service.route

        def route(asked_for: web.Request, parts: list[str], body: bytes) -> web.Response:
            found: web.Response = answer(asked_for, parts, body)
            if parts == ["checkpoint"] and (len(service.shown) <= until or where != "checkpoint" or honest[where]):
                return web.Response(text=with_witness(witness, found.text or "", court.world.now))
            if parts == ["v1", "statements"] and found.status in (200, 201):
                data = json.loads(found.text or "")
                if where != "receipt" or honest[where]:
                    proof = Proof.parse(data["tlog_proof"])
                    signed = with_witness(witness, proof.checkpoint, court.world.now)
                    data["tlog_proof"] = replace(proof, checkpoint=signed).format()
                return web.json_response(data, status=found.status)
            return found

        service.route = route
        async with court.client("judge2", trust=demanding) as client:
            with pytest.raises((CannotTell, Mismatch)) as caught:
                await Judge(client).grant(request, PAPER)
        assert caught.value.code in ("quorum_missing", "bad_receipt")
        assert len(court.service.claims_heard("release.decision")) == 1
        assert not left_the_machine(court, kept_grant(court, "judge2", request))
        assert court.service.claims_heard("release.contribution") == []
        honest[where] = True
        async with court.client("judge2", trust=demanding) as client:
            done = await Judge(client).act()
        assert [(each.said, each.fault) for each in done] == [("release.contribution", None)]
        assert len(court.service.claims_heard("release.decision")) == 1


def with_witness(witness: Ed25519Cosigner, signed: str, now: int) -> str:
    """A signed checkpoint with the witness's line under it."""
    note = Note.parse(signed)
    line = witness.cosign(Checkpoint.parse_body(note.text), now)
    return replace(note, signatures=(*note.signatures, line)).format()


@pytest.mark.parametrize("kind", ["release.decision", "release.contribution"])
@pytest.mark.parametrize("arrives", [False, True])
async def test_a_grant_cut_off_anywhere_ends_with_one_decision_and_one_contribution(
    tmp_path: Path, kind: str, arrives: bool
) -> None:
    async with asked(tmp_path) as (court, request):
        (court.service.unanswered if arrives else court.service.lost).add(kind)
        async with court.client("judge2") as client:
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
        assert caught.value.code == "lost"
        contribution = kept_grant(court, "judge2", request)
        court.service.lost.clear()
        court.service.unanswered.clear()
        said = await court.acts("judge2")
        assert said == ([] if arrives and kind == "release.contribution" else ["release.contribution"])
        assert await court.acts("judge2") == []
        found = court.world.view.find(Request, request.hex())
        assert found is not None
        assert [each.judge for each in found.decisions] == [2]
        assert found.state.contributions == ((2, contribution),)
        sent = {each.contribution for each in court.service.claims_heard("release.contribution")}
        assert sent == {contribution}
        assert JudgeVault(Vault(Home(court.homes / "judge2"), keys_of("judge2"))).grant(request) is None


async def test_a_grant_that_was_begun_is_not_turned_into_a_refusal(tmp_path: Path) -> None:
    async with asked(tmp_path) as (court, request):
        court.service.lost.add("release.decision")
        async with court.client("judge2") as client:
            with pytest.raises(Refused):
                await Judge(client).grant(request, PAPER)
            court.service.lost.clear()
            with pytest.raises(Refused) as caught:
                await Judge(client).refuse(request, None)
        assert caught.value.code == "grant_begun"


async def test_a_refusal_tells_its_reason_to_the_case_alone(tmp_path: Path) -> None:
    async with asked(tmp_path) as (court, request):
        async with court.client("judge3") as client:
            await Judge(client).refuse(request, "The order names no date.")
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
            assert caught.value.code == "already_decided"
        (decision,) = court.service.claims_heard("release.decision")
        assert decision.note is not None
        async with court.client(ASKER) as client:
            assert (await client.read_note(decision.note)).words == "The order names no date."
        async with court.client("judge5") as outsider:
            await outsider.sync()
            with pytest.raises(Mismatch):
                await outsider.read_note(decision.note)
        assert all(b"names no date" not in body for body in court.service.bodies)


async def test_disclosures_of_a_requester_are_shown_and_false_ones_named(tmp_path: Path) -> None:
    from app.client.release import order, request

    async with with_panel(tmp_path) as court:
        first = court.deposit(("contract.pdf", b"evidence"), name="first")
        second = court.deposit(("photo.jpg", b"other"), name="second")
        async with court.client("judge1") as presiding:
            ordered = await order(
                presiding,
                case_id=court.case_id,
                deposits=[first.deposit_id, second.deposit_id],
                recipients=[court.world.id(ASKER)],
                paper=PAPER,
                words="Both are needed on Monday.",
            )
        names = tuple(each for each in first.disclosures if each.slot in ("name", "description"))
        requests = []
        async with court.client(ASKER) as lawyer:
            for each in (first, second):
                receipt = await request(
                    lawyer,
                    order=ordered.statement.digest,
                    deposit_id=each.deposit_id,
                    words="For the hearing.",
                    disclosures=names,
                )
                requests.append(receipt.statement.digest)
        async with court.client("judge2") as client:
            _, words = await Judge(client).docket(requests[0])
            assert (words.order, words.request) == ("Both are needed on Monday.", "For the hearing.")
            assert {(each.item, each.slot, each.value) for each in words.shown} == {
                (1, "name", "contract.pdf"),
                (None, "description", "what it is"),
            }
            _, words = await Judge(client).docket(requests[1])
        assert [each.code for each in words.faults] == ["disclosure_mismatch"]
        assert words.shown == ()


async def test_the_docket_names_who_signed_the_order_and_not_who_presides_since(tmp_path: Path) -> None:
    """A clerk cannot put an order into the mouth of a judge by naming him after another one signed it."""
    async with asked(tmp_path) as (court, request):
        world = court.world
        world.do("clerk", CaseAssign(case_id=court.case_id, panel_id=court.panel_id, presiding=world.id("judge3")))
        async with court.client("judge2") as client:
            docket, words = await Judge(client).docket(request)
        assert docket.presiding is not None
        assert (docket.ordered_by.name, docket.presiding.name) == ("judge1", "judge3")
        lines = "\n".join(decide._lines(decide._document(docket, words)))
        assert f"signed by judge1 ({world.id('judge1')})" in lines
        assert "who presides now is another: judge3" in lines


async def test_a_requester_whose_key_was_replaced_is_shown_with_the_key_that_counts(tmp_path: Path) -> None:
    """A registrar can replace a party's key alone: the judge compares the key with the court's paper, not a name."""
    async with asked(tmp_path) as (court, request):
        async with court.client("judge2") as client:
            docket, words = await Judge(client).docket(request)
        own = thumbprint(docket.requester.key)
        lines = "\n".join(decide._lines(decide._document(docket, words)))
        assert own == docket.requester.id
        assert f"his key {own}" in lines
        assert "BEWARE" not in lines
        key = court.world.signer("the registrar's").public
        docket = replace(docket, requester=replace(docket.requester, key=key))
        lines = "\n".join(decide._lines(decide._document(docket, words)))
        assert f"his key {thumbprint(key)}" in lines
        assert "BEWARE: it is not the key that he was enrolled with" in lines


async def test_what_changed_while_the_grant_was_logged_keeps_the_contribution_here(tmp_path: Path) -> None:
    """The recipient is revoked between the judge's look and his grant: the ledger that shows the grant shows that."""
    async with asked(tmp_path) as (court, request):
        service: Any = court.service
        post = service.post

        def revoking(text: str) -> web.Response:
            found: web.Response = post(text)
            if parse_statement(text).kind == "release.decision":
                asker = court.world.view.find(Person, court.world.id(ASKER))
                assert asker is not None
                court.world.do("registrar", MemberRevoke(member=asker.id, role=asker.role))
            return found

        service.post = revoking
        async with court.client("judge2") as client:
            with pytest.raises(Refused) as caught:
                await Judge(client).grant(request, PAPER)
        assert caught.value.code == "unknown_member"
        assert len(court.service.claims_heard("release.decision")) == 1
        assert court.service.claims_heard("release.contribution") == []
        assert not left_the_machine(court, kept_grant(court, "judge2", request))


# The same checks against states that no honest replay makes: as if every rule of the registry had failed.


@pytest.fixture
def ready() -> Release:
    release = ready_to_release()
    release.ask()
    return release


def tampered(release: Release, **changes: Any) -> WholeView:
    view = WholeView(release.world.view.aggregates.values())
    assert release.request is not None
    found = view.find(Request, release.request.digest.hex())
    assert found is not None
    view.evolve([replace(found, **changes)])
    return view


def looked_at(release: Release, view: WholeView, judge: str = "judge2") -> Any:
    assert release.request is not None
    return examine(view, release.world.id(judge), release.request.digest, release.world.now)


def test_the_docket_names_what_it_checked(ready: Release) -> None:
    docket = looked_at(ready, ready.world.view)
    assert (docket.index, docket.k, docket.requester.name) == (2, 2, "lawyer2")
    check_document(replace(docket, order=replace(docket.order, document=document_hash(PAPER))), document_hash(PAPER))
    with pytest.raises(Mismatch):
        check_document(docket, document_hash(PAPER))


def test_a_requester_swapped_by_the_service_is_refused(ready: Release) -> None:
    world = ready.world
    with pytest.raises(Refused) as caught:
        looked_at(ready, tampered(ready, recipient=world.id("lawyer1")))
    assert caught.value.code == "requester_not_authorised"
    # The member whom the order names, with the request of another person under his name.
    assert ready.request is not None
    found = world.view.find(Request, ready.request.digest.hex())
    assert found is not None
    from app.panels.request import parse_request

    forged = parse_request(ready.message("lawyer1", sk="another"))
    release = replace(found.state.release, request=forged)
    with pytest.raises(Refused) as caught:
        looked_at(ready, tampered(ready, state=replace(found.state, release=release)))
    assert caught.value.code == "requester_not_authorised"
    lawyer = world.view.find(Person, world.id("lawyer2"))
    assert lawyer is not None
    view = WholeView(world.view.aggregates.values())
    view.evolve([replace(lawyer, key=world.signer("lawyer1").public)])
    with pytest.raises(Refused) as caught:
        looked_at(ready, view)
    assert caught.value.code == "requester_not_authorised"


def test_another_order_or_capsule_under_the_request_is_refused(ready: Release) -> None:
    world = ready.world
    assert ready.order is not None
    with pytest.raises(Refused) as caught:
        looked_at(ready, tampered(ready, order=bytes(32)))
    assert caught.value.code == "wrong_order"
    other = world.do("judge1", replace(ready.order_claims(), document=bytes(32)))
    with pytest.raises(PanelError) as panel_error:
        looked_at(ready, tampered(ready, order=other.digest))
    assert panel_error.value.code == "wrong_order"
    from tests.app.rules.world import sealed

    second = sealed(world, ready.ceremony, ready.case_id, "second")
    world.do("lawyer1", second.claims)
    with pytest.raises(Refused) as caught:
        looked_at(ready, tampered(ready, deposit_id=second.claims.deposit_id))
    assert caught.value.code == "wrong_order"
    with pytest.raises(Refused) as caught:
        looked_at(ready, world.view, "lawyer1")
    assert caught.value.code == "not_on_panel"


def test_an_old_request_played_again_is_refused(ready: Release) -> None:
    world = ready.world
    for judge in ("judge1", "judge2"):
        world.do(judge, ready.grant(judge))
        world.do(judge, ready.contribute(judge))
    world.do("service", ready.access())
    assert ready.request is not None
    world.do("lawyer2", ReleaseOpening(request=ready.request.digest, outcome="opened", items=("equal",)))
    with pytest.raises(Refused) as caught:
        looked_at(ready, world.view, "judge3")
    assert caught.value.code == "request_ended"
    with pytest.raises(PanelError) as panel_error:
        looked_at(ready, tampered_epoch(ready), "judge3")
    assert panel_error.value.code == "wrong_epoch"


def tampered_epoch(release: Release) -> WholeView:
    assert release.request is not None
    found = release.world.view.find(Request, release.request.digest.hex())
    assert found is not None
    return tampered(release, epoch_id=bytes(32), state=replace(found.state, ended=False))


async def test_a_service_that_shows_an_old_request_once_more_is_found_out(tmp_path: Path) -> None:
    """The request's own statement again, at a new index: the replay refuses the ledger, and the judge sends nothing."""
    async with asked(tmp_path) as (court, request):
        async with court.client(ASKER):
            entry = next(each for each in court.world.entries if parse_statement(each.statement).digest == request)
        again = Entry(index=len(court.world.entries), leaf=entry.leaf, statement=entry.statement)
        court.service.entries = [*court.world.entries, again]
        async with court.client("judge2") as client:
            with pytest.raises(Mismatch):
                await Judge(client).grant(request, PAPER)
        assert court.service.claims_heard("release.decision") == []


async def test_a_judge_who_recused_himself_sends_nothing_that_he_had_begun(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        court.deposit(("a.txt", b"evidence"))
        asked = await court.released()
        court.service.lost.add("release.contribution")
        async with court.client("judge3") as client:
            with pytest.raises(AppError) as caught:
                await Judge(client).grant(asked, PAPER)
            assert caught.value.code == "lost"
        assert len(JudgeVault(Vault(Home(court.homes / "judge3"), keys_of("judge3"))).grants()) == 1
        court.service.lost.clear()
        async with court.client("judge3") as client:
            await Judge(client).recuse(court.case_id, "He is my cousin.")
        assert await court.acts("judge3") == []
        assert JudgeVault(Vault(Home(court.homes / "judge3"), keys_of("judge3"))).grants() == ()
        async with court.client("judge3") as client:
            with pytest.raises(Refused) as refused:
                await Judge(client).grant(asked, PAPER)
            assert refused.value.code == "recused"
        assert len(court.service.claims_heard("release.contribution")) == 1
        async with court.client("lawyer2") as lawyer:
            found = progress_of((await lawyer.sync()).view, asked)
        assert (found.granted, found.silent, found.recused) == ((), ("judge1", "judge2"), ("judge3",))
        async with court.client("judge2") as client:
            with pytest.raises(AppError) as caught:
                await Judge(client).recuse(court.case_id, None)
            assert caught.value.code == "too_few_judges"
            await Judge(client).grant(asked, PAPER)
