"""The service with witnesses: what it publishes, what receipts carry, what a dead or lying witness does to it."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.config import Settings, format_settings, load_settings
from app.errors import BadInput, Unreachable
from app.service.keyfiles import write_seed
from app.service.registry import Registry
from app.statements.statement import parse_leaf
from app.wiring import build
from ledger.collect import MAX_ANSWER_BYTES
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.proof import Proof
from storage.memory import MemoryBlobStore, MemoryRecordStore
from storage.ports import RecordStore
from tests.app.rules.world import ORIGIN, World, founded, peopled, seed
from tests.service.house import House, open_house, terms_of
from tests.witness.serving import cosigner, serving

DEAD = "http://127.0.0.1:9"
KEY = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log"))).key


def policy_text(quorum: str, *urls: str) -> str:
    lines = [f"log {KEY.text}"]
    lines += [f"witness w{number} {cosigner(number).key.text} {url}" for number, url in enumerate(urls, start=1)]
    names = " ".join(f"w{number}" for number in range(1, len(urls) + 1))
    return "\n".join([*lines, f"group g {quorum} {names}", "quorum g"]) + "\n"


@asynccontextmanager
async def watched(
    world: World, quorum: str, *urls: str, records: RecordStore | None = None, pushed: int = 0
) -> AsyncIterator[House]:
    terms = dataclasses.replace(
        terms_of(world),
        witnesses=Policy.parse(policy_text(quorum, *urls)),
        publication_seconds=0.02,
        witness_seconds=0.5,
    )
    async with open_house(world, records, terms=terms, pushed=pushed) as house:
        yield house


async def signers(house: House) -> set[str]:
    text = (await house.call("GET", "checkpoint")).body.decode()
    assert house.registry.terms.witnesses is not None
    return {each.witness for each in house.registry.terms.witnesses.verify(text).cosigners}


async def test_checkpoint_and_receipts_carry_what_the_quorum_gave() -> None:
    world = peopled()
    async with serving([KEY], [cosigner(1)]) as one, serving([KEY], [cosigner(2)]) as two:
        policy = Policy.parse(policy_text("all", one, two))
        async with watched(world, "all", one, two) as house:
            assert await signers(house) == {"w1", "w2"}, "the empty ledger too, before the first request"
            for entry in world.entries:
                house.clock[0] = parse_leaf(entry.leaf).time
                answer = await house.post(entry.statement)
                proof = Proof.parse(answer.json["tlog_proof"])
                found = proof.verify(policy, leaf_hash(answer.json["leaf"].encode()))
                assert (found.quorum_met, found.index, found.unknown_lines) == (True, entry.index, ())
            assert (await signers(house)) == {"w1", "w2"}
            again = await house.post(world.entries[0].statement)
            assert Proof.parse(again.json["tlog_proof"]).index == 0


async def test_a_restart_learns_what_the_witnesses_have() -> None:
    world, records = peopled(), MemoryRecordStore()
    async with serving([KEY], [cosigner(1)]) as one:
        async with watched(world, "all", one, records=records) as house:
            await house.push()
        async with watched(world, "all", one, records=records.reopen()) as house:
            assert await signers(house) == {"w1"}


async def test_a_dead_witness_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = founded()
    with caplog.at_level(logging.WARNING, "muniment.witnesses"):
        async with serving([KEY], [cosigner(1)]) as one, watched(world, "any", one, DEAD) as house:
            await house.push()
            assert await signers(house) == {"w1"}
        async with watched(world, "all", DEAD) as house:
            await house.push()
            assert await signers(house) == set()
    assert any(DEAD in record.getMessage() for record in caplog.records)


async def test_a_line_of_another_key_is_not_published(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "muniment.witnesses"):
        async with serving([KEY], [cosigner(3)]) as wrong, watched(founded(), "all", wrong) as house:
            await house.push()
            assert "w3" not in (await house.call("GET", "checkpoint")).body.decode()
    assert any("no key of this witness" in record.getMessage() for record in caplog.records)


async def huge(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * (MAX_ANSWER_BYTES + 1))


async def elsewhere(_request: web.Request) -> web.Response:
    raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/")


async def garbage(_request: web.Request) -> web.Response:
    return web.Response(body=b"\xff\x00")


async def vast(_request: web.Request) -> web.Response:
    return web.Response(status=409, body=b"9223372036854775807\n", headers={"Content-Type": "text/x.tlog.size"})


@pytest.mark.parametrize("handler", [huge, elsewhere, garbage, vast])
async def test_what_a_hostile_witness_answers_stays_outside(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> None:
    application = web.Application()
    application.router.add_post("/add-checkpoint", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with watched(founded(), "all", f"http://127.0.0.1:{runner.addresses[0][1]}") as house:
            await house.push()
            assert await signers(house) == set()
    finally:
        await runner.cleanup()


async def test_no_second_ledger_of_the_same_key_gets_the_witness() -> None:
    async with serving([KEY], [cosigner(1)]) as one:
        async with watched(peopled(), "all", one) as house:
            await house.push()
            assert await signers(house) == {"w1"}
        rolled_back = founded()
        async with watched(rolled_back, "all", one) as house:
            await house.push()
            assert await signers(house) == set()


async def test_receipts_do_not_wait_for_ever_when_nothing_is_published() -> None:
    async with watched(founded(), "all", DEAD) as house:
        with pytest.raises(Unreachable, match="entry 998 stands"):
            await house.registry.publication.covering(999)


async def test_a_policy_for_another_log_is_refused() -> None:
    text = policy_text("any", DEAD).replace(
        KEY.text, NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32))).key.text
    )
    terms = dataclasses.replace(terms_of(founded()), witnesses=Policy.parse(text))
    with pytest.raises(BadInput, match="for the log key"):
        Registry(terms, MemoryRecordStore(), MemoryBlobStore(), lambda: 0)


async def test_settings_name_the_policy(tmp_path: Path) -> None:
    for name in ("log", "service"):
        write_seed(tmp_path / f"{name}.pem", seed(name))
    settings = Settings(
        origin=ORIGIN,
        genesis=bytes(32),
        host="127.0.0.1",
        port=0,
        records="memory:",
        blobs="memory:",
        log_key=tmp_path / "log.pem",
        service_key=tmp_path / "service.pem",
        published=tmp_path / "published.checkpoint",
        witnesses=tmp_path / "policy.txt",
        publication_milliseconds=50,
    )
    (tmp_path / "muniment.toml").write_text(format_settings(settings, folder=tmp_path))
    assert 'witnesses = "policy.txt"' in (tmp_path / "muniment.toml").read_text()
    assert load_settings(tmp_path / "muniment.toml", {}) == settings
    for bad in (None, b"log x\n", b"\xff"):
        if bad is not None:
            (tmp_path / "policy.txt").write_bytes(bad)
        with pytest.raises(BadInput, match="no C2SP policy"):
            async with build(settings):
                pass
    (tmp_path / "policy.txt").write_text(policy_text("any", DEAD))
    async with asyncio.timeout(20), build(settings) as registry:
        assert registry.terms.witnesses == Policy.parse(policy_text("any", DEAD))
        assert (registry.terms.publication_seconds, registry.terms.witness_seconds) == (0.05, 2.0)
