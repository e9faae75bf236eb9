"""Two processes on one registry, two witnesses, kills at random while four writers write: `make hammer` for longer."""

from pathlib import Path

import pytest

from ledger.errors import Malformed
from ledger.policy import Policy
from ledger.tree import Tree
from ops.hammer.run import hammer
from ops.hammer.verdict import breaches
from ops.hammer.writers import Receipt, Written
from tests.app.client.world_service import checkpoint_of, log_signer
from tests.app.rules.world import World, peopled
from tests.service.test_replicas import receipt_of, tree_of
from tests.witness.serving import cosigner


@pytest.mark.slow
async def test_ten_seconds_of_the_hammer(tmp_path: Path) -> None:
    found = await hammer(tmp_path, seconds=10, writers=4, replicas=2, every=1.5, seed=4, kills=2)
    assert not found.breaches
    assert not found.audit
    assert found.kills >= 2
    assert found.acknowledged > 10
    assert found.entries >= found.acknowledged + 1


POLICY = Policy.parse(f"log {log_signer().key.text}\nquorum none\n")


async def judged(world: World, tree: Tree, written: Written, seen: list[str] | None = None) -> list[str]:
    return await breaches(tree, checkpoint_of(world.entries), POLICY, seen or [], [written])


def written_by(world: World, *indices: int) -> Written:
    receipts: list[Receipt] = [receipt_of(world, index) for index in indices]
    return Written(receipts=receipts, offered=[each.digest for each in receipts])


async def test_the_verdict_sees_each_kind_of_breach() -> None:
    """The hammer's own judge, so that its silence means something."""
    world = peopled()
    tree = tree_of([each.leaf for each in world.entries])
    assert await judged(world, tree, written_by(world, 1, 3, 4), [checkpoint_of(world.entries, 3)]) == []
    assert "another order" in (await judged(world, tree, written_by(world, 3, 1)))[0]
    lost = written_by(world, 1)
    lost.receipts[0] = Receipt(digest=bytes(32), index=1, leaf=lost.receipts[0].leaf, proof=lost.receipts[0].proof)
    assert "proves another entry" in (await judged(world, tree, lost))[0]
    demanding = Policy.parse(f"log {log_signer().key.text}\nwitness w {cosigner(1).key.text}\nquorum w\n")
    alone = await breaches(tree, checkpoint_of(world.entries), demanding, [], [written_by(world, 1)])
    assert ["the policy demands more than []" in each for each in alone] == [True]
    unknown = written_by(world, 1, 2)
    unknown.receipts.clear()
    assert "2 entries stand, 0 were acknowledged" in (await judged(world, tree, unknown))[0]
    fork = peopled().entries[:3]
    fork[2] = world.entries[5]
    found = await judged(
        world, tree, written_by(world), [checkpoint_of(fork), checkpoint_of([*world.entries, fork[0]])]
    )
    assert len(found) == 2
    assert all("no prefix" in each for each in found)
    twice = [*world.entries, world.entries[1]]
    doubled = await breaches(
        tree_of([each.leaf for each in twice]), checkpoint_of(twice), POLICY, [], [written_by(world, 2)]
    )
    assert any("stands twice" in each for each in doubled)
    short = tree_of([each.leaf for each in world.entries[:-1]])
    with pytest.raises(Malformed):
        await judged(world, short, written_by(world, 1))
