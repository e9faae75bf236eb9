"""Sealing and uploading at once: one thread seals item after item, a few tasks upload what it hands over.

A segment's hash is in the journal, durably, before its first byte leaves. At most PARALLEL segments are held for
upload while the sealer fills one more, so memory stays near 3 · 33.5 MB however large the items are.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from app.client.api import Api, SegmentName
from app.client.problems import StoreRefused
from app.client.uploadstate import Journal
from app.errors import Mismatch
from app.sealing.keys import ItemKeys
from app.sealing.pipeline import ItemSealer, Sealed, Segment
from app.sealing.sources import Source, SourceStat
from app.sealing.x25519 import Recipient

PARALLEL = 2
_PLACES = 3
"""How many places are asked for, one after the other, where a store does not take a segment."""

Progress = Callable[[int], None]
"""Takes the plaintext bytes that were sealed so far, all items together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSeal:
    """An item to be sealed: its number in the manifest, a file or bytes, what was seen of it before, its keys."""

    item: int
    source: Path | bytes
    expected: SourceStat | None
    keys: ItemKeys


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

    async def run(self, items: Sequence[ToSeal], progress: Progress) -> tuple[Sealed, ...]:
        """Seal and upload; returns what is known of each item. Raises SourceChanged, BadInput, and what `Api` does."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[int, Segment] | None] = asyncio.Queue()
        slots = threading.Semaphore(PARALLEL)
        stop = threading.Event()

        def hand_over(entry: tuple[int, Segment] | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, entry)

        def seal() -> tuple[Sealed, ...]:
            found, before = [], 0
            try:
                for item in items:
                    done = self._seal(
                        item, progress=partial(_shifted, progress, before), slots=slots, stop=stop, hand_over=hand_over
                    )
                    if done is None:
                        return ()
                    found.append(done)
                    before += done.size
                return tuple(found)
            finally:
                for _ in range(PARALLEL):
                    hand_over(None)

        async def upload() -> None:
            while (entry := await queue.get()) is not None:
                item, segment = entry
                try:
                    await self._upload(item, segment)
                finally:
                    segment.release()
                    slots.release()

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
            stop.set()
            slots.release()
            await asyncio.wait([thread])
        return sealed

    def _seal(
        self,
        item: ToSeal,
        *,
        progress: Progress,
        slots: threading.Semaphore,
        stop: threading.Event,
        hand_over: Callable[[tuple[int, Segment]], None],
    ) -> Sealed | None:
        """In the sealing thread. Returns None when it was told to stop."""
        recorded = self._journal.recorded(item.item)
        skip = [i for i, sha256 in enumerate(recorded) if self._present.get((item.item, i)) == sha256]
        with Source(item.source, expected=item.expected) as source:
            sealer = ItemSealer(
                source,
                keys=item.keys,
                recipient=self._recipient,
                recorded=recorded,
                skip=skip,
                progress=progress,
            )
            with closing(cast("Generator[Segment, None, None]", sealer.segments())) as segments:
                while True:
                    slots.acquire()
                    if stop.is_set():
                        return None
                    segment = next(segments, None)
                    if segment is None:
                        slots.release()
                        return sealer.result
                    self._journal.record(item.item, segment.index, segment.sha256)
                    hand_over((item.item, segment))

    async def _upload(self, item: int, segment: Segment) -> None:
        name = SegmentName(item=item, segment=segment.index, size=len(segment.data), sha256=segment.sha256)
        for left in reversed(range(_PLACES)):
            (place,) = await self._api.places(self._deposit_id, (name,))
            if place.present:
                return
            if not place.url:
                raise Mismatch("the service names no place for a segment", "Tell whoever runs it.", code="bad_answer")
            try:
                await self._api.put_segment(place, segment.data)
                return
            except StoreRefused as error:
                # It stands there already, from a try whose answer was lost; or the place's time has passed.
                if error.status not in (403, 409, 412) or not left:
                    raise


def _shifted(progress: Progress, before: int, done: int) -> None:
    progress(before + done)
