"""How many bytes a member may have in the store: provisional uploads and accepted deposits together.

Record `usage` MEMBER/DEPOSIT → what is reserved for one upload: what its client announced at the beginning, or what
places were given for, whichever is more. It is written before a byte is sent, stays with the deposit, and goes when an
abandoned upload is swept. A member's use is the sum of his records.

A reservation is written first and the sum looked at afterwards, so of two at the same moment, on two replicas, neither
passes the limit unseen (both may be refused). A kill between the two leaves a reservation of his own upload, which a
retry takes up again and a sweep frees.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import Refused
from app.fields import Int, Many, read_record, write_record
from app.sealing.segments import PRELUDE_BYTES, SEGMENT_BYTES
from app.service.places import Segment
from app.statements.kinds import MAX_ITEMS
from storage.errors import AlreadyExists, Conflict
from storage.ports import RecordStore

KIND = "usage"
_MAX_RECORD = 256 * 1024
Count = Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes a member may use: None is no limit. `members` has those who have another limit than all."""

    all: int | None = None
    members: Mapping[str, int] = field(default_factory=dict)

    def of(self, member: str) -> int | None:
        """Return a member's limit in bytes, or None."""
        return self.members.get(member, self.all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is reserved for one upload, in bytes: as announced, and of each item as far as places were given."""

    announced: Count
    items: Annotated[tuple[Count, ...], Many(MAX_ITEMS + 1)]

    @property
    def bytes(self) -> int:
        """How much that is."""
        return max(self.announced, sum(self.items))

    def grown(self, announced: int, segments: Iterable[Segment]) -> "Usage":
        """Return it with more announced, or places for more segments. Raises Refused (`too_many`)."""
        items = list(self.items)
        for each in segments:
            if each.item > MAX_ITEMS:
                raise Refused(
                    f"item {each.item} is more than the {MAX_ITEMS} that a deposit can have",
                    "Make several deposits.",
                    code="too_many",
                )
            items += [0] * (each.item + 1 - len(items))
            items[each.item] = max(items[each.item], _extent(each))
        return Usage(announced=max(self.announced, announced), items=tuple(items))


NOTHING = Usage(announced=0, items=())


class Quota:
    """The use of all members, over a record store."""

    def __init__(self, records: RecordStore, limits: Limits) -> None:
        self._records, self._limits = records, limits

    async def reserve(
        self, member: str, deposit_id: bytes, *, announced: int = 0, segments: Iterable[Segment] = ()
    ) -> None:
        """Reserve room for an upload, as far as it has none yet. Raises Refused (`quota_exceeded`, `too_many`)."""
        id, segments = _id(member, deposit_id), tuple(segments)
        while True:
            found = await self._records.get(KIND, id)
            before = NOTHING if found is None else _read(found.data)
            after = before.grown(announced, segments)
            if found is not None and after == before:
                return
            more = after.bytes - before.bytes
            await self._check(member, more, already=0)
            try:
                if found is None:
                    revision = 1
                    await self._records.insert(KIND, id, _write(after))
                else:
                    revision = await self._records.replace(KIND, id, _write(after), revision=found.revision)
            except (AlreadyExists, Conflict):
                continue  # the same upload asks from two sides
            try:
                await self._check(member, more, already=more)
            except Refused:
                with suppress(Conflict):  # it grew meanwhile: then it was room for both, or the other one is refused
                    if found is None:
                        await self._records.delete(KIND, id, revision=revision)
                    else:
                        await self._records.replace(KIND, id, found.data, revision=revision)
                raise
            return

    async def used(self, member: str) -> int:
        """Return how many bytes a member uses."""
        total, prefix = 0, f"{member}/"
        after = prefix
        while page := await self._records.page(KIND, prefix=prefix, after=after, limit=1000):
            total += sum(_read(each.data).bytes for each in page)
            after = page[-1].id
        return total

    def limit_of(self, member: str) -> int | None:
        """Return a member's limit in bytes, or None."""
        return self._limits.of(member)

    async def free(self, member: str, deposit_id: bytes) -> None:
        """Give back what an upload had: it was swept, or its deposit erased."""
        while (found := await self._records.get(KIND, _id(member, deposit_id))) is not None:
            with suppress(Conflict):
                await self._records.delete(KIND, found.id, revision=found.revision)

    async def _check(self, member: str, more: int, *, already: int) -> None:
        limit = self._limits.of(member)
        if limit is None or not more:
            return
        used = await self.used(member) - already
        if used + more > limit:
            raise Refused(
                f"your deposits and uploads use {used} bytes of the {limit} that you may; {more} more do not fit",
                "Nothing was sent. An upload that you give up is freed when its provisional locks end and it is swept; "
                "or ask the registrar for more room.",
                code="quota_exceeded",
            )


def _extent(segment: Segment) -> int:
    """How long an item is at least that has this segment: those before it are whole."""
    return segment.size + (PRELUDE_BYTES + segment.segment * SEGMENT_BYTES if segment.segment else 0)


def _id(member: str, deposit_id: bytes) -> str:
    return f"{member}/{deposit_id.hex()}"


def _read(data: bytes) -> Usage:
    return read_record(Usage, parse_json(data, what="a member's usage", max_bytes=_MAX_RECORD), "a member's usage")


def _write(usage: Usage) -> bytes:
    return format_json(write_record(usage)).encode()
