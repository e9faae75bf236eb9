"""The async shell that grows the log: gather, decide, insert, read back, and only then sign.

The rules, each with a row in the fault table of the tests:

1. What arrives within a short window becomes one batch, decided on state at exactly the size that it extends.
2. The commit is one insert under that size. Whatever the insert says, what stands there is read back, and the root is
   re-derived from those very bytes before it is signed: while the disk is flushed it is derived from the bytes that
   were handed over, and those that are read must have their SHA-256. Signing is deterministic: every replica makes the
   same note.
3. Something else stands there: another writer was first. Catch up, decide again, try again. So too before anybody is
   refused: a refusal rests on the newest state, as an entry does.
4. The insert raised: its outcome is unknown. Before any retry the signed tree is looked for and what came after it is
   read, as at the start. Where that fails too, or nothing can be written, the sequencer is *stopped*: it signs and
   accepts nothing until `reload`, which is the same function as `start`, succeeds.
5. Before it extends, the frontier in memory must give the root that was signed last.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from hashlib import sha256
from itertools import repeat
from math import inf
from typing import Generic, TypeVar, cast

from ledger.batch import Batch, check_extends, next_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.errors import DamagedLog, LedgerError, Malformed, Stopped
from ledger.merkle import EMPTY_FRONTIER, Frontier
from ledger.note import NoteSigner
from ledger.plan import Answers, Committed, Plan, Waiting, plan_batch
from ledger.ports import Assembly, Entry, LogStore
from ledger.tip import check_published, check_stands, decode_stored, load_frontier, read_next

__all__ = ["MAX_ATTEMPTS", "Committed", "Sequencer", "SequencerState"]

SubmissionT = TypeVar("SubmissionT")

MAX_ATTEMPTS = 3
"""Inserts of one batch that may fail, each followed by a verified reload, before the sequencer stops."""

MAX_OVERTAKEN = 16
"""How often a batch whose deciding failed is decided again because another writer's batch was found to stand there."""


class SequencerState(StrEnum):
    """What the sequencer does now."""

    NEW = "new"
    RUNNING = "running"
    STOPPED = "stopped"
    CLOSED = "closed"


