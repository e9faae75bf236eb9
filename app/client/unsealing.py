"""The items of released evidence become files, each compared with what its depositor declared.

Items are streamed, and each segment is compared before anything of it is decrypted. A file appears whole under its safe
name or not at all. The verdict of an item: `equal` when its plaintext has the size and digest that the inventory states
and the inventory opens the item's slots; `not_equal` when the plaintext differs from that or does not decrypt;
`undeclared` when no declaration opens the slots; `incomplete` when a segment of it, or of the inventory, cannot be had:
that says nothing of the evidence. Of an incomplete item everything else is saved under `NAME.partial`, every byte at
its place and zeros where bytes are missing.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.client.activity import OPENING, Activity, Progress
from app.client.downloading import Damage
from app.client.fetch import Fetched, exists, segments_of
from app.client.files import make_folder, unwritable
from app.errors import AppError, Full, Mismatch
from app.rules.aggregates import Deposited
from app.sealing.inventory import MAX_INVENTORY_BYTES, Inventory, InventoryItem, parse_inventory
from app.sealing.manifest import Manifest, ManifestItem
from app.sealing.names import safe_output_paths
from app.sealing.segments import item_length, item_plain_size
from app.sealing.unseal import OutputFile, Unsealed, Unsealer, clear_unfinished, unseal_to_bytes
from app.sealing.x25519 import Identity
from app.statements.kinds import DepositSlots

_LOCAL = frozenset({"missing", "unreadable", "unwritable", "output_exists", "segment_mismatch", "missing_segments"})
Verdict = Literal["equal", "not_equal", "undeclared", "incomplete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedItem:
    """One item: its number, the file that it became, what was declared and found.

    `path` is None when it did not decrypt. For an incomplete item it is the partial file, if there is one, and
    `missing` the ranges [start, end) of the plaintext that are zeros in it.
    """

    item: int
    path: Path | None
    name: str | None
    verdict: Verdict
    size: int | None
    sha256: bytes | None
    fault: AppError | None
    missing: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFiles:
    """All items; the inventory where it says what the deposit committed to, else its fault."""

    items: tuple[OpenedItem, ...]
    inventory: Inventory | None
    fault: AppError | None


def open_items(
    deposit: Deposited,
    slots: DepositSlots,
    manifest: Manifest,
    fetched: Fetched,
    *,
    identity: Identity,
    folder: Path,
    progress: Progress,
) -> OpenedFiles:
    """Open every item into the folder; `slots` are those of the deposit statement. Blocking.

    Raises BadInput (output_exists, unwritable), Full; what is wrong with the evidence is in the result.
    """
    damaged = {each.item for each in fetched.damage}
    inventory, fault = None, _incomplete(fetched.damage, 0)
    if fault is None:
        inventory, fault = _inventory(manifest.items[0], fetched.files[0], identity)
    if inventory is not None and fault is None:
        fault = _deposit_fault(inventory, manifest, slots)
    items = declared(inventory, deposit, manifest)
    paths = safe_output_paths(item.name if item is not None else f"item-{i:03d}.bin" for i, item in enumerate(items, 1))
    total = sum(item_plain_size(each.length) for each in manifest.items[1:])
    files = _Files(folder, frozenset(paths), identity=identity, fetched=fetched, total=total, progress=progress)
    opened = []
    for index, item in enumerate(items, 1):
        found = files.open(index, item, manifest.items[index], paths[index - 1])
        if 0 in damaged and found.verdict == "undeclared":
            found = _undecided(found, fault)
        opened.append(found)
    whole = inventory if fault is None else None
    return OpenedFiles(items=tuple(opened), inventory=whole, fault=fault)


def verdict_of(item: InventoryItem | None, found: Unsealed | None) -> Verdict:
    """The verdict of one item from its declaration (None: nothing opens its slots) and its content (None: unreadable).

    An item that nothing declares is `undeclared` even when it does not decrypt: there is nothing to be equal to.
    """
    if item is None:
        return "undeclared"
    if found is None or (found.size, found.sha256) != (item.size, item.sha256):
        return "not_equal"
    return "equal"


def declared(inventory: Inventory | None, deposit: Deposited, manifest: Manifest) -> tuple[InventoryItem | None, ...]:
    """For items 1, 2, …: what the inventory declares in a way that opens the item's slots, or None."""
    listed = manifest.items[1:]
    if inventory is None or (inventory.deposit_id, inventory.case_id) != (
        bytes.fromhex(deposit.id),
        deposit.case_id,
    ):
        return (None,) * len(listed)
    found: list[InventoryItem | None] = []
    for index, item in enumerate(listed, 1):
        opens = index <= len(inventory.items) and inventory.item_slots(index) == item.slots
        found.append(inventory.items[index - 1] if opens else None)
    return tuple(found)


