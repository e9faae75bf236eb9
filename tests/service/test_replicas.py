"""Two services on one store: neither leads, each may fall behind, and a reader may go from one to the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from app.client.leaves import Leaves
from app.service.audit import Audit
from app.statements.kinds import CaseOpen, CaseParty
from app.statements.statement import digest_of
from ledger.batch import next_batch
from ledger.checkpoint import Checkpoint
from ledger.merkle import EMPTY_FRONTIER
from ledger.note import Note
from ledger.proof import Proof
from ledger.tiles import Bundle, decode_bundle
from ledger.tree import Tree
from ops.hammer.writers import Receipt
from storage.memory import MemoryBlobStore, MemoryRecordStore
from storage.ports import Record
from tests.app.client.world_service import checkpoint_of
from tests.app.rules.world import ORIGIN, World, fresh, peopled
from tests.ledger.stores import DictStore
from tests.service.house import House, open_house


def tree_of(leaves: Sequence[str]) -> Tree:
    store = DictStore()
    store.batches[0] = next_batch(EMPTY_FRONTIER, [each.encode() for each in leaves]).encode()
    return Tree(store)


def receipt_of(world: World, index: int) -> Receipt:
    """The receipt that an entry of the world would have got at the world's size."""
    entry, size = world.entries[index], len(world.entries)
    path = Leaves(each.leaf for each in world.entries).path(index, size)
    proof = Proof(index=index, path=path, checkpoint=checkpoint_of(world.entries))
    return Receipt(digest=digest_of(entry.statement), index=index, leaf=entry.leaf, proof=proof)


@asynccontextmanager
async def two(world: World) -> AsyncIterator[tuple[House, House, MemoryRecordStore]]:
    """Two services on one store, whose upkeep rests (its period is an hour)."""
    records, blobs = MemoryRecordStore(), MemoryBlobStore()
    async with open_house(world, records, blobs) as one, open_house(world, records, blobs) as other:
        yield one, other, records
        assert world.genesis is not None
        audit = Audit(records, blobs, origin=ORIGIN, genesis=world.genesis.digest)
        assert [each async for each in audit.findings()] == []


async def test_one_that_fell_many_batches_behind_on_the_same_case_goes_on() -> None:
    world = peopled()
    async with two(world) as (one, other, _):
        await one.push()
        assert (await other.post(world.entries[0].statement)).status == 200
        await other.registry.publication.close()  # nor does the cadence make it look
        case_id = world.open_case("case", "lawyer1")
        await one.push()
        assert other.registry.projections.size < len(world.entries)
        joins = world.sign("clerk", CaseParty(case_id=case_id, member=world.id("lawyer2"), note=None))
        posting = asyncio.create_task(other.post(joins))
        await other.registry.sequencer.wait_for(len(world.entries) + 1)
        await other.registry.publication.start()
        answer = await posting
        assert answer.status == 201, answer.body
        assert answer.json["index"] == len(world.entries)
        assert (await one.post(joins)).json["index"] == len(world.entries), "the same entry from either"


async def test_turn_by_turn_on_one_case() -> None:
    """Each changes what the other has just changed, so that neither ever decides on what it remembers."""
    world = peopled()
    for number in range(4):
        world.enrol(f"guest{number}", "depositor")
    case_id = world.open_case("case")
    async with two(world) as (one, other, _):
        await one.push()
        for number in range(4):
            world.do("clerk", CaseParty(case_id=case_id, member=world.id(f"guest{number}"), note=None))
            house = (one, other)[number % 2]
            house.pushed = len(world.entries) - 1
            house.clock[0] = world.now
            await house.push()


async def test_a_reader_may_go_from_one_to_the_other_at_once() -> None:
    world = peopled()
    async with two(world) as (one, other, _):
        await one.push()
        size = len(world.entries)
        bundle = Bundle(index=0, width=size)
        answer = await other.call("GET", bundle.path)
        assert decode_bundle(answer.body, size) == tuple(each.leaf.encode() for each in world.entries)
        world.open_case("case")
        one.pushed = size
        await one.push()
        text = (await other.call("GET", "checkpoint")).body.decode()
        assert Checkpoint.parse_body(Note.parse(text).text).size == len(world.entries)
        world.open_case("another")
        await one.push()
        digest = digest_of(world.entries[-1].statement).hex()
        proof = await other.call("GET", f"v1/proofs/{digest}", by="clerk")
        assert proof.json["index"] == len(world.entries) - 1
        assert (await other.call("GET", Bundle(index=0, width=len(world.entries) + 1).path)).status == 404


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_that_contradict_each_other_one_is_refused_wherever_they_come(first: int) -> None:
    world = peopled()
    async with two(world) as houses:
        await houses[0].push()
        case_id = fresh("contested")
        claims = CaseOpen(case_id=case_id, note=None)
        one, other = world.sign("clerk", claims), world.sign("registrar", claims)
        assert (await houses[first].post(one)).status == 201
        assert (await houses[1 - first].post(other)).code == "id_in_use"
        assert (await houses[1 - first].post(one)).status == 200


class Overtaken(MemoryRecordStore):
    """Lets something happen right after one record was looked for and not found."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def get(self, kind: str, id: str) -> Record | None:
        found = await super().get(kind, id)
        if kind == "entry" and found is None and self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        return found


async def test_what_another_one_admits_at_this_very_moment_is_not_refused_for_being_there() -> None:
    """As the hammer found it: an answer was lost, and the second sending met the first one half way."""
    world = peopled()
    records, blobs = MemoryRecordStore(), MemoryBlobStore()
    view = Overtaken()
    view._kinds = records._kinds
    async with open_house(world, records, blobs) as one, open_house(world, view, blobs) as other:
        await one.push()
        statement = world.sign("clerk", CaseOpen(case_id=fresh("contested"), note=None))
        view.meanwhile = lambda: one.post(statement)
        answer = await other.post(statement)
        assert view.meanwhile is None
        assert (answer.status, answer.json["index"]) == (200, len(world.entries))
