"""The sequencer's rules: batching, order, idempotence, cancellation, closing, and several writers on one store."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.batch import Batch, next_batch
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import BadSignature, DamagedLog, Forked, Malformed, Stopped
from ledger.merkle import EMPTY_FRONTIER, EMPTY_ROOT, Frontier, leaf_hash, root_of
from ledger.note import NoteSigner
from ledger.plan import Committed
from ledger.ports import Outcome
from ledger.sequencer import Sequencer, SequencerState
from tests.ledger.rules import Refused, UniqueWords
from tests.ledger.stores import DictStore, FaultyStore, Unavailable

SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NOW = 1_700_000_000
BODY_OF_ONE = Checkpoint(origin=SIGNER.name, size=1, root=leaf_hash(b"not a")).body
LONG = 3600.0
"""A window that no test waits for: the batch becomes full, or the sequencer is closed."""


def new(store: DictStore, rules: UniqueWords | None = None, *, window: float = 0, full: int = 1000) -> Sequencer[bytes]:
    return Sequencer(
        store, rules or UniqueWords(store), SIGNER, SIGNER.name, lambda: NOW, window_seconds=window, max_batch=full
    )


@asynccontextmanager
async def running(
    store: DictStore, rules: UniqueWords | None = None, *, window: float = 0, full: int = 1000
) -> AsyncIterator[Sequencer[bytes]]:
    sequencer = new(store, rules, window=window, full=full)
    await sequencer.start()
    try:
        yield sequencer
    finally:
        await sequencer.close()


def signed(sequencer: Sequencer[bytes]) -> Checkpoint:
    return verify_checkpoint(sequencer.checkpoint, [SIGNER.key])


def stored(store: DictStore) -> list[bytes]:
    return [entry for start in sorted(store.batches) for entry in Batch.decode(store.batches[start]).entries]


async def test_an_empty_log_is_signed_at_the_start() -> None:
    async with running(DictStore()) as sequencer:
        assert signed(sequencer) == Checkpoint(origin=SIGNER.name, size=0, root=EMPTY_ROOT)
        assert (sequencer.size, sequencer.state, sequencer.stop_reason) == (0, SequencerState.RUNNING, "")


async def test_the_worked_checkpoint_comes_out() -> None:
    async with running(DictStore()) as sequencer:
        await sequencer.submit(b"deposit")
        assert await sequencer.submit(b"release") == Committed(index=1, entry=b"release", size=2)
        assert sequencer.checkpoint.endswith(
            "— ledger.example/notary "
            "mGyxCeJ/VKWgmyAZRNZ92O68PljFsRkXo2EEgk0cQPXmq0/RtTRBo19XxHdxCcb0sEyThK0Fb9gGY90eGJ3zDOm6Nw0=\n"
        )


async def test_what_arrives_within_the_window_is_one_batch() -> None:
    store, rules = DictStore(), None
    async with running(store, rules, window=LONG, full=4) as sequencer:
        words = [b"a", b"b", b"c", b"d"]
        done = await asyncio.gather(*(sequencer.submit(word) for word in words))
    assert [(one.index, one.entry, one.size) for one in done] == [(i, word, 4) for i, word in enumerate(words)]
    assert list(store.batches) == [0]


async def test_no_batch_is_larger_than_allowed() -> None:
    store = DictStore()
    async with running(store, full=3) as sequencer:
        await asyncio.gather(*(sequencer.submit(bytes([65 + i])) for i in range(10)))
        assert max(len(Batch.decode(data).entries) for data in store.batches.values()) == 3
        assert signed(sequencer).root == root_of(leaf_hash(bytes([65 + i])) for i in range(10))


async def test_entries_beyond_eight_mebibytes_come_in_a_next_batch() -> None:
    store = DictStore()
    words = [bytes([65 + i // 26, 65 + i % 26]) * 30_000 for i in range(200)]
    async with running(store, window=LONG, full=200) as sequencer:
        done = await asyncio.gather(*(sequencer.submit(word) for word in words))
    assert [one.index for one in done] == list(range(200))
    assert len(store.batches) == 2
    assert stored(store) == words


async def test_refusals_and_repetitions_do_not_touch_the_others() -> None:
    store = DictStore()
    async with running(store, window=LONG, full=5) as sequencer:
        results = await asyncio.gather(
            *(sequencer.submit(word) for word in (b"a", b"!no", b"b", b"a", b"c")), return_exceptions=True
        )
        assert isinstance(results[1], Refused)
        assert [results[i] for i in (0, 2, 3, 4)] == [
            Committed(index=0, entry=b"a", size=3),
            Committed(index=1, entry=b"b", size=3),
            Committed(index=0, entry=b"a", size=3),
            Committed(index=2, entry=b"c", size=3),
        ]
    async with running(store) as again:
        assert await again.submit(b"b") == Committed(index=1, entry=b"b", size=3)
        with pytest.raises(Refused):
            await again.submit(b"!still")
    assert len(store.batches) == 1


async def test_a_cancelled_submitter_does_not_break_the_batch() -> None:
    store = DictStore()
    async with running(store, window=LONG, full=3) as sequencer:
        first = asyncio.create_task(sequencer.submit(b"a"))
        gone = asyncio.create_task(sequencer.submit(b"gone"))
        await asyncio.sleep(0)
        gone.cancel()
        last = asyncio.create_task(sequencer.submit(b"c"))
        assert [(await first).index, (await last).index] == [0, 1]
    assert stored(store) == [b"a", b"c"]


async def test_a_submitter_cancelled_during_the_insert_leaves_its_entry() -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    class Slow(DictStore):
        async def insert(self, start: int, data: bytes) -> bool:
            entered.set()
            await go.wait()
            return await super().insert(start, data)

    store = Slow()
    async with running(store, window=LONG, full=2) as sequencer:
        gone = asyncio.create_task(sequencer.submit(b"gone"))
        stays = asyncio.create_task(sequencer.submit(b"stays"))
        await entered.wait()
        gone.cancel()
        go.set()
        assert (await stays).index == 1
        assert signed(sequencer).size == 2
        assert gone.cancelled()
    assert stored(store) == [b"gone", b"stays"]


async def test_closing_finishes_what_was_submitted() -> None:
    store = DictStore()
    sequencer = new(store, window=LONG)
    await sequencer.start()
    task = asyncio.create_task(sequencer.submit(b"a"))
    await asyncio.sleep(0)
    await sequencer.close()
    assert (await task).index == 0
    with pytest.raises(Stopped):
        await sequencer.submit(b"b")
    with pytest.raises(Stopped):
        await sequencer.start()
    await sequencer.close()


async def test_before_the_start_nothing_is_accepted() -> None:
    sequencer = new(DictStore())
    for call in (lambda: sequencer.submit(b"a"), lambda: sequencer.wait_for(0), sequencer.catch_up):
        with pytest.raises(Stopped):
            await call()
    for name in ("checkpoint", "size"):
        with pytest.raises(Stopped):
            getattr(sequencer, name)
    await sequencer.close()


async def test_waiting_for_a_size() -> None:
    async with running(DictStore()) as sequencer:
        waiting = asyncio.create_task(sequencer.wait_for(2))
        await sequencer.submit(b"a")
        assert not waiting.done()
        await sequencer.submit(b"b")
        assert await waiting == sequencer.checkpoint
        assert await sequencer.wait_for(1) == sequencer.checkpoint
        never = asyncio.create_task(sequencer.wait_for(3))
        await asyncio.sleep(0)
    with pytest.raises(Stopped):
        await never


async def test_the_rules_are_asked_at_the_size_that_is_extended_and_told_once() -> None:
    store = DictStore()
    rules = UniqueWords(store)
    async with running(store, rules) as sequencer:
        for word in (b"a", b"b"):
            await sequencer.submit(word)
    assert rules.decided_at == [0, 1]
    assert rules.applied_batches == [(0, 1, (0,)), (1, 2, (1,))]
    assert rules.times == [NOW, NOW]


async def test_a_failure_of_the_rules_is_raised_and_nothing_is_written() -> None:
    store = DictStore()

    class Failing(UniqueWords):
        async def decide(self, size: int, submissions: Sequence[bytes], now: int) -> Sequence[Outcome]:
            if b"fail" in submissions:
                raise Unavailable("no state")
            if b"few" in submissions:
                return []
            return await super().decide(size, submissions, now)

    async with running(store, Failing(store)) as sequencer:
        with pytest.raises(Unavailable):
            await sequencer.submit(b"fail")
        with pytest.raises(Malformed, match="0 outcomes"):
            await sequencer.submit(b"few")
        with pytest.raises(Malformed, match="65535 bytes"):
            await sequencer.submit(bytes(65536))
        assert store.batches == {}
        assert (await sequencer.submit(b"a")).index == 0


async def test_rules_that_cannot_follow_stop_the_log_and_the_entry_stands() -> None:
    store = DictStore()

    class Forgetful(UniqueWords):
        fail = True

        async def applied(self, batch: Batch, accepted: Sequence[tuple[int, bytes]]) -> None:
            if self.fail:
                raise Unavailable("projection")
            await super().applied(batch, accepted)

    rules = Forgetful(store)
    async with running(store, rules) as sequencer:
        assert (await sequencer.submit(b"a")).index == 0
        with pytest.raises(Stopped, match="projection"):
            await sequencer.submit(b"b")
        rules.fail = False
        await sequencer.reload()
        assert (await sequencer.submit(b"b")).index == 1
        rules.fail = True
        other = new(store)
        await other.start()
        await other.submit(b"c")
        await other.close()
        with pytest.raises(Stopped):
            await sequencer.catch_up()
        assert sequencer.state is SequencerState.STOPPED


async def test_the_key_must_be_named_after_the_log() -> None:
    with pytest.raises(Malformed):
        Sequencer(DictStore(), UniqueWords(DictStore()), SIGNER, "other.example", lambda: NOW)


# Several writers on one store.


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 15)), max_size=40), st.integers(1, 5))
def test_writers_that_race_make_one_log(plan: list[tuple[int, int]], full: int) -> None:
    """Each word stands once, each answer is true, and all writers sign the same tree."""

    class Yielding(DictStore):
        """Gives other tasks a turn before and after each write, so that writers meet at one size."""

        async def insert(self, start: int, data: bytes) -> bool:
            await asyncio.sleep(0)
            done = await super().insert(start, data)
            await asyncio.sleep(0)
            return done

    async def race() -> None:
        store = Yielding()
        writers = [new(store, full=full) for _ in range(3)]
        for writer in writers:
            await writer.start()
        words = [b"word %d" % word for _, word in plan]
        done = await asyncio.gather(*(writers[who].submit(word) for (who, _), word in zip(plan, words, strict=True)))
        log = stored(store)
        assert sorted(log) == sorted(set(words))
        for word, answer in zip(words, done, strict=True):
            assert log[answer.index] == word == answer.entry
            assert answer.index < answer.size
        assert {await writer.catch_up() for writer in writers} == {len(log)}
        assert len({writer.checkpoint for writer in writers}) == 1
        assert signed(writers[0]).root == root_of(map(leaf_hash, log))
        for writer in writers:
            await writer.close()

    asyncio.run(race())


@pytest.mark.parametrize("seed", range(4))
async def test_under_contention_no_writer_is_left_behind(seed: int) -> None:
    """Three writers meet at every size, each with two who ask again at once: each gets about its share."""
    rng = random.Random(seed)

    class Slow(DictStore):
        """Each look and each write takes some turns of the loop, as on a network."""

        async def insert(self, start: int, data: bytes) -> bool:
            await self._travel()
            done = await super().insert(start, data)
            await self._travel()
            return done

        async def read(self, start: int) -> bytes | None:
            await self._travel()
            return await super().read(start)

        async def _travel(self) -> None:
            for _ in range(rng.randrange(1, 6)):
                await asyncio.sleep(0)

    store, counts, over = Slow(), [0, 0, 0], asyncio.Event()
    writers = [new(store, full=1) for _ in range(3)]

    async def client(who: int, number: int) -> None:
        while not over.is_set():
            await writers[who].submit(b"%d of %d.%d" % (counts[who], who, number))
            counts[who] += 1
            if sum(counts) >= 240:
                over.set()

    for writer in writers:
        await writer.start()
    await asyncio.gather(*(client(who, number) for who in range(3) for number in range(2)))
    for writer in writers:
        await writer.close()
    assert len(set(stored(store))) == sum(counts)
    assert min(counts) > max(counts) / 3, counts


async def test_the_loser_of_a_race_is_told_of_the_winners_batch_and_decides_again() -> None:
    store = DictStore()
    rules = UniqueWords(store)
    async with running(store, rules) as loser, running(store) as winner:
        await winner.submit(b"same")
        assert await loser.submit(b"same") == Committed(index=0, entry=b"same", size=1)
        await winner.submit(b"other")
        assert await loser.submit(b"mine") == Committed(index=2, entry=b"mine", size=3)
    # The first batches of both are the same bytes, so what stands is the loser's own as well.
    assert rules.applied_batches == [(0, 1, (0,)), (1, 2, ()), (2, 3, (2,))]
    assert rules.decided_at == [0, 1, 2]


async def test_a_refusal_rests_on_the_newest_state() -> None:
    class AfterAnother(UniqueWords):
        """Takes "then" only after "first"."""

        async def decide(self, size: int, submissions: Sequence[bytes], now: int) -> Sequence[Outcome]:
            outcomes = await super().decide(size, submissions, now)
            late = b"first" not in self.words[:size]
            return [
                Refused("too early") if late and word == b"then" else outcome
                for word, outcome in zip(submissions, outcomes, strict=True)
            ]

    store = FaultyStore(DictStore())
    async with running(store, AfterAnother(store)) as here, running(store) as there:
        with pytest.raises(Refused, match="too early"):
            await here.submit(b"then")
        await there.submit(b"first")
        assert (await here.submit(b"then")).index == 1
        store.failing_reads = [True]
        with pytest.raises(Unavailable):  # the newest state cannot be told; nothing was written, so nothing stops
            await here.submit(b"!no")
        assert here.state is SequencerState.RUNNING


async def test_what_waited_for_one_who_stopped_the_log_is_not_committed() -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    class Forgetful(UniqueWords):
        async def applied(self, batch: Batch, accepted: Sequence[tuple[int, bytes]]) -> None:
            await super().applied(batch, accepted)
            entered.set()
            await go.wait()
            raise Unavailable("projection")

    store = DictStore()
    sequencer = new(store, Forgetful(store))
    await sequencer.start()
    async with running(store) as other:
        await other.submit(b"a")
    following = asyncio.create_task(sequencer.catch_up())
    await entered.wait()
    submitter = asyncio.create_task(sequencer.submit(b"b"))
    for _ in range(5):
        await asyncio.sleep(0)
    go.set()
    for task in (following, submitter):
        with pytest.raises(Stopped, match="projection"):
            await task
    assert stored(store) == [b"a"]
    await sequencer.close()


# What is wrong in the store is found at the start, and before anything is signed over it.


async def filled(*batches: Sequence[bytes]) -> DictStore:
    store = DictStore()
    frontier = EMPTY_FRONTIER
    for words in batches:
        batch = next_batch(frontier, words)
        await store.insert(batch.start, batch.encode())
        frontier = batch.frontier
    return store


@pytest.mark.parametrize("start", [0, 2])
async def test_a_changed_last_batch_is_found_at_the_start(start: int) -> None:
    store = await filled([b"aa", b"bb"], [b"cc"]) if start else await filled([b"aa", b"bb"])
    good = store.batches[start]
    for at in range(len(good)):
        store.batches[start] = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        sequencer = new(store)
        with pytest.raises(DamagedLog):
            await sequencer.start()
        with pytest.raises(Stopped):
            await sequencer.submit(b"x")
        await sequencer.close()
    store.batches[start] = good
    async with running(store) as sequencer:
        assert sequencer.size == start + len(Batch.decode(good).entries)


async def test_a_missing_batch_before_the_last_is_found_at_the_start() -> None:
    store = await filled([b"a"], [b"b"], [b"c"])
    del store.batches[1]
    with pytest.raises(DamagedLog, match="ends at 1"):
        await new(store).start()
    del store.batches[0]
    with pytest.raises(DamagedLog, match="none before"):
        await new(store).start()


async def test_a_damaged_batch_of_another_writer_is_not_signed() -> None:
    store = DictStore()
    async with running(store) as sequencer:
        await sequencer.submit(b"a")
        before = sequencer.checkpoint
        other = next_batch(EMPTY_FRONTIER.append(leaf_hash(b"not a")), [b"b"])
        store.batches[1] = other.encode()
        with pytest.raises(DamagedLog):
            await sequencer.catch_up()
        assert sequencer.checkpoint == before
        with pytest.raises(Stopped):
            await sequencer.submit(b"c")
        del store.batches[1]
        await sequencer.reload()
        assert (await sequencer.submit(b"c")).index == 1


async def test_a_store_that_lost_what_was_signed_is_never_extended() -> None:
    store = FaultyStore(DictStore())
    async with running(store) as sequencer:
        await sequencer.submit(b"a")
        await sequencer.submit(b"b")
        del store.batches[1]
        store.inserts = [store.lost]
        with pytest.raises(Stopped):
            await sequencer.submit(b"c")
        with pytest.raises(Forked):
            await sequencer.reload()
        store.batches[1] = next_batch(EMPTY_FRONTIER.append(leaf_hash(b"a")), [b"z"]).encode()
        with pytest.raises(Forked):
            await sequencer.reload()
        assert sequencer.size == 2


async def test_a_frontier_that_changed_in_memory_is_not_extended() -> None:
    store = DictStore()
    async with running(store) as sequencer:
        await sequencer.submit(b"a")
        sequencer._frontier = EMPTY_FRONTIER.append(leaf_hash(b"flipped"))
        with pytest.raises(Stopped, match="last signed root"):
            await sequencer.submit(b"b")
    assert list(store.batches) == [0]


async def test_a_store_restored_from_an_old_backup_is_refused_by_a_published_checkpoint() -> None:
    store = await filled([b"a", b"b"], [b"c"])
    async with running(store) as sequencer:
        published = sequencer.checkpoint
    for size in range(4):
        root = root_of(map(leaf_hash, [b"a", b"b", b"c"][:size]))
        again = new(store)
        await again.start(published=SIGNER.sign_note(Checkpoint(origin=SIGNER.name, size=size, root=root).body))
        await again.close()
    other = new(store)
    with pytest.raises(BadSignature):
        await other.start(published=NoteSigner(SIGNER.name, Ed25519PrivateKey.generate()).sign_note(BODY_OF_ONE))
    with pytest.raises(Forked):
        await other.start(published=SIGNER.sign_note(BODY_OF_ONE))
    last = store.batches.pop(2)
    with pytest.raises(Forked, match="size 3"):
        await other.start(published=published)
    with pytest.raises(Stopped):
        await other.submit(b"d")
    store.batches.clear()
    with pytest.raises(Forked):
        await other.start(published=published)
    store.batches.update((await filled([b"a", b"b"])).batches)
    store.batches[2] = last
    await other.start(published=published)
    assert (await other.submit(b"d")).index == 3
    await other.close()


async def test_one_who_gives_up_waiting_leaves_nothing_behind() -> None:
    async with running(DictStore()) as sequencer:
        waiting = asyncio.create_task(sequencer.wait_for(1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert sequencer._waiters == []


async def test_a_wrongly_computed_tree_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory that flips a bit after hashing: the stored bytes are hashed again before they are signed."""

    def miscomputed(frontier: Frontier, entries: Sequence[bytes]) -> Batch:
        return dataclasses.replace(next_batch(frontier, [*entries[:-1], b"flipped"]), entries=tuple(entries))

    async with running(DictStore()) as sequencer:
        monkeypatch.setattr("ledger.sequencer.next_batch", miscomputed)
        with pytest.raises(Stopped, match="do not re-derive"):
            await sequencer.submit(b"a")
        assert sequencer.size == 0


