"""The client against an honest service, and against ones that lie: each lie is named."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.client.home import Home
from app.client.session import Client, State
from app.errors import AppError, CannotTell, Mismatch, Refused, Unreachable
from app.rules.aggregates import Case, Person
from app.rules.replay import Entry
from app.statements.kinds import Approval, Authority, CaseOpen, MemberEnrol, MemberRevoke
from app.statements.statement import leaf_of, parse_statement
from ledger.cosignature import Ed25519Cosigner
from tests.app.client.world_service import WorldService, checkpoint_of, keys_of, proof_of, trust_of
from tests.app.rules.world import World, founded, fresh, peopled, seed


async def at_once(_seconds: float) -> None:
    return


@asynccontextmanager
async def connected(service: WorldService, home: Path, name: str = "clerk", **changes: Any) -> AsyncIterator[Client]:
    async with service.server() as server:
        trust = changes.pop("trust", None) or trust_of(service.world)
        async with Client(
            Home(home), keys_of(name), trust, str(server.make_url("/")), clock=lambda: service.world.now, pause=at_once
        ) as client:
            yield client


async def refused(what: Callable[[], Awaitable[object]], error: type[AppError] = Mismatch) -> str:
    with pytest.raises(error) as caught:
        await what()
    return caught.value.code


def with_case() -> tuple[World, bytes]:
    world = peopled()
    return world, world.open_case("case", "lawyer1", "lawyer2")


async def test_a_sync_replays_what_the_person_may_see(tmp_path: Path) -> None:
    world, case_id = with_case()
    async with connected(WorldService(world), tmp_path, "lawyer1") as client:
        state = await client.sync()
    assert state.me.name == "lawyer1"
    case = state.view.find(Case, case_id.hex())
    assert case is not None
    assert len(case.parties) == 2
    assert len(state.entries) == len(world.entries)
    assert state.seen == world.seen_now()
    assert state.proof(3) == proof_of(world.entries, 3)


async def test_a_genesis_with_another_authority_than_the_trust_file_is_not_believed(tmp_path: Path) -> None:
    world, _ = with_case()
    trust = trust_of(world)
    own = trust.authority
    for other in (Authority(keys=own.keys, m=1), Authority(keys=(keys_of("crook").signer.public, *own.keys[1:]), m=2)):
        assert other != own
        async with connected(WorldService(world), tmp_path, trust=replace(trust, authority=other)) as client:
            assert await refused(client.sync, CannotTell) == "trust_contradicts"
            assert await refused(client.sync, CannotTell) == "trust_contradicts"
            assert client.state is None


async def test_a_service_cannot_make_a_client_forget_what_it_proved(tmp_path: Path) -> None:
    """It shows a revocation, then denies to know the member, then shows the case without the revocation."""
    world, case_id = with_case()
    member = world.id("lawyer2")
    world.do("registrar", MemberRevoke(member=member, role="party"))
    service = WorldService(world)

    def revoked(state: State) -> bool:
        found = state.view.find(Person, member)
        assert found is not None
        return not found.active

    async with connected(service, tmp_path, "lawyer1") as client:
        assert revoked(await client.sync())
    service.lies["/v1/me"] = 403
    world.open_case("meanwhile")
    async with connected(service, tmp_path, "lawyer1") as client:
        assert revoked(await client.sync())
    del service.lies["/v1/me"]
    service.lies[f"/v1/cases/{case_id.hex()}/statements"] = b'{"statements":[],"more":false}'
    world.open_case("later")
    async with connected(service, tmp_path, "lawyer1") as client:
        assert revoked(await client.sync())


async def test_an_outsider_sees_the_public_part_alone(tmp_path: Path) -> None:
    world, case_id = with_case()
    async with connected(WorldService(world), tmp_path, "nobody") as client:
        state = await client.sync()
    assert state.view.find(Case, case_id.hex()) is None
    assert state.view.find(Person, world.id("clerk")) is not None
    assert state.view.find(Person, world.id("lawyer1")) is None
    with pytest.raises(Refused):
        _ = state.me


async def test_a_second_sync_loads_only_what_is_new_also_in_a_new_process(tmp_path: Path) -> None:
    world, _ = with_case()
    service = WorldService(world)
    async with connected(service, tmp_path) as client:
        await client.sync()
    service.calls.clear()
    async with connected(service, tmp_path) as client:
        await client.sync()
        assert service.calls == ["GET /checkpoint"]
        world.enrol("judge", "judge")
        first = client.state
        state = await client.sync()
        statements = [call for call in service.calls if "/v1/statements/" in call]
        assert len(statements) == 1 + world.m
        assert state.view.find(Person, world.id("judge")) is not None
        assert first is not None
        assert first.view.find(Person, world.id("judge")) is None
        assert len(first.leaves) == first.checkpoint.size


async def test_someone_who_joins_a_case_is_known_afterwards(tmp_path: Path) -> None:
    """His enrolment is older than what was loaded before."""
    world = peopled()
    world.open_case("case", "lawyer1")
    service = WorldService(world)
    async with connected(service, tmp_path, "lawyer1") as client:
        state = await client.sync()
        assert state.view.find(Person, world.id("lawyer2")) is None
        from app.statements.kinds import CaseParty

        world.do("clerk", CaseParty(case_id=fresh("case"), member=world.id("lawyer2"), note=None))
        state = await client.sync()
        assert state.view.find(Person, world.id("lawyer2")) is not None


async def test_post_signs_posts_and_verifies_the_receipt(tmp_path: Path) -> None:
    world = peopled()
    async with connected(WorldService(world), tmp_path) as client:
        receipt = await client.post(CaseOpen(case_id=fresh("new"), note=None))
        assert receipt.index == len(world.entries) - 1
        assert receipt.fresh
        again = await client.submit(receipt.statement)
        assert (again.index, again.fresh) == (receipt.index, False)
        state = await client.confirm(receipt)
        assert state.statement(receipt.statement.digest) == receipt.statement
        code = await refused(lambda: client.post(CaseOpen(case_id=fresh("new"), note=None)), Refused)
        assert code == "id_in_use"


async def test_another_key_that_is_held_signs(tmp_path: Path) -> None:
    world = peopled()
    act = world.do("registrar", world.enrolment("judge", "judge"))
    async with connected(WorldService(world), tmp_path, "authority1") as client:
        await client.sync()
        receipt = await client.post(Approval(act=act.digest), signer=world.signer("authority2"))
        assert receipt.statement.kid == world.id("authority2")


async def test_a_note_is_read_by_its_recipients_and_by_nobody_else(tmp_path: Path) -> None:
    world, _ = with_case()
    service = WorldService(world)
    reader, stranger = keys_of("lawyer1"), keys_of("stranger")
    async with connected(service, tmp_path / "a") as client:
        sha256 = await client.put_note("for your eyes", [], [reader.notes.recipient.format()])
        assert (await client.read_note(sha256)).words == "for your eyes"
    assert b"eyes" not in service.notes[sha256.hex()]
    async with connected(service, tmp_path / "b", "lawyer1") as client:
        assert (await client.read_note(sha256)).words == "for your eyes"
    async with connected(service, tmp_path / "c", "lawyer2") as client:
        assert await refused(lambda: client.read_note(sha256)) == "no_matching_key"
        service.lies[f"/v1/notes/{sha256.hex()}"] = b"something else"
        assert await refused(lambda: client.read_note(sha256)) == "altered_note"
    assert stranger.notes != reader.notes


# Services that lie


async def test_an_older_checkpoint_is_refused_naming_both(tmp_path: Path) -> None:
    world = peopled()
    service = WorldService(world)
    async with connected(service, tmp_path) as client:
        await client.sync()
        service.entries = world.entries[:-1]
        with pytest.raises(Mismatch) as caught:
            await client.sync()
    assert caught.value.code == "checkpoint_older"
    assert f"size {len(world.entries)} " in caught.value.message
    assert f"size {len(world.entries) - 1} " in caught.value.message


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize("cached", [False, True])
async def test_a_fork_is_refused_and_kept(tmp_path: Path, longer: bool, cached: bool) -> None:
    """The same registry told another story after this person had seen the first one."""
    world, twin = peopled(), peopled()
    world.open_case("mine")
    twin.open_case("another", *(["lawyer1"] if longer else []))
    async with connected(WorldService(world), tmp_path) as client:
        before = (await client.sync()).checkpoint
    if not cached:
        for name in ("leaves", "statements", "private.age"):
            (tmp_path / "cache" / name).unlink()
    async with connected(WorldService(twin), tmp_path) as client:
        with pytest.raises(Mismatch) as caught:
            await client.sync()
    assert caught.value.code == "forked"
    assert before.root.hex() in caught.value.message
    (kept,) = (tmp_path / "forks").iterdir()
    assert kept.read_text() == checkpoint_of(twin.entries)
    assert Home(tmp_path).checkpoint() == checkpoint_of(world.entries)


async def test_entries_that_do_not_lead_to_the_root_are_refused(tmp_path: Path) -> None:
    world = peopled()
    service = WorldService(world)
    twin = peopled()
    twin.open_case("more")
    service.lies["/checkpoint"] = checkpoint_of(twin.entries, len(world.entries) + 1).encode()
    service.entries = [*world.entries, world.entries[-1]]
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync) == "bad_entries"
    assert Home(tmp_path).checkpoint() is None


async def test_a_withheld_public_statement_is_named(tmp_path: Path) -> None:
    world = peopled()
    service = WorldService(world)
    digest = parse_statement(world.entries[2].statement).digest.hex()
    service.lies[f"/v1/statements/{digest}"] = 404
    async with connected(service, tmp_path) as client:
        with pytest.raises(Mismatch) as caught:
            await client.sync()
    assert caught.value.code == "statement_withheld"
    assert digest in caught.value.message
    assert "index 2" in caught.value.message


async def test_another_statement_under_a_digest_is_refused(tmp_path: Path) -> None:
    world = peopled()
    service = WorldService(world)
    digest = parse_statement(world.entries[2].statement).digest.hex()
    service.lies[f"/v1/statements/{digest}"] = world.entries[3].statement.encode()
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync) == "altered_statement"


async def test_a_private_statement_at_a_wrong_place_is_refused(tmp_path: Path) -> None:
    world, case_id = with_case()
    service = WorldService(world)
    rows = service.of_case(world.view.find(Case, case_id.hex()))  # type: ignore[arg-type]
    import json

    moved = [{"index": e.index, "leaf": e.leaf, "statement": rows[0].statement} for e in rows]
    service.lies[f"/v1/cases/{case_id.hex()}/statements"] = json.dumps({"statements": moved, "more": False}).encode()
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync) == "leaf_mismatch"
        service.lies.clear()
        assert (await client.sync()).view.find(Case, case_id.hex()) is not None


def lay_down(world: World, text: str) -> None:
    """What a service and its log key can do together: append without asking the rules."""
    world.entries.append(
        Entry(index=len(world.entries), leaf=leaf_of(parse_statement(text), world.now), statement=text)
    )


async def test_a_judge_whom_the_authority_did_not_approve_is_refused(tmp_path: Path) -> None:
    """A registrar and the service together: approvals by keys that the genesis does not name."""
    world = peopled()
    act = world.do("registrar", world.enrolment("judge", "judge"))
    lay_down(world, world.sign("forger", Approval(act=act.digest)).text)
    async with connected(WorldService(world), tmp_path) as client:
        with pytest.raises(Mismatch) as caught:
            await client.sync()
    assert caught.value.code == "replay_refused"
    assert f"index {len(world.entries) - 1}" in caught.value.message


async def test_an_entry_that_is_no_statement_is_refused(tmp_path: Path) -> None:
    """A log key and a service together can append what no rule ever saw."""
    import hashlib

    world = peopled()
    text = "no.statement.here"
    leaf = world.entries[-1].leaf.replace(
        parse_statement(world.entries[-1].statement).digest.hex(), hashlib.sha256(text.encode()).hexdigest()
    )
    leaf = leaf.replace('"private"', '"approval"')
    world.entries.append(Entry(index=len(world.entries), leaf=leaf, statement=text))
    service = WorldService(world)
    service.lies[f"/v1/statements/{hashlib.sha256(text.encode()).hexdigest()}"] = text.encode()
    service.lies["/v1/me"] = 403
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync) == "malformed_statement"


async def test_an_approval_with_a_broken_signature_is_refused(tmp_path: Path) -> None:
    world = peopled()
    act = world.do("registrar", world.enrolment("judge", "judge"))
    good = world.sign("authority1", Approval(act=act.digest)).text
    lay_down(world, good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:])
    async with connected(WorldService(world), tmp_path) as client:
        assert await refused(client.sync) == "replay_refused"


async def test_another_genesis_under_the_same_log_key_is_refused(tmp_path: Path) -> None:
    """The second service of the demo: same origin, same log key, its own authority."""
    world, other = peopled(), founded(m=1)
    assert other.genesis is not None
    async with connected(WorldService(other), tmp_path, trust=trust_of(world)) as client:
        assert await refused(client.sync) == "replay_refused"


async def test_a_checkpoint_by_another_key_or_without_its_quorum_is_refused(tmp_path: Path) -> None:
    world = peopled()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    witness = Ed25519Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(seed("witness")))
    demanding = trust_of(world, more=f"witness w1 {witness.key.text}\n", quorum="w1")
    service = WorldService(world)
    async with connected(service, tmp_path, trust=demanding) as client:
        assert await refused(client.sync, CannotTell) == "quorum_missing"
    service.lies["/checkpoint"] = checkpoint_of(world.entries).replace("= ", "=").replace("A", "B", 1).encode()
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync) in ("malformed", "bad_signature")


async def test_a_receipt_for_something_else_is_refused(tmp_path: Path) -> None:
    world = peopled()
    import json

    service = WorldService(world)
    twin = peopled()
    twin.do("clerk", CaseOpen(case_id=fresh("fork"), note=None))
    async with connected(service, tmp_path) as client:
        statement = await client.sign(CaseOpen(case_id=fresh("new"), note=None))
        honest = json.loads(service.post(statement.text).body)  # type: ignore[arg-type]
        entry = twin.entries[-1]
        for lie in (
            {"digest": "00" * 32},
            {"leaf": entry.leaf},
            {"leaf": "no leaf"},
            {"index": honest["index"] - 1},
            {"tlog_proof": proof_of(twin.entries, entry.index)},
            {"tlog_proof": honest["tlog_proof"].replace("index ", "index 1")},
        ):
            service.lies["/v1/statements"] = json.dumps({**honest, **lie}).encode()
            assert await refused(lambda: client.submit(statement)) == "bad_receipt"


async def test_a_receipt_from_a_fork_is_found_when_it_is_confirmed(tmp_path: Path) -> None:
    world = peopled()
    import json

    service = WorldService(world)
    async with connected(service, tmp_path) as client:
        statement = await client.sign(CaseOpen(case_id=fresh("new"), note=None))
        service.lies["/v1/statements"] = service.post(statement.text).body  # type: ignore[assignment]
        world.entries.pop()
        world.do("clerk", CaseOpen(case_id=fresh("other"), note=None))
        receipt = await client.submit(statement)
        assert json.loads(service.lies["/v1/statements"])["index"] == receipt.index  # type: ignore[arg-type]
        assert await refused(lambda: client.confirm(receipt)) == "bad_receipt"


async def test_a_damaged_cache_costs_a_download_and_nothing_else(tmp_path: Path) -> None:
    world, _ = with_case()
    service = WorldService(world)
    async with connected(service, tmp_path) as client:
        first = await client.sync()
    for name in ("leaves", "statements", "private.age"):
        path = tmp_path / "cache" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    async with connected(service, tmp_path) as client:
        state = await client.sync()
    assert state.entries == first.entries


# The network


async def test_a_service_that_fails_is_asked_again_and_then_named(tmp_path: Path) -> None:
    world = peopled()
    service = WorldService(world, lies={"/checkpoint": 503})
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync, Unreachable) == "unreachable"
    assert service.calls.count("GET /checkpoint") == 4


async def test_an_expired_token_is_renewed(tmp_path: Path) -> None:
    world, _ = with_case()
    service = WorldService(world)
    async with connected(service, tmp_path) as client:
        await client.sync()
        service.tokens.clear()
        assert (await client.api.me()).name == "clerk"
        world.now += 1000
        await client.api.me()
    assert service.calls.count("POST /v1/token") == 3


async def test_an_answer_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    service = WorldService(peopled(), lies={"/checkpoint": b"x" * 1_000_001})
    async with connected(service, tmp_path) as client:
        assert await refused(client.sync, Refused) == "bad_answer"


async def test_enrolment_is_a_private_statement(tmp_path: Path) -> None:
    """A lawyer finds his own enrolment before any case concerns him."""
    world = peopled()
    async with connected(WorldService(world), tmp_path, "lawyer2") as client:
        state = await client.sync()
    assert state.me.role == "party"
    kinds = [parse_statement(each.statement).claims for each in state.entries.values()]
    assert sum(isinstance(each, MemberEnrol) for each in kinds) == 2
