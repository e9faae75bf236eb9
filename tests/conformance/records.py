"""What every `RecordStore` does, as checks over a world: a fixture that opens handles on one and the same store.

An adapter's test module runs each of `CHECKS` on a fresh world, and `check_paging_against_model` once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.errors import AlreadyExists, BadName, Conflict, Unavailable
from storage.ports import MAX_RECORD_BYTES, Record, RecordStore


class RecordWorld(Protocol):
    """One store, that can be opened several times (as by several processes)."""

    async def open(self) -> RecordStore:
        """Return a handle; whoever asked closes it."""
        ...


async def check_insert_then_get(world: RecordWorld) -> None:
    store = await world.open()
    assert await store.get("batch", "7") is None
    await store.insert("batch", "7", b"seven")
    assert await store.get("batch", "7") == Record(id="7", revision=1, data=b"seven")
    assert await store.get("other", "7") is None, "kinds are apart"
    await store.insert("other", "7", b"")
    assert await store.get("other", "7") == Record(id="7", revision=1, data=b"")
    await store.close()


async def check_second_insert_is_refused(world: RecordWorld) -> None:
    store = await world.open()
    await store.insert("batch", "7", b"first")
    for data in (b"second", b"first"):
        with pytest.raises(AlreadyExists, match="batch/7"):
            await store.insert("batch", "7", data)
    assert await store.get("batch", "7") == Record(id="7", revision=1, data=b"first")
    await store.close()


async def check_replace_needs_the_revision(world: RecordWorld) -> None:
    store = await world.open()
    with pytest.raises(Conflict):
        await store.replace("tip", "x", b"absent", revision=1)
    with pytest.raises(Conflict):
        await store.replace("tip", "x", b"absent", revision=0)
    assert await store.get("tip", "x") is None
    await store.insert("tip", "x", b"1")
    assert await store.replace("tip", "x", b"2", revision=1) == 2
    for stale in (1, 3, 0, -1, 2**70):
        with pytest.raises(Conflict, match="tip/x"):
            await store.replace("tip", "x", b"no", revision=stale)
    assert await store.replace("tip", "x", b"3", revision=2) == 3
    assert await store.get("tip", "x") == Record(id="x", revision=3, data=b"3")
    await store.close()


async def check_delete_needs_the_revision(world: RecordWorld) -> None:
    store = await world.open()
    with pytest.raises(Conflict):
        await store.delete("tip", "x", revision=1)
    await store.insert("tip", "x", b"1")
    await store.replace("tip", "x", b"2", revision=1)
    with pytest.raises(Conflict, match="tip/x"):
        await store.delete("tip", "x", revision=1)
    assert await store.get("tip", "x") == Record(id="x", revision=2, data=b"2")
    await store.delete("tip", "x", revision=2)
    assert await store.get("tip", "x") is None
    with pytest.raises(Conflict):
        await store.delete("tip", "x", revision=2)
    await store.insert("tip", "x", b"again")
    assert await store.get("tip", "x") == Record(id="x", revision=1, data=b"again")
    await store.close()


async def check_racing_inserts_have_one_winner(world: RecordWorld) -> None:
    stores = [await world.open() for _ in range(2)]

    async def race(index: int) -> bool:
        try:
            await stores[index % 2].insert("batch", "0", b"racer %d" % index)
        except AlreadyExists:
            return False
        return True

    won = await asyncio.gather(*(race(index) for index in range(32)))
    assert won.count(True) == 1
    for store in stores:
        assert await store.get("batch", "0") == Record(id="0", revision=1, data=b"racer %d" % won.index(True))
        await store.close()


async def check_racing_replaces_lose_no_update(world: RecordWorld) -> None:
    stores = [await world.open() for _ in range(2)]
    await stores[0].insert("count", "n", b"0")

    async def add_one(store: RecordStore) -> None:
        while True:
            found = await store.get("count", "n")
            assert found is not None
            try:
                await store.replace("count", "n", b"%d" % (int(found.data) + 1), revision=found.revision)
            except Conflict:
                continue
            return

    await asyncio.gather(*(add_one(stores[index % 2]) for index in range(24)))
    assert await stores[0].get("count", "n") == Record(id="n", revision=25, data=b"24")
    for store in stores:
        await store.close()


async def check_a_refused_write_does_not_touch_its_neighbours(world: RecordWorld) -> None:
    store = await world.open()
    await store.insert("batch", "taken", b"first")
    outcomes = await asyncio.gather(
        *(store.insert("batch", "taken" if index % 3 == 0 else f"free-{index}", b"x") for index in range(30)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [AlreadyExists, type(None), type(None)] * 10
    assert len(await store.page("batch", prefix="free-")) == 20
    await store.close()


async def check_what_was_acknowledged_is_seen_by_all(world: RecordWorld) -> None:
    one, two = await world.open(), await world.open()
    await one.insert("batch", "a", b"1")
    assert await two.get("batch", "a") == Record(id="a", revision=1, data=b"1")
    await two.replace("batch", "a", b"2", revision=1)
    assert await one.get("batch", "a") == Record(id="a", revision=2, data=b"2")
    await one.close()
    await two.close()
    three = await world.open()
    assert await three.get("batch", "a") == Record(id="a", revision=2, data=b"2")
    await three.close()


async def check_sizes(world: RecordWorld) -> None:
    store = await world.open()
    largest = bytes(range(256)) * (MAX_RECORD_BYTES // 256)
    await store.insert("batch", "large", largest)
    found = await store.get("batch", "large")
    assert found is not None
    assert found.data == largest
    with pytest.raises(BadName, match=str(MAX_RECORD_BYTES)):
        await store.insert("batch", "larger", largest + b"x")
    with pytest.raises(BadName, match=str(MAX_RECORD_BYTES)):
        await store.replace("batch", "large", largest + b"x", revision=1)
    assert await store.get("batch", "larger") is None
    found = await store.get("batch", "large")
    assert found is not None
    assert found.revision == 1
    await store.close()


GOOD_KINDS = ("a", "batch-2", "0", "-", "k" * 32)
BAD_KINDS = ("", "A", "a b", "a_b", "a/b", "é", "k" * 33, "a\n", "a\0", "$a", "٣")
GOOD_IDS = ("0", "$where", "a.b/c", "..", "%00", "';--", "~" * 200, "\\", '"', "_id")
BAD_IDS = ("", " ", "a b", "a\n", "a\0b", "\x7f", "é", "x" * 201, "\ud800", "٣")


async def check_names(world: RecordWorld) -> None:
    store = await world.open()
    for kind in GOOD_KINDS:
        await store.insert(kind, "x", kind.encode())
    for id in GOOD_IDS:
        await store.insert("ids", id, id.encode())
        assert await store.get("ids", id) == Record(id=id, revision=1, data=id.encode())
    assert [record.id for record in await store.page("ids")] == sorted(GOOD_IDS)
    for kind, id in [(kind, "x") for kind in BAD_KINDS] + [("ids", id) for id in BAD_IDS]:
        for attempt in (
            store.insert(kind, id, b""),
            store.get(kind, id),
            store.replace(kind, id, b"", revision=1),
            store.delete(kind, id, revision=1),
        ):
            with pytest.raises(BadName):
                await attempt
    for kind in BAD_KINDS:
        with pytest.raises(BadName):
            await store.page(kind)
    for bound in BAD_IDS[1:]:
        for attempt in (
            store.page("ids", prefix=bound),
            store.page("ids", after=bound),
            store.page("ids", before=bound),
        ):
            with pytest.raises(BadName):
                await attempt
    assert len(await store.page("ids", limit=1000)) == len(GOOD_IDS)
    await store.close()


async def check_page_limits(world: RecordWorld) -> None:
    store = await world.open()
    await asyncio.gather(*(store.insert("many", f"{index:04}", b"") for index in range(1005)))
    assert len(await store.page("many")) == 100
    full = await store.page("many", limit=1000)
    assert [record.id for record in full] == [f"{index:04}" for index in range(1000)]
    assert [record.id for record in await store.page("many", after=full[-1].id)] == [f"100{i}" for i in range(5)]
    assert [record.id for record in await store.page("many", reverse=True, limit=1)] == ["1004"]
    for limit in (0, -1, 1001):
        with pytest.raises(ValueError, match="limit"):
            await store.page("many", limit=limit)
    await store.close()


async def check_closing(world: RecordWorld) -> None:
    store = await world.open()
    begun = [asyncio.ensure_future(store.insert("batch", f"{index}", b"x")) for index in range(20)]
    await asyncio.gather(*begun)
    await store.close()
    await store.close()
    for attempt in (store.get("batch", "0"), store.insert("batch", "late", b""), store.page("batch")):
        with pytest.raises(Unavailable):
            await attempt
    again = await world.open()
    assert len(await again.page("batch")) == 20
    await again.close()


CHECKS: tuple[Callable[[RecordWorld], Awaitable[None]], ...] = (
    check_insert_then_get,
    check_second_insert_is_refused,
    check_replace_needs_the_revision,
    check_delete_needs_the_revision,
    check_racing_inserts_have_one_winner,
    check_racing_replaces_lose_no_update,
    check_a_refused_write_does_not_touch_its_neighbours,
    check_what_was_acknowledged_is_seen_by_all,
    check_sizes,
    check_names,
    check_page_limits,
    check_closing,
)

# Few letters, so that prefixes and bounds meet; '!' and '~' are the first and last characters that an id may hold.
_IDS = st.text(alphabet="!a~", min_size=1, max_size=3)
_BOUNDS = st.one_of(st.just(""), _IDS)


def check_paging_against_model(world: RecordWorld) -> None:
    """Every combination of prefix, after, before, limit and direction gives what a sorted list gives."""
    kinds = iter(range(10**6))

    with asyncio.Runner() as runner:
        store = runner.run(world.open())

        @settings(max_examples=60)
        @example(ids={"a", "a!", "a~", "a~~", "b", "~", "~~~"}, asked=[(p, "", "", 6, False) for p in ("a", "a~", "~")])
        @given(
            ids=st.sets(_IDS, max_size=12),
            asked=st.lists(
                st.tuples(_BOUNDS, _BOUNDS, _BOUNDS, st.integers(1, 6), st.booleans()), min_size=1, max_size=8
            ),
        )
        def agree(ids: set[str], asked: list[tuple[str, str, str, int, bool]]) -> None:
            kind = f"page-{next(kinds)}"

            async def body() -> None:
                await asyncio.gather(*(store.insert(kind, id, id.encode()) for id in ids))
                for prefix, after, before, limit, reverse in asked:
                    wanted = [i for i in ids if i.startswith(prefix) and i > after and (not before or i < before)]
                    wanted = sorted(wanted, reverse=reverse)[:limit]
                    page = await store.page(
                        kind, prefix=prefix, after=after, before=before, limit=limit, reverse=reverse
                    )
                    assert page == tuple(Record(id=id, revision=1, data=id.encode()) for id in wanted)

            runner.run(body())

        agree()
        runner.run(store.close())
