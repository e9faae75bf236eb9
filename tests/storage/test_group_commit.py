"""The writer thread by itself: what shares a transaction, and what each waiter is told when something fails."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import Conflict, Unavailable
from storage.group_commit import MAX_BYTES, MAX_JOBS, GroupWriter, Work

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
"""


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with connect(tmp_path / "db") as made:
        made.executescript(SCHEMA)
    made.close()
    return tmp_path / "db"


@pytest.fixture
def writer(path: Path) -> Iterator[GroupWriter]:
    writer = GroupWriter(connect(path))
    yield writer
    writer.close()


def insert(number: int, *, refuse: bool = False, parent: int | None = None) -> Work:
    def work(connection: sqlite3.Connection) -> int:
        if parent is None:
            connection.execute("INSERT INTO parent VALUES (?)", (number,))
        else:
            connection.execute("INSERT INTO child VALUES (?, ?)", (number, parent))
        if refuse:
            raise Conflict(f"refused {number}", "remedy")
        return number

    return work


async def together(writer: GroupWriter, works: list[Work], *, size: int = 0) -> list[int | BaseException]:
    """Let the works gather behind one that waits, so that they meet in the next transactions."""
    gate, begun = threading.Event(), threading.Event()

    def wait(_connection: sqlite3.Connection) -> int:
        begun.set()
        gate.wait()
        return 0

    first = asyncio.ensure_future(writer.write(wait, size=0))
    await asyncio.to_thread(begun.wait)
    rest = [asyncio.ensure_future(writer.write(work, size=size)) for work in works]
    await asyncio.sleep(0)  # one turn of the loop: all are queued
    gate.set()
    assert await first == 0
    return await asyncio.gather(*rest, return_exceptions=True)


def rows(path: Path, table: str = "parent") -> list[int]:
    connection = connect(path)
    found = [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608
    connection.close()
    return found


async def test_a_refused_write_leaves_nothing_and_its_neighbours_stay(writer: GroupWriter, path: Path) -> None:
    outcomes = await together(writer, [insert(1), insert(2, refuse=True), insert(3), insert(1)])
    assert [type(outcome) for outcome in outcomes] == [int, Conflict, int, Unavailable]
    assert rows(path) == [1, 3]


async def test_when_the_commit_fails_all_are_unknown_and_the_next_write_works(writer: GroupWriter, path: Path) -> None:
    """A refusal too: it may rest on a neighbour that was then not kept."""
    outcomes = await together(writer, [insert(1), insert(2, refuse=True), insert(3, parent=99)])
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3, "each waiter raises an error of its own"
    assert rows(path) == rows(path, "child") == []
    assert await writer.write(insert(4), size=0) == 4
    assert rows(path) == [4]


async def test_two_writers_that_read_before_they_write_wait_for_each_other(path: Path) -> None:
    writers = [GroupWriter(connect(path)) for _ in range(2)]

    def next_number(connection: sqlite3.Connection) -> int:
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM parent").fetchone()
        return insert(last + 1)(connection)

    numbers = await asyncio.gather(*(writers[index % 2].write(next_number, size=0) for index in range(100)))
    assert sorted(numbers) == list(range(1, 101))
    for writer in writers:
        writer.close()


@pytest.mark.parametrize(("count", "size", "most"), [(3, 0, 3), (MAX_JOBS + 5, 0, MAX_JOBS), (5, MAX_BYTES // 2, 2)])
async def test_waiting_writes_share_a_transaction_up_to_a_limit(path: Path, count: int, size: int, most: int) -> None:
    connection = connect(path)
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    writer = GroupWriter(connection)
    await together(writer, [insert(number) for number in range(count)], size=size)
    writer.close()
    assert len(commits) == 1 + -(-count // most)
    assert rows(path) == list(range(count))


async def test_an_error_of_the_work_itself_reaches_its_waiter_only(writer: GroupWriter, path: Path) -> None:
    def broken(_connection: sqlite3.Connection) -> int:
        raise ZeroDivisionError

    outcomes = await together(writer, [insert(1), broken, insert(2)])
    assert [type(outcome) for outcome in outcomes] == [int, ZeroDivisionError, int]
    assert rows(path) == [1, 2]


async def test_after_closing_writes_are_refused(writer: GroupWriter) -> None:
    writer.close()
    writer.close()
    with pytest.raises(Unavailable):
        await writer.write(insert(1), size=0)


def test_a_loop_that_has_gone_does_not_stop_the_writer(writer: GroupWriter, path: Path) -> None:
    async def leave() -> None:
        task = asyncio.ensure_future(writer.write(insert(1), size=0))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    assert asyncio.run(writer.write(insert(2), size=0)) == 2
    assert rows(path) == [1, 2]
