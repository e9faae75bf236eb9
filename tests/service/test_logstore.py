"""The ledger on record stores: the same log on memory and SQLite, writers that race, and faults of the real adapter."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.service.logstore import RecordLogStore
from ledger.audit import audit
from ledger.errors import DamagedLog, Stopped
from ledger.merkle import MAX_SIZE, leaf_hash, verify_inclusion
from ledger.note import NoteSigner
from ledger.sequencer import Sequencer
from ledger.tree import Tree
from storage.errors import Unavailable
from storage.memory import MemoryRecordStore, Moment
from storage.ports import RecordStore
from storage.sqlite import SqliteRecordStore
from tests.ledger.rules import UniqueWords

SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture(params=["memory", "sqlite"])
async def records(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RecordStore]:
    store: RecordStore
    store = MemoryRecordStore() if request.param == "memory" else await SqliteRecordStore.open(tmp_path / "records")
    yield store
    await store.close()


def writer(store: RecordLogStore) -> Sequencer[bytes]:
    return Sequencer(store, UniqueWords(store), SIGNER, SIGNER.name, lambda: 0, window_seconds=0, max_batch=50)


async def test_batches_are_found_by_the_size_that_they_extend(records: RecordStore) -> None:
    store = RecordLogStore(records)
    assert await store.last() is None
    assert await store.covering(0) is None
    assert await store.read(0) is None
    for start in (0, 3, 10, 1000):
        assert await store.insert(start, b"%d" % start)
    assert not await store.insert(3, b"other")
    assert await store.read(3) == b"3"
    assert await store.read(4) is None
    assert await store.last() == (1000, b"1000")
    for index, start in ((0, 0), (2, 0), (3, 3), (9, 3), (10, 10), (999, 10), (1000, 1000), (MAX_SIZE, 1000)):
        assert await store.covering(index) == (start, b"%d" % start)


async def test_tiles_are_written_once(records: RecordStore) -> None:
    store = RecordLogStore(records)
    assert await store.get_tile("tile/0/x001/000") is None
    for _ in range(2):
        await store.put_tile("tile/0/x001/000", b"bytes")
    assert await store.get_tile("tile/0/x001/000") == b"bytes"
    with pytest.raises(DamagedLog, match="tile/0/x001/000"):
        await store.put_tile("tile/0/x001/000", b"others")


async def test_writers_that_race_make_one_log_that_passes_the_audit(records: RecordStore) -> None:
    store = RecordLogStore(records)
    writers = [writer(store) for _ in range(3)]
    for one in writers:
        await one.start()
    words = [b"word %d" % (number % 400) for number in range(600)]
    done = await asyncio.gather(*(writers[at % 3].submit(word) for at, word in enumerate(words)))
    tree = Tree(store)
    for word, answer in zip(words, done, strict=True):
        assert await tree.entry(answer.index) == word
    assert {await one.catch_up() for one in writers} == {400}
    assert await tree.write_tiles(400) == 1
    root = await tree.root_at(400)
    for index in (0, 255, 256, 399):
        verify_inclusion(index, 400, leaf_hash(await tree.entry(index)), await tree.inclusion(index, 400), root)
    for one in writers:
        await one.close()
    assert [finding async for finding in audit(store, SIGNER.key, [one.checkpoint for one in writers])] == []


def failing(moment: Moment, times: int) -> Callable[[Moment, str, str], None]:
    left = [times]

    def fault(at: Moment, operation: str, name: str) -> None:
        if operation == "insert" and name.startswith("batch/") and at is moment and left[0]:
            left[0] -= 1
            raise Unavailable(f"{at} of {operation} {name}")

    return fault


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_writes_that_fail_before_or_after_their_effect(moment: Moment, times: int) -> None:
    records = MemoryRecordStore()
    sequencer = writer(RecordLogStore(records))
    await sequencer.start()
    first = await sequencer.submit(b"first")
    records.fault = failing(moment, times)
    if moment is Moment.BEFORE and times == 3:
        with pytest.raises(Stopped):
            await sequencer.submit(b"second")
        await sequencer.reload()
    assert (await sequencer.submit(b"second")).index == 1
    assert (await sequencer.submit(b"third")).index == 2
    await sequencer.close()
    again = RecordLogStore(records.reopen())
    assert await Tree(again).entries(0, 3) == (first.entry, b"second", b"third")
    assert [finding async for finding in audit(again, SIGNER.key, [sequencer.checkpoint])] == []