class Sequencer(Generic[SubmissionT]):
    """One writer of one log. Several may run on one store, in one process or many; none of them leads."""

    def __init__(
        self,
        store: LogStore,
        assembly: Assembly[SubmissionT],
        signer: NoteSigner,
        origin: str,
        clock: Callable[[], int],
        *,
        window_seconds: float = 0.005,
        max_batch: int = 1000,
    ) -> None:
        """`clock` gives Unix seconds. The signer's name must be the origin (Malformed)."""
        if signer.name != origin:
            raise Malformed(f"the log key is named {signer.name}, not {origin}")
        self._store, self._assembly, self._signer, self._clock = store, assembly, signer, clock
        self.origin = origin
        self._window_seconds, self._max_batch = window_seconds, max_batch
        self._state, self._reason = SequencerState.NEW, "it was not started"
        # Owned by whoever holds the lock: the commit, catch_up, reload.
        self._lock = asyncio.Lock()
        self._frontier: Frontier | None = None
        self._signed: Checkpoint | None = None
        self._checkpoint = ""
        self._others_size = 0
        # Owned by the event loop's single thread.
        self._queue: deque[Waiting[SubmissionT]] = deque()
        self._queued = 0  # submissions in the queue
        self._wake, self._full = asyncio.Event(), asyncio.Event()
        self._waiters: list[tuple[int, asyncio.Future[str]]] = []
        self._worker: asyncio.Task[None] | None = None

    @property
    def state(self) -> SequencerState:
        """New, running, stopped or closed."""
        return self._state

    @property
    def stop_reason(self) -> str:
        """Why it does not run; empty while it runs."""
        return self._reason

    @property
    def checkpoint(self) -> str:
        """The newest checkpoint that was signed. Raises Stopped before the first start."""
        if self._signed is None:
            raise self._stopped()
        return self._checkpoint

    @property
    def size(self) -> int:
        """The size of the newest signed checkpoint. Raises Stopped before the first start."""
        if self._signed is None:
            raise self._stopped()
        return self._signed.size

    @property
    def others_size(self) -> int:
        """The size of the newest tree that another writer made, as far as is known here; 0 where there was none."""
        return self._others_size

    async def start(self, *, published: str | None = None) -> None:
        """Read and verify the newest state, sign it, and begin to accept.

        The last batch must re-derive its frontier; what this object signed earlier must still stand, and so must
        `published`, a checkpoint of this log that was kept elsewhere: a store that was restored from an old backup is
        refused before it forks. Raises DamagedLog or Forked, Malformed or BadSignature for another log's checkpoint, or
        what the store raises; it is stopped then, and `start` may be tried again.
        """
        async with self._lock:
            if self._state is SequencerState.CLOSED:
                raise self._stopped()
            try:
                await self._load(published)
            except Exception as error:
                self._stop(error)
                raise
            self._state, self._reason = SequencerState.RUNNING, ""
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name=f"sequencer of {self.origin}")

    reload = start
    """The way out of `stopped`: the same function, for recovery is the normal path."""

    async def submit(self, submission: SubmissionT) -> Committed:
        """Have `submission` decided and appended; return when a signed checkpoint covers it.

        Raises what the assembly decided or raised, or Stopped, when the outcome is UNKNOWN: submit the same again. A
        submitter who is cancelled leaves its batch alone; the entry may be appended all the same.
        """
        (outcome,) = await self.submit_all((submission,))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_all(self, submissions: Sequence[SubmissionT]) -> tuple[Committed | Exception, ...]:
        """Have each of `submissions` decided and appended, as `submit` does; one outcome for each, in order.

        They are taken in order, with what others submit, in as many batches as they need: not all or nothing.
        Raises Stopped where nothing was taken.
        """
        if not submissions:
            return ()
        if self._state is not SequencerState.RUNNING:
            raise self._stopped()
        loop = asyncio.get_running_loop()
        answers = Answers(submissions, loop.create_future())
        self._queue.append(Waiting(answers=answers, first=0, last=len(submissions), arrived=loop.time()))
        self._queued += len(submissions)
        self._wake.set()
        if self._queued >= self._max_batch:
            self._full.set()
        # One who gives up on some gives up on all; those that were taken stand all the same.
        await answers.ready
        return tuple(cast("list[Committed | Exception]", answers.outcomes))

    async def wait_for(self, size: int) -> str:
        """Return the newest signed checkpoint as soon as its size is at least `size`. Raises Stopped."""
        if self._state is not SequencerState.RUNNING:
            raise self._stopped()
        if self.size >= size:
            return self._checkpoint
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            return await waiter
        finally:  # one who gives up on an idle log leaves nothing behind
            self._waiters = [(wanted, other) for wanted, other in self._waiters if other is not waiter]

    async def catch_up(self) -> int:
        """Read what other writers appended, sign the newest state and return its size.

        Raises Stopped, DamagedLog (and is stopped), or what the store raises (and runs on: a read changed nothing).
        """
        async with self._lock:
            if self._state is not SequencerState.RUNNING:
                raise self._stopped()
            try:
                await self._walk()
            except LedgerError as error:
                self._stop(error)
                raise
            return self.size

    async def close(self) -> None:
        """Accept nothing more, finish what was submitted, and end. Safe to call twice."""
        self._state, self._reason = SequencerState.CLOSED, "it was closed"
        self._wake.set()
        self._full.set()
        if self._worker is not None:
            await asyncio.wait({self._worker})
        self._fail_all()

    # The worker: one batch after the other.

    async def _work(self) -> None:
        try:
            while True:
                await self._wake.wait()
                if not self._queue:
                    if self._state is SequencerState.CLOSED:
                        return
                    self._wake.clear()
                    continue
                await self._gather()
                await self._run_batch()
        except BaseException as error:
            self._stop(Stopped(f"its task ended: {type(error).__name__}"))
            raise

    async def _gather(self) -> None:
        """Wait until the oldest submission is `window_seconds` old or the batch is full."""
        remaining = self._queue[0].arrived + self._window_seconds - asyncio.get_running_loop().time()
        if self._queued < self._max_batch and self._state is SequencerState.RUNNING and remaining > 0:
            self._full.clear()
            try:
                async with asyncio.timeout(remaining):
                    await self._full.wait()
            except TimeoutError:
                pass

    async def _run_batch(self) -> None:
        taken = self._take()
        if not taken:
            return
        left_over: list[Waiting[SubmissionT]] = []
        try:
            async with self._lock:
                if self._state is SequencerState.STOPPED:  # whoever held the lock found out why
                    raise self._stopped()
                left_over = await self._commit(taken)
        except BaseException as error:
            if self._state is not SequencerState.STOPPED:
                self._stop(error)
            for waiting in taken:
                waiting.fail(self._stopped())
            if not isinstance(error, Exception):
                raise
        self._queue.extendleft(reversed(left_over))
        self._queued += sum(map(len, left_over))
        if self._state is SequencerState.STOPPED:
            self._fail_all()

    def _take(self) -> list[Waiting[SubmissionT]]:
        """The oldest submissions, as many as make a batch; what was given up is dropped."""
        taken: list[Waiting[SubmissionT]] = []
        room = self._max_batch
        while self._queue and room:
            waiting = self._queue.popleft()
            self._queued -= len(waiting)
            if waiting.is_given_up:
                continue
            if len(waiting) > room:
                waiting, rest = waiting.split(room)
                self._queue.appendleft(rest)
                self._queued += len(rest)
            taken.append(waiting)
            room -= len(waiting)
        return taken

    async def _commit(self, taken: list[Waiting[SubmissionT]]) -> list[Waiting[SubmissionT]]:
        """Decide, insert, read back, sign. Returns those that did not fit in. What it raises stops the sequencer."""
        attempts = overtaken = 0
        values = taken[0].values if len(taken) == 1 else [value for waiting in taken for value in waiting.values]
        while True:
            frontier = self._tip()
            try:
                outcomes = await self._assembly.decide(frontier.size, values, self._clock())
                plan = plan_batch(frontier.size, values, outcomes)
                batch = next_batch(frontier, plan.entries) if plan.entries else None
                # An insert proves that the state was the newest. Where nothing is inserted, a look does, lest somebody
                # is refused for not knowing what another writer has just appended.
                newer = batch is None and plan.refuses and await self._store.read(frontier.size) is not None
            except Exception as error:
                # Nothing was written. The rules may fail only because another writer's state ran away from them.
                if overtaken < MAX_OVERTAKEN and await self._store.read(frontier.size) is not None:
                    overtaken += 1
                    await self._walk()
                    continue
                for waiting in taken:
                    waiting.fail(error)
                return []
            if newer:
                await self._walk()
                continue
            if batch is None:
                return await self._settle(taken, plan, None)
            stored = await self._insert(frontier, batch)
            if stored is not None:
                failure = await self._advance(stored, plan.accepted)
                left_over = await self._settle(taken, plan, stored)
                if failure is not None:
                    raise failure  # those who were settled have their answer; it stops for all others
                return left_over
            await self._walk()
            if self.size == batch.start:
                attempts += 1
                if attempts == MAX_ATTEMPTS:
                    raise Stopped(f"the batch {batch.start} could not be written in {MAX_ATTEMPTS} attempts")

    async def _insert(self, frontier: Frontier, batch: Batch) -> Batch | None:
        """Insert, then read what stands; return it, re-derived from the stored bytes, if it is this batch."""
        data = batch.encode()
        inserting = asyncio.ensure_future(self._store.insert(batch.start, data))
        try:
            await asyncio.sleep(0)  # the write begins; while the disk is flushed there is time to derive
            digest = sha256(data).digest()
            derived = decode_stored(batch.start, data)
            check_extends(frontier, derived)
        finally:
            await asyncio.wait({inserting})
        if inserting.exception() is not None:
            # Of any kind: the outcome is unknown, so what was signed is looked for before anything else.
            await check_stands(self._store, frontier)
        stands = await self._store.read(batch.start)
        # What was derived has this digest. So have the bytes that stand, or they are another batch.
        return derived if stands is not None and sha256(stands).digest() == digest else None

    async def _settle(
        self, taken: list[Waiting[SubmissionT]], plan: Plan[SubmissionT], batch: Batch | None
    ) -> list[Waiting[SubmissionT]]:
        """Answer those that were decided; return those that did not fit in, as if they had waited for long."""
        outcomes = await self._outcomes(plan, batch)
        left_over, at = [], 0
        for waiting in taken:
            given = outcomes[at : at + len(waiting)]
            at += len(given)
            waiting.answers.put(waiting.first, given)
            if len(given) < len(waiting):
                left_over.append(waiting.after(len(given), -inf))
        return left_over

    async def _outcomes(self, plan: Plan[SubmissionT], batch: Batch | None) -> list[Committed | Exception]:
        size = self.size
        if batch is not None and len(batch.entries) == len(plan.outcomes):
            return list(map(Committed, range(batch.start, batch.end), batch.entries, repeat(size)))
        outcomes: list[Committed | Exception] = []
        accepted = iter(() if batch is None else enumerate(batch.entries, batch.start))
        for outcome in plan.outcomes:
            if isinstance(outcome, Exception):
                outcomes.append(outcome)
            elif isinstance(outcome, Entry):
                outcomes.append(Committed(*next(accepted), size))
            else:
                try:
                    outcomes.append(Committed(outcome.index, await self._entry(outcome.index, batch), size))
                except Exception as error:
                    outcomes.append(error)  # a read failed; nothing was written for this one
        return outcomes

    async def _entry(self, index: int, batch: Batch | None) -> bytes:
        if batch is None or index < batch.start:
            found = await self._store.covering(index)
            batch = decode_stored(*found) if found is not None else None
        if batch is None or not batch.start <= index < batch.end:
            raise DamagedLog(f"the entry {index} is said to be known, and no batch holds it")
        return batch.entries[index - batch.start]

    # The tip: loading it, moving it forward, signing it.

    async def _load(self, published: str | None) -> None:
        loaded = await load_frontier(self._store) if self._frontier is None else None  # damage is named as damage first
        if published is not None:
            await check_published(self._store, verify_checkpoint(published, [self._signer.key]))
        if loaded is not None:
            self._sign(loaded)
        else:
            await check_stands(self._store, self._tip())
            await self._walk()

    async def _walk(self) -> None:
        """Take over every batch that stands after the tip. Raises Stopped when the assembly fails to follow."""
        while (batch := await read_next(self._store, self._tip())) is not None:
            failure = await self._advance(batch, ())
            self._others_size = batch.end
            if failure is not None:
                raise failure

    async def _advance(self, batch: Batch, accepted: Sequence[tuple[int, SubmissionT]]) -> Stopped | None:
        """Sign the tree after `batch`, which stands and extends the tip, and tell the assembly; return its failure."""
        self._sign(batch.frontier)
        try:
            await self._assembly.applied(batch, accepted)
        except Exception as error:  # it is committed and signed; what follows from it is the assembly's to mend
            return Stopped(f"the rules could not follow the batch {batch.start}: {type(error).__name__}: {error}")
        return None

    def _sign(self, frontier: Frontier) -> None:
        signed = Checkpoint(origin=self.origin, size=frontier.size, root=frontier.root)
        self._checkpoint = sign_checkpoint(signed, self._signer)
        self._frontier, self._signed = frontier, signed
        ready = [waiter for size, waiter in self._waiters if size <= frontier.size]
        self._waiters = [(size, waiter) for size, waiter in self._waiters if size > frontier.size]
        for waiter in ready:
            if not waiter.done():
                waiter.set_result(self._checkpoint)

    def _tip(self) -> Frontier:
        frontier = self._frontier if self._frontier is not None else EMPTY_FRONTIER
        if self._signed is None or (frontier.size, frontier.root) != (self._signed.size, self._signed.root):
            raise DamagedLog("the frontier in memory does not give the last signed root", "Restart the service.")
        return frontier

    def _stop(self, error: BaseException) -> None:
        if self._state is not SequencerState.CLOSED:
            self._state = SequencerState.STOPPED
        self._reason = f"{type(error).__name__}: {error}"
        self._fail_all()

    def _fail_all(self) -> None:
        while self._queue:
            self._queue.popleft().fail(self._stopped())
        self._queued = 0
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._stopped())
        self._waiters.clear()

    def _stopped(self) -> Stopped:
        return Stopped(
            f"the log of {self.origin} accepts nothing now ({self._reason})",
            "What was submitted may or may not stand. Submit the same again when the service is ready.",
        )
