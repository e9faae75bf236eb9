"""The one door: what is taken, what is refused by name, and that a refusal changes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.canonical import b64u_decode, b64u_encode
from app.service.assembly import Offer, WrittenTooLongAgo
from app.statements.kinds import CaseOpen, CaseParty
from app.statements.statement import Seen
from ledger.merkle import leaf_hash
from ledger.policy import Policy
from ledger.proof import Proof
from storage.memory import MemoryRecordStore
from tests.app.rules.world import World, fresh, peopled
from tests.service.house import House, court, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house(peopled()) as found:
        await found.push()
        yield found


def opening(world: World, name: str = "new", **changes: Any) -> Any:
    return world.sign("clerk", CaseOpen(case_id=fresh(name), note=None), **changes)


async def test_a_receipt_proves_its_leaf_under_the_log_key(house: House) -> None:
    statement = opening(house.world)
    answer = await house.post(statement)
    assert answer.status == 201
    found = answer.json
    assert list(found) == ["index", "digest", "leaf", "size", "tlog_proof"]
    assert found["digest"] == statement.digest.hex()
    policy = Policy.parse(f"log {house.registry.log_key.text}\nquorum none\n")
    verified = Proof.parse(found["tlog_proof"]).verify(policy, leaf_hash(found["leaf"].encode()))
    assert (verified.index, verified.checkpoint.size) == (found["index"], found["size"])


async def test_the_same_statement_again_has_the_same_answer(house: House) -> None:
    statement = opening(house.world)
    first = await house.post(statement)
    await house.post(opening(house.world, "another"))
    again = await house.post(statement)
    assert (first.status, again.status) == (201, 200)
    assert {k: first.json[k] for k in ("index", "digest", "leaf")} == {
        k: again.json[k] for k in ("index", "digest", "leaf")
    }
    assert again.json["size"] == first.json["size"] + 1


async def test_posts_at_once_of_one_statement_make_one_entry(house: House) -> None:
    statement = opening(house.world)
    answers = await asyncio.gather(*(house.post(statement) for _ in range(20)))
    assert {answer.json["index"] for answer in answers} == {house.pushed}
    assert [answer.status for answer in answers].count(201) == 1
    assert house.registry.sequencer.size == house.pushed + 1


async def test_of_two_that_conflict_the_second_is_refused_by_name(house: House) -> None:
    two = [opening(house.world, "same"), opening(house.world, "same")]
    answers = await asyncio.gather(*(house.post(each) for each in two))
    assert sorted(answer.status for answer in answers) == [201, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.code == "id_in_use"


async def test_hostile_statements_are_refused_by_name_and_change_nothing(house: House) -> None:
    world = house.world
    good = opening(world)
    head, body, signature = good.text.split(".")
    foreign = opening(world, "x").text.split(".")[2]
    old_seen = Seen(size=1, root=world.facts(1, len(world.entries)).root or b"")

    def payload(text: str) -> str:
        return f"{head}.{b64u_encode(text.encode('utf-8', 'surrogatepass'))}.{signature}"

    plain = '{"aud":"a","kind":"case.open","iat":1,"exp":2,"jti":"' + "00" * 16 + '","seen":'
    cases: list[tuple[str | bytes, int, str]] = [
        (b"", 400, "bad_jws"),
        (b"\xff\xfe", 400, "bad_jws"),
        (b"a.b", 400, "bad_jws"),
        (f"{head}.{body}.{signature}=", 422, "not_base64url"),
        (f"{head}.{body}.{foreign}", 409, "bad_signature"),
        (f"{head}.{body}.{signature}\n", 422, "not_base64url"),
        (b"x" * 131_073, 413, "too_large"),
        (payload("{"), 400, "not_json"),
        (payload("[" * 5000 + "]" * 5000), 400, "too_deep"),
        (payload('{"aud":"a","aud":"b"}'), 400, "duplicate_key"),
        (payload(plain + '{"size":9007199254740992}}'), 422, "integer_out_of_range"),
        (payload(plain + '{"size":1.0}}'), 400, "not_json"),
        (payload(plain + '{"size":NaN}}'), 400, "not_json"),
        (payload('{"aud": "a"}'), 400, "not_canonical"),
        (f"{head}.{b64u_encode(bytes([0xC0, 0x80]))}.{signature}", 400, "not_utf8"),
        (payload("{}"), 422, "bad_field"),
        (world.sign("stranger", CaseOpen(case_id=fresh("s"), note=None)).text, 409, "unknown_signer"),
        (world.sign("lawyer1", CaseOpen(case_id=fresh("s"), note=None)).text, 409, "wrong_signer"),
        (opening(world, aud="ledger.example/other").text, 409, "wrong_ledger"),
        (opening(world, exp=world.now).text, 409, "expired"),
        (opening(world, iat=world.now + 301, exp=world.now + 900).text, 409, "from_the_future"),
        (opening(world, seen=Seen(size=3, root=bytes(32))).text, 409, "seen_unknown"),
        (opening(world, seen=Seen(size=10_000, root=bytes(32))).text, 409, "seen_unknown"),
        (world.entries[0].statement.replace(".", "..", 1), 400, "bad_jws"),
    ]
    kept = await _records(house)
    for text, status, code in cases:
        answer = await house.post(text)
        assert (answer.status, answer.code) == (status, code), text[:80]
    assert await _records(house) == kept
    world.now = house.clock[0] = world.now + 2 * 86_400
    await house.post(opening(world, "fresh", seen=world.seen_now()))  # supersedes every size before
    house.clock[0] += 86_401
    stale = await house.post(opening(world, "stale", iat=house.clock[0], exp=house.clock[0] + 60, seen=old_seen))
    assert (stale.status, stale.code) == (409, "seen_too_old")
    assert house.registry.sequencer.size == house.pushed + 1


async def _records(house: House) -> dict[str, dict[str, bytes]]:
    store = house.registry.records
    assert isinstance(store, MemoryRecordStore)
    return {kind: {id: each.data for id, each in found.items()} for kind, found in store._kinds.items()}


async def test_a_weak_key_and_an_unknown_kind_are_refused(house: House) -> None:
    world = house.world
    enrol = world.sign("registrar", world.enrolment("x", "party")).text
    head, body, signature = enrol.split(".")
    text = b64u_decode(body, "body").decode()
    good = b64u_encode(world.signer("x").public)
    weak = text.replace(good, b64u_encode(bytes([1]) + bytes(31)))
    assert weak != text
    answer = await house.post(f"{head}.{b64u_encode(weak.encode())}.{signature}")
    assert (answer.status, answer.code) == (422, "weak_key")
    unknown = text.replace("member.enrol", "member.crown")
    answer = await house.post(f"{head}.{b64u_encode(unknown.encode())}.{signature}")
    assert (answer.status, answer.code) == (422, "unknown_kind")


async def test_an_empty_registry_takes_only_its_genesis() -> None:
    world = peopled()
    async with open_house(world) as house:
        assert (await house.post(world.entries[1].statement)).code == "not_founded"
        assert (await house.call("GET", "/v1/me")).code == "unauthorized"
        assert (await house.post(world.entries[0].statement)).status == 201
        assert (await house.post(world.entries[0].statement)).status == 200


async def test_time_never_decreases_from_leaf_to_leaf(house: House) -> None:
    house.clock[0] += 1000
    later = await house.post(opening(house.world, "a", exp=house.clock[0] + 600))
    house.clock[0] -= 900
    earlier = await house.post(opening(house.world, "b", exp=house.clock[0] + 5000))
    assert earlier.json["leaf"].split('"time":')[1][:10] == later.json["leaf"].split('"time":')[1][:10]


async def test_a_sealed_note_must_be_stored_before_the_statement_that_names_it(house: House) -> None:
    note = b"age-encryption.org/v1\nwords"
    name = hashlib.sha256(note).digest()
    claims = CaseOpen(case_id=fresh("noted"), note=name)
    statement = house.world.sign("clerk", claims)
    assert (await house.post(statement)).code == "note_missing"
    stored = await house.call("PUT", f"/v1/notes/{name.hex()}", note, by="clerk")
    assert stored.status == 201
    assert (await house.call("PUT", f"/v1/notes/{name.hex()}", note, by="clerk")).status == 200
    assert (await house.post(statement)).status == 201
    party = CaseParty(case_id=claims.case_id, member=house.world.id("lawyer1"), note=None)
    joined = house.world.sign("clerk", party, seen=replace(statement.envelope.seen))
    assert (await house.call("GET", f"/v1/notes/{name.hex()}", by="lawyer1")).code == "forbidden"
    assert (await house.post(joined)).status == 201
    assert (await house.call("GET", f"/v1/notes/{name.hex()}", by="lawyer1")).body == note
    assert (await house.call("GET", f"/v1/notes/{name.hex()}", by="lawyer2")).code == "forbidden"
    assert (await house.call("GET", f"/v1/notes/{name.hex()}")).code == "unauthorized"
    assert (await house.call("PUT", f"/v1/notes/{name.hex()}", note + b"!", by="clerk")).code == "digest_mismatch"
    big = b"age-encryption.org/v1\n" + bytes(65_536)
    assert (await house.call("PUT", f"/v1/notes/{'00' * 32}", big, by="clerk")).status == 413


async def test_a_whole_court_is_taken_with_exactly_the_leaves_that_the_rules_give() -> None:
    release = court()
    async with open_house(release.world) as house:
        await house.push()
        assert house.registry.projections.size == len(release.world.entries)


async def test_no_batch_names_a_statement_that_was_written_more_than_an_hour_ago(house: House) -> None:
    """Offered straight to the sequencer, as after a long wait in its queue; the door writes again and goes on."""
    statement = opening(house.world)
    registry, size = house.registry, house.registry.sequencer.size
    written = await registry.statements.write(statement, house.clock[0] - 3601)
    with pytest.raises(WrittenTooLongAgo):
        await registry.sequencer.submit(Offer(statement=statement, written=written))
    assert registry.sequencer.size == size
    assert (await house.post(statement)).status == 201
    record = await registry.records.get("statement", statement.digest.hex())
    assert record is not None
    assert record.revision == 2
