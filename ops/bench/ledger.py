"""The ledger on SQLite with fsync: durable entries a second against pymerkle, proofs at ten million entries, the audit.

Durable: each entry's submitter has its answer, under a signed checkpoint, after the disk was flushed. pymerkle runs in
processes of its own (GPL; nothing is imported here) on the same disk, in turns with ours: as it comes, with SQLite's
rollback journal and `synchronous` FULL, and with the settings that ours has, write-ahead log and FULL, which flush as
often. Both sides read back what their connection is set to, and the run fails where either is below FULL. Its batch is
one transaction and gives no root, so it is also measured with the root taken after each batch, as ours is.

The log of ten million is written without the sequencer: batches of 1,000 entries of 8 digits and all full tiles, by the
ledger's own code, into a registry's SQLite file. `MUNIMENT_BENCH_ENTRIES` makes it smaller, `MUNIMENT_BENCH_ROUNDS` (5)
the rounds, `MUNIMENT_BENCH_DIR` names the disk.
"""

import asyncio
import cProfile
import importlib.util
import json
import os
import pstats
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.service.logstore import BATCH_KIND, TILE_KIND, RecordLogStore
from ledger.audit import audit
from ledger.batch import Batch, batch_id, next_batch
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.merkle import EMPTY_FRONTIER, leaf_hash, root_of, verify_inclusion
from ledger.note import NoteSigner
from ledger.policy import Policy
from ledger.ports import Entry
from ledger.proof import Proof
from ledger.sequencer import Sequencer
from ledger.tiles import TILE_WIDTH, Tile
from ledger.tree import Tree
from ops.bench import Row
from storage.sqlite import SqliteRecordStore
from storage.sqlite_file import connect

TITLE = "SQLite, every flush to the disk; entries of 110 bytes"
ROUNDS = int(os.environ.get("MUNIMENT_BENCH_ROUNDS", "5"))
LARGE = int(os.environ.get("MUNIMENT_BENCH_ENTRIES", "10000000"))
FOLDER = os.environ.get("MUNIMENT_BENCH_DIR")
ENTRIES = {1: 300, 10: 5000, 100: 20_000, 1000: 60_000}
"""How many entries a round appends in batches of that size."""

