"""Blobs in files: the conformance suite with and without O_TMPFILE, two processes, kills, faults, strangers' files."""

import asyncio
import errno
import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.errors import AlreadyExists, BadName, Damaged, Full, StorageError, Unavailable
from storage.file_tree import MARK
from storage.files import FileBlobStore
from storage.folders import Folder, can_be_anonymous, sweep
from storage.layout import place_of
from storage.ports import BlobStore
from tests.conformance import blobs
from tests.storage.killing import run_and_kill

ROOT = Path(__file__).parents[2]
FAR = 4_000_000_000


class FilesWorld:
    def __init__(self, folder: Path, *, anonymous: bool | None) -> None:
        self.root = folder / "blobs"
        self.anonymous = anonymous
        self.time = 1_800_000_000

    async def open(self) -> BlobStore:
        return await FileBlobStore.open(self.root, clock=self.now, anonymous=self.anonymous)

    def now(self) -> int:
        return self.time

    async def pass_until(self, time: int) -> None:
        self.time = max(self.time, time)

    def objects(self) -> list[Path]:
        return [path for path in (self.root / "objects").rglob("*") if path.is_file()]


@pytest.fixture(params=[None, False], ids=["unnamed", "named"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> FilesWorld:
    """A store with drafts as this system makes them, and one with named drafts."""
    return FilesWorld(tmp_path, anonymous=request.param)


@pytest.mark.parametrize("check", blobs.CHECKS, ids=lambda check: check.__name__)
async def test_blobs_conform(check: Callable[[blobs.BlobWorld], Awaitable[None]], world: FilesWorld) -> None:
    await check(world)
    assert list((world.root / "drafts").iterdir()) == []


async def test_streaming_memory(world: FilesWorld) -> None:
    await blobs.check_streaming_memory(world)


def test_listing_agrees_with_the_model(tmp_path: Path) -> None:
    blobs.check_listing_against_model(FilesWorld(tmp_path, anonymous=None))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")
def test_linux_makes_drafts_without_a_name(tmp_path: Path) -> None:
    with Folder(os.open(tmp_path, os.O_RDONLY)) as folder:
        assert can_be_anonymous(folder)
    assert list(tmp_path.iterdir()) == []


async def test_modes_and_places(world: FilesWorld) -> None:
    store = await world.open()
    await blobs.put(store, "cases/17/0001", b"body", retain_until=FAR)
    path = world.root / "objects" / "cases+" / "17+" / "0001"
    assert path.read_bytes() == b"body"
    assert path.stat().st_mode & 0o777 == 0o444
    assert (world.root / "locks" / "cases+" / "17+" / "0001").stat().st_mode & 0o777 == 0o444
    assert world.root.stat().st_mode & 0o777 == 0o700
    assert (world.root / MARK).exists()
    await store.close()
    assert path.stat().st_nlink == 1, "the draft's name is gone"


async def test_closing_leaves_no_thread_and_no_descriptor(world: FilesWorld) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("blob-files") for thread in threading.enumerate())

    count, before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0, threads()
    store = await world.open()
    body = bytes(3_000_000)
    await asyncio.gather(*(blobs.put(store, f"k/{index}", body, retain_until=FAR) for index in range(12)))
    reading = store.get("k/0")
    assert len(await anext(reading)) == 1024 * 1024
    await reading.aclose()  # type: ignore[attr-defined]
    assert threads() > before
    await store.close()
    assert threads() == before
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == count


RACE = """
import asyncio, hashlib, sys
from storage.errors import AlreadyExists
from storage.files import FileBlobStore

async def source(body):
    yield body

async def main():
    store = await FileBlobStore.open(sys.argv[1], anonymous=None if sys.argv[3] == "None" else False)
    for index in range(40):
        body = f"{sys.argv[2]}-{index}".encode() * 100
        digest = hashlib.sha256(body).digest()
        try:
            version = await store.put_new(
                f"race/{index}", source(body), size=len(body), sha256=digest, retain_until=int(sys.argv[2])
            )
            print(index, version, digest.hex())
        except AlreadyExists:
            pass
    await store.close()

asyncio.run(main())
"""


async def test_processes_race_with_one_winner_for_each_key(world: FilesWorld) -> None:
    """Three processes make the folder and put the same keys: each key has one winner, with its own bytes and lock."""
    children = [
        subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", RACE, str(world.root), f"{index + 1}", f"{world.anonymous}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(3)
    ]
    outputs = [(await asyncio.to_thread(child.communicate))[0] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    winners = {}
    for number, output in enumerate(outputs, start=1):
        for line in output.splitlines():
            index, version, digest = line.split(" ")
            assert index not in winners
            winners[index] = (version, digest, number)
    store = await world.open()
    stats = await store.list("race/")
    assert len(stats) == len(winners) == 40
    for stat in stats:
        version, digest, number = winners[stat.key.removeprefix("race/")]
        assert (stat.version, stat.sha256.hex(), stat.retain_until) == (version, digest, number)
        assert hashlib.sha256(await blobs.read(store, stat.key)).hexdigest() == digest
    await store.close()


@pytest.mark.parametrize("damage", ["flip", "truncate", "lengthen"])
async def test_a_changed_blob_is_damaged(world: FilesWorld, damage: str) -> None:
    store = await world.open()
    body = bytes(2_500_000)
    version = await blobs.put(store, "k", body, retain_until=FAR)
    (path,) = world.objects()
    os.chmod(path, 0o644)
    changed = {"flip": b"\x01" + body[1:], "truncate": body[:-1], "lengthen": body + b"x"}[damage]
    path.write_bytes(changed)
    got: list[bytes] = []

    async def collect() -> None:
        async for piece in store.get("k"):
            got.append(piece)

    with pytest.raises(Damaged, match="k"):
        await collect()
    assert sum(map(len, got)) < len(body), "the last piece is kept back"
    if damage != "flip":
        for attempt in (
            store.stat("k"),
            store.list(""),
            store.extend("k", version, FAR + 1),
            store.delete("k", version),
        ):
            with pytest.raises(Damaged, match="k"):
                await attempt
    await store.close()


async def test_a_blob_without_its_lock_record_is_damaged_and_not_deleted(world: FilesWorld) -> None:
    store = await world.open()
    version = await blobs.put(store, "a/b", b"body", retain_until=0)
    record = world.root / "locks" / "a+" / "b"
    whole = record.read_bytes()
    for bad in (None, b"", whole[:-1], whole.replace(b'"hold":false', b'"hold":true'), whole.replace(b"a/b", b"a/c")):
        record.unlink()
        if bad is not None:
            record.write_bytes(bad)
        for attempt in (store.stat("a/b"), blobs.read(store, "a/b"), store.delete("a/b", version)):
            with pytest.raises(Damaged, match="a/b"):
                await attempt
        with pytest.raises(AlreadyExists):
            await blobs.put(store, "a/b", b"other", retain_until=0)
        record.write_bytes(whole)
    assert await blobs.read(store, "a/b") == b"body"
    await store.close()


async def test_a_record_without_a_blob_means_nothing(world: FilesWorld) -> None:
    store = await world.open()
    old = await blobs.put(store, "k", b"old", retain_until=FAR, hold=True)
    (path,) = world.objects()
    path.unlink()
    assert await store.stat("k") is None
    assert await store.list("") == ()
    new = await blobs.put(store, "k", b"new", retain_until=5)
    stat = await store.stat("k")
    assert stat is not None
    assert (stat.version, stat.size, stat.retain_until, stat.hold) == (new, 3, 5, False)
    assert old != new
    await store.close()


async def test_links_lead_nowhere(world: FilesWorld, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store = await world.open()
    objects = world.root / "objects"
    (objects / "led+").symlink_to(outside)
    (objects / "file").symlink_to(outside / "secret")
    (objects / "dangling").symlink_to(outside / "none")
    (world.root / "locks" / "away+").symlink_to(outside)
    os.mkfifo(objects / "pipe")
    for key in ("led/secret", "led/new", "away/new"):
        with pytest.raises(Damaged):
            await blobs.put(store, key, b"x", retain_until=0)
    for key in ("file", "pipe", "dangling"):
        with pytest.raises(AlreadyExists):
            await blobs.put(store, key, b"x", retain_until=0)
    for key in ("led/secret", "file", "pipe", "dangling"):
        for attempt in (store.stat(key), blobs.read(store, key)):
            with pytest.raises(Damaged):
                await attempt
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    await store.close()


async def test_other_folders_are_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "muniment-blobs-2").write_bytes(b"")
    for place in (tmp_path, tmp_path / "file", tmp_path / "full", tmp_path / "none" / "blobs", tmp_path / "file" / "b"):
        with pytest.raises(BadName) as caught:
            await FileBlobStore.open(place)
        assert str(place) in caught.value.message
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "muniment-blobs-2"]


HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"


def test_the_sweep_takes_only_old_drafts_that_nobody_holds(tmp_path: Path) -> None:
    names = [f"draft-{digit * 32}" for digit in "abcdef"]
    for name in [*names, "draft-short", "notes.txt", names[0] + "x"]:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1, 1))
    os.utime(tmp_path / names[1])
    os.link(tmp_path / names[2], tmp_path / "published")
    os.unlink(tmp_path / names[3])
    (tmp_path / names[3]).symlink_to(tmp_path / "notes.txt")
    os.unlink(tmp_path / names[4])
    (tmp_path / names[4]).mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / names[5])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n"
    before = {path.name for path in tmp_path.iterdir()}
    with Folder(os.open(tmp_path, os.O_RDONLY)) as folder:
        assert sweep(folder) == 2
        assert before - {path.name for path in tmp_path.iterdir()} == {names[0], names[2]}
        holder.communicate(b"\n")
        assert sweep(folder) == 1
    assert (tmp_path / "published").read_bytes() == b"x"


