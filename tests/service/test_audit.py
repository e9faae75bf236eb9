"""The audit: receipts that are held, a service that runs, a crash, bytes that are named, and no false alarm."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.service.audit import Audit
from app.service.audit_receipts import check_receipt
from app.service.findings import Finding
from app.service.logstore import RecordLogStore
from app.service.registry import Registry
from app.statements.kinds import CaseParty
from ledger.batch import Batch, next_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.merkle import EMPTY_FRONTIER
from ledger.sequencer import Sequencer
from ledger.tree import Tree
from storage.memory import MemoryBlobStore, MemoryRecordStore, no_fault
from storage.ports import RecordStore
from storage.sqlite import SqliteRecordStore
from tests.app.cli.running import ROOT
from tests.app.client.world_service import checkpoint_of, log_signer
from tests.app.rules.world import ORIGIN, World, peopled
from tests.app.verify.proofs import a_deposit
from tests.ledger.taking import TakesAll
from tests.service.house import open_house, terms_of
from tests.service.test_crashes import Faults, Way, offered, pushed, running, store_of
from tests.service.test_replicas import receipt_of


async def audited(
    world: World,
    records: RecordStore,
    blobs: MemoryBlobStore | None = None,
    *,
    published: str | None = None,
    receipts: list[tuple[str, bytes]] | None = None,
) -> list[Finding]:
    assert world.genesis is not None
    audit = Audit(
        records,
        blobs or MemoryBlobStore(clock=lambda: world.now),
        origin=ORIGIN,
        genesis=world.genesis.digest,
        published=published,
        receipts=receipts or [],
    )
    try:
        return [each async for each in audit.findings()]
    finally:
        audit.close()


async def filled(world: World) -> MemoryRecordStore:
    records = MemoryRecordStore()
    await pushed(world, records, MemoryBlobStore())
    return records


def held(world: World, index: int) -> tuple[str, bytes]:
    return f"receipt {index}", receipt_of(world, index).proof.format().encode()


async def test_receipts_are_borne_out_and_named_where_they_are_not() -> None:
    world = peopled()
    records = await filled(world)
    receipts = [held(world, index) for index in range(len(world.entries))]
    assert await audited(world, records, receipts=receipts) == []

    shorter = peopled()
    shorter.entries = shorter.entries[:-1]
    found = await audited(world, await filled(shorter), receipts=[receipts[1]])
    assert [(each.code, each.place) for each in found] == [("receipt_contradicts", "receipt 1")]

    forked = peopled()
    forked.open_case("one history")
    another = peopled()
    another.open_case("the other history")
    held_by_one = held(forked, len(forked.entries) - 1)
    found = await audited(another, await filled(another), receipts=[held_by_one])
    assert [each.code for each in found] == ["receipt_contradicts"]
    assert "Keep the receipt" in found[0].next_step

    name, data = receipts[3]
    for bad, code in (
        (b"", "bad_receipt"),
        (data[:-3], "bad_receipt"),
        (b"{}", "bad_receipt"),
        (data.replace(b"index 3", b"index 4"), "receipt_contradicts"),
        (data.replace(ORIGIN.encode(), b"ledger.example/another"), "other_ledger"),
    ):
        found = await audited(world, records, receipts=[(name, bad)])
        assert [each.code for each in found] == [code], bad


async def test_a_store_that_lost_what_was_published_is_named() -> None:
    world = peopled()
    records = await filled(world)
    assert await audited(world, records, published=checkpoint_of(world.entries)) == []
    world.open_case("lost")
    found = await audited(world, records, published=checkpoint_of(world.entries))
    assert [each.code for each in found] == ["truncated"]
    other = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)), log_signer())
    assert [each.code for each in await audited(world, records, published=other)] == ["forked"]
    found = await audited(world, records, published="rot")
    assert [(each.code, each.place) for each in found] == [("bad_checkpoint", "published.checkpoint")]


async def test_no_crash_is_a_finding() -> None:
    """Whatever write was the last one: the store as it lies there is sound, and a start goes on from it."""
    world, blobs = peopled(), MemoryBlobStore()
    case_id = world.open_case("c", "lawyer1")
    kinds = await pushed(world, MemoryRecordStore(), blobs)
    statement = world.sign("clerk", CaseParty(case_id=case_id, member=world.id("lawyer2"), note=None))
    at, crashed = 0, True
    while crashed:
        records = store_of(kinds)
        async with running(world, records, blobs) as registry:
            faults = Faults(at, Way.CRASH_AFTER)
            records.fault = faults
            await offered(registry, statement)
            crashed = faults.dead
            again = records.reopen()
            again.fault = no_fault
            assert await audited(world, again, blobs) == [], faults.names
        at += 1
    assert at > 5


async def test_no_false_alarm_while_the_service_goes_on(tmp_path: Path) -> None:
    world = peopled()
    case_id = world.open_case("busy")
    for number in range(40):
        world.enrol(f"guest{number}", "depositor")
    joins = [
        world.do("clerk", CaseParty(case_id=case_id, member=world.id(f"guest{number}"), note=None))
        for number in range(40)
    ]
    records = await SqliteRecordStore.open(tmp_path / "records.sqlite")
    registry = Registry(terms_of(world), records, MemoryBlobStore(), lambda: world.now)
    await registry.start()
    try:
        for entry in world.entries[: -len(joins)]:
            await registry.door.post(entry.statement)

        async def write() -> None:
            for each in joins:
                await registry.door.admit(each)

        writing, passes = asyncio.create_task(write()), 0
        while not writing.done():
            assert await audited(world, records) == []
            passes += 1
        await writing
        assert passes
        assert await audited(world, records) == []
    finally:
        await registry.close()
        await records.close()


@pytest.mark.parametrize("change", ["missing", "ahead", "unfinished"])
async def test_a_watermark_that_cannot_be(change: str) -> None:
    world = peopled()
    records = await filled(world)
    marks = records._kinds["watermark"]
    if change == "missing":
        marks.clear()
    else:
        new = b'"whole":false' if change == "unfinished" else b'"whole":true'
        size = b"999" if change == "ahead" else b"0"
        old = marks["it"].data
        data = old.replace(b'"size":%d' % len(world.entries), b'"size":' + size).replace(b'"whole":true', new)
        assert data != old
        marks["it"] = replace(marks["it"], data=data)
    found = await audited(world, records)
    assert [(each.code, each.place) for each in found] == [("projection_differs", "watermark")]
    assert "--rebuild" in found[0].next_step


async def test_an_aggregate_that_claims_to_be_newer_than_the_ledger() -> None:
    world = peopled()
    records = await filled(world)
    key, record = next(iter(records._kinds["aggregate"].items()))
    newest = b"\n".join(record.data.split(b"\n")[:2])
    records._kinds["aggregate"][key] = replace(record, data=b"99999\n{}\n" + newest)
    found = await audited(world, records)
    assert [(each.code, each.place) for each in found] == [("projection_differs", key)]


async def test_the_first_bad_bytes_of_a_batch_are_named() -> None:
    world = peopled()
    records = await filled(world)
    id, record = sorted(records._kinds["batch"].items())[2]
    batch = Batch.decode(record.data)
    at = record.data.index(batch.entries[0]) + 20
    changed = bytes([*record.data[:at], record.data[at] ^ 1, *record.data[at + 1 :]])
    records._kinds["batch"][id] = replace(record, data=changed)
    found = await audited(world, records)
    assert (found[0].code, found[0].place) == ("bad_batch", id)
    assert found[0].span is not None
    assert found[0].span[0] <= at < found[0].span[1] < len(record.data)
    records._kinds["batch"][id] = replace(record, data=record.data[:-1])
    found = await audited(world, records)
    assert found[0].span == (0, len(record.data) - 1)


async def test_a_proof_file_is_a_receipt_too() -> None:
    made = a_deposit()
    records = MemoryRecordStore()
    async with open_house(made.world, records) as house:
        log = RecordLogStore(records)
        batch = next_batch(EMPTY_FRONTIER, [entry.leaf.encode() for entry in made.world.entries])
        assert house.registry.sequencer.size == 0
        await log.insert(0, batch.encode())
    key, size = log_signer().key, batch.end
    data = made.proof()
    assert await check_receipt(Tree(log), size, key, "proof.json", data) is None
    found = await check_receipt(Tree(log), size - 1, key, "proof.json", data)
    assert found is not None
    assert found.code == "receipt_contradicts"
    entries = [*batch.entries]
    entries[3] = entries[3].replace(b"0", b"1")
    changed = MemoryRecordStore()
    await RecordLogStore(changed).insert(0, next_batch(EMPTY_FRONTIER, entries).encode())
    found = await check_receipt(Tree(RecordLogStore(changed)), size, key, "proof.json", data)
    assert found is not None
    assert found.code == "receipt_contradicts"


MEASURE = """
import asyncio, sys
from app.service.logstore import RecordLogStore
from ledger.audit import audit
from storage.sqlite import SqliteRecordStore

async def main():
    records = await SqliteRecordStore.open(sys.argv[1])
    told = []
    found = [each async for each in audit(RecordLogStore(records), tell=lambda done, of: told.append(done))]
    assert not found, found
    await records.close()
    print(told[-1])

asyncio.run(main())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux alone")
async def test_the_memory_of_an_audit_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """200,000 entries through the sequencer, audited in a process of its own, against 10,000."""
    peaks = []
    for count in (10_000, 200_000):
        place = tmp_path / f"{count}.sqlite"
        records = await SqliteRecordStore.open(place)
        log = RecordLogStore(records)
        sequencer = Sequencer(log, TakesAll(), log_signer(), ORIGIN, lambda: 0, max_batch=1000)
        await sequencer.start()
        for start in range(0, count, 10_000):
            await asyncio.gather(*(sequencer.submit(b"entry %d" % index) for index in range(start, start + 10_000)))
        await Tree(log).write_tiles(sequencer.size)
        await sequencer.close()
        await records.close()
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", MEASURE, str(place)], cwd=ROOT, capture_output=True, check=True
        )
        size, peak = map(int, done.stdout.split())
        assert size == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 12 * 1024, peaks  # KiB; the entries alone are many times that as objects
