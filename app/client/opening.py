"""Opening released evidence on the recipient's machine: verify, decrypt, compare, and say on the ledger what was found.

Everything that the key rests on is verified again here; what becomes of the items is in `unsealing`. The recipient's
secret is destroyed when the opening is on the ledger. Nothing is published while a segment cannot be had: the ledger
would hold against the evidence what is the store's fault.
"""

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.client.activity import PUBLISHING, Activity, Progress, silent
from app.client.docket import checked_manifest
from app.client.downloading import Damage
from app.client.fetch import Incomplete, exists, fetch, read_fetched
from app.client.files import read_file, sync_folder, unwritable
from app.client.lock import only_one
from app.client.publication import remember
from app.client.release import AskedVault, verified_release
from app.client.session import Client, Receipt
from app.client.unsealing import OpenedItem, open_items
from app.errors import AppError, Mismatch, Refused
from app.panels.errors import PanelError
from app.panels.making.opening import open_capsule
from app.panels.request import Release
from app.rules.aggregates import Deposited, Request
from app.sealing.x25519 import Identity
from app.statements.kinds import Deposit, ReleaseOpening

SEALED_FOLDER = ".sealed"
"""No safe output name begins with a dot, so no item can take it."""


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
    damage: tuple[Damage, ...] = ()
    """Segments that cannot be had; while there are any nothing is published, and the key stays."""


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
    progress: Progress = silent,
) -> Opened:
    """Fetch what is not there yet, open it into `output`, and publish the verdicts.

    Raises Refused (not_a_recipient, key_lost, not_released, …), PanelError for what does not verify, Mismatch
    (altered_manifest; segment_mismatch for a fetched file that was changed), BadInput (output_exists), Full. Segments
    that cannot be had are in the result. A capsule that does not open although all parts are
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
        try:
            fetched = await fetch(client, asked.deposit_id, sealed, request=request, progress=progress)
        except Incomplete as error:
            fetched = error.fetched
        text, box = read_fetched(sealed)
        manifest = checked_manifest(deposit, text)
        chosen = chosen_contributions(asked)
        try:
            secret = open_capsule(release, chosen, sk=kept.sk, box=box)
        except PanelError as error:
            if error.code != "malformed_deposit":
                raise
            found = _malformed(request, deposit)
        else:
            if output.identity is not None:
                _write_identity(output.identity, Identity(secret))
            claims = state.statement(deposit.digest).claims
            assert isinstance(claims, Deposit)  # noqa: S101 - the aggregate comes from a statement of this kind
            files = await asyncio.to_thread(
                open_items,
                deposit,
                claims.slots,
                manifest,
                fetched,
                identity=Identity(secret),
                folder=output.folder,
                progress=progress,
            )
            found = Opened(
                request=request,
                deposit_id=fetched.deposit_id,
                outcome="opened",
                items=files.items,
                description=files.inventory.description if files.inventory is not None else None,
                origin=files.inventory.origin if files.inventory is not None else None,
                inventory_fault=files.fault,
                receipt=None,
                posting_fault=None,
                key_destroyed=False,
                damage=fetched.damage,
            )
        # Before the secret can be destroyed: the court may permit a public opening later.
        remember(client.vault, release, request, chosen, sk=kept.sk, box=box, rng=client.rng)
        if found.damage:
            return replace(found, posting_fault=Incomplete(fetched)) if publish else found
        if asked.state.ended and asked.end != "expired":
            # The opening was published and the crash came before the key was destroyed.
            AskedVault(client.vault).destroy(release.request.req_hash)
            return replace(found, key_destroyed=True)
        progress(Activity(doing=PUBLISHING))
        return await _publish(client, release, found) if publish else found


def chosen_contributions(asked: Request) -> list[bytes]:
    """Exactly k contributions in ascending order of index: the first k that the ledger admitted."""
    k = asked.state.release.record.k
    return [encoded for _, encoded in sorted(asked.state.contributions[:k])]


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
    verdicts: list[Literal["equal", "not_equal", "undeclared"]] = []
    for each in found.items:
        if each.verdict == "incomplete":
            raise Mismatch(f"item {each.item} is incomplete", "Fetch the rest first.", code="incomplete")
        verdicts.append(each.verdict)
    claims = ReleaseOpening(request=found.request, outcome=found.outcome, items=tuple(verdicts))
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
