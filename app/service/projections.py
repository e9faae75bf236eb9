"""State as a projection of the ledger: aggregates, entries by digest, timelines and links, and how far they reach.

`_apply` writes what one batch changes, and the watermark last; it is the only function that writes projections. After a
crash the batch at the watermark is decided again from the statements and applied again: every write says the same thing
the second time. Everything here can be dropped and rebuilt.

Records: `aggregate` KEY · `entry` DIGEST → index and topic · `timeline` TOPIC|INDEX20 → digest · `link` FROM|TO ·
`lock-due` DEPOSIT[/INDEX20] → what the store owes it (`owed`) · `watermark` it → size and last leaf's time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from app.canonical import format_json, parse_json
from app.errors import AppError
from app.fields import Int, Parsed, read_record, write_record
from app.rules.act import Circumstances
from app.rules.aggregates import Aggregate, Erased, Foretold, key_of
from app.rules.decide import Admitted, Law, Refusal, decide
from app.rules.erasures import Erasures
from app.rules.readers import links_of, topic_of
from app.rules.view import View
from app.service import aggregates
from app.service.aggregates import REBUILD, AggregateStore, Behind, DamagedProjection
from app.service.deciding import Working
from app.service.erasures import ErasureIndex
from app.service.history import History
from app.service.owed import DUE, due_id, format_due
from app.service.statements import StatementStore
from app.statements.kinds import Access, Deposit, HoldLift, HoldPlace, ReleaseRequest, RetentionExtend
from app.statements.statement import parse_leaf, parse_statement
from ledger.batch import Batch
from storage.errors import AlreadyExists, Conflict
from storage.ports import RecordStore

T = TypeVar("T")
Count = Annotated[int, Int()]
DAY = 86_400
ERASED = "erased"
"""The topic of erased statements, which nobody reads."""
ERASE_DUE = "erase-due"
MEMBERS = "members"
"""The topic of all private statements about members, beside each member's own."""
_KINDS = (aggregates.KIND, "entry", "timeline", "link")
_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a statement stands: its ledger index, and the topic that decides who reads it (None: public)."""

    index: Count
    topic: Annotated[str, Parsed(lambda text, _what: text)] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """The projections hold the first `size` entries; `time` is the last leaf's. `whole` is false during a rebuild."""

    size: Count
    time: Count
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An entry whose statement was erased: it changes nothing."""

    leaf: str
    changes: tuple[Aggregate, ...] = ()


class Projections:
    """The projections of one ledger. `size` is what this process decides on."""

    def __init__(
        self,
        records: RecordStore,
        history: History,
        statements: StatementStore,
        *,
        origin: str,
        genesis: bytes,
        retention_days: int,
        law: Law = decide,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Without a clock nobody reads for somebody else."""
        self._clock = clock
        self.size, self.time = 0, 0
        self._records, self._history, self._statements = records, history, statements
        self._aggregates = AggregateStore(records)
        self._origin, self._genesis = origin, genesis
        self._retention, self._law = retention_days * DAY, law
        self._erasures, self._rebuilding = ErasureIndex(history, statements), False
        self._moving = asyncio.Lock()  # whoever holds it moves `size`

    # Reading.

    def now(self) -> int | None:
        """Unix seconds, by which a delegation runs out."""
        return self._clock() if self._clock is not None else None

    async def placed(self, digest: bytes) -> Placed | None:
        """Return where the statement of that digest stands, or None."""
        found = await self._records.get("entry", digest.hex())
        return None if found is None else _read(Placed, found.data, f"entry {digest.hex()}")

    async def ask(self, question: Callable[[View], T]) -> T:
        """Answer a reader's pure question on the newest state."""
        return await Working(self._aggregates.newest).ask(question)

    def working(self) -> Working:
        """Return the state at exactly `size`, to decide on."""
        size = self.size

        async def load(key: str) -> Aggregate | None:
            if key.startswith(f"{Foretold.PREFIX}/"):
                id = key.removeprefix(f"{Foretold.PREFIX}/")
                return Foretold(id=id) if id in (await self._erased()).deposits else None
            return await self._aggregates.at(key, size)

        return Working(load, self._law)

    async def _erased(self) -> Erasures:
        return await self._erasures.at(await self._history.tree.size())

    async def linked(self, start: str) -> tuple[str, ...]:
        """Return all names that `start` is linked to, sorted."""
        found: list[str] = []
        prefix = after = f"{start}|"
        while page := await self._records.page("link", prefix=prefix, after=after, limit=1000):
            found += [each.id.removeprefix(prefix) for each in page]
            after = page[-1].id
        return tuple(found)

    async def timeline(self, topic: str, *, after: int, limit: int) -> tuple[tuple[int, bytes], ...]:
        """Return up to `limit` (index, digest) of a topic in ledger order, with index > `after` (-1: all)."""
        prefix = f"{topic}|"
        bound = f"{prefix}{after:020}" if after >= 0 else prefix
        page = await self._records.page("timeline", prefix=prefix, after=bound, limit=limit)
        return tuple((int(each.id.removeprefix(prefix)), bytes.fromhex(each.data.decode())) for each in page)

    # Moving forward.

    async def load(self) -> None:
        """Read how far the projections reach; finish a rebuild that was interrupted."""
        mark = await read_watermark(self._records) or Watermark(size=0, time=0, whole=True)
        if not mark.whole:
            await self._drop()
            mark = Watermark(size=0, time=0, whole=True)
        self.size, self.time = mark.size, mark.time

    async def catch_up(self, size: int) -> None:
        """Apply what stands between here and `size`. Raises DamagedProjection, DamagedLog, what the store raises."""
        if self.size < size:
            async with self._moving:
                await self._catch_up(size)

    async def advance(self, batch: Batch, decided: Sequence[Admitted] | None) -> None:
        """Apply a batch that stands; `decided` is what its entries changed, where this process just decided them."""
        async with self._moving:
            await self._catch_up(batch.start)
            if decided is None or batch.start != self.size:
                await self._catch_up(batch.end)
            else:
                await self._apply(batch.start, decided)

    async def _catch_up(self, size: int) -> None:
        while self.size < size:
            if await self._follow():
                continue
            start = self.size
            batch = await self._history.batch_from(start)
            if batch is None:
                raise DamagedProjection(f"the projections end at {start}, where no batch starts", REBUILD)
            try:
                admitted = await self.replay(batch)
            except Behind:
                # Another process applied two batches meanwhile; it marked the first before it began the second.
                if not await self._follow():
                    raise
            else:
                await self._apply(start, admitted)

    async def _follow(self) -> bool:
        """Go as far as another process brought the projections; return whether that is further than here.

        What it applied need not be decided again, and cannot be once it is two batches ahead: the states are gone.
        """
        mark = await read_watermark(self._records)
        if mark is None or not mark.whole or mark.size <= self.size:
            return False
        self.size, self.time = mark.size, mark.time
        return True

    async def replay(self, batch: Batch) -> tuple[Admitted | Gone, ...]:
        """Decide the entries of the batch at `size` again, from the stored statements, on the state before it.

        What was erased is passed over: in a rebuild also where the job that destroys it has not come to it yet.
        """
        working = self.working()
        admitted: list[Admitted | Gone] = []
        gone = (await self._erased()).entries if self._rebuilding else {}
        for index, entry in enumerate(batch.entries, batch.start):
            leaf = parse_leaf(entry)
            text = await self._statements.read(leaf.digest)
            if text is None or index in gone:
                if index in (await self._erased()).entries:
                    admitted.append(Gone(leaf=entry.decode()))
                    continue
                raise DamagedProjection(
                    f"the statement {leaf.digest.hex()} of the entry {index} is not in the store", "Run the audit."
                )
            statement = parse_statement(text)
            verdict = await working.decide(
                statement,
                Circumstances(
                    now=leaf.time,
                    index=index,
                    origin=self._origin,
                    genesis=self._genesis,
                    seen=await self._history.seen(statement.envelope.seen.size, index),
                ),
            )
            if isinstance(verdict, Refusal) or verdict.leaf.encode() != entry:
                why = verdict.message if isinstance(verdict, Refusal) else f"its leaf should be {verdict.leaf}"
                raise DamagedProjection(f"the entry {index} does not follow from the ones before: {why}", "Audit.")
            working.evolve(verdict.changes)
            admitted.append(verdict)
        return tuple(admitted)

    async def _apply(self, start: int, admitted: Sequence[Admitted | Gone]) -> None:
        """Write what the entries from `start` on changed, then the watermark. Again and again, with one result."""
        if start != self.size:
            raise DamagedProjection(f"a batch from {start} cannot be applied at {self.size}", "Run the audit.")
        end = start + len(admitted)
        changed: dict[str, Aggregate] = {key_of(each): each for one in admitted for each in one.changes}
        writes: list[Callable[[], Awaitable[None]]] = [
            partial(self._aggregates.write, each, end) for each in changed.values()
        ]
        for index, one in enumerate(admitted, start):
            writes += [partial(self._once, *record) for record in self._records_of(index, one)]
        await _all(writes)
        time = parse_leaf(admitted[-1].leaf).time
        await self._mark(Watermark(size=end, time=time, whole=True))
        self.size, self.time = end, time

    async def rebuild(self, size: int) -> None:
        """Drop everything and make it again from the first `size` entries. No other process may run meanwhile."""
        await self._mark(Watermark(size=0, time=0, whole=False), back=True)
        await self._drop()
        self.size, self.time = 0, 0
        self._rebuilding = True
        try:
            await self.catch_up(size)
        finally:
            self._rebuilding = False

    # What one entry writes beside its aggregates: (kind, id, data), each written once.

    def _records_of(self, index: int, one: Admitted | Gone) -> list[tuple[str, str, bytes]]:
        if isinstance(one, Gone):
            return [("entry", parse_leaf(one.leaf).digest.hex(), _write(Placed(index=index, topic=ERASED)))]
        statement, topic = one.statement, topic_of(one)
        digest = statement.digest.hex()
        placed = _write(Placed(index=index, topic=topic))
        made = [("entry", digest, placed)]
        for each in [topic, MEMBERS if topic and topic.startswith("member/") else None]:
            if each is not None:
                made.append(("timeline", f"{each}|{index:020}", digest.encode()))
        links = list(links_of(one))
        note = getattr(statement.claims, "note", None)
        if note is not None and topic is not None:
            links.append((f"note/{note.hex()}", topic))
        claims, time = statement.claims, parse_leaf(one.leaf).time
        if isinstance(claims, Access):
            links.append((f"access/{claims.request.hex()}", digest))
            links.append((f"served/{claims.deposit_id.hex()}", claims.recipient))
        if isinstance(claims, ReleaseRequest):
            links.append((asked_link(claims.panel_id), digest))
        made += [("link", f"{a}|{b}", b"") for a, b in links]
        made += [(ERASE_DUE, each.id, b"") for each in one.changes if isinstance(each, Erased)]
        if isinstance(claims, Deposit):
            made.append((DUE, due_id(claims.deposit_id), format_due(time + self._retention, time)))
        if isinstance(claims, HoldPlace | HoldLift | RetentionExtend):
            made.append((DUE, due_id(claims.deposit_id, index), format_due(0, time)))
        return made

    async def _once(self, kind: str, id: str, data: bytes) -> None:
        with suppress(AlreadyExists):  # applied before
            await self._records.insert(kind, id, data)

    async def _mark(self, mark: Watermark, *, back: bool = False) -> None:
        while True:
            found = await self._records.get("watermark", "it")
            try:
                if found is None:
                    await self._records.insert("watermark", "it", _write(mark))
                elif back or _read(Watermark, found.data, "the watermark").size < mark.size:
                    await self._records.replace("watermark", "it", _write(mark), revision=found.revision)
                return
            except (AlreadyExists, Conflict):
                continue

    async def _drop(self) -> None:
        for kind in _KINDS:
            while page := await self._records.page(kind, limit=1000):
                await _all([partial(self._records.delete, kind, each.id, revision=each.revision) for each in page])
        found = await self._records.get("watermark", "it")
        if found is not None:
            await self._records.delete("watermark", "it", revision=found.revision)


def asked_link(panel_id: bytes) -> str:
    """From where the requests that went to a panel are linked."""
    return f"asked/{panel_id.hex()}"


async def read_watermark(records: RecordStore) -> Watermark | None:
    """Return how far the stored projections reach. Raises DamagedProjection."""
    found = await records.get("watermark", "it")
    return None if found is None else _read(Watermark, found.data, "the watermark")


async def _all(calls: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run the calls, some at once: a store with group commit takes them together."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(calls))):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _read(of: type[T], data: bytes, what: str) -> T:
    try:
        return read_record(of, parse_json(data, what=what, max_bytes=1024), what)
    except AppError as error:
        raise DamagedProjection(error.message, REBUILD) from error


def _write(record: object) -> bytes:
    return format_json(write_record(record)).encode()
