"""Records on MongoDB: majority and journal on every write, majority on every read. See decision 0100.

One document a record, `{_id: "kind/id", revision, data}`: the index of `_id` is unique and ordered by bytes, '/' is in
no kind, so a page of a kind is a range of that index. A revision is guarded by the condition of one update. The driver
repeats a write once after a lost connection, and a replica set applies it once: its answer is that of the first.
"""

from collections.abc import Awaitable
from typing import Any, Self, TypeVar

from pymongo.errors import DuplicateKeyError, InvalidOperation, OperationFailure, PyMongoError

from storage.credentials import Credentials
from storage.errors import AlreadyExists, Conflict, Damaged, Full, Unavailable
from storage.hosts import MongoPlace
from storage.mongodb_start import ANSWER_SECONDS, Client, Collection, close, connect, prepare
from storage.names import check_id, check_id_bounds, check_kind, check_limit, check_record_size
from storage.ports import Record

_Result = TypeVar("_Result")
_OUT_OF_DISK_SPACE = 14031


class MongoRecordStore:
    """`RecordStore` on a replica set. Made by `open`."""

    def __init__(self, client: Client, collection: Collection, place: MongoPlace) -> None:
        self._client = client
        self._collection = collection
        self._place = place
        self._closed = False

    @classmethod
    async def open(
        cls,
        place: MongoPlace,
        credentials: Credentials | None = None,
        *,
        create: bool = True,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> Self:
        """Connect, check the server and the collection, which `create` makes if absent.

        Raises BadName or Unavailable, with a remedy.
        """
        client = connect(place, credentials, answer_seconds=answer_seconds)
        try:
            return cls(client, await prepare(client, place, create=create), place)
        except BaseException:
            await close(client)
            raise

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        _check(kind, id, data)
        document = {"_id": f"{kind}/{id}", "revision": 1, "data": data}
        try:
            await self._asked(self._collection.insert_one, document)
        except DuplicateKeyError as error:
            raise AlreadyExists(f"the record {kind}/{id} exists", "Read what stands there.") from error

    async def get(self, kind: str, id: str) -> Record | None:
        _check(kind, id)
        found = await self._asked(self._collection.find_one, {"_id": f"{kind}/{id}"})
        return None if found is None else _record(kind, found)

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        _check(kind, id, data)
        change = {"$set": {"revision": revision + 1, "data": data}}
        done = await self._asked(self._collection.update_one, _at(kind, id, revision), change)
        if done.matched_count != 1:
            raise _conflict(kind, id, revision)
        return revision + 1

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        _check(kind, id)
        done = await self._asked(self._collection.delete_one, _at(kind, id, revision))
        if done.deleted_count != 1:
            raise _conflict(kind, id, revision)

    async def page(
        self, kind: str, *, prefix: str = "", after: str = "", before: str = "", limit: int = 100, reverse: bool = False
    ) -> tuple[Record, ...]:
        check_kind(kind)
        check_id_bounds(prefix, after, before)
        check_limit(limit)
        low, at_least = (after, "$gt") if after >= prefix else (prefix, "$gte")
        # The first id past a prefix; '~' (7E) is the last character of an id, so its successor exists.
        past = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
        high = min((bound for bound in (before, past) if bound), default="\x7f")
        bounds = {at_least: f"{kind}/{low}", "$lt": f"{kind}/{high}"}

        async def read() -> list[dict[str, Any]]:
            cursor = self._collection.find({"_id": bounds}).sort("_id", -1 if reverse else 1).limit(limit)
            return await cursor.to_list(limit)

        return tuple(_record(kind, document) for document in await self._asked(read))

    async def close(self) -> None:
        """End all connections. Safe to call twice; a write under way answers Unavailable."""
        if not self._closed:
            self._closed = True
            await close(self._client)

    async def _asked(self, operation: Any, *values: object) -> Any:
        """Ask the driver; every error but a duplicate key means that the outcome is unknown."""
        if self._closed:
            raise Unavailable("the store is closed", "Open it again.")
        try:
            return await _awaited(operation(*values))
        except DuplicateKeyError:
            raise
        except (PyMongoError, InvalidOperation) as error:
            if isinstance(error, OperationFailure) and error.code == _OUT_OF_DISK_SPACE:
                raise Full(f"the MongoDB server at {self._place.url} has no room", "Add disk space.") from error
            raise Unavailable(
                f"the MongoDB server at {self._place.url} did not answer as it should: {type(error).__name__}: {error}",
                "Read what stands there before any retry; look at the server if it goes on.",
            ) from error


async def _awaited(answer: Awaitable[_Result]) -> _Result:
    return await answer  # Motor answers with a future, PyMongo with a coroutine


def _check(kind: str, id: str, data: bytes = b"") -> None:
    check_kind(kind)
    check_id(id)
    check_record_size(kind, id, data)


def _at(kind: str, id: str, revision: int) -> dict[str, Any]:
    # BSON has no integer beyond 64 bits, and such a revision cannot stand there.
    if not 1 <= revision < 2**63 - 1:
        raise _conflict(kind, id, revision)
    return {"_id": f"{kind}/{id}", "revision": revision}


def _conflict(kind: str, id: str, revision: int) -> Conflict:
    return Conflict(f"the record {kind}/{id} is not at revision {revision}", "Read it again and decide.")


def _record(kind: str, document: dict[str, Any]) -> Record:
    name, revision, data = document.get("_id"), document.get("revision"), document.get("data")
    if not isinstance(name, str) or not isinstance(revision, int) or not isinstance(data, bytes):
        raise Damaged(f"a document of kind {kind} is not a record: {name!a}", "Something else writes here.")
    return Record(id=name.removeprefix(kind + "/"), revision=revision, data=bytes(data))