_SIGNER = NoteSigner("bench.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))

FULL = 2
"""`PRAGMA synchronous`: the disk is flushed at every commit."""

_PYMERKLE = """
import json, os, sys, time
from pymerkle import SqliteTree
file, size, total, roots, log = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "roots" in sys.argv, "log" in sys.argv
entries = [os.urandom(55).hex().encode() for _ in range(total)]
with SqliteTree(file) as tree:
    if log:
        tree.con.execute("PRAGMA journal_mode = WAL").fetchall()
    start = time.perf_counter()
    for at in range(0, total, size):
        if size == 1:
            tree.append_entry(entries[at])
        else:
            tree.append_entries(entries[at : at + size])
        if roots:
            tree.get_root()
    taken = time.perf_counter() - start
    (synchronous,) = tree.con.execute("PRAGMA synchronous").fetchall()
    (journal,) = tree.con.execute("PRAGMA journal_mode").fetchall()
    print(json.dumps([total / taken, synchronous, journal]))
"""
_THEIRS = {
    "append_entry": (1, ()),
    "append_entry, write-ahead log": (1, ("log",)),
    "append_entry, root after each": (1, ("roots",)),
    "append_entries of 100": (100, ()),
    "append_entries of 100, write-ahead log": (100, ("log",)),
    "append_entries of 100, root after each": (100, ("roots",)),
    "append_entries of 1,000": (1000, ()),
    "append_entries of 1,000, write-ahead log": (1000, ("log",)),
    "append_entries of 1,000, root after each": (1000, ("roots",)),
}
"""What pymerkle is asked for: its call, the batch's size, how."""


class _Rules:
    """Appends whatever comes."""

    async def decide(self, _size: int, submissions: Sequence[bytes], _now: int) -> Sequence[Entry]:
        return list(map(Entry, submissions))

    async def applied(self, _batch: Batch, _accepted: Sequence[tuple[int, bytes]]) -> None:
        return None


def run() -> tuple[Row, ...]:
    """All parts, in the order of the text above."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        return (*_throughput(Path(folder)), *_growth(Path(folder)), *_profile(Path(folder)), *_large(Path(folder)))


# Durable entries a second.


def _throughput(folder: Path) -> list[Row]:
    ours, theirs = dict[int, list[float]](), dict[str, list[float]]()
    tasks = list[float]()
    installed = importlib.util.find_spec("pymerkle") is not None
    for number in range(ROUNDS):
        for size, total in ENTRIES.items():
            file = folder / f"ours-{size}-{number}.sqlite"
            ours.setdefault(size, []).append(asyncio.run(_append(file, size, total)))
        tasks.append(asyncio.run(_append(folder / f"tasks-{number}.sqlite", 1000, ENTRIES[1000], tasks=True)))
        for place, (name, (size, how)) in enumerate(_THEIRS.items() if installed else ()):
            file = folder / f"theirs-{place}-{number}.sqlite"
            theirs.setdefault(name, []).append(_pymerkle(file, size, ENTRIES[size], how))
    rows = []
    for size, rates in ours.items():
        what, figure = f"durable entries/s, batches of {size:,}: best (median)", _figure(rates)
        if not installed:
            missing = "pymerkle is not installed: pip install --require-hashes -r ops/requirements.lock"
            rows.append(Row(what=what, figure=figure, against=missing))
        for name, (other, _) in _THEIRS.items() if installed else ():
            if other == size:
                ratios = (max(rates) / max(theirs[name]), statistics.median(rates) / statistics.median(theirs[name]))
                rows.append(
                    Row(
                        what=what,
                        figure=figure,
                        ratio=f"{ratios[0]:.2f} ({ratios[1]:.2f})",
                        against=f"pymerkle {name}: {_figure(theirs[name])}",
                    )
                )
    rows.append(
        Row(what="the same in batches of 1,000, each entry submitted by a task of its own", figure=_figure(tasks))
    )
    return rows


def _figure(rates: list[float]) -> str:
    return f"{max(rates):,.0f} ({statistics.median(rates):,.0f})"


async def _append(file: Path, size: int, total: int, *, tasks: bool = False) -> float:
    records = await SqliteRecordStore.open(file)
    with closing(connect(file, read_only=False)) as connection:  # set as the store's own are
        assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    sequencer = Sequencer(
        RecordLogStore(records),
        _Rules(),
        _SIGNER,
        _SIGNER.name,
        lambda: int(time.time()),
        window_seconds=0.0 if size == 1 else 0.005,
        max_batch=size,
    )
    await sequencer.start()
    entries = [os.urandom(55).hex().encode() for _ in range(total)]
    start = time.perf_counter()

    async def deposit(some: Sequence[bytes]) -> None:
        for at in range(0, len(some), size):
            if tasks:
                await asyncio.gather(*map(sequencer.submit, some[at : at + size]))
            else:
                await sequencer.submit_all(some[at : at + size])

    # Two depositors: one's batch gathers while the other's is flushed. One by one means waiting for each answer.
    half = total if size == 1 else total // 2
    await asyncio.gather(*(deposit(entries[at : at + half]) for at in range(0, total, half)))
    taken = time.perf_counter() - start
    assert sequencer.size == total
    await sequencer.close()
    await records.close()
    return total / taken


def _pymerkle(file: Path, size: int, total: int, how: Sequence[str]) -> float:
    command = [sys.executable, "-c", _PYMERKLE, str(file), str(size), str(total), *how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate, synchronous, journal = json.loads(done.stdout)
    assert synchronous >= FULL, "pymerkle must flush as ours does"
    assert journal == ("wal" if "log" in how else "delete")
    return float(rate)


# What an entry weighs, and how fast a whole log is derived again.


def _growth(folder: Path) -> list[Row]:
    rows = []
    for size, total in ENTRIES.items():
        file = folder / f"ours-{size}-0.sqlite"
        rate, added = asyncio.run(_audit(file, total))
        weight = file.stat().st_size / total
        rows.append(
            Row(
                what=f"bytes an entry of 110, batches of {size:,}, with {added} tiles",
                figure=f"{weight:.0f}",
                ratio=f"{weight / 110:.2f}",
                against="the entry alone",
            )
        )
        rows.append(Row(what=f"audit, entries/s, batches of {size:,}", figure=f"{rate:,.0f}"))
    return rows


async def _audit(file: Path, total: int) -> tuple[float, int]:
    records = await SqliteRecordStore.open(file)
    try:
        store = RecordLogStore(records)
        added = await Tree(store).write_tiles(total)
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            assert [finding async for finding in audit(store)] == []
            rates.append(total / (time.perf_counter() - start))
        return max(rates), added
    finally:
        await records.close()


# Where the time goes.


def _profile(folder: Path) -> list[Row]:
    profile = cProfile.Profile()
    profile.enable()
    asyncio.run(_append(folder / "profile.sqlite", 1000, ENTRIES[1000]))
    profile.disable()
    shares: Counter[str] = Counter()
    for (file, _, function), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        shares[_part(file, function)] += seconds
    whole = sum(shares.values())
    text = ", ".join(f"{part} {seconds / whole:.0%}" for part, seconds in shares.most_common())
    return [Row(what="main thread, batches of 1,000 (profiled)", figure=text)]


def _part(file: str, function: str) -> str:
    if "poll" in function:
        return "waiting for the disk"
    if "asyncio" in file or "_contextvars" in function or "_asyncio" in function:
        return "event loop"
    if "sha256" in function or "HASH" in function or file.endswith("merkle.py"):
        return "Merkle hashing"
    if f"{os.sep}ledger{os.sep}" in file and "bench" not in file:
        return "sequencer, batch, plan"
    return "built-ins and others"


# Ten million entries.


def _large(folder: Path) -> list[Row]:
    file = folder / "large.sqlite"
    start = time.perf_counter()
    root = _build(file, LARGE)
    built = time.perf_counter() - start
    rows = [Row(what=f"building {LARGE:,} entries, batches and tiles", figure=f"{built:.0f} s")]
    return [*rows, *asyncio.run(_proofs(file, root))]


def _build(file: Path, size: int) -> bytes:
    """Write the log; returns its root."""

    async def make() -> None:
        await (await SqliteRecordStore.open(file)).close()

    asyncio.run(make())
    insert = "INSERT INTO record (kind, id, revision, data) VALUES (?, ?, 1, ?)"
    frontier, levels = EMPTY_FRONTIER, list[list[bytes]]()
    counts: list[int] = []
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for start in range(0, size, 1000):
            batch = next_batch(frontier, [b"%08d" % index for index in range(start, min(size, start + 1000))])
            frontier = batch.frontier
            connection.execute(insert, (BATCH_KIND, batch_id(start), batch.encode()))
            fresh, level = [leaf_hash(entry) for entry in batch.entries], 0
            while fresh:
                if level == len(levels):
                    levels.append([])
                    counts.append(0)
                levels[level] += fresh
                fresh = []
                while len(levels[level]) >= TILE_WIDTH:
                    hashes, levels[level] = levels[level][:TILE_WIDTH], levels[level][TILE_WIDTH:]
                    path = Tile(level=level, index=counts[level]).path
                    connection.execute(insert, (TILE_KIND, path, b"".join(hashes)))
                    counts[level] += 1
                    fresh.append(root_of(hashes))
                level += 1
    return frontier.root


class _Counting(RecordLogStore):
    """Counts its reads."""

    reads = 0

    async def covering(self, index: int) -> tuple[int, bytes] | None:
        self.reads += 1
        return await super().covering(index)

    async def run(self, start: int, limit: int) -> tuple[tuple[int, bytes], ...]:
        self.reads += 1
        return await super().run(start, limit)

    async def get_tile(self, path: str) -> bytes | None:
        self.reads += 1
        return await super().get_tile(path)


async def _proofs(file: Path, root: bytes) -> list[Row]:
    records = await SqliteRecordStore.open(file)
    store = _Counting(records)
    await Tree(store).write_tiles(LARGE)  # the full ones stand; the upkeep of a service writes the unfinished ones too
    store.reads = 0
    tree, rnd = Tree(store), random.Random(1)  # noqa: S311 - the same entries each time
    wall, cpu = time.perf_counter(), _cpu()
    await tree.inclusion(LARGE - 1, LARGE)
    first = (time.perf_counter() - wall, _cpu() - cpu, store.reads)
    assert await tree.root_at(LARGE) == root
    cpus, walls, reads, path = [], [], [], tuple[bytes, ...]()
    for _ in range(1000):
        index, before = rnd.randrange(LARGE), store.reads
        wall, cpu = time.perf_counter(), _cpu()
        path = await tree.inclusion(index, LARGE)
        cpus.append(_cpu() - cpu)
        walls.append(time.perf_counter() - wall)
        reads.append(store.reads - before)
    await records.close()
    signed = sign_checkpoint(Checkpoint(origin=_SIGNER.name, size=LARGE, root=root), _SIGNER)
    policy = Policy.parse(f"log {_SIGNER.key.text}\nquorum none\n")
    leaf = leaf_hash(b"%08d" % index)
    proof = Proof(index=index, path=path, checkpoint=signed)
    return [
        Row(
            what=f"inclusion proof at {LARGE:,}, random entries: CPU, mean (median wall)",
            figure=f"{statistics.mean(cpus) * 1000:.2f} ms ({statistics.median(walls) * 1000:.2f} ms)",
            ratio=f"{statistics.mean(reads):.1f}, at most {max(reads)}",
            against="reads of the store a proof",
        ),
        Row(
            what="the first proof after a start",
            figure=f"{first[1] * 1000:.0f} ms CPU ({first[0] * 1000:.0f} ms)",
            ratio=f"{first[2]}",
            against="reads",
        ),
        Row(
            what=f"proofs verified a second ({len(path)} hashes and the log's signature)",
            figure=f"{_rate(lambda: proof.verify(policy, leaf)):,.0f}",
        ),
        Row(
            what="inclusion alone verified a second",
            figure=f"{_rate(lambda: verify_inclusion(index, LARGE, leaf, path, root)):,.0f}",
        ),
    ]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _rate(operation: object) -> float:
    assert callable(operation)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            operation()
        best = max(best, 1000 / (time.perf_counter() - start))
    return best
