"""Fetching released evidence: every item's ciphertext as one age file, each segment compared before it is kept.

The folder gets `manifest.json`, `box`, `item-000.age` (the inventory), `item-001.age`, …: names of our own, none from
the depositor. An item grows under `.part` and gets its name when it is whole and flushed; a fetch that was cut off
goes on where the last good segment ends. Bytes that stand under a name and are others are never overwritten. When a
segment is not the one that the manifest names, everything that this call wrote is removed.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.client.docket import checked_manifest
from app.client.files import make_folder, read_file, sync_folder
from app.client.release import own_request, verified_release
from app.client.session import Client
from app.errors import BadInput, Mismatch, Refused
from app.panels.capsule import BOX_BYTES, check_box
from app.sealing.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestItem
from app.sealing.segments import segment_sizes

MANIFEST_NAME = "manifest.json"
BOX_NAME = "box"
Progress = Callable[[int, int], None]
"""Bytes done, bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched: the request that it belongs to, the folder, and the files of the items (0: the inventory)."""

    request: bytes
    deposit_id: bytes
    folder: Path
    files: tuple[Path, ...]
    total_bytes: int


def item_name(item: int) -> str:
    """The name of an item's age file."""
    return f"item-{item:03d}.age"


async def fetch(
    client: Client,
    deposit_id: bytes,
    folder: Path,
    *,
    request: bytes | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch a released deposit into a folder, for one's newest open request or the one named.

    Raises Refused (not_released, not_a_recipient, wrong_request), Mismatch (altered_manifest, box_mismatch,
    segment_mismatch naming item and segment), BadInput (output_exists), Unreachable (what is whole stays).
    """
    state = await client.sync()
    named = request if request is not None else own_request(state, deposit_id)
    asked, deposit, release = verified_release(state.view, named)
    if asked.recipient != state.me.id:
        raise Refused(f"the request {named.hex()} is of another member", "Name your own.", code="not_a_recipient")
    if asked.deposit_id != deposit_id:
        raise Refused(f"the request {named.hex()} is for another deposit", "Name the right one.", code="wrong_request")
    if not asked.state.released:
        raise Refused(
            f"{len(asked.state.contributions)} of {release.record.k} contributions are on the ledger",
            "Wait for the judges.",
            code="not_released",
        )
    begun = await client.api.begin_download(named)
    box = next((each.box for each in begun.boxes if each.ct_hash == release.public.ct_hash), None)
    if box is None:
        raise Mismatch("the service serves no box for this request", "Tell the registrar.", code="box_missing")
    check_box(release.public, box)
    served = await client.api.deposit(deposit_id)
    manifest = checked_manifest(deposit, served.manifest)
    written = _Written(folder)
    try:
        written.put(MANIFEST_NAME, served.manifest.encode())
        written.put(BOX_NAME, box)
        done = 0
        for index, item in enumerate(manifest.items):
            done = await _fetch_item(client, deposit_id, (index, item), written, _Meter(progress, manifest, done))
    except Mismatch:
        written.remove()
        raise
    except OSError as error:
        raise unwritable(folder, error) from error
    return Fetched(
        request=named,
        deposit_id=deposit_id,
        folder=folder,
        files=tuple(folder / item_name(index) for index in range(len(manifest.items))),
        total_bytes=manifest.total_bytes,
    )


def read_fetched(folder: Path) -> tuple[str, bytes]:
    """Return the manifest's text and the box of a fetched deposit, unchecked. Raises BadInput (missing, …)."""
    try:
        text = read_file(folder / MANIFEST_NAME, "the manifest", most=MAX_MANIFEST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{folder / MANIFEST_NAME} is not UTF-8", "Fetch it again.", code="not_utf8") from None
    return text, read_file(folder / BOX_NAME, "the box", most=BOX_BYTES)


def segments_of(path: Path, item: ManifestItem) -> Iterator[bytes]:
    """Yield the segments of an item's age file, one in memory at a time. Raises BadInput (missing, unreadable)."""
    try:
        with path.open("rb") as file:
            for size in segment_sizes(item.length):
                yield file.read(size)
    except FileNotFoundError:
        raise BadInput(f"{path} is not there", "Fetch the deposit again.", code="missing") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "Check the disk.", code="unreadable") from error


class _Meter:
    def __init__(self, progress: Progress | None, manifest: Manifest, done: int) -> None:
        self._progress, self._total, self.done = progress, manifest.total_bytes, done

    def add(self, size: int) -> None:
        self.done += size
        if self._progress is not None:
            self._progress(self.done, self._total)


class _Written:
    """The folder, and which of its files this call made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Path] = []
        self._new_folder = not folder.exists()
        try:
            make_folder(folder)
        except OSError as error:
            raise unwritable(folder, error) from error

    def put(self, name: str, data: bytes) -> None:
        """A small file, once."""
        path = self.folder / name
        if path.exists():
            if not hmac.compare_digest(read_file(path, f"the file {name}"), data):
                raise exists(path)
            return
        part = self.part(name)
        with _opened(part, "wb") as file:
            file.write(data)
            self.commit(file, name)

    def part(self, name: str) -> Path:
        path = self.folder / f"{name}.part"
        self._made.append(path)
        return path

    def commit(self, file: BinaryIO, name: str) -> None:
        """Flush a part to disk and give it its name, which must be free."""
        file.flush()
        os.fsync(file.fileno())
        path, part = self.folder / name, self.folder / f"{name}.part"
        try:
            os.link(part, path)  # unlike a rename it fails when the name is taken
            part.unlink()
        except FileExistsError:
            raise exists(path) from None
        except OSError:  # a file system without hard links
            if path.exists():
                raise exists(path) from None
            part.rename(path)
        self._made.append(path)
        sync_folder(self.folder)

    def remove(self) -> None:
        for path in self._made:
            path.unlink(missing_ok=True)
        if self._new_folder:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


async def _fetch_item(
    client: Client, deposit_id: bytes, named: tuple[int, ManifestItem], written: _Written, meter: _Meter
) -> int:
    index, item = named
    name = item_name(index)
    final = written.folder / name
    if final.exists():
        if final.stat().st_size != item.length:
            raise exists(final)
        good, _ = await asyncio.to_thread(_good, final, item)
        if good != len(item.segments):
            raise Mismatch(
                f"segment {good} of item {index} is not the one that the deposit committed to, in {final}",
                "The file was changed since it was fetched. Move it away and fetch again.",
                code="segment_mismatch",
            )
        meter.add(item.length)
        return meter.done
    part = written.part(name)
    count, length = await asyncio.to_thread(_good, part, item) if part.exists() else (0, 0)
    with _opened(part, "r+b" if part.exists() else "wb") as file:
        # What lies behind the last good segment was cut off by a crash, or is not ours.
        file.truncate(length)
        file.seek(length)
        meter.add(length)
        for segment in range(count, len(item.segments)):
            data = await client.api.segment(deposit_id, index, segment)
            if not hmac.compare_digest(await asyncio.to_thread(_sha256, data), item.segments[segment]):
                raise Mismatch(
                    f"segment {segment} of item {index} is not the one that the deposit committed to",
                    "Nothing was kept. Tell the registrar; another copy of the store may be whole.",
                    code="segment_mismatch",
                )
            await asyncio.to_thread(file.write, data)
            meter.add(len(data))
            del data  # one segment in memory at a time
        written.commit(file, name)
    return meter.done


def _good(path: Path, item: ManifestItem) -> tuple[int, int]:
    """How many segments at the head of a file are those of the item, and their length in bytes."""
    count = length = 0
    with path.open("rb") as file:
        for size, expected in zip(segment_sizes(item.length), item.segments, strict=True):
            data = file.read(size)
            if len(data) != size or not hmac.compare_digest(hashlib.sha256(data).digest(), expected):
                break
            count, length = count + 1, length + size
    return count, length


def _opened(path: Path, mode: str) -> BinaryIO:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if mode == "wb":
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "r+b")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def unwritable(path: Path, error: OSError) -> BadInput:
    """The error for a place that cannot be written: no right, no room."""
    return BadInput(
        f"{path} cannot be written: {error.strerror or error}", "Make room, or name another folder.", code="unwritable"
    )


def exists(path: Path) -> BadInput:
    """The error for a name that is taken by other bytes."""
    return BadInput(
        f"{path} exists and holds something else", "Name another folder, or move it away.", code="output_exists"
    )
