"""What must be the case before records go to a MongoDB deployment: the driver, the server, the collection.

Everything that the adapter declares on the server stands here: one collection in the simple collation (ids compare as
bytes), the shape of its documents, and the mark of the format. It needs no index but that of `_id`, which is unique and
holds kind and id in one string; an index that lets documents expire is refused. See decision 0100.
"""

import inspect
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from storage.credentials import Credentials
from storage.errors import BadName, StorageError, Unavailable
from storage.hosts import MongoPlace

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]

COLLECTION = "records"
DURABLE = WriteConcern(w="majority", j=True)
COMMITTED = ReadConcern("majority")
ANSWER_SECONDS = 20.0
"""How long one operation may take, with the search for a primary and one repetition by the driver."""
SHAPE: Document = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["_id", "revision", "data"],
        "additionalProperties": False,
        "properties": {
            "_id": {"bsonType": "string"},
            "revision": {"bsonType": ["int", "long"], "minimum": 1},
            "data": {"bsonType": "binData"},
        },
    }
}
MARK: Document = {"_id": "!format", "revision": 1, "data": b"muniment records 1"}
"""The document that says whose collection this is: '!' begins no kind, so that no page shows it."""


def connect(place: MongoPlace, credentials: Credentials | None, *, answer_seconds: float = ANSWER_SECONDS) -> Client:
    """Return a client of the place's driver; nothing is sent yet. Call it in the event loop that will use it.

    Motor's client answers to every call that this room makes with the same names and values as PyMongo's.
    Raises BadName for options that the driver does not take, and when Motor is not installed.
    """
    options: Document = {
        "appname": "muniment",
        "timeoutMS": int(answer_seconds * 1000),
        "serverSelectionTimeoutMS": int(answer_seconds * 500),
        "connectTimeoutMS": int(answer_seconds * 500),
        "retryWrites": True,
        "retryReads": True,
    }
    if credentials is not None:
        options |= {"username": credentials.name, "password": credentials.secret}
    try:
        if not place.motor:
            return AsyncMongoClient(place.driver_url, **options)
        try:
            from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415  an optional extra
        except ImportError as error:
            raise BadName(
                "mongodb+motor:// needs Motor, which is not installed",
                "Write mongodb:// instead, or install muniment[motor].",
            ) from error
        client: Any = AsyncIOMotorClient(place.driver_url, **options)
        return client  # type: ignore[no-any-return]
    except (PyMongoError, ValueError, OSError) as error:
        raise BadName(f"the MongoDB driver does not take {place.url}: {error}", "Correct its options.") from error


async def prepare(client: Client, place: MongoPlace, *, create: bool) -> Collection:
    """Check the server and the collection, which `create` makes if absent; return it with the concerns that it needs.

    Raises BadName when the server or the collection cannot keep records, Unavailable when it does not answer.
    """
    await _check_server(client, place)
    database = client.get_database(place.database, codec_options=CodecOptions())
    try:
        if not create and not await database.list_collection_names(filter={"name": COLLECTION}):
            raise BadName(f"there are no records at {place.url}", "Name the registry's database.")
        await database.command("create", COLLECTION, validator=SHAPE, writeConcern=DURABLE.document)
    except OperationFailure as error:
        if error.code != 48:  # NamespaceExists: another replica of this service, or an earlier start
            raise _refused(place, error) from error
    except PyMongoError as error:
        raise _refused(place, error) from error
    await _check_collection(database, place)
    collection = database.get_collection(
        COLLECTION, write_concern=DURABLE, read_concern=COMMITTED, read_preference=ReadPreference.PRIMARY
    )
    await _mark(collection, place)
    return collection


async def close(client: Client) -> None:
    """Close a client of either driver."""
    closing: Any = client.close()
    if inspect.isawaitable(closing):
        await closing


