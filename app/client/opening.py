"""Opening released evidence on the recipient's machine: verify, decrypt, compare, and say on the ledger what was found.

Everything that the key rests on is verified again here. Items are streamed; each file appears whole under a safe name
or not at all. The verdict of an item: `equal` when its plaintext has the size and digest that the inventory states and
the inventory opens the item's slots; `not_equal` when the plaintext differs from that or does not decrypt;
`undeclared` when no declaration opens the slots. The recipient's secret is destroyed when the opening is on the ledger.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.client.docket import checked_manifest
from app.client.fetch import Fetched, exists, fetch, read_fetched, segments_of, unwritable
from app.client.files import make_folder, read_file, sync_folder
from app.client.lock import only_one
from app.client.release import AskedVault, verified_release
from app.client.session import Client, Receipt, State
from app.errors import AppError, Mismatch, Refused
from app.panels.errors import PanelError
from app.panels.making.opening import open_capsule
from app.panels.request import Release
from app.rules.aggregates import Deposited, Request
from app.sealing.inventory import MAX_INVENTORY_BYTES, Inventory, InventoryItem, parse_inventory
from app.sealing.manifest import Manifest, ManifestItem
from app.sealing.names import safe_output_paths
from app.sealing.segments import item_length
from app.sealing.unseal import OutputFile, Unsealed, Unsealer, unseal_to_bytes
from app.sealing.x25519 import Identity
from app.statements.kinds import Deposit, DepositSlots, ReleaseOpening

Verdict = Literal["equal", "not_equal", "undeclared"]
SEALED_FOLDER = ".sealed"
"""No safe output name begins with a dot, so no item can take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedItem:
    """One item: its number, the file that it became (None when it did not decrypt), what was declared and found."""

    item: int
    path: Path | None
    name: str | None
    verdict: Verdict
    size: int | None
    sha256: bytes | None
    fault: AppError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The outcome. `receipt` is None when nothing was published, or could not be (`posting_fault`)."""

    request: bytes
    deposit_id: bytes
    outcome: Literal["opened", "malformed"]
    items: tuple[OpenedItem, ...]
    description: str | None
    origin: str | None
    inventory_fault: AppError | None
    receipt: Receipt | None
    posting_fault: AppError | None
    key_destroyed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the results go. `sealed`: where the age files are or are fetched to, by default `OUT/.sealed`."""

    folder: Path
    sealed: Path | None = None
    identity: Path | None = None


