"""The adapters in memory: both conformance suites, and what a fault does."""

from collections.abc import Awaitable, Callable

import pytest

from storage.errors import AlreadyExists, NotFound, Unavailable
from storage.memory import MemoryBlobStore, MemoryRecordStore, Moment
from storage.ports import BlobStore, RecordStore
from tests.conformance import blobs, records


class MemoryRecordWorld:
    def __init__(self) -> None:
        self.first = MemoryRecordStore()

    async def open(self) -> RecordStore:
        return self.first.reopen()


class MemoryBlobWorld:
    def __init__(self) -> None:
        self.time = 1_800_000_000
        self.first = MemoryBlobStore(clock=self.now)

    async def open(self) -> BlobStore:
        return self.first.reopen()

    def now(self) -> int:
        return self.time

    async def pass_until(self, time: int) -> None:
        self.time = max(self.time, time)


@pytest.mark.parametrize("check", records.CHECKS, ids=lambda check: check.__name__)
async def test_records_conform(check: Callable[[records.RecordWorld], Awaitable[None]]) -> None:
    await check(MemoryRecordWorld())


def test_paging_agrees_with_the_model() -> None:
    records.check_paging_against_model(MemoryRecordWorld())


@pytest.mark.parametrize("check", blobs.CHECKS, ids=lambda check: check.__name__)
async def test_blobs_conform(check: Callable[[blobs.BlobWorld], Awaitable[None]]) -> None:
    await check(MemoryBlobWorld())


def test_listing_agrees_with_the_model() -> None:
    blobs.check_listing_against_model(MemoryBlobWorld())


class FailAt:
    """A fault that fails one operation at one moment, and notes all that it was asked."""

    def __init__(self, moment: Moment, operation: str) -> None:
        self.at = (moment, operation)
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, moment: Moment, operation: str, name: str) -> None:
        self.asked.append((moment, operation, name))
        if (moment, operation) == self.at:
            raise Unavailable("no answer")


@pytest.mark.parametrize("operation", ["insert", "replace", "delete"])
@pytest.mark.parametrize("moment", list(Moment))
async def test_a_record_write_is_lost_or_kept_but_reported_lost(moment: Moment, operation: str) -> None:
    fault = FailAt(moment, operation)
    store = MemoryRecordStore()
    if operation != "insert":
        await store.insert("k", "x", b"old")
    before = await store.get("k", "x")
    store.fault = fault
    with pytest.raises(Unavailable):
        await {
            "insert": lambda: store.insert("k", "x", b"new"),
            "replace": lambda: store.replace("k", "x", b"new", revision=1),
            "delete": lambda: store.delete("k", "x", revision=1),
        }[operation]()
    assert fault.asked[-1] == (moment, operation, "k/x")
    found = await store.get("k", "x")
    if moment == Moment.BEFORE:
        assert found == before
    else:
        assert (found.data if found else None) == {"insert": b"new", "replace": b"new", "delete": None}[operation]


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_blob_write_is_lost_or_kept_but_reported_lost(moment: Moment) -> None:
    kept = moment == Moment.AFTER
    store = MemoryBlobStore(clock=lambda: 1000)
    store.fault = FailAt(moment, "put_new")
    with pytest.raises(Unavailable):
        await blobs.put(store, "k", b"body", retain_until=500)
    assert (await store.stat("k") is not None) == kept
    if not kept:
        store.fault = FailAt(moment, "nothing")
        await blobs.put(store, "k", b"body", retain_until=500)
    stat = await store.stat("k")
    assert stat is not None

    store.fault = FailAt(moment, "extend")
    with pytest.raises(Unavailable):
        await store.extend("k", stat.version, 600)
    store.fault = FailAt(moment, "set_hold")
    with pytest.raises(Unavailable):
        await store.set_hold("k", stat.version, True)
    found = await store.stat("k")
    assert found is not None
    assert (found.retain_until, found.hold) == ((600, True) if kept else (500, False))
    store.fault = FailAt(moment, "delete")
    await store.set_hold("k", stat.version, False)
    with pytest.raises(Unavailable):
        await store.delete("k", stat.version)
    assert (await store.stat("k") is None) == kept


async def test_a_refused_write_has_no_moment_after() -> None:
    fault = FailAt(Moment.AFTER, "insert")
    store = MemoryRecordStore()
    await store.insert("k", "x", b"")
    store.fault = fault
    with pytest.raises(AlreadyExists):
        await store.insert("k", "x", b"")
    assert fault.asked == [(Moment.BEFORE, "insert", "k/x")]
    with pytest.raises(NotFound):
        await MemoryBlobStore().delete("k", "v")
