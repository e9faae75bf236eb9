"""A small assembly: entries are unique, words that start with '!' are refused. It rebuilds its state from the store."""

from collections.abc import Sequence

from ledger.batch import Batch
from ledger.ports import Entry, Known, LogStore, Outcome


class Refused(Exception):
    """The rule says no."""


class UniqueWords:
    """Keeps the index of each word, at exactly the size that it is asked for."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self.words: list[bytes] = []
        self.applied_batches: list[tuple[int, int, tuple[int, ...]]] = []
        self.decided_at: list[int] = []
        self.times: list[int] = []

    async def decide(self, size: int, submissions: Sequence[bytes], now: int) -> Sequence[Outcome]:
        self.decided_at.append(size)
        self.times.append(now)
        while len(self.words) < size:
            data = await self._store.read(len(self.words))
            assert data is not None
            self.words.extend(Batch.decode(data).entries)
        places = {word: index for index, word in enumerate(self.words[:size])}
        outcomes: list[Outcome] = []
        end = size
        for word in submissions:
            if word.startswith(b"!"):
                outcomes.append(Refused(word.decode()))
            elif word in places:
                outcomes.append(Known(index=places[word]))
            else:
                outcomes.append(Entry(data=word))
                places[word] = end
                end += 1
        return outcomes

    async def applied(self, batch: Batch, accepted: Sequence[tuple[int, bytes]]) -> None:
        assert all(batch.entries[index - batch.start] == word for index, word in accepted)
        if batch.start == len(self.words):
            self.words.extend(batch.entries)
        self.applied_batches.append((batch.start, batch.end, tuple(index for index, _ in accepted)))
