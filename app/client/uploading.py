"""Sealing and uploading at once: one thread seals item after item, a few tasks upload what it hands over.

A segment's hash is in the journal, durably, before its first byte leaves. At most HELD_BYTES are sealed and not yet
acknowledged, while the sealer fills one segment more, so memory does not depend on how large the items are or how many:
see docs/performance.md for the constant. Small segments go side by side, and share the question for their places.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from app.client.activity import COMPARING, UPLOADING, Activity, Progress
from app.client.api import Api, Place, SegmentName
from app.client.problems import ServiceRefused, StoreRefused
from app.client.uploadstate import Journal
from app.errors import Mismatch
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer, Sealed, Segment
from app.sealing.segments import MAX_SEGMENT_BYTES, SEGMENT_PLAIN_BYTES, segment_sizes
from app.sealing.sources import Source, SourceStat
from app.sealing.x25519 import Recipient

PARALLEL = 4
HELD_BYTES = 2 * MAX_SEGMENT_BYTES
_PLACES = 3
"""How many places are asked for, one after the other, where a store does not take a segment."""
_AGAIN = (400, 422)
_AGAIN_AT_STORE = (400, 403, 409, 412)
_ASKED_AT_ONCE, _ASKED_BYTES = 16, 1 << 20
"""Segments whose places are asked for in one question: so many, as long as they are small together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSeal:
    """An item to be sealed: its number in the manifest, a file or bytes, what was seen of it before, its keys."""

    item: int
    source: Path | bytes
    expected: SourceStat | None
    keys: ItemKeys


class Meter:
    """Ciphertext bytes that the service has, of all; told from the sealing thread and from the uploads."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._lock = threading.Lock()
        self._done = 0

    def add(self, count: int, doing: str = UPLOADING) -> None:
        """Take in bytes that were sent (negative: that are sent again), or found there."""
        with self._lock:
            self._done += count
            done = self._done
        self._progress(Activity(doing=doing, done=done, total=self._total))


class Uploader:
    """Seals and uploads items of one deposit. Use once per run."""

    def __init__(
        self,
        api: Api,
        deposit_id: bytes,
        recipient: Recipient,
        journal: Journal,
        present: Sequence[SegmentName],
    ) -> None:
        self._api, self._deposit_id, self._recipient = api, deposit_id, recipient
        self._journal = journal
        self._present = {(each.item, each.segment): each.sha256 for each in present}

    async def run(self, items: Sequence[ToSeal], meter: Meter) -> tuple[Sealed, ...]:
        """Seal and upload; returns what is known of each item. Raises SourceChanged, BadInput, and what `Api` does."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[_Held | None] = asyncio.Queue()
        room = _Room(HELD_BYTES)

        def hand_over(entry: _Held | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, entry)

        def seal() -> tuple[Sealed, ...]:
            found = []
            try:
                for item in items:
                    done = self._seal(item, meter, room, hand_over)
                    if done is None:
                        return ()
                    found.append(done)
                return tuple(found)
            finally:
                for _ in range(PARALLEL):
                    hand_over(None)

        async def upload() -> None:
            while (first := await queue.get()) is not None:
                some = _small_ones(first, queue)
                try:
                    await self._upload(some, meter)
                finally:
                    for each in some:
                        size = len(each.segment.data)
                        each.segment.release()
                        room.leave(size)

        thread = loop.run_in_executor(None, seal)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(PARALLEL):
                    group.create_task(upload())
                sealed = await asyncio.shield(thread)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            # Nothing ends a thread from outside: it is told, freed if it waits, and waited for.
            room.close()
            await asyncio.wait([thread])
        return sealed

    def _seal(self, item: ToSeal, meter: Meter, room: "_Room", hand_over: "Callable[[_Held], None]") -> Sealed | None:
        """In the sealing thread. Returns None when it was told to stop."""
        recorded = self._journal.recorded(item.item)
        skip = [i for i, sha256 in enumerate(recorded) if self._present.get((item.item, i)) == sha256]
        with Source(item.source, expected=item.expected) as source:
            found = _Found(frozenset(skip), meter)
            sealer = ItemSealer(
                source,
                keys=item.keys,
                recipient=self._recipient,
                recorded=recorded,
                skip=skip,
                progress=found.at,
            )
            found.sizes = segment_sizes(sealer.length)
            most = max(found.sizes)
            with closing(cast("Generator[Segment, None, None]", sealer.segments())) as segments:
                while True:
                    if not room.enter(most):
                        return None
                    segment = next(segments, None)
                    if segment is None:
                        room.leave(most)
                        found.end()
                        return sealer.result
                    room.leave(most - len(segment.data))
                    self._journal.record(item.item, segment.index, segment.sha256)
                    hand_over(_Held(item.item, segment))

    async def _upload(self, some: "Sequence[_Held]", meter: Meter) -> None:
        places = await self._api.places(self._deposit_id, tuple(each.name for each in some))
        for each, place in zip(some, places, strict=True):
            await self._send(each, place, meter)

    async def _send(self, held: "_Held", place: Place, meter: Meter) -> None:
        sent = 0

        def tell(count: int) -> None:
            nonlocal sent
            meter.add(count - sent)
            sent = count

        for left in reversed(range(_PLACES)):
            if place.present:
                tell(len(held.segment.data))
                return
            if not place.url:
                raise Mismatch("the service names no place for a segment", "Tell whoever runs it.", code="bad_answer")
            try:
                await self._api.put_segment(place, held.segment.data, tell)
                return
            except (StoreRefused, ServiceRefused) as error:
                # It stands there already, from a try whose answer was lost; or the place's time has passed; or what
                # arrived was not what was sent.
                if error.status not in (_AGAIN_AT_STORE if isinstance(error, StoreRefused) else _AGAIN) or not left:
                    raise
            (place,) = await self._api.places(self._deposit_id, (held.name,))


