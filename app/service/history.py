"""What the ledger's own entries say of its past: times, and what a signer can have seen.

Times of entries never change, so they are remembered; roots are remembered by the tree's own cache of batches.
"""

from collections import OrderedDict

from app.rules.act import SeenFacts
from app.statements.statement import parse_leaf
from ledger.batch import Batch
from ledger.ports import LogStore
from ledger.tip import decode_stored
from ledger.tree import Tree

REMEMBERED = 4096


class History:
    """Reads over a log's store and tree."""

    def __init__(self, log: LogStore, tree: Tree) -> None:
        self._log, self.tree = log, tree
        self._times: OrderedDict[int, int] = OrderedDict()

    async def batch_from(self, start: int) -> Batch | None:
        """Return the batch that extends the tree of `start` leaves, or None while there is none."""
        data = await self._log.read(start)
        return None if data is None else decode_stored(start, data)

    async def leaf(self, index: int) -> str:
        """Return the leaf text of an entry that stands."""
        return (await self.tree.entry(index)).decode()

    async def root(self, size: int) -> bytes:
        """Return the root of the first `size` entries, which stand."""
        return await self.tree.root_at(size)

    async def seen(self, size: int, at: int) -> SeenFacts:
        """Tell what the ledger of `at` entries knows of its first `size` ones."""
        if size > at:
            return SeenFacts(root=None, superseded_at=None)
        superseded = None if size == at else await self._time(size)
        return SeenFacts(root=await self.root(size), superseded_at=superseded)

    async def _time(self, index: int) -> int:
        if index not in self._times:
            self._times[index] = parse_leaf(await self.leaf(index)).time
            if len(self._times) > REMEMBERED:
                self._times.popitem(last=False)
        return self._times[index]
