"""Copies of a registry, as somebody with the operator's powers would take them."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from app.config import FILE_NAME, Settings, format_settings, load_settings
from app.errors import BadInput
from app.service.found import registry_settings
from app.service.places import blob_key
from app.wiring import open_stores
from storage.layout import place_of
from storage.ports import BlobStore, RecordStore

RECORD_KINDS = (
    "batch",
    "tile",
    "statement",
    "aggregate",
    "entry",
    "link",
    "timeline",
    "watermark",
    "note",
    "note-owner",
    "upload",
    "manifest",
    "pins",
    "box",
    "access",
    "anchor",
    "anchoring",
)
"""Everything that a service keeps as records."""


async def copy_registry(source: Path, target: Path) -> None:
    """Copy a registry that runs, to local stores: configuration, keys, records, blobs."""
    settings = load_settings(source / FILE_NAME, {})
    target.mkdir(mode=0o700)
    local = local_settings(settings, target)
    if settings.records == local_settings(settings, source).records:
        await asyncio.to_thread(_copy_folder, source, target)
        (target / FILE_NAME).write_text(format_settings(local, folder=target.absolute()), encoding="utf-8")
        return
    shutil.copytree(source / "keys", target / "keys")
    if settings.witnesses is not None and local.witnesses is not None:
        shutil.copy2(settings.witnesses, local.witnesses)
    (target / FILE_NAME).write_text(format_settings(local, folder=target.absolute()), encoding="utf-8")
    async with open_stores(settings) as there, open_stores(local) as here:
        # Batches last: the ledger of the copy names nothing that was not copied before.
        for kind in reversed(RECORD_KINDS):
            await _copy_records(there.records, here.records, kind)
        await _copy_blobs(there.blobs, here.blobs)


def local_settings(settings: Settings, folder: Path) -> Settings:
    """The same settings with both stores beside the configuration in `folder`."""
    beside = registry_settings(folder, origin=settings.origin, genesis=settings.genesis)
    return replace(
        settings,
        records=beside.records,
        blobs=beside.blobs,
        published=beside.published,
        log_key=beside.log_key,
        service_key=beside.service_key,
        witnesses=folder.absolute() / "witnesses.txt" if settings.witnesses is not None else None,
        anchors=None,  # nobody vouches for a copy
    )


async def _copy_records(there: RecordStore, here: RecordStore, kind: str) -> None:
    after = ""
    while page := await there.page(kind, after=after):
        for record in page:
            await here.insert(kind, record.id, record.data)
        after = page[-1].id


async def _copy_blobs(there: BlobStore, here: BlobStore) -> None:
    after = ""
    while page := await there.list("", after=after):
        for stat in page:
            await here.put_new(
                stat.key,
                there.get(stat.key),
                size=stat.size,
                sha256=stat.sha256,
                retain_until=stat.retain_until,
                hold=stat.hold,
            )
        after = page[-1].key


def _copy_folder(source: Path, target: Path) -> None:
    """A consistent copy of the records, blobs by hard links.

    A blob is never written in place, so links are safe; whoever alters one in the copy must replace its file.
    """
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)
        elif path.name.startswith("records.sqlite") or path.suffix == ".log":
            continue
        else:
            _link(path, place)
    with (
        closing(sqlite3.connect(f"file:{source / 'records.sqlite'}?mode=ro", uri=True)) as before,
        closing(sqlite3.connect(target / "records.sqlite")) as after,
    ):
        before.backup(after)


def _link(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:
        shutil.copy2(path, place)


async def alter_segment(folder: Path, deposit_id: bytes, item: int, segment: int) -> None:
    """Change one byte of a stored segment in a copy, with a lock record that fits: an operator can do both."""
    settings = load_settings(folder / FILE_NAME, {})
    key = blob_key(deposit_id, item, segment)
    async with open_stores(settings) as stores:
        stat = await stores.blobs.stat(key)
        if stat is None:
            raise BadInput(f"there is no segment {segment} of item {item}", "Name one that is there.")
        data = bytearray(b"".join([piece async for piece in stores.blobs.get(key)]))
    data[len(data) // 2] ^= 1
    folders, name = place_of(key)
    for tree in ("objects", "locks"):
        folder.joinpath("blobs", tree, *folders, name).unlink()

    async def changed() -> AsyncIterator[bytes]:
        yield bytes(data)

    async with open_stores(settings) as stores:
        await stores.blobs.put_new(
            key,
            changed(),
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            retain_until=stat.retain_until,
            hold=stat.hold,
        )