async def test_a_failing_read_to_catch_up_stops_nothing() -> None:
    store = FaultyStore(DictStore())
    async with running(store) as sequencer:
        store.failing_reads = [True]
        with pytest.raises(Unavailable):
            await sequencer.catch_up()
        assert sequencer.state is SequencerState.RUNNING
        assert await sequencer.catch_up() == 0


async def test_many_are_submitted_together_and_each_has_its_outcome() -> None:
    store = DictStore()
    words = [b"a", b"!no", b"b", b"a", *(b"%d" % number for number in range(20))]
    async with running(store, full=8) as sequencer:
        first, refused, second, again, *rest = await sequencer.submit_all(words)
        assert isinstance(first, Committed)
        assert isinstance(second, Committed)
        assert (first.index, second.index) == (0, 1)
        assert isinstance(refused, Refused)
        assert isinstance(again, Committed)
        assert again.index == 0
        assert [one.index for one in rest if isinstance(one, Committed)] == list(range(2, 22))
        assert max(len(Batch.decode(data).entries) for data in store.batches.values()) <= 8
        assert await sequencer.submit_all([]) == ()
    assert stored(store) == [b"a", b"b", *words[4:]]
    with pytest.raises(Stopped):
        await sequencer.submit_all([b"late"])


async def test_one_who_gives_up_on_many_leaves_those_that_were_not_taken() -> None:
    store = DictStore()
    async with running(store, window=LONG, full=3) as sequencer:
        task = asyncio.create_task(sequencer.submit_all([b"a", b"b"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(*(sequencer.submit(word) for word in (b"c", b"d", b"e")))
    assert stored(store) == [b"c", b"d", b"e"]


async def test_a_stop_is_the_outcome_of_each_that_was_submitted_with_others() -> None:
    store = FaultyStore(DictStore())
    async with running(store, full=2) as sequencer:
        store.inserts = [store.lost] * 3
        outcomes = await sequencer.submit_all([b"a", b"b", b"c"])
        assert [type(one) for one in outcomes] == [Stopped] * 3
