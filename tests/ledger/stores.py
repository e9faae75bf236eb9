"""Stores over a dict for the tests of the log: a sound one, and one that fails as a table says."""

from collections.abc import Callable


class DictStore:
    """A LogStore in memory. `batches` and `tiles` are open to the tests, as a disk is open to its owner."""

    def __init__(self) -> None:
        self.batches: dict[int, bytes] = {}
        self.tiles: dict[str, bytes] = {}

    async def insert(self, start: int, data: bytes) -> bool:
        if start in self.batches:
            return False
        self.batches[start] = data
        return True

    async def read(self, start: int) -> bytes | None:
        return self.batches.get(start)

    async def last(self) -> tuple[int, bytes] | None:
        return await self.covering(2**64)

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        start = max((start for start in self.batches if start <= index), default=None)
        return None if start is None else (start, self.batches[start])

    async def run(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        starts = sorted(each for each in self.batches if each >= start)[:limit]
        return [(each, self.batches[each]) for each in starts]

    async def put_tile(self, path: str, data: bytes) -> None:
        assert self.tiles.setdefault(path, data) == data

    async def get_tile(self, path: str) -> bytes | None:
        return self.tiles.get(path)


class Unavailable(Exception):
    """What a store raises that did not answer."""


class FaultyStore(DictStore):
    """Fails its next calls as told; shares the batches of `base`, as a new process finds the same disk."""

    def __init__(self, base: DictStore) -> None:
        super().__init__()
        self.batches, self.tiles = base.batches, base.tiles
        self.inserts: list[Callable[[int, bytes], bool]] = []
        """What the next inserts do instead of inserting."""
        self.failing_reads: list[bool] = []
        """Whether the next reads raise, counted from the end of the scripted inserts."""
        self.late: list[tuple[int, bytes]] = []
        """Writes that were reported lost and arrive just before the next insert."""

    def lost(self, _start: int, _data: bytes) -> bool:
        raise Unavailable("lost")

    def kept(self, start: int, data: bytes) -> bool:
        self.batches.setdefault(start, data)
        raise Unavailable("kept but reported lost")

    def arrives_late(self, start: int, data: bytes) -> bool:
        self.late.append((start, data))
        raise Unavailable("still under way")

    def twice(self, start: int, data: bytes) -> bool:
        """Sent again on the way, as a driver does after a broken connection: the second answer is what is heard."""
        self.batches.setdefault(start, data)
        return False

    def twice_late(self, start: int, data: bytes) -> bool:
        """Kept and reported, and the same request arrives once more, later."""
        self.batches.setdefault(start, data)
        self.late.append((start, data))
        return True

    def lied(self, _start: int, _data: bytes) -> bool:
        return True

    def overtaken_by(self, other: bytes) -> Callable[[int, bytes], bool]:
        def overtaken(start: int, data: bytes) -> bool:
            self.batches[start] = other
            return False

        return overtaken

    async def insert(self, start: int, data: bytes) -> bool:
        if self.inserts:
            return self.inserts.pop(0)(start, data)
        for late_start, late_data in self.late:
            self.batches.setdefault(late_start, late_data)
        self.late.clear()
        return await super().insert(start, data)

    def _reading(self) -> None:
        if self.failing_reads and not self.inserts and self.failing_reads.pop(0):
            raise Unavailable("no answer to a read")

    async def read(self, start: int) -> bytes | None:
        self._reading()
        return await super().read(start)

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        self._reading()
        return await super().covering(index)
