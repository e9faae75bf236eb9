"""An assembly without rules, for tests of what the sequencer costs."""

from collections.abc import Sequence

from ledger.batch import Batch
from ledger.ports import Entry, Outcome


class TakesAll:
    """Appends whatever comes."""

    async def decide(self, size: int, submissions: Sequence[bytes], now: int) -> Sequence[Outcome]:
        del size, now
        return [Entry(data=each) for each in submissions]

    async def applied(self, batch: Batch, accepted: Sequence[tuple[int, bytes]]) -> None:
        """Nothing follows from it."""
