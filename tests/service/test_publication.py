"""Publication without witnesses: on the cadence, and every receipt has the proof of a published checkpoint."""

import asyncio
from dataclasses import fields

from app.config import Settings
from app.service.registry import Terms
from app.statements.kinds import CaseOpen
from ledger.checkpoint import Checkpoint
from ledger.merkle import leaf_hash
from ledger.policy import Policy
from ledger.proof import Proof
from tests.app.client.world_service import log_signer
from tests.app.rules.world import fresh, peopled
from tests.service.house import House, open_house


def test_the_cadence_is_a_second_wherever_none_is_set() -> None:
    defaults = {each.name: each.default for each in (*fields(Settings), *fields(Terms))}
    assert (defaults["publication_milliseconds"], defaults["publication_seconds"]) == (1000, 1)


async def shown(house: House) -> int:
    return Checkpoint.parse_signed((await house.call("GET", "checkpoint")).body.decode()).size


async def test_answers_wait_for_the_checkpoint_that_covers_them() -> None:
    world = peopled()
    policy = Policy.parse(f"log {log_signer().key.text}\nquorum none\n")
    async with open_house(world) as house:
        await house.push()
        size = await shown(house)
        assert size == len(world.entries)
        await house.registry.publication.close()  # the next moment of the cadence does not come
        statements = [world.sign("clerk", CaseOpen(case_id=fresh(f"case {n}"), note=None)) for n in range(3)]
        posts = [asyncio.create_task(house.post(each)) for each in statements]
        await house.registry.sequencer.wait_for(size + 3)
        assert await shown(house) == size, "signed is not published"
        assert not any(post.done() for post in posts)
        await house.registry.publication.start()
        answers = await asyncio.gather(*posts)
        assert [answer.status for answer in answers] == [201] * 3
        assert sorted(answer.json["index"] for answer in answers) == [size, size + 1, size + 2]
        for statement, answer in zip(statements, answers, strict=True):
            proof = Proof.parse(answer.json["tlog_proof"])
            assert proof.verify(policy, leaf_hash(answer.json["leaf"].encode())).checkpoint.size == size + 3
            again = await house.post(statement)
            assert (again.status, again.json["index"]) == (200, answer.json["index"])
        assert await shown(house) == size + 3, "no news, no new checkpoint"
