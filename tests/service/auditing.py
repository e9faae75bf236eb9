"""A deposit of the house on whichever store, locked for its term and held; and the audit of the stores over it."""

from dataclasses import dataclass, field
from typing import Any

from app.service.audit import Audit
from app.service.deposit_audit import DepositAudit
from app.service.places import blob_key
from app.service.segments import Pace, at_once
from app.service.store_audit import Progress, StoreAudit, begin
from app.statements.kinds import HoldPlace
from app.statements.statement import Seen
from ledger.checkpoint import verify_checkpoint
from tests.app.rules.world import ORIGIN, Release
from tests.service.house import House, RealDeposit


def deposit_of(release: Release) -> RealDeposit:
    assert isinstance(release.deposit, RealDeposit)
    return release.deposit


def key_of(release: Release, item: int) -> str:
    """The key of an item's only segment."""
    return blob_key(release.deposit.claims.deposit_id, item, 0)


async def kept(house: House, release: Release) -> None:
    """Deposit over HTTP; lock for the whole term, and place a hold."""
    await house.upload(deposit_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    release.world.do("clerk", HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None))
    await house.push()
    assert (await house.registry.locks.run()).failed == ()


@dataclass
class Run:
    """One run of the audit: what it found, and its progress, as it was saved last."""

    audit: StoreAudit
    saved: list[Progress] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    @property
    def progress(self) -> Progress:
        return self.audit.progress


def started(house: House, progress: Progress | None = None, *, pace: Pace = at_once) -> Run:
    """An audit at what is published now, or what is left of an earlier one."""
    registry = house.registry
    if progress is None:
        text = registry.publication.published.text
        checkpoint = verify_checkpoint(text, [registry.log_key])
        progress = begin(
            genesis=registry.terms.genesis,
            checkpoint=text,
            ledger=Seen(size=checkpoint.size, root=checkpoint.root),
            now=house.clock[0],
        )
    audit = Audit(registry.records, registry.blobs, origin=ORIGIN, genesis=registry.terms.genesis)
    look = DepositAudit(registry.records, registry.blobs, audit.tree, lambda: house.clock[0], pace)
    saved: list[Progress] = []
    return Run(audit=StoreAudit(audit, look, progress, save=saved.append), saved=saved)


async def finished(run: Run) -> Run:
    """Let it come to its end."""
    async for each in run.audit.findings():
        at: Any = each.place.partition(" item ")[2] or each.place
        run.found.append(
            f"{each.code} at {at}" + ("" if each.span is None else f" bytes {each.span[0]}-{each.span[1]}")
        )
        assert each.next_step
    return run


async def stores_of(house: House) -> list[str]:
    """What an audit of the stores finds: code, item and segment, byte range."""
    return (await finished(started(house))).found
