"""What the log needs of others: a store for its batches and tiles, and the rules that turn submissions into entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from ledger.batch import Batch


class LogStore(Protocol):
    """Batches by the tree size that they extend, and tiles by path. Nothing is ever overwritten.

    A write is durable, with the majority where there are replicas, when it returns; a read never shows a state that a
    later failure could take back. Any call may raise the store's own exceptions: after one the outcome of a write is
    UNKNOWN, it may even come later.
    """

    async def insert(self, start: int, data: bytes) -> bool:
        """Write the batch of `start`. False when something stands there already; that is left as it is."""
        ...

    async def read(self, start: int) -> bytes | None:
        """What stands under `start`, or None."""
        ...

    async def last(self) -> tuple[int, bytes] | None:
        """The batch with the greatest start, as (start, data), or None in an empty store."""
        ...

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        """The batch with the greatest start that is at most `index`, as (start, data), or None.

        Whether it reaches as far as `index` is for the caller to see.
        """
        ...

    async def run(self, start: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Up to `limit` (1 to 1,000) batches whose start is at least `start`, by start, as (start, data)."""
        ...

    async def put_tile(self, path: str, data: bytes) -> None:
        """Write a tile that is derived from batches. Writing the same bytes again changes nothing."""
        ...

    async def get_tile(self, path: str) -> bytes | None:
        """The tile's bytes, or None where it was not written: tiles can always be derived again."""
        ...


class Entry(NamedTuple):
    """A decision: append these bytes (at most 65,535) as one entry."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A decision: this was appended before, or earlier in this same batch, at `index`."""

    index: int


Outcome = Entry | Known | Exception
"""What is decided of one submission; an exception is a refusal, and is raised to its submitter."""

SubmissionT = TypeVar("SubmissionT", contravariant=True)  # noqa: PLC0105 - the plain name reads better in signatures


class Assembly(Protocol[SubmissionT]):
    """The rules: they decide submissions on the state at exactly the size that the batch extends."""

    async def decide(self, size: int, submissions: Sequence[SubmissionT], now: int) -> Sequence[Outcome]:
        """One outcome for each submission, in order, on the state at `size`, each seeing those accepted before it.

        `now` is Unix seconds. May be called again for the same submissions, at a larger size (another writer was first)
        or the same one, so it changes nothing that lasts but what the entries will name. The assembly brings its own
        state to `size`: `applied` is not called for what stood before the start. An exception raised here is raised to
        every submitter of the batch.
        """
        ...

    async def applied(self, batch: Batch, accepted: Sequence[tuple[int, SubmissionT]]) -> None:
        """Called once, in order, for each batch that came to stand after the start; others' batches too.

        `accepted` are this process's submissions in it, with their indices (none in another writer's batch, unless both
        decided the very same bytes: then it is everybody's own). The batch
        is committed and signed: an exception cannot take it back, it stops the sequencer.
        """
        ...
