"""Fetching released evidence: every item's ciphertext as one age file, each segment compared before it counts.

The folder gets `manifest.json`, `box`, `item-000.age` (the inventory), `item-001.age`, …: names of our own, none from
the depositor. An item grows under `.part` and gets its name when it is whole and flushed; a fetch that was cut off goes
on with the segments that are missing (`downloading`). Bytes that stand under a name and are others are never
overwritten. An item of which a segment cannot be had stays under `.part`, with zeros in the segment's place; all others
are fetched, and `Incomplete` says what is missing.
"""

import asyncio
import hmac
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.client.activity import COMPARING, DOWNLOADING, SYNCING, Activity, Progress, silent
from app.client.docket import checked_manifest
from app.client.downloading import Damage, Wanted, check_room, download, missing_in
from app.client.files import make_folder, read_file, sync_folder, unwritable
from app.client.release import own_request, verified_release
from app.client.session import Client
from app.errors import BadInput, Mismatch, Refused
from app.panels.capsule import BOX_BYTES, check_box
from app.sealing.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestItem
from app.sealing.segments import segment_sizes

MANIFEST_NAME = "manifest.json"
BOX_NAME = "box"
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched: the request that it belongs to, the folder, and the files of the items (0: the inventory).

    The file of an item that `damage` names is its `.part`.
    """

    request: bytes
    deposit_id: bytes
    folder: Path
    files: tuple[Path, ...]
    total_bytes: int
    damage: tuple[Damage, ...] = ()


class Incomplete(Mismatch):
    """Some segments cannot be had. `fetched` says which, and where everything else lies."""

    def __init__(self, fetched: Fetched) -> None:
        damage = fetched.damage
        text = "; ".join(each.text for each in damage[:_SHOWN])
        if len(damage) > _SHOWN:
            text += f"; and {len(damage) - _SHOWN} more"
        super().__init__(
            text,
            f"Everything else is in {fetched.folder}. Do the same again later: only what is missing is fetched. If it "
            "stays, tell the registrar, whose audit names the same segments: another copy of the store may be whole.",
            code="segment_mismatch" if any(each.fault.code == "segment_mismatch" for each in damage) else "incomplete",
        )
        self.fetched = fetched


def item_name(item: int) -> str:
    """The name of an item's age file."""
    return f"item-{item:03d}.age"


def part_name(item: int) -> str:
    """The name of an item's file while it is not whole."""
    return f"{item_name(item)}.part"


async def fetch(
    client: Client,
    deposit_id: bytes,
    folder: Path,
    *,
    request: bytes | None = None,
    progress: Progress = silent,
) -> Fetched:
    """Fetch a released deposit into a folder, for one's newest open request or the one named.

    Raises Incomplete (segment_mismatch, incomplete) when all the rest is there; Refused (not_released, not_a_recipient,
    wrong_request), Mismatch (altered_manifest, box_mismatch), BadInput (output_exists, unwritable), Full, Unreachable
    (what is whole stays).
    """
    progress(Activity(doing=SYNCING))
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
    try:
        make_folder(folder)
        put_once(folder, MANIFEST_NAME, served.manifest.encode())
        put_once(folder, BOX_NAME, box)
        wanted = await asyncio.to_thread(_compare, folder, manifest, progress)
        check_room(folder, wanted)
        growing = _Growing(folder, manifest, wanted)
        await asyncio.to_thread(growing.finish_whole)
        damage = await download(
            client.api, deposit_id, wanted, _Counted(DOWNLOADING, manifest, wanted, progress), growing.came
        )
    except OSError as error:
        raise unwritable(folder, error) from error
    broken = {each.item for each in damage}
    fetched = Fetched(
        request=named,
        deposit_id=deposit_id,
        folder=folder,
        files=tuple(
            folder / (part_name(index) if index in broken else item_name(index)) for index in range(len(manifest.items))
        ),
        total_bytes=manifest.total_bytes,
        damage=damage,
    )
    if damage:
        raise Incomplete(fetched)
    return fetched


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


class _Counted:
    """Bytes of the ciphertext that are there, told as they come; the count begins with what is not wanted."""

    def __init__(self, doing: str, manifest: Manifest, wanted: Sequence[Wanted], progress: Progress) -> None:
        self._doing, self._total, self._progress = doing, manifest.total_bytes, progress
        self._done = self._total - sum(each.size for each in wanted)
        self._lock = threading.Lock()
        self(0)

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._progress(Activity(doing=self._doing, done=done, total=self._total))


class _Growing:
    """The items that are not whole: each gets its name with its last segment. Used from several threads."""

    def __init__(self, folder: Path, manifest: Manifest, wanted: Sequence[Wanted]) -> None:
        self._folder = folder
        self._left = [0] * len(manifest.items)
        self._lengths = [item.length for item in manifest.items]
        for each in wanted:
            self._left[each.item] += 1
        self._lock = threading.Lock()

    def finish_whole(self) -> None:
        """Name the parts of which nothing is missing: a kill came before their naming."""
        for item, left in enumerate(self._left):
            if left == 0 and not (self._folder / item_name(item)).exists():
                self._commit(item)

    def came(self, wanted: Wanted) -> None:
        """A segment stands verified in its part."""
        with self._lock:
            self._left[wanted.item] -= 1
            left = self._left[wanted.item]
        if left == 0:
            self._commit(wanted.item)

    def _commit(self, item: int) -> None:
        part = self._folder / part_name(item)
        with part.open("r+b") as file:
            file.truncate(self._lengths[item])
            _name(file, part, self._folder / item_name(item))


def _compare(folder: Path, manifest: Manifest, progress: Progress) -> list[Wanted]:
    """What is missing, from what stands in the folder. Raises BadInput (output_exists), Mismatch (segment_mismatch)."""
    wanted: list[Wanted] = []
    done = 0

    def tell(size: int) -> None:
        nonlocal done
        done += size
        progress(Activity(doing=COMPARING, done=done, total=manifest.total_bytes))

    for index, item in enumerate(manifest.items):
        final, part = folder / item_name(index), folder / part_name(index)
        if not final.exists():
            wanted += missing_in(part, index, item, tell)
            continue
        if final.is_symlink() or final.stat().st_size != item.length:
            raise exists(final)
        for each in missing_in(final, index, item, tell):
            raise Mismatch(
                f"segment {each.segment} of item {index} (bytes {each.start} to {each.start + each.size - 1}) is not "
                f"the one that the deposit committed to, in {final}",
                "The file was changed since it was fetched. Move it away and fetch again.",
                code="segment_mismatch",
            )
    return wanted


def put_once(folder: Path, name: str, data: bytes) -> None:
    """A small file, once. Raises BadInput (output_exists) where other bytes stand, OSError."""
    path, part = folder / name, folder / f"{name}.part"
    if path.exists():
        if not hmac.compare_digest(read_file(path, f"the file {name}"), data):
            raise exists(path)
        return
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.write(data)
        _name(file, part, path)


def _name(file: BinaryIO, part: Path, path: Path) -> None:
    """Flush a part to disk and give it its name, which must be free."""
    file.flush()
    os.fsync(file.fileno())
    try:
        os.link(part, path)  # unlike a rename it fails when the name is taken
        part.unlink()
    except FileExistsError:
        raise exists(path) from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise exists(path) from None
        part.rename(path)
    sync_folder(path.parent)


def exists(path: Path) -> BadInput:
    """The error for a name that is taken by other bytes."""
    return BadInput(
        f"{path} exists and holds something else", "Name another folder, or move it away.", code="output_exists"
    )
