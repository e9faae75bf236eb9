"""Records in one SQLite file: one writer thread with group commit, a few reading threads. See decision 0001.

Several processes may open the same file on one machine: SQLite's locks order their writes, and a writer that waits
longer than the busy timeout gets Unavailable. Not for network file systems, whose locks and shared memory do not hold.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from storage.errors import AlreadyExists, Conflict, Unavailable
from storage.group_commit import GroupWriter, translated
from storage.names import check_id, check_id_bounds, check_kind, check_limit, check_record_size
from storage.ports import Record
from storage.sqlite_file import BUSY_SECONDS, connect, prepare

READERS = 4

_Result = TypeVar("_Result")


class SqliteRecordStore:
    """`RecordStore` in one file. Made by `open`."""

    def __init__(self, path: Path, writer: GroupWriter, busy_seconds: float) -> None:
        self._writer = writer
        self._readers = _Readers(path, busy_seconds)

    @classmethod
    async def open(cls, path: str | Path, *, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open the file, made if absent (its folder must exist). Raises BadName when the file is not ours."""
        place = Path(path)

        def start() -> GroupWriter:
            prepare(place, busy_seconds=busy_seconds)
            try:
                return GroupWriter(connect(place, read_only=False, busy_seconds=busy_seconds))
            except sqlite3.Error as error:
                raise translated(error) from error

        return cls(place, await asyncio.to_thread(start), busy_seconds)

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        _check(kind, id, data)

        def work(connection: sqlite3.Connection) -> int:
            sql = "INSERT INTO record (kind, id, revision, data) VALUES (?, ?, 1, ?) ON CONFLICT (kind, id) DO NOTHING"
            if connection.execute(sql, (kind, id, data)).rowcount != 1:
                raise AlreadyExists(f"the record {kind}/{id} exists", "Read what stands there.")
            return 1

        await self._writer.write(work, size=len(data), whole=True)

    async def get(self, kind: str, id: str) -> Record | None:
        _check(kind, id)

        def look(connection: sqlite3.Connection) -> Record | None:
            sql = "SELECT revision, data FROM record WHERE kind = ? AND id = ?"
            row = connection.execute(sql, (kind, id)).fetchone()
            return Record(id=id, revision=row[0], data=row[1]) if row else None

        return await self._readers.read(look)

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        _check(kind, id, data)

        def work(connection: sqlite3.Connection) -> int:
            sql = "UPDATE record SET revision = revision + 1, data = ? WHERE kind = ? AND id = ? AND revision = ?"
            _expect_one(connection, sql, (data, kind, id), kind=kind, id=id, revision=revision)
            return revision + 1

        return await self._writer.write(work, size=len(data), whole=True)

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        _check(kind, id)

        def work(connection: sqlite3.Connection) -> int:
            sql = "DELETE FROM record WHERE kind = ? AND id = ? AND revision = ?"
            _expect_one(connection, sql, (kind, id), kind=kind, id=id, revision=revision)
            return revision

        await self._writer.write(work, size=0, whole=True)

    async def page(
        self, kind: str, *, prefix: str = "", after: str = "", before: str = "", limit: int = 100, reverse: bool = False
    ) -> tuple[Record, ...]:
        check_kind(kind)
        check_id_bounds(prefix, after, before)
        check_limit(limit)
        # One bound a side, the tighter one, so that the index is entered exactly where the page begins.
        low, at_least = (after, ">") if after >= prefix else (prefix, ">=")
        # The first id past a prefix; '~' (7E) is the last character of an id, so its successor exists.
        past = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
        high = min((bound for bound in (before, past) if bound), default="\x7f")
        direction = "DESC" if reverse else "ASC"
        sql = (
            f"SELECT id, revision, data FROM record WHERE kind = ? AND id {at_least} ? AND id < ?"  # noqa: S608
            f" ORDER BY id {direction} LIMIT ?"
        )

        def look(connection: sqlite3.Connection) -> tuple[Record, ...]:
            rows = connection.execute(sql, (kind, low, high, limit))
            return tuple(Record(id=id, revision=revision, data=data) for id, revision, data in rows)

        return await self._readers.read(look)

    async def close(self) -> None:
        """Finish queued writes, end all threads, close all connections. Safe to call twice."""
        # Readers first: the last connection to close folds the log into the file and removes it.
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)


class _Readers:
    """A few threads, each with a connection of its own that cannot write."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="sqlite-reader")
        self._own = threading.local()
        self._lock = threading.Lock()  # guards the list
        self._connections: list[sqlite3.Connection] = []

    async def read(self, look: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `look` in a reading thread. A single SELECT sees one committed state."""
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, self._call, look)
        except RuntimeError as error:  # the threads were shut down
            raise Unavailable("the store is closed", "Open it again.") from error
        return await answer

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        with self._lock:
            while self._connections:
                self._connections.pop().close()

    def _call(self, look: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            if not hasattr(self._own, "connection"):
                connection = connect(self._path, read_only=True, busy_seconds=self._busy_seconds)
                self._own.connection = connection
                with self._lock:
                    self._connections.append(connection)
            return look(self._own.connection)
        except sqlite3.Error as error:
            raise translated(error) from error


def _check(kind: str, id: str, data: bytes = b"") -> None:
    check_kind(kind)
    check_id(id)
    check_record_size(kind, id, data)


def _expect_one(
    connection: sqlite3.Connection, sql: str, values: tuple[str | bytes, ...], *, kind: str, id: str, revision: int
) -> None:
    # A revision beyond 64 bits cannot stand in the file, nor be bound to a statement.
    if not 1 <= revision < 2**63 or connection.execute(sql, (*values, revision)).rowcount != 1:
        raise Conflict(f"the record {kind}/{id} is not at revision {revision}", "Read it again and decide.")
