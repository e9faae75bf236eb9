"""One accepted deposit against the stores: its manifest, every byte of its segments, their locks and holds.

What is due is not judged yet: the job is at it. A `lock-due` record counts only where the ledger has an entry of this
deposit with that time; or whoever can write records could keep the audit silent by writing new ones.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import AppError
from app.rules.aggregates import Deposited
from app.sealing.manifest import parse_manifest
from app.service.aggregates import KIND, read_versions
from app.service.arrivals import Pins
from app.service.findings import Finding
from app.service.owed import LATE_SECONDS, Owed, owed
from app.service.places import Segment, expected_segments
from app.service.segments import Pace, at_once, look_at
from app.service.statements import StatementStore
from app.statements.kinds import HoldLift, HoldPlace, RetentionExtend
from app.statements.statement import digest_of, parse_leaf, parse_statement
from app.times import time_text
from ledger.tree import Tree
from storage.ports import BlobStat, BlobStore, RecordStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be read of a deposit, what is owed to it, and what is wrong with it before a segment is read."""

    deposit: Deposited
    segments: tuple[Segment, ...]
    owed: Owed | None
    """None where nothing is known or something is due: then locks and holds are not judged."""
    held: bool
    """Whether each segment must be held: not where the state is newer than the audited one, and may be lifted."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """One segment that was read: its bytes (None: it is not there), and what is wrong with it."""

    size: int | None
    findings: tuple[Finding, ...]


class DepositAudit:
    """Looks at deposits over both stores. `clock` gives Unix seconds; `pace` is awaited with the bytes read."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        tree: Tree,
        clock: Callable[[], int],
        pace: Pace = at_once,
    ) -> None:
        self._records, self._blobs, self._tree, self._clock, self._pace = records, blobs, tree, clock, pace
        self._pins, self._statements = Pins(records), StatementStore(records)

    async def plan(self, deposit: Deposited, index: int, *, size: int, applied: bool) -> Plan:
        """Look at the records of a deposit whose entry stands at `index`.

        `size` is the audited size of the ledger; `applied` says that the projections have reached the deposit.
        """
        place = f"deposit {deposit.id}"
        found = await self._records.get("manifest", f"{deposit.id}/{deposit.manifest_hash.hex()}")
        if found is None or hashlib.sha256(found.data).digest() != deposit.manifest_hash:
            message = f"the manifest {deposit.manifest_hash.hex()} is missing or changed"
            problem = Finding(code="manifest_damaged", place=place, message=message)
            return Plan(deposit=deposit, segments=(), owed=None, held=False, findings=(problem,))
        segments = expected_segments(parse_manifest(found.data))
        try:
            wanted = await owed(self._records, deposit)
            problems = await self._lags(deposit, wanted, index, applied=applied)
        except AppError as error:
            problem = Finding(code="lock_missing", place=place, message=error.message)
            return Plan(deposit=deposit, segments=segments, owed=None, held=False, findings=(problem,))
        return Plan(
            deposit=deposit,
            segments=segments,
            owed=None if wanted.due or not wanted.known else wanted,
            held=wanted.held and not await self._moved_on(deposit, size),
            findings=tuple(problems),
        )

    async def segment(self, plan: Plan, expected: Segment) -> Segmented:
        """Read one segment of the plan to its end. Raises what the store raises when it cannot tell."""
        deposit, where = plan.deposit, (expected.item, expected.segment)
        pinned = await self._pins.version(bytes.fromhex(deposit.id), deposit.manifest_hash, where)
        looked = await look_at(self._blobs, deposit.id, expected, pinned, self._pace)
        found = [] if looked.finding is None else [looked.finding]
        if looked.stat is not None and plan.owed is not None:
            found += _not_kept(deposit.id, expected, looked.stat, plan.owed.until, held=plan.held)
        return Segmented(size=None if looked.stat is None else looked.size, findings=tuple(found))

    async def _lags(self, deposit: Deposited, wanted: Owed, index: int, *, applied: bool) -> list[Finding]:
        place = f"deposit {deposit.id}"
        if not wanted.known and applied:
            message = "no job locks its segments for their term"
            return [Finding(code="lock_missing", place=place, message=message)]
        end = await self._tree.size() if wanted.due else 0
        for each in wanted.due:
            at = index if each.index is None else each.index
            if at < end and not await self._is_due(deposit, at, each.since):
                message = f"the record {each.record.id} says that something is due, and the entry {at} does not"
                return [Finding(code="lock_missing", place=place, message=message)]
        late = self._clock() - wanted.due[0].since if wanted.due else 0
        if late >= LATE_SECONDS:
            message = f"a lock or hold is due for {late} seconds and not carried out"
            return [Finding(code="lock_late", place=place, message=message)]
        return []

    async def _is_due(self, deposit: Deposited, index: int, since: int) -> bool:
        leaf = parse_leaf(await self._tree.entry(index))
        if leaf.digest == deposit.digest or leaf.time != since:
            return leaf.time == since
        text = await self._statements.read(leaf.digest)
        claims = None if text is None or digest_of(text) != leaf.digest else parse_statement(text).claims
        if not isinstance(claims, HoldPlace | HoldLift | RetentionExtend):
            return False
        return claims.deposit_id.hex() == deposit.id

    async def _moved_on(self, deposit: Deposited, size: int) -> bool:
        found = await self._records.get(KIND, f"deposit/{deposit.id}")
        if found is None:
            return False
        return size < read_versions(found.id, found.data)[0].size <= await self._tree.size()


def _not_kept(deposit_id: str, expected: Segment, stat: BlobStat, until: int, *, held: bool) -> list[Finding]:
    place, found = f"deposit {deposit_id} item {expected.item} segment {expected.segment}", []
    span = (0, expected.size)
    if stat.retain_until < until:
        lock = f"its lock ends at {time_text(stat.retain_until)}" if stat.retain_until else "it has no lock"
        message = f"{lock}, and the term ends at {time_text(until)}"
        found.append(Finding(code="lock_short", place=place, message=message, span=span))
    if held and not stat.hold:
        message = "a legal hold stands on the ledger, and none on this segment"
        found.append(Finding(code="hold_missing", place=place, message=message, span=span))
    return found