@dataclass(frozen=True, slots=True)
class _Held:
    """A sealed segment on its way."""

    item: int
    segment: Segment

    @property
    def name(self) -> SegmentName:
        segment = self.segment
        return SegmentName(item=self.item, segment=segment.index, size=len(segment.data), sha256=segment.sha256)


def _small_ones(first: _Held, queue: "asyncio.Queue[_Held | None]") -> list[_Held]:
    """The first, and those that wait behind it while all are small together."""
    some, size = [first], len(first.segment.data)
    while size < _ASKED_BYTES and len(some) < _ASKED_AT_ONCE and not queue.empty():
        entry = queue.get_nowait()
        if entry is None:
            queue.put_nowait(None)
            break
        some.append(entry)
        size += len(entry.segment.data)
    return some


class _Found:
    """Tells of segments that need not be sent, when the sealer has passed them and found them equal."""

    def __init__(self, skip: frozenset[int], meter: Meter) -> None:
        self._skip, self._meter = skip, meter
        self.sizes: tuple[int, ...] = ()
        self._passed = 0

    def at(self, plain: int) -> None:
        """So many bytes of the plaintext were read."""
        while (self._passed + 1) * SEGMENT_PLAIN_BYTES <= plain and self._passed < len(self.sizes) - 1:
            self._pass()

    def end(self) -> None:
        """All of it was."""
        while self._passed < len(self.sizes):
            self._pass()

    def _pass(self) -> None:
        if self._passed in self._skip:
            self._meter.add(self.sizes[self._passed], COMPARING)
        self._passed += 1


class _Room:
    """Bytes that may be held at once. One segment always may."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._closed = most, 0, False
        self._changed = threading.Condition()

    def enter(self, size: int) -> bool:
        """Wait for room; False once it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held == 0 or self._held + size <= self._most)
            self._held += size
            return not self._closed

    def leave(self, size: int) -> None:
        """Give room back."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
