"""Records in SQLite: the conformance suite, two processes, kills, foreign files, full disks, clean ends."""

import asyncio
import hashlib
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.errors import AlreadyExists, BadName, Damaged, Full, Unavailable
from storage.ports import MAX_RECORD_BYTES, RecordStore
from storage.sqlite import SqliteRecordStore
from storage.sqlite_file import APPLICATION_ID
from tests.conformance import records
from tests.storage.killing import run_and_kill

ROOT = Path(__file__).parents[2]


class SqliteWorld:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "records %?#.sqlite"  # characters that mean something in SQLite's URIs

    async def open(self) -> RecordStore:
        return await SqliteRecordStore.open(self.path)


@pytest.mark.parametrize("check", records.CHECKS, ids=lambda check: check.__name__)
async def test_records_conform(check: Callable[[records.RecordWorld], Awaitable[None]], tmp_path: Path) -> None:
    await check(SqliteWorld(tmp_path))


def test_paging_agrees_with_the_model(tmp_path: Path) -> None:
    records.check_paging_against_model(SqliteWorld(tmp_path))


async def test_closing_finishes_what_was_begun_and_leaves_no_thread_and_no_log(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = await SqliteRecordStore.open(tmp_path / "r")
    begun = [asyncio.ensure_future(store.insert("k", f"{index}", b"x" * 1000)) for index in range(500)]
    await asyncio.sleep(0)  # one turn of the loop: all are queued, none is answered
    await store.page("k")
    await asyncio.gather(store.close(), store.close())
    assert await asyncio.gather(*begun) == [None] * 500
    ours = {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("sqlite-")}
    assert ours == set()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    again = await SqliteRecordStore.open(tmp_path / "r")
    assert len(await again.page("k", limit=1000)) == 500
    await again.close()


async def test_a_cancelled_waiter_does_not_disturb_the_others(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    tasks = [asyncio.ensure_future(store.insert("k", f"{index}", b"")) for index in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(outcome is None for outcome in outcomes[1::2])
    found = {record.id for record in await store.page("k")}
    assert {f"{index}" for index in range(1, 50, 2)} <= found
    await store.close()


async def test_every_commit_is_flushed(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    connection = store._writer._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    await store.close()


INCREMENT = """
import asyncio, sys
from storage.errors import Conflict
from storage.sqlite import SqliteRecordStore

async def main():
    store = await SqliteRecordStore.open(sys.argv[1])
    done = 0
    while done < 100:
        found = await store.get("count", "n")
        try:
            await store.replace("count", "n", b"%d" % (int(found.data) + 1), revision=found.revision)
        except Conflict:
            continue
        done += 1
    await store.close()

asyncio.run(main())
"""


async def test_two_processes_lose_no_update(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    await store.insert("count", "n", b"0")
    children = [
        subprocess.Popen([sys.executable, "-c", INCREMENT, str(tmp_path / "r")], cwd=ROOT)  # noqa: ASYNC220
        for _ in range(2)
    ]
    assert [await asyncio.to_thread(child.wait) for child in children] == [0, 0]
    found = await store.get("count", "n")
    assert found is not None
    assert (found.data, found.revision) == (b"200", 201)
    await store.close()


CREATE = """
import asyncio, sys
from storage.sqlite import SqliteRecordStore

async def main():
    store = await SqliteRecordStore.open(sys.argv[1])
    await store.insert("k", sys.argv[2], b"")
    await store.close()

asyncio.run(main())
"""


async def test_processes_may_create_the_file_at_once(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CREATE, str(tmp_path / "r"), f"{index}"], cwd=ROOT)  # noqa: ASYNC220
        for index in range(6)
    ]
    assert [await asyncio.to_thread(child.wait) for child in children] == [0] * 6
    store = await SqliteRecordStore.open(tmp_path / "r")
    assert [record.id for record in await store.page("k")] == [f"{index}" for index in range(6)]
    await store.close()


async def test_a_lock_held_too_long_is_unavailable_and_reading_goes_on(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r", busy_seconds=0.05)
    await store.insert("k", "0", b"before")
    other = sqlite3.connect(tmp_path / "r", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="another process"):
        await store.insert("k", "1", b"")
    assert await store.get("k", "0") is not None
    other.execute("ROLLBACK")
    other.close()
    await store.insert("k", "1", b"")
    await store.close()


async def test_a_full_disk_is_unavailable_and_takes_nothing_back(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    await store.insert("k", "kept", b"kept")
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    outcomes = await asyncio.gather(
        *(store.insert("k", f"{index}", bytes(100_000)) for index in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Full] * 4
    assert "full" in str(outcomes[0])
    assert [record.id for record in await store.page("k")] == ["kept"]
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.insert("k", "0", bytes(100_000))
    with pytest.raises(AlreadyExists):
        await store.insert("k", "kept", b"")
    await store.close()


async def test_foreign_files_are_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"not a database, but long enough to be read as a header of one\n" * 20)
    (tmp_path / "short").write_bytes(b"x")
    for name, script in {
        "foreign": "CREATE TABLE t (x)",
        "marked": "PRAGMA application_id = 7",
        "later": f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2; CREATE TABLE record (x)",
        "unmarked": "PRAGMA user_version = 1; CREATE TABLE record (kind, id, revision, data)",
    }.items():
        made = sqlite3.connect(tmp_path / name)
        made.executescript(script)
        made.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in sorted(before):
        with pytest.raises(BadName) as caught:
            await SqliteRecordStore.open(tmp_path / name)
        assert name in caught.value.message
        assert caught.value.next_step
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for place in (tmp_path, tmp_path / "none" / "r", tmp_path / "text" / "r"):
        with pytest.raises(BadName):
            await SqliteRecordStore.open(place)


async def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    await store.insert("k", "0", b"")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    await store.close()


async def test_a_torn_page_is_damaged(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    await asyncio.gather(*(store.insert("k", f"{index:03}", b"x" * 500) for index in range(200)))
    await store.close()
    raw = bytearray((tmp_path / "r").read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    (tmp_path / "r").write_bytes(raw)
    again = await SqliteRecordStore.open(tmp_path / "r")
    with pytest.raises(Damaged):
        await again.page("k")
    await again.close()


async def test_the_largest_batch_passes(tmp_path: Path) -> None:
    store = await SqliteRecordStore.open(tmp_path / "r")
    await asyncio.gather(*(store.insert("k", f"{index}", bytes(MAX_RECORD_BYTES)) for index in range(4)))
    assert len(await store.page("k")) == 4
    await store.close()


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Twelve kills over one file: every acknowledged record is there and whole, and the file is sound."""
    rng = random.Random(20261125)
    path = tmp_path / "r"
    acknowledged: dict[str, str] = {}
    for turn in range(12):
        told = await asyncio.to_thread(run_and_kill, rng, "records", str(path), f"t{turn}")
        assert told
        acknowledged.update(told)
        store = await SqliteRecordStore.open(path)
        for name, digest in acknowledged.items():
            found = await store.get("killed", name)
            assert found is not None, f"{name} was acknowledged and is gone"
            assert hashlib.sha256(found.data).hexdigest() == digest
        await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*) FROM record WHERE length(data) != 3000").fetchone() == (0,)
    connection.close()
