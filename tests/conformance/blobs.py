"""What every `BlobStore` does, as checks over a world: a fixture that opens handles on one store and knows its clock.

An adapter's test module runs each of `CHECKS` on a fresh world, `check_listing_against_model` once, and, where the
store is not in memory, `check_streaming_memory`.
"""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import AlreadyExists, BadName, Damaged, Locked, NotFound, Unavailable
from storage.ports import BlobStat, BlobStore

MIB = 1024 * 1024


class BlobWorld(Protocol):
    """One store, that can be opened several times (as by several processes), and the clock that its locks obey."""

    async def open(self) -> BlobStore:
        """Return a handle; whoever asked closes it."""
        ...

    def now(self) -> int:
        """Unix seconds by the store's clock."""
        ...

    async def pass_until(self, time: int) -> None:
        """Return when the store's clock has reached `time`."""
        ...


async def pieces(body: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def put(store: BlobStore, key: str, body: bytes, *, retain_until: int, hold: bool = False) -> str:
    digest = hashlib.sha256(body).digest()
    return await store.put_new(key, pieces(body), size=len(body), sha256=digest, retain_until=retain_until, hold=hold)


async def read(
    store: BlobStore, key: str, *, start: int = 0, end: int | None = None, version: str | None = None
) -> bytes:
    parts = [part async for part in store.get(key, start=start, end=end, version=version)]
    assert all(0 < len(part) <= MIB for part in parts)
    return b"".join(parts)


async def check_put_then_look(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    assert await store.stat("a/b") is None
    for body in (b"", b"x", bytes(range(256)) * 5000):
        key = f"a/{len(body)}"
        version = await put(store, key, body, retain_until=until)
        assert version
        stat = BlobStat(
            key=key,
            version=version,
            size=len(body),
            sha256=hashlib.sha256(body).digest(),
            retain_until=until,
            hold=False,
        )
        assert await store.stat(key) == stat
        assert await store.stat(key, version) == stat
        assert await store.stat(key, "another") is None
        assert await read(store, key) == body
        assert await read(store, key, version=version) == body
        with pytest.raises(NotFound):
            await read(store, key, version="another")
    with pytest.raises(NotFound, match="a/none"):
        await read(store, "a/none")
    await store.close()


async def check_second_put_is_refused(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    version = await put(store, "k", b"first", retain_until=until)
    before = await store.stat("k")
    for body in (b"second", b"first"):
        with pytest.raises(AlreadyExists, match="k"):
            await put(store, "k", body, retain_until=until + 50, hold=True)
    assert await store.stat("k") == before
    assert await read(store, "k", version=version) == b"first"
    await store.close()


async def check_damaged_puts_leave_nothing(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    body = b"evidence" * 40_000
    digest = hashlib.sha256(body).digest()
    for sent, size, sha256 in (
        (body[:-1], len(body), digest),
        (body + b"x", len(body), digest),
        (body, len(body) - 1, digest),
        (body, len(body) + 1, digest),
        (b"", len(body), digest),
        (body[:-1] + b"x", len(body), digest),
        (body, len(body), bytes(32)),
        (body, len(body), digest[:-1]),
        (body, len(body), b""),
    ):
        with pytest.raises(Damaged, match="bad/one"):
            await store.put_new("bad/one", pieces(sent), size=size, sha256=sha256, retain_until=until)
        assert await store.stat("bad/one") is None
    assert await store.list("") == ()
    assert await put(store, "bad/one", body, retain_until=until)
    assert await read(store, "bad/one") == body
    await store.close()


class SourceFailed(Exception):
    """What the sender's side raises in the middle."""


async def check_a_failing_source_leaves_nothing(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(3 * MIB)
        raise SourceFailed

    with pytest.raises(SourceFailed):
        await store.put_new("k", failing(), size=4 * MIB, sha256=bytes(32), retain_until=until)
    assert await store.stat("k") is None
    assert await store.list("") == ()
    await put(store, "k", b"whole", retain_until=until)
    await store.close()


async def check_an_endless_source_is_cut(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * MIB:
            sent += MIB
            yield bytes(MIB)

    with pytest.raises(Damaged, match="k"):
        await store.put_new("k", endless(), size=3 * MIB, sha256=bytes(32), retain_until=until)
    assert sent < 8 * MIB, "a sender that never ends is not read on"
    assert await store.stat("k") is None
    await store.close()


async def check_a_cancelled_put_leaves_nothing(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    reached = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield bytes(3 * MIB)
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(store.put_new("k", waiting(), size=4 * MIB, sha256=bytes(32), retain_until=until))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.stat("k") is None
    await put(store, "k", b"whole", retain_until=until)
    await store.close()


async def check_racing_puts_have_one_winner(world: BlobWorld) -> None:
    stores, until = [await world.open() for _ in range(2)], world.now() + 100

    async def race(index: int) -> str | None:
        try:
            return await put(stores[index % 2], "race", b"racer %d" % index, retain_until=until + index)
        except AlreadyExists:
            return None

    versions = await asyncio.gather(*(race(index) for index in range(32)))
    (winner,) = (index for index, version in enumerate(versions) if version)
    body = b"racer %d" % winner
    for store in stores:
        assert await read(store, "race") == body
        stat = await store.stat("race")
        assert stat is not None
        assert (stat.version, stat.sha256) == (versions[winner], hashlib.sha256(body).digest())
        assert stat.retain_until == until + winner
        await store.close()


async def check_the_lock_holds_until_its_time(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 3
    version = await put(store, "k", b"locked", retain_until=until)
    with pytest.raises(Locked, match="k"):
        await store.delete("k", version)
    assert await read(store, "k") == b"locked"
    await world.pass_until(until)
    with pytest.raises(NotFound):
        await store.delete("k", "another")
    with pytest.raises(NotFound):
        await store.delete("none", version)
    await store.delete("k", version)
    assert await store.stat("k") is None
    with pytest.raises(NotFound):
        await read(store, "k")
    with pytest.raises(NotFound):
        await store.delete("k", version)
    again = await put(store, "k", b"another life", retain_until=world.now() + 100)
    assert again != version
    assert await store.stat("k", version) is None
    await store.close()


async def check_a_lock_is_only_extended(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 3
    version = await put(store, "k", b"locked", retain_until=until)
    before = await store.stat("k")
    for earlier in (until - 1, until - 1_000_000):
        with pytest.raises(Locked, match="k"):
            await store.extend("k", version, earlier)
    await store.extend("k", version, until)
    assert await store.stat("k") == before
    with pytest.raises(NotFound):
        await store.extend("k", "another", until + 100)
    with pytest.raises(NotFound):
        await store.extend("none", version, until + 100)
    await store.extend("k", version, until + 100)
    stat = await store.stat("k", version)
    assert stat is not None
    assert (stat.retain_until, stat.size, stat.hold) == (until + 100, 6, False)
    with pytest.raises(Locked):
        await store.extend("k", version, until)
    await world.pass_until(until)
    with pytest.raises(Locked):
        await store.delete("k", version)
    await store.close()


async def check_a_hold_outlives_retention(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 3
    held = await put(store, "held", b"1", retain_until=until, hold=True)
    later = await put(store, "later", b"2", retain_until=until)
    await store.set_hold("later", later, True)
    await store.set_hold("later", later, True)
    with pytest.raises(NotFound):
        await store.set_hold("later", "another", False)
    with pytest.raises(NotFound):
        await store.set_hold("none", later, True)
    await world.pass_until(until)
    for key, version in (("held", held), ("later", later)):
        stat = await store.stat(key)
        assert stat is not None
        assert (stat.hold, stat.retain_until) == (True, until)
        with pytest.raises(Locked, match="hold"):
            await store.delete(key, version)
        await store.set_hold(key, version, False)
        await store.set_hold(key, version, False)
        await store.delete(key, version)
    assert await store.list("") == ()
    await store.close()


async def check_ranges(world: BlobWorld) -> None:
    store = await world.open()
    body = hashlib.shake_256(b"ranges").digest(2 * MIB + 77)
    await put(store, "k", body, retain_until=world.now() + 100)
    size = len(body)
    for start in (0, 1, 65_535, MIB - 1, MIB, MIB + 1, size - 1, size, size + 1):
        for end in (None, start, start + 1, MIB, 2 * MIB, size - 1, size, size + 1):
            if end is None or end >= start:
                assert await read(store, "k", start=start, end=end) == body[start:end]
    for start, end in ((-1, None), (5, 4), (0, -1)):
        with pytest.raises(ValueError, match="range"):
            await read(store, "k", start=start, end=end)
    await store.close()


GOOD_KEYS = (
    "a",
    "a/b",
    "a/b/c",
    "a-b",
    "a.b",
    "a..b",
    "a_/b.",
    "-",
    "_",
    "0",
    "x" * 512,
    "x" * 300,
    "x" * 300 + "/y",
    "x" * 300 + "-y",
    "x" * 200 + "-",
    "x" * 200 + "/y",
    "x" * 200 + "0",
    "/".join(["d"] * 256),
    "a.lock",
    "a.part",
)
BAD_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/..",
    "../a",
    "a/./b",
    ".a",
    "a/.b",
    "A",
    "a b",
    "a\\b",
    "a\n",
    "a\0",
    "é",
    "a+b",
    "x" * 513,
    "a/\ud800",
    "٣",
)


async def check_keys(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    for key in GOOD_KEYS:
        await put(store, key, key.encode(), retain_until=until)
    for key in GOOD_KEYS:
        assert await read(store, key) == key.encode()
    assert [stat.key for stat in await store.list("")] == sorted(GOOD_KEYS)
    for key in BAD_KEYS:
        for attempt in (
            put(store, key, b"", retain_until=until),
            store.stat(key),
            read(store, key),
            store.extend(key, "v", until),
            store.set_hold(key, "v", True),
            store.delete(key, "v"),
        ):
            with pytest.raises(BadName):
                await attempt
    for bound in ("A", "a b", "a\n", "x" * 513, "é"):
        for listing in (store.list(bound), store.list("", after=bound)):
            with pytest.raises(BadName):
                await listing
    for limit in (0, -1, 1001):
        with pytest.raises(ValueError, match="limit"):
            await store.list("", limit=limit)
    assert len(await store.list("")) == len(GOOD_KEYS)
    await store.close()


async def check_all_handles_see_the_same(world: BlobWorld) -> None:
    (one, two), until = [await world.open() for _ in range(2)], world.now() + 100
    version = await put(one, "k", b"body", retain_until=until)
    assert await read(two, "k", version=version) == b"body"
    await two.extend("k", version, until + 1)
    await one.set_hold("k", version, True)
    stat = await two.stat("k")
    assert stat is not None
    assert (stat.retain_until, stat.hold) == (until + 1, True)
    assert await one.list("") == await two.list("") == (stat,)
    await one.close()
    await two.close()
    three = await world.open()
    assert await three.stat("k") == stat
    await three.close()


async def check_racing_extends_keep_the_latest(world: BlobWorld) -> None:
    stores, until = [await world.open() for _ in range(2)], world.now() + 100
    version = await put(stores[0], "k", b"body", retain_until=until)

    async def extend(index: int) -> None:
        try:
            await stores[index % 2].extend("k", version, until + index)
        except Locked:
            return

    await asyncio.gather(*(extend(index) for index in range(24)), stores[1].set_hold("k", version, True))
    stat = await stores[0].stat("k")
    assert stat is not None
    assert (stat.retain_until, stat.hold) == (until + 23, True)
    for store in stores:
        await store.close()


async def check_closing(world: BlobWorld) -> None:
    store, until = await world.open(), world.now() + 100
    await put(store, "k", b"body", retain_until=until)
    await store.close()
    await store.close()
    for attempt in (store.stat("k"), read(store, "k"), store.list(""), put(store, "late", b"", retain_until=until)):
        with pytest.raises(Unavailable):
            await attempt


CHECKS: tuple[Callable[[BlobWorld], Awaitable[None]], ...] = (
    check_put_then_look,
    check_second_put_is_refused,
    check_damaged_puts_leave_nothing,
    check_a_failing_source_leaves_nothing,
    check_an_endless_source_is_cut,
    check_a_cancelled_put_leaves_nothing,
    check_racing_puts_have_one_winner,
    check_the_lock_holds_until_its_time,
    check_a_lock_is_only_extended,
    check_a_hold_outlives_retention,
    check_ranges,
    check_keys,
    check_all_handles_see_the_same,
    check_racing_extends_keep_the_latest,
    check_closing,
)


async def check_streaming_memory(world: BlobWorld) -> None:
    """Storing and reading 48 MiB holds less than 12 MiB at any moment."""
    store, until = await world.open(), world.now() + 100
    piece = bytes(MIB)
    digest = hashlib.sha256()
    for _ in range(48):
        digest.update(piece)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(48):
            yield bytes(MIB)

    tracemalloc.start()
    try:
        await store.put_new("large", source(), size=48 * MIB, sha256=digest.digest(), retain_until=until)
        count = 0
        async for part in store.get("large"):
            count += len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 48 * MIB
    assert peak < 12 * MIB
    await store.close()


# Few characters on both sides of '/', so that files, folders and their neighbours sort against each other.
_SEGMENTS = st.text(alphabet="-0a", min_size=1, max_size=2)
_LONG = st.sampled_from(["x" * 200, "x" * 201, "x" * 200 + "-", "x" * 200 + "0"])
_KEYS = st.lists(st.one_of(_SEGMENTS, _LONG), min_size=1, max_size=2).map("/".join)
_BOUNDS = st.one_of(st.just(""), _KEYS, _KEYS.map(lambda key: key + "/"), _KEYS.map(lambda key: key[:-1]))


def check_listing_against_model(world: BlobWorld) -> None:
    """Every combination of prefix, after and limit gives what a sorted list gives."""
    roots = iter(range(10**6))

    with asyncio.Runner() as runner:
        store = runner.run(world.open())

        @settings(max_examples=40)
        @given(
            keys=st.sets(_KEYS, max_size=8),
            asked=st.lists(st.tuples(_BOUNDS, _BOUNDS, st.integers(1, 5)), min_size=1, max_size=8),
        )
        def agree(keys: set[str], asked: list[tuple[str, str, int]]) -> None:
            root = f"r{next(roots)}/"

            async def body() -> None:
                await asyncio.gather(*(put(store, root + key, b"", retain_until=0) for key in keys))
                for prefix, after, limit in asked:
                    floor = root + after if after else ""
                    wanted = sorted(root + k for k in keys if k.startswith(prefix) and root + k > floor)[:limit]
                    page = await store.list(root + prefix, after=floor, limit=limit)
                    assert [stat.key for stat in page] == wanted

            runner.run(body())

        agree()
        runner.run(store.close())
