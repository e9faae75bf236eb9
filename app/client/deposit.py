"""A deposit, end to end: plan → seal and upload the items → inventory → manifest → capsules → statement → receipt.

Each step leaves what it made, encrypted, in the person's folder before the next one begins, so an interruption at any
point is resumed and never seals other bytes under the same keys. After acceptance the deposit's secret, the keys of
its items, the capsules' randomness (which is never stored) and the whole upload state are destroyed; every disclosure
is kept. Python cannot overwrite its own memory: the process should end soon afterwards.
"""

import mimetypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.client.activity import FINISHING, PUBLISHING, SYNCING, Activity, Progress, silent
from app.client.drill_id import is_drill
from app.client.evidence import Evidence
from app.client.kept import forget, keep
from app.client.panel import CertifiedPanel, case_of, follow, panels_of
from app.client.readers import case_recipients
from app.client.session import Client, Receipt, State
from app.client.uploading import Meter, ToSeal, Uploader
from app.client.uploadstate import Final, Plan, PlannedItem, SealedBox, UploadStore
from app.errors import BadInput, Mismatch, Refused
from app.panels.capsule import box_of, check_public, label, public_part
from app.panels.making.capsule import encrypt
from app.rules.cases import principals
from app.sealing.inventory import Inventory, InventoryItem, format_inventory, make_inventory, parse_inventory
from app.sealing.keys import ItemKeys
from app.sealing.manifest import (
    Manifest,
    ManifestItem,
    format_manifest,
    manifest_hash,
    manifest_item,
    parse_manifest,
)
from app.sealing.pipeline import Sealed
from app.sealing.segments import item_length
from app.sealing.sources import Source, SourceChanged, SourceStat
from app.sealing.x25519 import Identity
from app.statements.kinds import MAX_ITEMS, Capsule, Deposit, DepositSlots
from app.statements.statement import parse_statement

__all__ = ["Accepted", "Depositor", "Evidence", "Progress"]

