"""What a witness remembers: before it answers, across restarts, under races and faults; the evidence that it keeps."""

import asyncio
import json

import pytest

from app.errors import Mismatch
from app.witness.memory import MAX_EVIDENCE, SEEN, Witness, bind, check_bound, origin_hash
from ledger.checkpoint import Checkpoint
from ledger.errors import DamagedLog
from ledger.note import Note
from ledger.witness import AddCheckpoint
from storage.errors import Unavailable
from storage.memory import MemoryRecordStore, Moment
from tests.ledger.growing import GrowingLog, signer
from tests.witness.serving import NOW, cosigner, request

LOG = GrowingLog(entries=12)
FORK = GrowingLog(entries=12, salt="fork-")


def witness(records: MemoryRecordStore, log: GrowingLog = LOG) -> Witness:
    return Witness(records, [log.signer.key], [cosigner(1)], lambda: NOW)


async def size_of(records: MemoryRecordStore) -> int:
    latest = await witness(records).latest(origin_hash(LOG.origin))
    return 0 if latest is None else Checkpoint.parse_body(Note.parse(latest).text).size


async def test_what_was_cosigned_is_remembered_after_a_restart() -> None:
    records = MemoryRecordStore()
    assert (await witness(records).add_checkpoint(request(0, 5, LOG))).status == 200
    again = witness(records.reopen())
    assert (await again.add_checkpoint(request(0, 5, FORK))).status == 409
    assert (await again.add_checkpoint(request(5, 9, FORK))).status == 422
    assert (await again.add_checkpoint(request(5, 9, LOG))).status == 200


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
async def test_no_cosignature_leaves_when_remembering_failed(moment: Moment, first: bool) -> None:
    records = MemoryRecordStore()
    if not first:
        await witness(records).add_checkpoint(request(0, 3, LOG))
    old = 0 if first else 3

    def fault(when: Moment, _operation: str, _name: str) -> None:
        if when is moment:
            raise Unavailable("no answer")

    records.fault = fault
    with pytest.raises(Unavailable):
        await witness(records).add_checkpoint(request(old, 7, LOG))
    restarted = records.reopen()
    assert await size_of(restarted) == (old if moment is Moment.BEFORE else 7)
    kept = await size_of(restarted)
    assert (await witness(restarted).add_checkpoint(request(kept, 9, LOG))).status == 200


async def test_of_two_replicas_only_one_side_of_a_fork_is_cosigned() -> None:
    """Both decide on the same memory; the second finds its turn taken and decides again."""
    for first, second in ((LOG, FORK), (FORK, LOG)):
        records = MemoryRecordStore()
        one, other = witness(records), witness(records.reopen())
        raced = False

        def race(when: Moment, _operation: str, name: str, records: MemoryRecordStore = records) -> None:
            nonlocal raced
            if when is Moment.BEFORE and name.startswith(SEEN) and not raced:
                raced = True
                taken = other.add_checkpoint(request(0, 6, second))  # noqa: B023 - run at once, in this turn
                with pytest.raises(StopIteration) as done:
                    taken.send(None)
                assert done.value.value.status == 200

        records.fault = race
        decision = await one.add_checkpoint(request(0, 5, first))
        assert raced
        assert (decision.status, decision.body) == (409, "6\n")


async def test_many_requests_at_once_leave_one_consistent_memory() -> None:
    records = MemoryRecordStore()
    asked = [request(old, new, log) for log in (LOG, FORK) for old in range(4) for new in range(old, 12)]
    decisions = await asyncio.gather(*(witness(records.reopen()).add_checkpoint(body) for body in asked))
    trees = [Checkpoint.parse_body(Note.parse(decision.cosigned).text) for decision in decisions if decision.cosigned]
    assert trees
    assert any(all(log.checkpoint(tree.size) == tree for tree in trees) for log in (LOG, FORK))


async def test_a_fork_is_kept_as_evidence_once_a_tree() -> None:
    records = MemoryRecordStore()
    judge = witness(records)
    await judge.add_checkpoint(request(0, 5, LOG))
    junk = signer("stranger.example", 9).sign(FORK.checkpoint(5).body).text.encode()
    for body in (request(5, 5, FORK), request(5, 5, FORK) + junk, request(2, 5, FORK)):
        assert (await judge.add_checkpoint(body)).status in (409, 422)
    (kept,) = await judge.evidence(LOG.origin)
    document = json.loads(kept)
    assert document["reason"] == "two different roots of size 5"
    assert LOG.checkpoint(5).body in document["seen"]
    assert FORK.signed(5) in document["request"]
    assert document["time"] == NOW
    assert await judge.evidence("other.example") == ()


async def test_a_failed_proof_is_kept_as_a_doubt_and_cannot_crowd_out_a_fork() -> None:
    log, fork = GrowingLog(entries=4), GrowingLog(entries=4, salt="fork-")
    log.entries += [b"x"] * MAX_EVIDENCE
    records = MemoryRecordStore()
    judge = witness(records)
    await judge.add_checkpoint(request(0, 4, log))
    for number in range(MAX_EVIDENCE):
        await records.insert("evidence", f"{origin_hash(log.origin)}/doubt/{number:064x}", b"{}")
    bad = AddCheckpoint(old_size=4, proof=(bytes(32),), checkpoint=log.signed(9)).format()
    assert (await judge.add_checkpoint(bad)).status == 422
    doubts = await records.page("evidence", prefix=f"{origin_hash(log.origin)}/doubt/", limit=1000)
    assert len(doubts) == MAX_EVIDENCE
    await judge.add_checkpoint(request(4, 4, fork))
    assert len(await records.page("evidence", prefix=f"{origin_hash(log.origin)}/fork/")) == 1


async def test_a_refused_request_of_nobody_known_leaves_nothing() -> None:
    records = MemoryRecordStore()
    for body in (b"junk", request(0, 5, GrowingLog("other.example", 5)), request(3, 5, LOG)):
        assert (await witness(records).add_checkpoint(body)).status in (400, 404, 409)
    for kind in (SEEN, "evidence"):
        assert await records.page(kind) == ()


@pytest.mark.parametrize("damage", [b"", b"\xff", b"ledger.example/notary\n"])
async def test_a_damaged_memory_signs_nothing(damage: bytes) -> None:
    records = MemoryRecordStore()
    await records.insert(SEEN, origin_hash(LOG.origin), damage)
    with pytest.raises(DamagedLog):
        await witness(records).add_checkpoint(request(0, 5, LOG))


async def test_a_memory_belongs_to_its_keys() -> None:
    records = MemoryRecordStore()
    with pytest.raises(Mismatch):
        await check_bound(records, [cosigner(1)])
    await bind(records, [cosigner(1)])
    await check_bound(records, [cosigner(1)])
    with pytest.raises(Mismatch):
        await check_bound(records, [cosigner(2)])
