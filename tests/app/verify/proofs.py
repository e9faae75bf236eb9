"""Deposits with real manifests in a `World`, and the proof files and trust files that go with them."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from app.client.leaves import Leaves
from app.client.proof import make_proof
from app.client.session import State
from app.rules.view import WholeView
from app.sealing.inventory import Inventory, InventoryItem, make_inventory
from app.sealing.manifest import Manifest, format_manifest, manifest_hash, manifest_item
from app.sealing.segments import item_length, segment_sizes
from app.statements.kinds import CaseAssign, DepositSlots
from app.statements.prooffile import choose
from app.statements.statement import Statement, digest_of
from app.statements.trust import Trust
from ledger.checkpoint import Checkpoint
from ledger.note import Note
from tests.app.client.world_service import checkpoint_of, trust_of
from tests.app.rules.world import PANEL_ID, Ceremony, World, fresh, sealed, seed, with_judges

FILES = {"Vertrag § 1.txt": b"Der Vertrag.\n", "scan.png": b"\x89PNG" * 1000, "empty": b""}
ALL_SLOTS = ("name", "type", "size", "sha256")


@dataclass(frozen=True)
class Made:
    """A world with one deposit in it, and what its depositor kept."""

    world: World
    deposit: Statement
    inventory: Inventory
    manifest: str
    trust: Trust

    def state(self, signed: str | None = None) -> State:
        leaves = Leaves(each.leaf for each in self.world.entries)
        text = signed or checkpoint_of(self.world.entries)
        return State(
            view=WholeView(self.world.view.aggregates.values()),
            checkpoint=Checkpoint.parse_body(Note.parse(text).text),
            signed=text,
            entries={each.index: each for each in self.world.entries},
            indices={digest_of(each.statement): each.index for each in self.world.entries},
            leaves=leaves,
            member=self.world.id("lawyer1"),
            taken_at=self.world.now,
        )

    def proof(
        self, slots: tuple[str, ...] = ALL_SLOTS, *, signed: str | None = None, trust: Trust | None = None
    ) -> bytes:
        claims: Any = self.deposit.claims
        return make_proof(
            self.state(signed),
            claims.deposit_id,
            self.manifest,
            choose(self.inventory.disclosures, slots),
            trust or self.trust,
        )


def deposited(world: World, ceremony: Ceremony, case_id: bytes, depositor: str = "lawyer1") -> Made:
    """Deposit FILES in the case; only the ciphertext's bytes are invented."""
    items = tuple(
        InventoryItem(name=name, type="application/octet-stream", size=len(data), sha256=hashlib.sha256(data).digest())
        for name, data in FILES.items()
    )
    count = iter(range(10_000))
    inventory = make_inventory(
        deposit_id=fresh("deposit"),
        case_id=case_id,
        items=items,
        description="what the police found",
        origin=None,
        rng=lambda size: fresh(f"salt {next(count)}", size),
    )
    lengths = [item_length(5000), *(item_length(each.size) for each in items)]
    manifest = format_manifest(
        Manifest(
            items=tuple(
                manifest_item(
                    length,
                    tuple(fresh(f"segment {index} {i}", 32) for i, _ in enumerate(segment_sizes(length))),
                    inventory.item_slots(index) if index else None,
                )
                for index, length in enumerate(lengths)
            )
        )
    )
    draft = sealed(world, ceremony, case_id, "deposit")
    from app.panels.capsule import check_public, label, public_part
    from app.panels.making.capsule import encrypt

    (capsule,) = draft.claims.capsules
    bound = label(capsule.y, fresh("deposit"), case_id, manifest_hash(manifest))
    public = public_part(encrypt(capsule.y, bound, seed("secret"), fresh("rnd", 32)))
    claims = replace(
        draft.claims,
        manifest_hash=manifest_hash(manifest),
        capsules=(replace(capsule, public=public, ct_hash=check_public(capsule.y, bound, public).ct_hash),),
        slots=DepositSlots(**inventory.deposit_slots()),
    )
    statement = world.do(depositor, claims)
    return Made(world=world, deposit=statement, inventory=inventory, manifest=manifest, trust=trust_of(world))


def panelled() -> tuple[World, Ceremony, bytes]:
    """A world with a certified panel of three and a case that it is assigned to."""
    world, ceremony = with_judges()
    ceremony.run()
    case_id = world.open_case("case", "lawyer1", "lawyer2")
    world.do("clerk", CaseAssign(case_id=case_id, panel_id=PANEL_ID, presiding=world.id("judge1")))
    return world, ceremony, case_id


def a_deposit() -> Made:
    """One deposit by lawyer1, with entries before and after it."""
    world, ceremony, case_id = panelled()
    made = deposited(world, ceremony, case_id)
    world.open_case("later")
    return made