DEFAULT_TYPE = "application/octet-stream"
_MISSING = frozenset({"manifest_missing", "box_missing"})
_SIGN_AGAIN = frozenset({"expired", "seen_too_old"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A deposit that the registry acknowledged, its receipt verified and its place confirmed."""

    deposit_id: bytes
    case_id: bytes
    receipt: Receipt
    inventory: Inventory
    manifest: Manifest
    panels: tuple[CertifiedPanel, ...]
    state: State


class Depositor:
    """Makes and resumes deposits for one connected client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.uploads = UploadStore(client.home, client.vault)

    async def deposit(
        self,
        case_id: bytes,
        evidence: Sequence[Evidence],
        *,
        description: str | None = None,
        origin: str | None = None,
        words: str | None = None,
        panels: Sequence[bytes] = (),
        approve: Callable[[Sequence[CertifiedPanel]], None] = lambda _panels: None,
        progress: Progress = silent,
        planned: Callable[[bytes], None] = lambda _deposit_id: None,
        drill: bool = False,
    ) -> Accepted:
        """Deposit files in a case. `approve` is shown the panels before a file is opened, and may raise; `planned` is
        told the deposit's id once it can be resumed. `panels`: those of the case if none is named.

        Raises Refused, Mismatch, BadInput, SourceChanged, Unreachable; after the last one, `resume`.
        """
        self.uploads.tidy()
        progress(Activity(doing=SYNCING))
        state = await self._client.sync()
        if not drill and is_drill(state.view, case_id):
            # What lies there is opened by routine: nobody is to be led to deposit evidence in it.
            raise Refused(
                f"the case {case_id.hex()} is a panel's drill, whose deposit is opened without a court's order",
                "Deposit in the case that the court opened; tell the registrar who named this one to you.",
                code="drill_case",
            )
        followed = self._followed(state, case_id, panels)
        approve(followed)
        plan = self._plan(
            case_id,
            tuple(each.panel_id for each in followed),
            evidence,
            description=description,
            origin=origin,
            words=words,
        )
        self.uploads.set_plan(plan)
        planned(plan.deposit_id)
        return await self._refusing_changes(plan, followed, progress)

    async def resume(
        self,
        deposit_id: bytes,
        *,
        approve: Callable[[Sequence[CertifiedPanel]], None] = lambda _panels: None,
        progress: Progress = silent,
    ) -> Accepted:
        """Go on with an interrupted deposit. `approve` is shown the panels again: they may have other judges by now.

        Raises BadInput (no_upload), SourceChanged for a file that is not what it was when the deposit began (only the
        depositor can tell whether that is still what he means to deposit), and as `deposit`.
        """
        self.uploads.tidy()
        plan = self.uploads.plan(deposit_id)
        if plan is None:
            raise _no_upload(deposit_id)
        progress(Activity(doing=SYNCING))
        state = await self._client.sync()
        followed = self._followed(state, plan.case_id, plan.panels)
        approve(followed)
        return await self._refusing_changes(plan, followed, progress)

    def discard(self, deposit_id: bytes) -> None:
        """Destroy the state of a deposit that is not to be finished. Raises BadInput (no_upload).

        Once its statement was signed the registry may have accepted it, so its disclosures stay: nothing else has them.
        """
        if deposit_id not in self.uploads.ids():
            raise _no_upload(deposit_id)
        if not self.uploads.signed(deposit_id):
            forget(self._client.vault, deposit_id)
        self.uploads.destroy(deposit_id)

    def _followed(self, state: State, case_id: bytes, panels: Sequence[bytes]) -> tuple[CertifiedPanel, ...]:
        case = case_of(state, case_id)
        strangers = [each for each in panels if each not in case.panels]
        if strangers:
            raise Refused(
                f"the panel {strangers[0].hex()} is not assigned to the case {case.id}",
                "Ask the clerk to assign it.",
                code="panel_not_assigned",
            )
        acts = tuple(principals(state.view, case, state.me, self._client.clock(), "deposit"))
        if state.me.role != "depositor" or (state.me.id not in case.parties and len(acts) != 1):
            raise Refused(
                f"you are a {state.me.role}, and not a depositor in the case {case.id}",
                "Ask the clerk to add you to the case.",
                code="not_in_case",
            )
        return tuple(follow(state, each) for each in panels) if panels else panels_of(state, case_id)

    def _plan(
        self,
        case_id: bytes,
        panels: tuple[bytes, ...],
        evidence: Sequence[Evidence],
        *,
        description: str | None,
        origin: str | None,
        words: str | None,
    ) -> Plan:
        if len(evidence) > MAX_ITEMS:
            raise BadInput(
                f"{len(evidence)} files are more than the {MAX_ITEMS} that one deposit can hold",
                "Make several deposits, or put files that belong together into one archive.",
                code="too_many_items",
            )
        rng = self._client.rng
        items = []
        for each in evidence:
            with Source(each.path) as source:
                seen = source.stat
            name = each.name or os.fsencode(each.path.name).decode("utf-8", "replace")
            items.append(
                PlannedItem(
                    path=str(each.path.absolute()),
                    name=name,
                    type=each.type or mimetypes.guess_type(name)[0] or DEFAULT_TYPE,
                    size=seen.size,
                    modified_ns=str(seen.modified_ns),
                    keys=ItemKeys.generate(rng).pack(),
                )
            )
        deposit_id = rng(16)
        # Refuses bad names, types and words before anything is sealed.
        make_inventory(
            deposit_id=deposit_id,
            case_id=case_id,
            items=tuple(InventoryItem(name=i.name, type=i.type, size=i.size, sha256=bytes(32)) for i in items),
            description=description,
            origin=origin,
            rng=rng,
        )
        return Plan(
            deposit_id=deposit_id,
            case_id=case_id,
            panels=panels,
            secret=Identity.generate(rng).secret,
            items=tuple(items),
            inventory_keys=ItemKeys.generate(rng).pack(),
            description=description,
            origin=origin,
            words=words,
        )

    async def _refusing_changes(self, plan: Plan, panels: tuple[CertifiedPanel, ...], progress: Progress) -> Accepted:
        try:
            return await self._run(plan, panels, progress)
        except SourceChanged as error:
            # Its keys must not be used again.
            self.discard(plan.deposit_id)
            error.next_step = (
                "Nothing was deposited, and this upload's keys are destroyed. Look at what changed the file; if it is "
                "what you mean to deposit, let nobody write to it and deposit anew."
            )
            raise

    async def _run(self, plan: Plan, panels: tuple[CertifiedPanel, ...], progress: Progress) -> Accepted:
        final = self.uploads.final(plan.deposit_id)
        if final is None:
            manifest, inventory = await self._upload(plan, progress)
            text = format_manifest(manifest)
            keep(self._client.vault, plan.deposit_id, format_inventory(inventory), text)
            final = await self._finalise(plan, panels, inventory, text)
        progress(Activity(doing=PUBLISHING))
        receipt = await self._post(plan, panels, final)
        state = await self._client.confirm(receipt)
        kept_inventory = self.uploads.inventory(plan.deposit_id)
        if kept_inventory is None:
            raise Mismatch("the inventory of this upload is gone", "Restore it from a backup.", code="damaged_home")
        accepted = Accepted(
            deposit_id=plan.deposit_id,
            case_id=plan.case_id,
            receipt=receipt,
            inventory=parse_inventory(kept_inventory),
            manifest=parse_manifest(final.manifest),
            panels=panels,
            state=state,
        )
        self.uploads.destroy(plan.deposit_id)
        return accepted

    async def _upload(self, plan: Plan, progress: Progress) -> tuple[Manifest, Inventory]:
        """Steps 1 to 3 of the order of making: items, inventory, manifest."""
        api, deposit_id = self._client.api, plan.deposit_id
        await api.begin_upload(deposit_id, plan.case_id, self._announced(plan))
        there = await api.upload(deposit_id)
        recipient = Identity(plan.secret).recipient
        uploader = Uploader(api, deposit_id, recipient, self.uploads.journal(deposit_id), there.segments)
        meter = Meter(progress, sum(item_length(each.size) for each in plan.items))
        sealed = await uploader.run(
            [
                ToSeal(
                    item=index,
                    source=Path(each.path),
                    expected=SourceStat(size=each.size, modified_ns=int(each.modified_ns)),
                    keys=ItemKeys.unpack(each.keys),
                )
                for index, each in enumerate(plan.items, 1)
            ],
            meter,
        )
        progress(Activity(doing=FINISHING))
        inventory = self._inventory(plan, sealed)
        text = format_inventory(inventory).encode()
        (first,) = await uploader.run(
            [ToSeal(item=0, source=text, expected=None, keys=ItemKeys.unpack(plan.inventory_keys))],
            Meter(silent, item_length(len(text))),
        )
        items = [_item(first, None), *(_item(each, inventory, i) for i, each in enumerate(sealed, 1))]
        return Manifest(items=tuple(items)), inventory

    def _announced(self, plan: Plan) -> int:
        """How many bytes will be sent, the inventory included: its digests are not known yet, and all as long."""
        items = tuple(InventoryItem(name=i.name, type=i.type, size=i.size, sha256=bytes(32)) for i in plan.items)
        inventory = make_inventory(
            deposit_id=plan.deposit_id,
            case_id=plan.case_id,
            items=items,
            description=plan.description,
            origin=plan.origin,
            rng=self._client.rng,
        )
        sizes = [each.size for each in plan.items]
        return sum(map(item_length, [*sizes, len(format_inventory(inventory).encode())]))

    def _inventory(self, plan: Plan, sealed: Sequence[Sealed]) -> Inventory:
        """The inventory: the one made before, if any, for its salts and its ciphertext must stay the same."""
        items = tuple(
            InventoryItem(name=planned.name, type=planned.type, size=done.size, sha256=done.sha256)
            for planned, done in zip(plan.items, sealed, strict=True)
        )
        before = self.uploads.inventory(plan.deposit_id)
        if before is not None:
            inventory = parse_inventory(before)
            if inventory.items != items:
                raise SourceChanged("the files are not what they were when their inventory was made", "Start over.")
            return inventory
        inventory = make_inventory(
            deposit_id=plan.deposit_id,
            case_id=plan.case_id,
            items=items,
            description=plan.description,
            origin=plan.origin,
            rng=self._client.rng,
        )
        self.uploads.set_inventory(plan.deposit_id, format_inventory(inventory).encode())
        return inventory

    async def _finalise(
        self, plan: Plan, panels: tuple[CertifiedPanel, ...], inventory: Inventory, manifest: str
    ) -> Final:
        """Steps 4 and 5: manifest and boxes to the service, the statement signed and kept, not yet posted."""
        client = self._client
        boxes = tuple(self._capsule(plan, panel, manifest_hash(manifest)) for panel in panels)
        note = None
        if plan.words is not None:
            state = await client.fresh_state()
            note = await client.put_note(plan.words, (), case_recipients(state.view, plan.case_id, state.taken_at))
        claims = Deposit(
            deposit_id=plan.deposit_id,
            case_id=plan.case_id,
            manifest_hash=manifest_hash(manifest),
            capsules=tuple(each.capsule for each in boxes),
            slots=DepositSlots(**inventory.deposit_slots()),
            note=note,
        )
        statement = await client.sign(claims)
        final = Final(manifest=manifest, boxes=boxes, statement=statement.text)
        self.uploads.set_final(plan.deposit_id, final)
        await self._put(plan, manifest, boxes)
        return final

    async def _post(self, plan: Plan, panels: tuple[CertifiedPanel, ...], final: Final) -> Receipt:
        """Submit the kept statement: first the very bytes that may have been admitted before."""
        client = self._client
        statement = parse_statement(final.statement)
        try:
            try:
                return await client.submit(statement)
            except Refused as error:
                if error.code not in _MISSING:
                    raise
                await self._put(plan, final.manifest, final.boxes)
                return await client.submit(statement)
        except Refused as error:
            claims = statement.claims
            if not isinstance(claims, Deposit):
                raise
            if error.code in _SIGN_AGAIN:
                boxes = final.boxes
            elif error.code == "wrong_epoch":
                boxes = tuple(self._capsule(plan, panel, claims.manifest_hash) for panel in panels)
            else:
                raise
        # It was refused, so it is not on the ledger; the same claims again, with what is fresh now.
        await client.sync()
        capsules = tuple(each.capsule for each in boxes)
        again = await client.sign(
            Deposit(
                deposit_id=claims.deposit_id,
                case_id=claims.case_id,
                manifest_hash=claims.manifest_hash,
                capsules=capsules,
                slots=claims.slots,
                note=claims.note,
            )
        )
        self.uploads.set_final(plan.deposit_id, Final(manifest=final.manifest, boxes=boxes, statement=again.text))
        await self._put(plan, final.manifest, boxes)
        return await client.submit(again)

    async def _put(self, plan: Plan, manifest: str, boxes: tuple[SealedBox, ...]) -> None:
        await self._client.api.put_manifest(plan.deposit_id, manifest)
        for each in boxes:
            await self._client.api.put_box(plan.deposit_id, each.capsule.ct_hash, each.box)

    def _capsule(self, plan: Plan, panel: CertifiedPanel, manifest: bytes) -> SealedBox:
        bound = label(panel.y, plan.deposit_id, plan.case_id, manifest)
        ciphertext = encrypt(panel.y, bound, plan.secret, self._client.rng(32))
        public = public_part(ciphertext)
        capsule = Capsule(
            panel_id=panel.panel_id,
            epoch_id=panel.epoch_id,
            y=panel.y,
            public=public,
            ct_hash=check_public(panel.y, bound, public).ct_hash,
        )
        return SealedBox(capsule=capsule, box=box_of(ciphertext))


def _no_upload(deposit_id: bytes) -> BadInput:
    return BadInput(
        f"there is no unfinished deposit {deposit_id.hex()} in this folder",
        "`muniment deposit --list` shows those that are.",
        code="no_upload",
    )


def _item(sealed: Sealed, inventory: Inventory | None, index: int = 0) -> ManifestItem:
    slots = inventory.item_slots(index) if inventory is not None else None
    return manifest_item(sealed.length, sealed.segments, slots)
