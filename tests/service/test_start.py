"""What is refused at the start: a store that lost what was published, and settings that are not the ledger's."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import AppError
from app.service.published import PublishedFile
from app.service.registry import Registry, Terms
from app.statements.kinds import CaseOpen
from ledger.checkpoint import Checkpoint
from ledger.errors import DamagedLog
from ledger.note import Note
from storage.memory import MemoryBlobStore, MemoryRecordStore
from tests.app.client.world_service import checkpoint_of, log_signer
from tests.app.rules.world import World, fresh, peopled
from tests.service.house import open_house, terms_of


def copy_of(store: MemoryRecordStore) -> MemoryRecordStore:
    """What a backup has."""
    made = MemoryRecordStore()
    made._kinds = {kind: dict(found) for kind, found in store._kinds.items()}
    return made


@asynccontextmanager
async def running(world: World, records: MemoryRecordStore, terms: Terms) -> AsyncIterator[Registry]:
    registry = Registry(terms, records, MemoryBlobStore(), lambda: world.now)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.close()


async def refused(world: World, records: MemoryRecordStore, terms: Terms) -> AppError:
    before = copy_of(records)._kinds
    registry = Registry(terms, records, MemoryBlobStore(), lambda: world.now)
    with pytest.raises(AppError) as caught:
        await registry.start()
    assert records._kinds == before, "a refused start wrote something"
    assert caught.value.message
    assert caught.value.next_step
    return caught.value


async def pushed(world: World, terms: Terms) -> MemoryRecordStore:
    records = MemoryRecordStore()
    async with open_house(world, records, terms=terms) as house:
        await house.push()
    return records


def size_in(file: Path) -> int:
    return Checkpoint.parse_body(Note.parse(file.read_text(encoding="utf-8")).text).size


async def test_a_restored_old_backup_is_refused_and_the_newest_one_starts(tmp_path: Path) -> None:
    world, file = peopled(), tmp_path / "published.checkpoint"
    terms = replace(terms_of(world), published=file)
    records = await pushed(world, terms)
    backup = copy_of(records)
    size = len(world.entries)
    assert size_in(file) == size, "an orderly end keeps what was published"
    async with running(world, records, terms) as registry:
        await registry.door.admit(world.sign("clerk", CaseOpen(case_id=fresh("later"), note=None)))
        await registry.maintain()
        assert size_in(file) == size + 1, "a round of the upkeep keeps it"
    error = await refused(world, backup, terms)
    assert error.code == "store_lost_entries"
    assert str(file) in error.message
    assert str(size + 1) in error.message
    empty = await refused(world, MemoryRecordStore(), terms)
    assert empty.code == "store_lost_entries"
    async with running(world, records, terms) as registry:
        assert registry.sequencer.size == size + 1
    assert [each.name for each in tmp_path.iterdir()] == ["published.checkpoint"], "nothing is left beside it"


async def test_a_slower_replica_does_not_make_the_file_smaller(tmp_path: Path) -> None:
    world, file = peopled(), tmp_path / "published.checkpoint"
    terms = replace(terms_of(world), published=file)
    records = await pushed(world, terms)
    async with running(world, records, replace(terms, publication_seconds=3600)) as slow:
        async with running(world, records, terms) as fast:
            await fast.door.admit(world.sign("clerk", CaseOpen(case_id=fresh("later"), note=None)))
        newest = file.read_bytes()
        assert slow.sequencer.size < size_in(file)
    assert file.read_bytes() == newest


async def test_of_two_that_write_the_file_at_once_the_larger_checkpoint_stays(tmp_path: Path) -> None:
    """The slow one has looked, and is about to write, when the fast one comes."""
    world, file = peopled(), tmp_path / "published.checkpoint"
    older, newer = checkpoint_of(world.entries, 3), checkpoint_of(world.entries, 5)
    key, looked, done = log_signer().key, threading.Event(), threading.Event()

    class Slow(PublishedFile):
        def _read(self) -> tuple[str, Checkpoint] | None:
            found = super()._read()
            looked.set()
            done.wait(0.3)  # if nobody holds the fast one back, it writes meanwhile
            return found

    def fast() -> None:
        assert PublishedFile(file, key).keep(newer, 5)
        done.set()

    slow = asyncio.create_task(asyncio.to_thread(Slow(file, key).keep, older, 3))
    await asyncio.to_thread(looked.wait)
    await asyncio.to_thread(fast)
    await slow
    assert file.read_text() == newer
    assert not PublishedFile(file, key).keep(older, 3)
    assert [each.name for each in tmp_path.iterdir()] == ["published.checkpoint"]


@pytest.mark.parametrize("change", ["flip", "empty", "latin", "other log"])
async def test_a_file_that_is_no_checkpoint_of_this_log_is_named(tmp_path: Path, change: str) -> None:
    world, file = peopled(), tmp_path / "published.checkpoint"
    terms = replace(terms_of(world), published=file)
    records = await pushed(world, terms)
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"\n") + 1] ^= 1  # the size, under the signature
    changed = {"flip": bytes(raw), "empty": b"", "latin": b"\xff", "other log": b"a.example/b\n" + bytes(raw)}[change]
    file.write_bytes(changed)
    error = await refused(world, records, terms)
    assert error.code == "bad_published"
    assert str(file) in error.message
    assert file.read_bytes() == changed


async def test_a_folder_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    world = peopled()
    terms = replace(terms_of(world), published=tmp_path / "absent" / "published.checkpoint")
    error = await refused(world, MemoryRecordStore(), terms)
    assert error.code == "bad_setting"
    assert "'published'" in error.message


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"genesis": bytes(32)}, "wrong_genesis"),
        ({"origin": "ledger.example/other"}, "wrong_origin"),
        ({"log_seed": bytes(32)}, "wrong_key"),
        ({"service_seed": bytes(32)}, "wrong_key"),
    ],
)
async def test_settings_that_are_not_the_ledgers_are_named_before_anything_is_signed(
    change: dict[str, Any], code: str, projected: bool
) -> None:
    world = peopled()
    records = await pushed(world, terms_of(world))
    if not projected:  # nothing but ledger and statements: the check rests on no projection
        records._kinds = {kind: found for kind, found in records._kinds.items() if kind in ("batch", "statement")}
    error = await refused(world, records, replace(terms_of(world), **change))
    assert error.code == code


async def test_a_lost_genesis_is_named() -> None:
    world = peopled()
    records = await pushed(world, terms_of(world))
    assert world.genesis is not None
    del records._kinds["statement"][world.genesis.digest.hex()]
    assert (await refused(world, records, terms_of(world))).code == "damaged_statement"


async def test_a_damaged_first_batch_is_named_as_damage_and_not_as_a_setting() -> None:
    world = peopled()
    records = await pushed(world, terms_of(world))
    first = min(records._kinds["batch"])
    assert world.genesis is not None
    was = records._kinds["batch"][first].data
    digest = world.genesis.digest.hex().encode()
    assert was.count(digest) == 1
    await records.replace("batch", first, was.replace(digest, b"0" * 64), revision=1)
    registry = Registry(terms_of(world), records, MemoryBlobStore(), lambda: world.now)
    with pytest.raises(DamagedLog):
        await registry.start()