async def _check_server(client: Client, place: MongoPlace) -> None:
    try:
        hello = await client.admin.command("hello")
    except pymongo.errors.ConnectionFailure as error:
        raise Unavailable(
            f"no MongoDB server answers at {place.url}",
            "Start it, or correct the URL, its TLS options and the network.",
        ) from error
    except PyMongoError as error:
        raise _refused(place, error) from error
    standalone = "setName" not in hello and hello.get("msg") != "isdbgrid"
    if hello.get("maxWireVersion", 0) < 13:  # 5.0: majority reads always, default majority writes
        raise BadName(f"the MongoDB server at {place.url} is older than 5.0", "Upgrade it.")
    if standalone:
        try:
            status = await client.admin.command("serverStatus")
        except PyMongoError as error:
            raise _refused(place, error) from error
        if status.get("storageEngine", {}).get("persistent") is False:
            raise BadName(f"the MongoDB server at {place.url} keeps nothing on disk", _DURABILITY)


async def _check_collection(database: Any, place: MongoPlace) -> None:
    try:
        listed = await database.command("listCollections", filter={"name": COLLECTION})
        (found,) = listed["cursor"]["firstBatch"]
        indexes = (await database.command("listIndexes", COLLECTION))["cursor"]["firstBatch"]
    except (PyMongoError, KeyError, ValueError) as error:
        raise _refused(place, error) from error
    options = found.get("options", {})
    locale = options.get("collation", {}).get("locale", "simple")
    expiring = [index["name"] for index in indexes if "expireAfterSeconds" in index]
    wrong = [name for name in ("capped", "timeseries", "viewOn", "expireAfterSeconds") if options.get(name)]
    if locale != "simple" or wrong or expiring or found.get("type", "collection") != "collection":
        raise BadName(
            f"the collection {COLLECTION} at {place.url} was made otherwise: collation {locale}, options {wrong}, "
            f"expiring indexes {expiring}",
            "Name another database; this one is not touched.",
        )


async def _mark(collection: Collection, place: MongoPlace) -> None:
    """Write the mark with the full concern, or find it: the one write that shows whether writes are durable here."""
    try:
        found = await collection.find_one({"_id": {"$gte": ""}}, {"_id": 1}, sort=[("_id", 1)])
        if found is not None and found["_id"] != MARK["_id"]:
            raise BadName(
                f"the collection {COLLECTION} at {place.url} holds documents of another program",
                "Name another database; this one is not touched.",
            )
        await collection.update_one({"_id": MARK["_id"]}, {"$setOnInsert": _rest(MARK)}, upsert=True)
        mark = await collection.find_one({"_id": MARK["_id"]})
    except PyMongoError as error:
        raise _refused(place, error) from error
    if mark is None or bytes(mark.get("data", b"")) != MARK["data"]:
        raise BadName(
            f"the collection {COLLECTION} at {place.url} has a format that this release does not know",
            "Use the release that made it, or name another database.",
        )


_DURABILITY = "Use a replica set, or a standalone server with a journal: records must survive a power cut."


def _rest(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_id"}


def _refused(place: MongoPlace, error: Exception) -> StorageError:
    if isinstance(error, pymongo.errors.DuplicateKeyError):  # two upserts of the mark met
        return Unavailable(f"another process is preparing {place.url}", "Start again.")
    if isinstance(error, OperationFailure) and error.code == 2:  # BadValue: j without a journal, majority without a set
        return BadName(f"the MongoDB server at {place.url} cannot write durably: {error.details}", _DURABILITY)
    if isinstance(error, OperationFailure) and error.code in (13, 18):
        return BadName(
            f"the MongoDB server at {place.url} refuses this user (code {error.code})",
            "Set MUNIMENT_MONGODB_USER and MUNIMENT_MONGODB_PASSWORD, with the role readWrite on this database.",
        )
    return Unavailable(f"the MongoDB server at {place.url} did not do what was asked: {error}", "Look at its log.")
