"""Copies of a registry, as somebody with the operator's powers would take them."""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from app.config import FILE_NAME, load_settings
from app.errors import BadInput
from app.service.places import blob_key
from app.wiring import open_stores
from storage.layout import place_of


def copy_registry(source: Path, target: Path) -> None:
    """Copy a registry that runs: configuration, keys, a consistent copy of the records, blobs by hard links.

    A blob is never written in place, so links are safe; whoever alters one in the copy must replace its file.
    """
    target.mkdir(mode=0o700)
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