async def open_request(
    client: Client,
    request: bytes,
    output: Output,
    *,
    publish: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Opened:
    """Fetch what is not there yet, open it into `output`, and publish the verdicts.

    Raises Refused (not_a_recipient, key_lost, not_released, …), PanelError for what does not verify, Mismatch
    (altered_manifest, segment_mismatch), BadInput (output_exists). A capsule that does not open although all parts are
    authentic is the depositor's fault: outcome `malformed`.
    """
    with only_one(client.home.path):
        state = await client.sync()
        asked, deposit, release = verified_release(state.view, request)
        if asked.recipient != state.me.id:
            raise Refused(f"the request {request.hex()} is of another member", "Name yours.", code="not_a_recipient")
        kept = AskedVault(client.vault).get(release.request.req_hash)
        if kept is None:
            raise Refused(
                "the secret key of this request is not in this home",
                "Use the home in which you made the request. If the evidence was opened and published, the key was "
                "destroyed: make a new request.",
                code="key_lost",
            )
        sealed = output.sealed if output.sealed is not None else output.folder / SEALED_FOLDER
        fetched = await fetch(client, asked.deposit_id, sealed, request=request, progress=progress)
        text, box = read_fetched(sealed)
        manifest = checked_manifest(deposit, text)
        try:
            secret = open_capsule(release, chosen_contributions(asked), sk=kept.sk, box=box)
        except PanelError as error:
            if error.code != "malformed_deposit":
                raise
            found = _malformed(request, deposit)
        else:
            if output.identity is not None:
                _write_identity(output.identity, Identity(secret))
            into = (Identity(secret), output.folder)
            found = await asyncio.to_thread(_open_items, state, deposit, manifest, fetched, into)
        if asked.state.ended:
            # The opening was published and the crash came before the key was destroyed.
            AskedVault(client.vault).destroy(release.request.req_hash)
            return replace(found, key_destroyed=True)
        return await _publish(client, release, found) if publish else found


def chosen_contributions(asked: Request) -> list[bytes]:
    """Exactly k contributions in ascending order of index: the first k that the ledger admitted."""
    k = asked.state.release.record.k
    return [encoded for _, encoded in sorted(asked.state.contributions[:k])]


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


def _open_items(
    state: State, deposit: Deposited, manifest: Manifest, fetched: Fetched, into: tuple[Identity, Path]
) -> Opened:
    identity, folder = into
    inventory, fault = _inventory(manifest.items[0], fetched.files[0], identity)
    if inventory is not None and fault is None:
        claims = state.statement(deposit.digest).claims
        assert isinstance(claims, Deposit)  # noqa: S101 - the aggregate comes from a statement of this kind
        fault = _deposit_fault(inventory, manifest, claims.slots)
    items = declared(inventory, deposit, manifest)
    paths = safe_output_paths(item.name if item is not None else f"item-{i:03d}.bin" for i, item in enumerate(items, 1))
    _make_below(folder, ())
    opened = []
    for index, item in enumerate(items, 1):
        path = _make_below(folder, paths[index - 1][:-1]) / paths[index - 1][-1]
        opened.append(_open_item(fetched.files[index], manifest.items[index], identity, (index, item, path)))
    return Opened(
        request=fetched.request,
        deposit_id=fetched.deposit_id,
        outcome="opened",
        items=tuple(opened),
        description=inventory.description if inventory is not None and fault is None else None,
        origin=inventory.origin if inventory is not None and fault is None else None,
        inventory_fault=fault,
        receipt=None,
        posting_fault=None,
        key_destroyed=False,
    )


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


def _open_item(
    sealed: Path, listed: ManifestItem, identity: Identity, target: tuple[int, InventoryItem | None, Path]
) -> OpenedItem:
    index, item, path = target
    found: Unsealed | None = None
    fault: AppError | None = None
    try:
        found = _unseal(sealed, listed, identity, path)
    except AppError as error:
        _raise_if_local(error)
        fault = error
    except OSError as error:
        raise unwritable(path, error) from error
    return OpenedItem(
        item=index,
        path=path if found is not None else None,
        name=item.name if item is not None else None,
        verdict=verdict_of(item, found),
        size=found.size if found is not None else None,
        sha256=found.sha256 if found is not None else None,
        fault=fault,
    )


def _make_below(folder: Path, parts: tuple[str, ...]) -> Path:
    """Make the folders of an item below the one for the results, and go through no link that stands there."""
    here = folder
    try:
        make_folder(here)
        for part in parts:
            here = here / part
            with contextlib.suppress(FileExistsError):
                here.mkdir(mode=0o700)
            if here.is_symlink() or not here.is_dir():
                raise exists(here)
    except OSError as error:
        raise unwritable(here, error) from error
    return here


def _unseal(sealed: Path, listed: ManifestItem, identity: Identity, path: Path) -> Unsealed:
    """Decrypt an item into its file. A file that stands there from an opening that was cut off must be the same."""
    if not os.path.lexists(path):
        with OutputFile(path) as output:
            found = _run(sealed, listed, identity, output.write)
            output.commit()
        return found
    found = _run(sealed, listed, identity, lambda _: None)
    digest = hashlib.sha256()
    if path.is_symlink() or not path.is_file():
        raise exists(path)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.digest() != found.sha256:
        raise exists(path)
    return found


def _run(sealed: Path, listed: ManifestItem, identity: Identity, write: Callable[[memoryview], object]) -> Unsealed:
    unsealer = Unsealer(length=listed.length, segments=listed.segments, identity=identity, write=write)
    for part in segments_of(sealed, listed):
        unsealer.add(part)
    return unsealer.finish()


def _raise_if_local(fault: AppError) -> None:
    """What is wrong with this machine's files says nothing about the evidence."""
    if fault.code in ("missing", "unreadable", "unwritable", "output_exists", "segment_mismatch", "missing_segments"):
        raise fault


def _malformed(request: bytes, deposit: Deposited) -> Opened:
    return Opened(
        request=request,
        deposit_id=bytes.fromhex(deposit.id),
        outcome="malformed",
        items=(),
        description=None,
        origin=None,
        inventory_fault=None,
        receipt=None,
        posting_fault=None,
        key_destroyed=False,
    )


async def _publish(client: Client, release: Release, found: Opened) -> Opened:
    claims = ReleaseOpening(
        request=found.request, outcome=found.outcome, items=tuple(each.verdict for each in found.items)
    )
    try:
        receipt = await client.post(claims)
    except AppError as fault:
        # The key stays: the opening can be published, and the evidence opened again, later.
        return replace(found, posting_fault=fault)
    AskedVault(client.vault).destroy(release.request.req_hash)
    return replace(found, receipt=receipt, key_destroyed=True)


def _write_identity(path: Path, identity: Identity) -> None:
    """Write the deposit's key for the stock age tool; readable by its owner alone, never over another file."""
    data = identity.format().encode() + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if read_file(path, "the identity file", most=len(data)) == data:
            return  # from an opening that was cut off
        raise exists(path) from None
    except OSError as error:
        raise unwritable(path, error) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