def failing_at(monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: int) -> None:
    """Let the `number`-th call (from 0) of a system call fail."""
    real, count = getattr(os, call), iter(range(10**6))

    def act(*args: object, **named: object) -> object:
        if next(count) == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **named)

    monkeypatch.setattr(os, call, act)


@pytest.mark.parametrize(
    ("call", "number"),
    [("fsync", index) for index in range(6)] + [("link", 0), ("replace", 0), ("fchmod", 0), ("write", 0), ("write", 2)],
)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_put_that_fails_in_the_middle_is_whole_or_absent(
    world: FilesWorld, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: int
) -> None:
    store = await world.open()
    body = bytes(2_500_000)
    with monkeypatch.context() as patch:
        failing_at(patch, call, number, code)
        with pytest.raises(Unavailable) as caught:
            await blobs.put(store, "a/k", body, retain_until=FAR)
        assert (type(caught.value) is Full) == (code == errno.ENOSPC)
    stat = await store.stat("a/k")
    if stat is None:
        await blobs.put(store, "a/k", body, retain_until=FAR)
    else:
        assert (stat.size, stat.retain_until) == (len(body), FAR)
        with pytest.raises(AlreadyExists):
            await blobs.put(store, "a/k", body, retain_until=FAR)
    assert await blobs.read(store, "a/k") == body
    await store.close()
    assert list((world.root / "drafts").iterdir()) == []