class _Files:
    """The folder that the items are opened into."""

    def __init__(
        self,
        folder: Path,
        paths: frozenset[tuple[str, ...]],
        *,
        identity: Identity,
        fetched: Fetched,
        total: int,
        progress: Progress,
    ) -> None:
        self._folder, self._paths, self._identity, self._fetched = folder, paths, identity, fetched
        self._total, self._progress = total, progress
        self._done = 0
        self._seen: set[Path] = set()
        self._make(())

    def open(self, index: int, item: InventoryItem | None, listed: ManifestItem, parts: tuple[str, ...]) -> OpenedItem:
        """Open one item to its path, or what is there of it beside that."""
        name = item.name if item is not None else None
        path = self._make(parts[:-1]) / parts[-1]
        found, fault = None, _incomplete(self._fetched.damage, index)
        size = item_plain_size(listed.length)
        try:
            if fault is not None:
                partial, missing = self._save_rest(index, listed, parts)
                return OpenedItem(
                    item=index,
                    path=partial,
                    name=name,
                    verdict="incomplete",
                    size=None,
                    sha256=None,
                    fault=fault,
                    missing=missing,
                )
            found = self._unseal(self._fetched.files[index], listed, path)
        except AppError as error:
            _raise_if_local(error)
            fault = error
        except OSError as error:
            raise unwritable(path, error) from error
        finally:
            self._done += size
        return OpenedItem(
            item=index,
            path=path if found is not None else None,
            name=name,
            verdict=verdict_of(item, found),
            size=found.size if found is not None else None,
            sha256=found.sha256 if found is not None else None,
            fault=fault,
        )

    def _make(self, parts: tuple[str, ...]) -> Path:
        """Make the folders of an item, and go through no link that stands there."""
        here = self._folder
        try:
            make_folder(here)
            for part in parts:
                here = here / part
                with contextlib.suppress(FileExistsError):
                    here.mkdir(mode=0o700)
                if here.is_symlink() or not here.is_dir():
                    raise exists(here)
            if here not in self._seen:
                clear_unfinished(here)
                self._seen.add(here)
        except OSError as error:
            raise unwritable(here, error) from error
        return here

    def _unseal(self, sealed: Path, listed: ManifestItem, path: Path) -> Unsealed:
        """Decrypt an item into its file. A file that stands there from an opening that was cut off must be the same."""
        if not os.path.lexists(path):
            with OutputFile(path) as output:
                found = self._run(sealed, listed, output.write)
                output.commit()
            return found
        found = self._run(sealed, listed, lambda _: None)
        if path.is_symlink() or not path.is_file() or _digest(path) != found.sha256:
            raise exists(path)
        return found

    def _run(self, sealed: Path, listed: ManifestItem, write: Callable[[memoryview], object]) -> Unsealed:
        unsealer = self._unsealer(listed, write)
        for part in segments_of(sealed, listed):
            unsealer.add(part)
        return unsealer.finish()

    def _save_rest(
        self, index: int, listed: ManifestItem, parts: tuple[str, ...]
    ) -> tuple[Path | None, tuple[tuple[int, int], ...]]:
        """Save what is there of an item; return the file, if anything opens, and the ranges that are zeros in it."""
        gone = {each.segment for each in self._fetched.damage if each.item == index}
        size = item_plain_size(listed.length)
        if 0 in gone:
            return None, ((0, size),)  # the header is in it
        missing: list[tuple[int, int]] = []
        path = self._partial(parts)
        with OutputFile(path) as output:
            done, digest = 0, hashlib.sha256()

            def write(data: memoryview) -> None:
                nonlocal done
                digest.update(data)
                output.write(data)
                done += len(data)

            unsealer = self._unsealer(listed, write)
            try:
                for segment, part in enumerate(segments_of(self._fetched.files[index], listed)):
                    if segment not in gone:
                        unsealer.add(part)
                        continue
                    left_out = unsealer.skip()
                    output.leave(left_out)
                    missing.append((done, done + left_out))
                    done += left_out
            except AppError as error:
                _raise_if_local(error)
                return None, ((0, size),)  # sealed for another key, or wrongly: nothing more can be said now
            output.commit()
        return path, tuple(missing)

    def _partial(self, parts: tuple[str, ...]) -> Path:
        """A free name that says what it is, and is no item's."""
        for number in range(1, 1000):
            name = f"{parts[-1]}.partial" if number == 1 else f"{parts[-1]}.partial-{number}"
            path = self._folder.joinpath(*parts[:-1], name)
            if (*parts[:-1], name) not in self._paths and not os.path.lexists(path):
                return path
        raise exists(self._folder.joinpath(*parts[:-1], f"{parts[-1]}.partial"))

    def _unsealer(self, listed: ManifestItem, write: Callable[[memoryview], object]) -> Unsealer:
        def tell(done: int) -> None:
            self._progress(Activity(doing=OPENING, done=self._done + done, total=self._total))

        return Unsealer(
            length=listed.length, segments=listed.segments, identity=self._identity, write=write, progress=tell
        )


