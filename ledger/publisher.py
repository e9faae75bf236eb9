"""Publication: on a fixed cadence the newest signed checkpoint is offered to witnesses, and published with what came.

1. At every full multiple of `cadence_seconds` on the clock the newest checkpoint, other writers' entries included,
   becomes the *target*, if it is larger than what is published. So all replicas publish at the same moments, and a
   checkpoint does not tell when within that time an entry came.
2. Every witness is asked at once, each by a task of its own. A witness that fails is asked again later, with growing
   pauses, for whatever the target is then; until it answers in time again, nobody waits for it.
3. The target is published as soon as the quorum is met, or when all who were expected have answered, or after
   `timeout_seconds`, whatever came first. So a slow witness costs that much once, and a dead one nothing.
4. What comes later for the published checkpoint is added to it.
5. A witness that is ahead of the target was fed by another replica of this log. It is well, so it does not rest; and a
   target without its quorum is not published then: the sequencer catches up, and what it finds becomes the target.

Without witnesses a target is published as it is. Too frequent checkpoints would keep witnesses from agreeing on any;
hence the cadence. Published is what others see: the
sequencer's newest checkpoint may be larger.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ledger.checkpoint import Checkpoint
from ledger.collect import Feed, Prove, Submit, with_cosignatures
from ledger.errors import LedgerError, WitnessAhead
from ledger.note import Note, SignatureLine, VerifierKey
from ledger.policy import Policy

MAX_OVERTAKEN = 16
"""Targets that may be given up for newer ones before one is published with what came."""
FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 30.0

Report = Callable[[str, str], None]
"""(the witness's URL, what is wrong), for the operator."""


class Source(Protocol):
    """Where signed checkpoints come from; a `Sequencer` is one."""

    @property
    def checkpoint(self) -> str:
        """The newest."""
        ...

    async def catch_up(self) -> int:
        """Read what other writers appended; return the size of the newest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A signed checkpoint with its cosignatures: size, text, and whether it meets the quorum."""

    size: int
    text: str
    quorum_met: bool


@dataclass(slots=True)
class _Round:
    """One target on its way to publication."""

    signed: str
    checkpoint: Checkpoint
    lines: list[SignatureLine] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    overtaken: bool = False
    """A witness has cosigned a larger tree already."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Publisher:
    """Publishes one log's checkpoints. `start` it after the sequencer, `close` it before."""

    def __init__(
        self,
        source: Source,
        policy: Policy,
        feeds: Sequence[Feed],
        prove: Prove,
        *,
        cadence_seconds: float = 1.0,
        timeout_seconds: float = 2.0,
        clock: Callable[[], float] = time.time,
        report: Report = lambda _url, _problem: None,
    ) -> None:
        """`policy` names the log, its witnesses and the quorum that makes a round complete before its time.

        `clock` gives Unix seconds; the cadence is counted on it.
        """
        self._source, self._policy, self._feeds, self._prove = source, policy, tuple(feeds), prove
        self._cadence, self._timeout, self._clock, self._report = cadence_seconds, timeout_seconds, clock, report
        self._round: _Round | None = None
        self._published: Published | None = None
        self._grown_at = time.monotonic()
        self._published_round: _Round | None = None
        self._resting: set[str] = set()
        self._kept: str | None = None
        self._new_target = asyncio.Condition()
        self._new_publication = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def published(self) -> Published:
        """What is published now. Only after `start`."""
        assert self._published is not None, "the publisher was not started"  # noqa: S101 - a mistake in the wiring
        return self._published

    @property
    def age_seconds(self) -> float:
        """Since a larger checkpoint than the one before was published here, by a clock that nobody sets."""
        return time.monotonic() - self._grown_at

    async def start(self, kept: str | None = None) -> None:
        """Publish the newest checkpoint, with what the witnesses give within the time-out, and go on.

        `kept` is what was published last, if it is known: where the log stands at the same tree, its cosignatures count
        from the beginning, even when no witness answers now. Raises Malformed, BadSignature for one that is not true.
        """
        self._kept = kept
        for feed in self._feeds:
            self._tasks.append(asyncio.create_task(self._follow(feed), name=f"feed of {feed.url}"))
        await self._publish_newest()
        self._tasks.append(asyncio.create_task(self._run(), name="publisher"))

    async def close(self) -> None:
        """End; what is published stays readable. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def covering(self, size: int) -> Published:
        """What is published, as soon as its size is at least `size`."""
        async with self._new_publication:
            await self._new_publication.wait_for(lambda: self.published.size >= size)
            return self.published

    # The rounds.

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._cadence - self._clock() % self._cadence)
            try:
                await self._source.catch_up()
            except Exception as error:
                # The sequencer is stopped, and its owner reloads it, or the store does not answer. What was signed
                # before is to be published all the same.
                self._report("this log", f"it cannot look for news: {type(error).__name__}: {error}")
            if _size(self._source.checkpoint) > self.published.size:
                await self._publish_newest()

    async def _publish_newest(self) -> None:
        for left in reversed(range(MAX_OVERTAKEN)):
            current = await self._hold_round()
            if self._with(current).quorum_met or not current.overtaken or not left:
                break
            if not await self._is_behind(current):
                break
        await self._publish(current)

    async def _hold_round(self) -> _Round:
        signed = self._source.checkpoint
        current = _Round(signed, Checkpoint.parse_body(Note.parse(signed).text))
        current.lines.extend(self._kept_lines(current))
        async with self._new_target:
            self._round = current
            self._new_target.notify_all()
        try:
            async with asyncio.timeout(self._timeout):
                while not self._is_complete(current):
                    current.changed.clear()
                    await current.changed.wait()
        except TimeoutError:
            self._resting |= {feed.url for feed in self._feeds} - current.answered
        return current

    async def _is_behind(self, current: _Round) -> bool:
        try:
            return await self._source.catch_up() > current.checkpoint.size
        except Exception as error:  # of the store, or a stop: then what came must do
            self._report("this log", f"it cannot catch up with its witnesses: {type(error).__name__}: {error}")
            return False

    def _kept_lines(self, current: _Round) -> tuple[SignatureLine, ...]:
        """The lines of witnesses that the policy names, on what was published before for exactly this tree."""
        kept, self._kept = self._kept, None
        if kept is None or Note.parse(kept).text != current.checkpoint.body:
            return ()
        self._policy.verify(kept)
        known = [witness.key for witness in self._policy.witnesses]
        return tuple(line for line in Note.parse(kept).signatures if any(line.names(key) for key in known))

    async def _publish(self, current: _Round) -> None:
        async with self._new_publication:
            before = self._published
            self._published, self._published_round = self._with(current), current
            if before is None or before.size < self._published.size:
                self._grown_at = time.monotonic()
            self._new_publication.notify_all()

    def _is_complete(self, current: _Round) -> bool:
        if {feed.url for feed in self._feeds} - self._resting <= current.answered:
            return True
        # A policy that asks for nobody is met at once; then the round is complete when all have answered.
        return not self._policy.is_met_by(frozenset()) and self._with(current).quorum_met

    def _with(self, current: _Round) -> Published:
        text = with_cosignatures(current.signed, current.lines)
        return Published(size=current.checkpoint.size, text=text, quorum_met=self._policy.verify(text).quorum_met)

    # One task a witness.

    async def _follow(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        done: _Round | None = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            async with self._new_target:
                await self._new_target.wait_for(lambda: self._round is not None and self._round is not done)  # noqa: B023
            current = self._round
            assert current is not None  # noqa: S101 - it was waited for
            asked = loop.time()
            try:
                found = await feed.cosign(current.signed, current.checkpoint, self._prove)
            except WitnessAhead as error:
                # Not until the next target: nothing can be had for this one.
                self._report(feed.url, error.message)
                if loop.time() - asked <= self._timeout:
                    self._resting.discard(feed.url)
                pause, done, current.overtaken = FIRST_PAUSE_SECONDS, current, True
                await self._answered(feed, current)
                continue
            except LedgerError as error:
                problem = error.message
            except Exception as error:  # of the store, under `prove`: this task must outlive it
                problem = f"{type(error).__name__}: {error}"
            else:
                for dropped in found.dropped:
                    self._report(feed.url, dropped)
                if loop.time() - asked <= self._timeout:
                    self._resting.discard(feed.url)
                pause, done = FIRST_PAUSE_SECONDS, current
                current.lines.extend(found.lines)
                await self._answered(feed, current)
                continue
            self._report(feed.url, problem)
            self._resting.add(feed.url)
            await self._answered(feed, current)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_SECONDS)

    async def _answered(self, feed: Feed, current: _Round) -> None:
        current.answered.add(feed.url)
        current.changed.set()
        if current is self._published_round and self._with(current) != self._published:
            await self._publish(current)


def _size(signed: str) -> int:
    return Checkpoint.parse_body(Note.parse(signed).text).size


def feeds_of(policy: Policy, submit: Callable[[str], Submit]) -> tuple[Feed, ...]:
    """One feed for each URL in `policy`, with all keys that stand beside it: a witness may have one of each type."""
    keys: dict[str, list[VerifierKey]] = {}
    for witness in policy.witnesses:
        if witness.url is not None:
            keys.setdefault(witness.url, []).append(witness.key)
    return tuple(Feed(url, held, submit(url)) for url, held in keys.items())
