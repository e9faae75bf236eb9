"""Aggregates at rest: each with the ledger size that it was made from, and with the value before that one.

A record of kind `aggregate`, id = the aggregate's key, is two lines a version, the newest first: the size in decimal,
then the value as canonical JSON (which holds no newline). The version before is kept because a crash can leave a batch
half applied: whoever applies it again decides on the state before it, and finds that in the second version. More are
not needed: a batch is applied whole before the next one begins.
"""

from dataclasses import dataclass

from app.errors import AppError
from app.rules.aggregates import Aggregate, format_aggregate, key_of, parse_aggregate
from storage.errors import AlreadyExists, Conflict
from storage.ports import RecordStore

KIND = "aggregate"
REBUILD = "Stop every process of the service, and start one with: muniment serve --rebuild"


class Behind(AppError):
    """Another process applied batches that this one has not seen: catch up and decide again."""

    code = "behind"


class DamagedProjection(AppError):
    """A stored projection is not in its form, or is not what the statements give: rebuild it."""

    code = "damaged_projection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An aggregate's value as canonical JSON, and the ledger size after the batch that made it so."""

    size: int
    value: bytes


class AggregateStore:
    """Aggregates over a record store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    async def newest(self, key: str) -> Aggregate | None:
        """Return the newest value, for readers."""
        found = await self._records.get(KIND, key)
        return None if found is None else _parse(key, read_versions(key, found.data)[0])

    async def at(self, key: str, size: int) -> Aggregate | None:
        """Return the value on which the entry at index `size` is decided. Raises Behind when that is too long ago."""
        found = await self._records.get(KIND, key)
        if found is None:
            return None
        versions = read_versions(key, found.data)
        for version in versions:
            if version.size <= size:
                return _parse(key, version)
        if len(versions) == 1:
            return None  # it came to be after `size`
        raise Behind(
            f"the aggregate {key} is at the size {versions[0].size}, and {size} is asked for", "Catch up and try again."
        )

    async def write(self, aggregate: Aggregate, size: int) -> None:
        """Write the value that holds from `size` on. Doing it again changes nothing; what is newer stays."""
        key = key_of(aggregate)
        made = Version(size=size, value=format_aggregate(aggregate).encode())
        while True:
            found = await self._records.get(KIND, key)
            try:
                if found is None:
                    await self._records.insert(KIND, key, _encode((made,)))
                    return
                newest = read_versions(key, found.data)[0]
                if newest.size >= size:
                    return
                await self._records.replace(KIND, key, _encode((made, newest)), revision=found.revision)
                return
            except (AlreadyExists, Conflict):
                continue  # another process applies the same batch


def _encode(versions: tuple[Version, ...]) -> bytes:
    return b"\n".join(b"%d\n%b" % (each.size, each.value) for each in versions)


def read_versions(key: str, data: bytes) -> tuple[Version, ...]:
    """Read a stored aggregate's versions, one or two, the newest first. Raises DamagedProjection."""
    lines = data.split(b"\n")
    sizes = lines[0::2]
    if len(lines) not in (2, 4) or any(not each.isdigit() or str(int(each)).encode() != each for each in sizes):
        raise DamagedProjection(f"the stored aggregate {key} is not in its form", REBUILD)
    return tuple(Version(size=int(at), value=value) for at, value in zip(sizes, lines[1::2], strict=True))


def _parse(key: str, version: Version) -> Aggregate:
    try:
        return parse_aggregate(key, version.value)
    except AppError as error:
        raise DamagedProjection(f"{key}: {error.message}", REBUILD) from error