@pytest.mark.parametrize(("call", "number"), [("fsync", 0), ("fsync", 1), ("replace", 0), ("write", 0)])
async def test_an_extension_that_fails_in_the_middle_leaves_a_whole_lock(
    world: FilesWorld, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store = await world.open()
    version = await blobs.put(store, "k", b"body", retain_until=FAR)
    with monkeypatch.context() as patch:
        failing_at(patch, call, number, errno.EIO)
        with pytest.raises(Unavailable):
            await store.extend("k", version, FAR + 9)
    stat = await store.stat("k")
    assert stat is not None
    assert stat.retain_until in (FAR, FAR + 9)
    await store.close()


async def test_the_order_of_a_put(world: FilesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and lock record are flushed before the link, and the folder after it, before the answer."""
    store = await world.open()
    steps: list[str] = []

    def noting(call: str) -> Callable[..., object]:
        real = getattr(os, call)

        def act(*args: object, **named: object) -> object:
            steps.append(call)
            return real(*args, **named)

        return act

    for call in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, call, noting(call))
    await blobs.put(store, "k", b"body", retain_until=FAR)
    assert steps == ["fsync", "fsync", "replace", "fsync", "link", "fsync"]
    steps.clear()
    with pytest.raises(AlreadyExists):
        await blobs.put(store, "k", b"body", retain_until=FAR)
    assert steps == ["fsync"], "what the caller will rely on is durable"
    await blobs.put(store, "new/k", b"body", retain_until=FAR)
    assert steps[1:] == ["fsync"] * 4 + ["replace", "fsync", "link", "fsync"]
    await store.close()


async def test_kill_9_loses_nothing_that_was_acknowledged(world: FilesWorld) -> None:
    """Eight kills over one folder: acknowledged blobs are there and whole, and nothing torn is visible."""
    rng = random.Random(20261125)
    acknowledged: dict[str, str] = {}
    named = [] if world.anonymous is None else ["named"]
    for turn in range(8):
        told = await asyncio.to_thread(run_and_kill, rng, "blobs", str(world.root), f"t{turn}", *named)
        assert told
        acknowledged.update(told)
        store = await world.open()
        visible = {stat.key: stat for stat in await store.list(f"t{turn}/")}
        assert told.keys() <= visible.keys(), "acknowledged and gone"
        for key, stat in visible.items():
            body = await blobs.read(store, key)  # compares the whole with its digest
            assert body == hashlib.shake_256(key.encode()).digest(300_000)
            assert told.get(key, stat.sha256.hex()) == stat.sha256.hex()
            assert stat.retain_until in (0, 2_000_000_000 + int(key.rpartition("-")[2]))
        await store.close()
    store = await world.open()
    for key, digest in acknowledged.items():
        found = await store.stat(key)
        assert found is not None
        assert found.sha256.hex() == digest
    if world.anonymous is None:
        assert all(path.stat().st_size < 1000 for path in (world.root / "drafts").iterdir()), "only lock records"
    await store.close()


async def test_errors_are_the_rooms_own(world: FilesWorld) -> None:
    store = await world.open()
    await blobs.put(store, "a/b", b"body", retain_until=0)
    (world.root / "locks").rename(world.root / "moved")
    (world.root / "moved" / "a+" / "b").unlink()
    (world.root / "moved" / "a+").rmdir()
    (world.root / "moved" / "a+").write_bytes(b"")
    for attempt in (store.stat("a/b"), blobs.put(store, "a/c", b"", retain_until=0)):
        with pytest.raises(StorageError) as caught:
            await attempt
        assert caught.value.next_step
    await store.close()


def test_places_are_distinct_names_that_file_systems_take() -> None:
    seen = {place_of(key) for key in blobs.GOOD_KEYS}
    assert len(seen) == len(blobs.GOOD_KEYS)
    for parts, name in seen:
        assert all(len(part) <= 255 and part[-1] in "+~" for part in parts)
        assert len(name) <= 255
        assert name[-1] not in "+~"
