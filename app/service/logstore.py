"""The ledger's batches and tiles as records: kind `batch` under the size that each extends, kind `tile` under its path.

The record store's promises are the ledger's: an insert never touches what stands, and a read shows only what no later
failure can take back. What it raises goes through unchanged, but for the one answer that is no failure.
"""

from ledger.batch import batch_id, parse_batch_id
from ledger.errors import DamagedLog
from ledger.merkle import MAX_SIZE
from storage.errors import AlreadyExists
from storage.ports import Record, RecordStore

BATCH_KIND = "batch"
TILE_KIND = "tile"


class RecordLogStore:
    """`ledger.ports.LogStore` over any record store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    async def insert(self, start: int, data: bytes) -> bool:
        """Write the batch of `start`; False when something stands there already."""
        try:
            await self._records.insert(BATCH_KIND, batch_id(start), data)
        except AlreadyExists:
            return False
        return True

    async def read(self, start: int) -> bytes | None:
        """What stands under `start`, or None."""
        record = await self._records.get(BATCH_KIND, batch_id(start))
        return None if record is None else record.data

    async def last(self) -> tuple[int, bytes] | None:
        """The batch with the greatest start, or None."""
        return _batch(await self._records.page(BATCH_KIND, limit=1, reverse=True))

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        """The batch with the greatest start that is at most `index`, or None."""
        if index >= MAX_SIZE:
            return await self.last()
        # `before` is exclusive.
        return _batch(await self._records.page(BATCH_KIND, before=batch_id(index + 1), limit=1, reverse=True))

    async def run(self, start: int, limit: int) -> tuple[tuple[int, bytes], ...]:
        """Up to `limit` batches from `start` on."""
        after = batch_id(start - 1) if start else ""  # exclusive
        page = await self._records.page(BATCH_KIND, after=after, limit=limit)
        return tuple((parse_batch_id(record.id), record.data) for record in page)

    async def put_tile(self, path: str, data: bytes) -> None:
        """Write a tile; the same bytes again change nothing. Raises DamagedLog when others stand there."""
        try:
            await self._records.insert(TILE_KIND, path, data)
        except AlreadyExists as error:
            if await self.get_tile(path) != data:
                raise DamagedLog(
                    f"the tile {path} stands with other bytes", "Run the audit; a wrong tile can be deleted."
                ) from error

    async def get_tile(self, path: str) -> bytes | None:
        """The tile's bytes, or None."""
        record = await self._records.get(TILE_KIND, path)
        return None if record is None else record.data


def _batch(page: tuple[Record, ...]) -> tuple[int, bytes] | None:
    return (parse_batch_id(page[0].id), page[0].data) if page else None
