"""One thread that writes to one SQLite connection, many waiting writes to a transaction.

A durable commit costs one flush of the disk, whoever waits for it. While one transaction is being flushed, the writes
that arrive gather in a queue; the next transaction takes them all, each in a savepoint of its own, so that one that is
refused does not touch its neighbours. A write is answered only after its transaction is on disk: a refusal too, for it
may rest on a neighbour that was then not kept.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from storage.errors import Damaged, Full, StorageError, Unavailable

MAX_JOBS = 256
MAX_BYTES = 32 * 1024 * 1024
"""A transaction is closed to newcomers when it holds so many jobs, or so many bytes of theirs."""

Work = Callable[[sqlite3.Connection], int]
"""What to do inside a transaction; its answer is a revision. Raises StorageError to refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    work: Work
    size: int
    whole: bool
    answer: asyncio.Future[int]


class GroupWriter:
    """The writer thread of one connection, which it owns and closes at the end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()  # between "is it closed" and putting a job: none may follow the final None
        self._closed = False
        # A daemon: a process that exits without close() must not hang. What it drops was never acknowledged.
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Work, *, size: int, whole: bool = False) -> int:
        """Do `work` in a transaction and return its answer once that is durable. `size` is its weight in bytes.

        `whole` says that the work is one statement, which changes nothing where the work raises. Alone it needs no
        transaction around it, and the disk is flushed inside that one call, without this interpreter's lock.

        A caller that is cancelled does not take its write back: it may or may not happen.
        """
        job = _Job(work=work, size=size, whole=whole, answer=asyncio.get_running_loop().create_future())
        with self._gate:
            if self._closed:
                raise Unavailable("the store is closed", "Open it again.")
            self._queue.put(job)
        return await job.answer

    def close(self) -> None:
        """Finish all that was queued, close the connection, end the thread. Blocks. Safe to call twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            jobs, last = self._gather()
            if jobs:
                _answer(jobs, _commit(self._connection, jobs))
            del jobs  # else the last batch's bytes stay in memory until the next write
        with suppress(sqlite3.Error):
            self._connection.close()

    def _gather(self) -> tuple[list[_Job], bool]:
        """Wait for a job and take what else is queued; also say whether the queue has ended."""
        jobs: list[_Job] = []
        size = 0
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            size += job.size
            if len(jobs) >= MAX_JOBS or size >= MAX_BYTES:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True


def translated(error: sqlite3.Error) -> StorageError:
    """Return what an SQLite error means to the port."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Damaged(f"the record file is damaged ({name}: {error})", "Stop, keep a copy, restore from a backup.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(f"another process holds the record file ({name})", "Read what stands there, then try again.")
    if name.startswith("SQLITE_FULL"):
        return Full("the disk of the record file is full", "Make room; read what stands there; try again.")
    return Unavailable(
        f"the record file does not answer ({name or type(error).__name__}: {error})", "Look at its disk."
    )


def _commit(connection: sqlite3.Connection, jobs: list[_Job]) -> list[int | Exception]:
    if len(jobs) == 1 and jobs[0].whole:
        return [_alone(connection, jobs[0].work)]
    try:
        # IMMEDIATE takes the write lock now and waits for it (busy timeout). A deferred transaction that first reads
        # gets SQLITE_BUSY_SNAPSHOT at once when another process has written meanwhile.
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_attempt(connection, job.work) for job in jobs]
        connection.execute("COMMIT")
    except Exception as error:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        failure = translated(error) if isinstance(error, sqlite3.Error) else error
        return [failure] * len(jobs)
    return outcomes


def _alone(connection: sqlite3.Connection, work: Work) -> int | Exception:
    # In autocommit mode a writing statement takes the write lock at once, as BEGIN IMMEDIATE does.
    try:
        return work(connection)
    except sqlite3.Error as error:
        return translated(error)
    except Exception as error:
        return error


def _attempt(connection: sqlite3.Connection, work: Work) -> int | Exception:
    connection.execute("SAVEPOINT job")
    outcome: int | Exception
    try:
        outcome = work(connection)
    except sqlite3.Error as error:
        if not connection.in_transaction:  # a full disk, for one, rolls everything back: no neighbour was kept
            raise
        outcome = translated(error)
    except Exception as error:
        outcome = error
    if isinstance(outcome, Exception):
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
    return outcome


def _answer(jobs: list[_Job], outcomes: list[int | Exception]) -> None:
    """Resolve the futures, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int | Exception]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        by_loop.setdefault(job.answer.get_loop(), []).append((job.answer, outcome))
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[tuple[asyncio.Future[int], int | Exception]]) -> None:
    for future, outcome in answers:
        if future.done():  # cancelled
            continue
        if isinstance(outcome, Exception):
            # One error object may answer several jobs; each waiter raises its own, with its own traceback.
            future.set_exception(_copy(outcome))
        else:
            future.set_result(outcome)


def _copy(error: Exception) -> Exception:
    if isinstance(error, StorageError):
        return type(error)(error.message, error.next_step)
    return error
