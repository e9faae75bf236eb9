"""The metrics of one registry, read when somebody asks: each part by itself, none of them for longer than five seconds.

A part that cannot be read leaves its samples out and says so (`muniment_metrics_incomplete`): a store that is down must
not hide what is known without it. Nothing here writes, and nothing walks through what grows with the ledger.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from app.errors import AppError
from app.service import metric_table as table
from app.service.anchor_measures import measure_anchors
from app.service.exposition import Sample, sample
from app.service.registry import Registry
from ledger.errors import LedgerError
from ledger.sequencer import SequencerState
from storage.errors import StorageError

log = logging.getLogger("muniment.metrics")
PART_SECONDS = 5.0
# A counter that first appears at 1 has not increased, for whoever watches: these are there from the beginning.
_FROM_ZERO_KINDS = {"deposit": 0}
_FROM_ZERO_CODES = {"no_timestamp": 0, "seal_unavailable": 0}

_Part = Callable[[], Awaitable[list[Sample]]]


class Metrics:
    """Reads one registry. Remembers of each witness the newest cosignature that was seen."""

    def __init__(self, registry: Registry, *, part_seconds: float = PART_SECONDS) -> None:
        self._registry, self._seconds = registry, part_seconds
        self._cosigned: dict[str, int] = {}

    async def read(self) -> list[Sample]:
        """Return the samples of now. Raises nothing that a store or the ledger raises."""
        parts: dict[str, _Part] = {
            "publication": self._publication,
            "stores": self._stores,
            "anchors": self._anchors,
            "locks": self._locks,
            "scrub": self._scrub,
            "counters": self._counters,
        }
        found = await asyncio.gather(*(self._part(each) for each in parts.values()))
        samples = [sample(table.INFO, 1, version("muniment")), sample(table.CLOCK, self._registry.clock())]
        for name, part in zip(parts, found, strict=True):
            samples += [sample(table.INCOMPLETE, part is None, name), *(part or ())]
        return samples

    async def _part(self, part: _Part) -> list[Sample] | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await part()
        except (AppError, LedgerError, StorageError, TimeoutError):
            return None
        except Exception:
            log.exception("a part of the metrics cannot be read: a fault")
            return None

    async def _publication(self) -> list[Sample]:
        registry = self._registry
        published, policy = registry.publication.published, registry.publication.policy
        times = {each.witness: each.time for each in policy.verify(published.text).cosigners}
        for name, time in times.items():
            self._cosigned[name] = max(time, self._cosigned.get(name, 0))
        now = registry.clock()
        return [
            sample(table.LEDGER, registry.sequencer.size),
            sample(table.STOPPED, registry.sequencer.state is SequencerState.STOPPED),
            sample(table.PUBLISHED, published.size),
            sample(table.PUBLISHED_AGE, registry.publication.age_seconds),
            sample(table.QUORUM, published.quorum_met),
            *(sample(table.WITNESS, each.name in times, each.name) for each in policy.witnesses),
            *(sample(table.WITNESS_AGE, max(0, now - time), name) for name, time in self._cosigned.items()),
        ]

    async def _stores(self) -> list[Sample]:
        registry = self._registry
        records, blobs = await asyncio.gather(
            self._answers(lambda: registry.records.get("watermark", "it")),
            self._answers(lambda: registry.blobs.stat("ready")),
        )
        return [sample(table.STORE_UP, records, "records"), sample(table.STORE_UP, blobs, "blobs")]

    async def _answers(self, ask: Callable[[], Awaitable[object]]) -> bool:
        try:
            # Sooner than the part ends, so that a store that hangs is told from a part that does.
            async with asyncio.timeout(self._seconds * 0.9):
                await ask()
        except (StorageError, TimeoutError):
            return False
        return True

    async def _anchors(self) -> list[Sample]:
        anchoring = self._registry.anchoring
        if anchoring is None:
            return []
        rounds = await anchoring.rounds()
        return measure_anchors(anchoring.terms, rounds, anchoring.failures, now=self._registry.clock())

    async def _locks(self) -> list[Sample]:
        lag = await self._registry.locks.lag()
        return [
            sample(table.LOCKS_DUE, lag.due),
            sample(table.LOCKS_OLDEST, lag.oldest_seconds),
            sample(table.LOCKS_LATE, lag.late),
        ]

    async def _scrub(self) -> list[Sample]:
        state = await self._registry.scrub.status()
        if state is None:
            return []
        return [
            sample(table.SCRUB_AGE, max(0, self._registry.clock() - state.begun)),
            sample(table.SCRUB_RUNNING, not state.finished),
            sample(table.SCRUB_ENTRIES, state.at),
            sample(table.SCRUB_FINDINGS, state.count + state.before),
        ]

    async def _counters(self) -> list[Sample]:
        registry = self._registry
        samples = [
            *(
                sample(table.ACCEPTED, count, kind)
                for kind, count in sorted((_FROM_ZERO_KINDS | registry.door.accepted).items())
            ),
            sample(table.UPLOADS_BEGUN, registry.uploads.begun),
        ]
        if registry.upload_sweep.open is not None:
            samples.append(sample(table.UPLOADS_OPEN, registry.upload_sweep.open))
        if registry.issuing is not None:
            issued = registry.issuing
            samples += [
                sample(table.CERTIFICATES, issued.issued),
                sample(table.CERTIFICATES_OPEN, issued.left_open),
                *(
                    sample(table.CERTIFICATES_FAILED, count, code)
                    for code, count in sorted((_FROM_ZERO_CODES | issued.failed).items())
                ),
            ]
        return samples
