"""The fault table: each write of a commit × how it fails × what fails after it, then recovery, then a check of all.

What must hold in every row: an answer that was given stays true; no word stands twice; every checkpoint that was ever
signed is a prefix of what stands in the end; what was not answered can be submitted again; the stored bytes pass.
"""

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.audit import audit
from ledger.batch import Batch, check_extends, next_batch
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import Stopped
from ledger.merkle import EMPTY_FRONTIER, leaf_hash, root_of
from ledger.note import NoteSigner
from ledger.plan import Committed
from ledger.sequencer import Sequencer, SequencerState
from tests.ledger.rules import UniqueWords
from tests.ledger.stores import DictStore, FaultyStore, Unavailable

SIGNER = NoteSigner("ledger.example/notary", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


class Watched(Sequencer[bytes]):
    """Remembers every checkpoint that it signed."""

    def __init__(self, store: DictStore, seen: list[Checkpoint]) -> None:
        super().__init__(store, UniqueWords(DictStoreView(store)), SIGNER, SIGNER.name, lambda: 0, window_seconds=0)
        self.seen = seen

    def _sign(self, frontier: object) -> None:
        super()._sign(frontier)  # type: ignore[arg-type]
        self.seen.append(verify_checkpoint(self.checkpoint, [SIGNER.key]))


class DictStoreView(DictStore):
    """The same batches without the faults: the rules' own reads are not what is tested here."""

    def __init__(self, store: DictStore) -> None:
        super().__init__()
        self.batches, self.tiles = store.batches, store.tiles


def check_all(store: DictStore, answers: dict[bytes, Committed], seen: list[Checkpoint]) -> list[bytes]:
    """Re-derive everything from the stored bytes, and compare with what was told to anybody."""
    frontier, entries = EMPTY_FRONTIER, []
    for start in sorted(store.batches):
        batch = Batch.decode(store.batches[start])
        check_extends(frontier, batch)
        frontier = batch.frontier
        entries.extend(batch.entries)
    assert len(set(entries)) == len(entries)
    for word, answer in answers.items():
        assert entries[answer.index] == word
    for checkpoint in seen:
        assert checkpoint.root == root_of(map(leaf_hash, entries[: checkpoint.size]))
    return entries


OTHER = next_batch(EMPTY_FRONTIER.append(leaf_hash(b"first")), [b"other writer's"]).encode()
SAME = next_batch(EMPTY_FRONTIER.append(leaf_hash(b"first")), [b"second"]).encode()

# name: (how the inserts fail, in order; which reads after them raise; is the submitter answered)
ROWS: dict[str, tuple[list[str], list[bool], bool]] = {
    "no fault": ([], [], True),
    "lost": (["lost"], [], True),
    "kept but reported lost": (["kept"], [], True),
    "arrives late": (["arrives_late"], [], True),
    "reported kept but lost": (["lied"], [], True),
    "kept twice": (["twice"], [], True),
    "kept, and once more later": (["twice_late"], [], True),
    "lost, then kept twice": (["lost", "twice"], [], True),
    "kept twice, then unreadable": (["twice"], [True], False),
    "kept, once more later, then unreadable": (["twice_late"], [True], False),
    "another writer was first": (["other"], [], True),
    "another writer was first with the same": (["same"], [], True),
    "lost twice": (["lost", "lost"], [], True),
    "lost, then kept but reported lost": (["lost", "kept"], [], True),
    "lost for good": (["lost"] * 3, [], False),
    "lies for good": (["lied"] * 3, [], False),
    "late for good": (["arrives_late"] * 3, [], False),
    "lost, then unreadable": (["lost"], [True], False),
    "kept but reported lost, then unreadable": (["kept"], [True], False),
    "kept but reported lost, looked for, then unreadable": (["kept"], [False, True], False),
    "arrives late, then unreadable": (["arrives_late"], [True], False),
    "kept, then unreadable": ([], [True], False),
    "another writer was first, then unreadable": (["other"], [True], False),
    "another writer was first, read, then unreadable": (["other"], [False, True], False),
}


def faults_of(store: FaultyStore, names: list[str]) -> list[Callable[[int, bytes], bool]]:
    others = {"other": store.overtaken_by(OTHER), "same": store.overtaken_by(SAME)}
    return [others.get(name) or getattr(store, name) for name in names]


@pytest.mark.parametrize("restart", ["reload", "new process"])
@pytest.mark.parametrize("row", ROWS)
async def test_the_fault_table(row: str, restart: str) -> None:
    faults, failing_reads, answered = ROWS[row]
    disk = DictStore()
    store, seen, answers = FaultyStore(disk), [], {}
    sequencer = Watched(store, seen)
    await sequencer.start()
    answers[b"first"] = await sequencer.submit(b"first")
    store.inserts, store.failing_reads = faults_of(store, faults), list(failing_reads)
    if answered:
        answers[b"second"] = await sequencer.submit(b"second")
    else:
        with pytest.raises(Stopped):
            await sequencer.submit(b"second")
        with pytest.raises(Stopped):
            await sequencer.submit(b"third")
        with pytest.raises(Stopped):
            await sequencer.catch_up()
        assert sequencer.size == seen[-1].size  # nothing was signed on the way down
    assert (sequencer.state is SequencerState.RUNNING) is answered
    check_all(store, answers, seen)

    if restart == "new process":
        await sequencer.close()
        late = store.late
        store = FaultyStore(disk)
        store.late = late  # what is on its way does not stop for a restart
        sequencer = Watched(store, seen)
        await sequencer.start()
    else:
        await sequencer.reload()
    again = await sequencer.submit(b"second")
    if answered:
        assert again.index == answers[b"second"].index
    answers[b"second"] = again
    answers[b"fourth"] = await sequencer.submit(b"fourth")
    entries = check_all(store, answers, seen)
    assert set(entries) - {b"other writer's"} == {b"first", b"second", b"fourth"}
    assert [finding async for finding in audit(disk, SIGNER.key, [sequencer.checkpoint])] == []
    await sequencer.close()


@pytest.mark.parametrize("at", ["before the insert", "after the insert", "after the read"])
async def test_a_crash_between_the_steps_leaves_the_batch_or_nothing(at: str) -> None:
    """The process dies at `at`: its task is cancelled there, and a new one starts on the same disk."""
    reached, never = asyncio.Event(), asyncio.Event()

    class Dying(DictStore):
        armed = False
        inserted = False

        async def _die(self) -> None:
            reached.set()
            await never.wait()

        async def insert(self, start: int, data: bytes) -> bool:
            if self.armed and at == "before the insert":
                await self._die()
            done = await super().insert(start, data)
            if self.armed and at == "after the insert":
                await self._die()
            self.inserted = True
            return done

        async def read(self, start: int) -> bytes | None:
            data = await super().read(start)
            if self.armed and self.inserted:
                await self._die()
            return data

    store, seen = Dying(), []
    first = Watched(store, seen)
    await first.start()
    answers = {b"first": await first.submit(b"first")}
    store.armed, store.inserted = True, False
    submitter = asyncio.create_task(first.submit(b"second"))
    await reached.wait()
    assert first._worker is not None
    first._worker.cancel()
    with pytest.raises(Stopped):
        await submitter
    disk = DictStoreView(store)
    second = Watched(disk, seen)
    await second.start()
    assert second.size == (1 if at == "before the insert" else 2)
    answers[b"second"] = await second.submit(b"second")
    assert answers[b"second"].index == 1
    assert check_all(disk, answers, seen) == [b"first", b"second"]
    await second.close()
    await first.close()


FAULTS = ("lost", "kept", "twice", "twice_late", "arrives_late", "lied")


class ManyWritersManyFaults(RuleBasedStateMachine):
    """Three writers on one disk; any faults at any time; what was answered and signed stays true throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = DictStore()
        self.seen: list[Checkpoint] = []
        self.answers: dict[bytes, Committed] = {}
        self.stores = [FaultyStore(self.disk) for _ in range(3)]
        self.writers = [Watched(store, self.seen) for store in self.stores]
        for writer in self.writers:
            self.loop.run_until_complete(writer.start())

    @rule(
        who=st.integers(0, 2),
        faults=st.lists(st.sampled_from(FAULTS), max_size=4),
        reads=st.lists(st.booleans(), max_size=6),
    )
    def fails_next(self, who: int, faults: list[str], reads: list[bool]) -> None:
        store = self.stores[who]
        store.inserts, store.failing_reads = faults_of(store, faults), reads

    @rule(who=st.integers(0, 2), words=st.lists(st.integers(0, 30), min_size=1, max_size=4))
    def submits(self, who: int, words: list[int]) -> None:
        async def all_of_them() -> list[Committed | BaseException]:
            return await asyncio.gather(
                *(self.writers[who].submit(b"%d" % word) for word in words), return_exceptions=True
            )

        for word, answer in zip(words, self.loop.run_until_complete(all_of_them()), strict=True):
            if isinstance(answer, Committed):
                assert answer.index < answer.size
                assert answer.index == self.answers.setdefault(b"%d" % word, answer).index
            else:
                assert isinstance(answer, Stopped | Unavailable)

    @rule(who=st.integers(0, 2))
    def catches_up(self, who: int) -> None:
        with contextlib.suppress(Stopped, Unavailable):
            self.loop.run_until_complete(self.writers[who].catch_up())

    @rule(who=st.integers(0, 2))
    def reloads(self, who: int) -> None:
        try:
            self.loop.run_until_complete(self.writers[who].reload())
        except Unavailable:
            assert self.writers[who].state is SequencerState.STOPPED

    @rule(who=st.integers(0, 2))
    def restarts(self, who: int) -> None:
        self.loop.run_until_complete(self.writers[who].close())
        late = self.stores[who].late
        self.stores[who] = FaultyStore(self.disk)
        self.stores[who].late = late
        self.writers[who] = Watched(self.stores[who], self.seen)
        self.loop.run_until_complete(self.writers[who].start())

    @invariant()
    def everything_told_is_true(self) -> None:
        check_all(self.disk, self.answers, self.seen)

    def teardown(self) -> None:
        for store, writer in zip(self.stores, self.writers, strict=True):
            store.inserts, store.failing_reads = [], []
            self.loop.run_until_complete(writer.reload())
            answer = self.loop.run_until_complete(writer.submit(b"after all"))
            assert answer.index == self.answers.setdefault(b"after all", answer).index
            self.loop.run_until_complete(writer.close())
        check_all(self.disk, self.answers, self.seen)
        self.loop.close()


TestManyWritersManyFaults = ManyWritersManyFaults.TestCase
TestManyWritersManyFaults.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