def _incomplete(damage: Sequence[Damage], item: int) -> AppError | None:
    """The fault of an item of which segments cannot be had, or None."""
    texts = [each.text for each in damage if each.item == item]
    if not texts:
        return None
    more = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
    return Mismatch(
        "; ".join(texts[:3]) + more, "Fetch again later: only what is missing is fetched.", code="incomplete"
    )


def _undecided(found: OpenedItem, fault: AppError | None) -> OpenedItem:
    """Without the inventory nobody knows what was declared."""
    return replace(found, verdict="incomplete", fault=found.fault or fault)


def _inventory(item: ManifestItem, path: Path, identity: Identity) -> tuple[Inventory | None, AppError | None]:
    parts = segments_of(path, item)
    try:
        data = unseal_to_bytes(
            parts, length=item.length, segments=item.segments, identity=identity, max_bytes=MAX_INVENTORY_BYTES
        )
        return parse_inventory(data), None
    except AppError as fault:
        _raise_if_local(fault)
        return None, fault


def _deposit_fault(inventory: Inventory, manifest: Manifest, slots: DepositSlots) -> AppError | None:
    """What the whole inventory gets wrong, beside the verdicts of the single items."""
    committed = {"description": slots.description, "origin": slots.origin}
    if inventory.deposit_slots() != committed:
        what = "the inventory does not open the slots of the deposit statement"
    elif len(inventory.items) != len(manifest.items) - 1:
        what = f"the inventory lists {len(inventory.items)} items, and the manifest {len(manifest.items) - 1}"
    elif any(
        item_length(item.size) != listed.length
        for item, listed in zip(inventory.items, manifest.items[1:], strict=True)
    ):
        what = "the inventory declares sizes that the items cannot have"
    else:
        return None
    return Mismatch(what, "Keep everything, and tell the court.", code="inventory_mismatch")


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _raise_if_local(fault: AppError) -> None:
    """What is wrong with this machine's files says nothing about the evidence."""
    if isinstance(fault, Full) or fault.code in _LOCAL:
        raise fault
