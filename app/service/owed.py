"""What the store owes a deposit: until when each of its segments must be locked, and whether they must be held.

Records: `lock-due` DEPOSIT (written with the entry of the deposit) and DEPOSIT/INDEX20 (with that of each hold, lifting
and longer term) → `UNTIL SINCE`: the registry's own term, which only the first has (else 0), and the time of the entry,
both in decimal · `locked` DEPOSIT → the registry's term, once every segment was locked to it · `kept` DEPOSIT → nothing
else: holds or longer terms were carried out, and are looked at again from time to time.
"""

import re
from dataclasses import dataclass

from app.rules.aggregates import Deposited
from app.service.aggregates import REBUILD, DamagedProjection
from storage.ports import Record, RecordStore

DUE, DONE, KEPT = "lock-due", "locked", "kept"
LATE_SECONDS = 3600
"""How long a lock or hold may be due before it is an alarm; the provisional lock lasts a day at least."""
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]{0,15})\Z")
_DATA = re.compile(rb"(0|[1-9][0-9]{0,15}) (0|[1-9][0-9]{0,15})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One record of what is due: which deposit, since when; `index` is that of a later entry, None for the first."""

    deposit_id: bytes
    index: int | None
    until: int
    since: int
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What must stand in the store for a deposit (Unix seconds), and what is not carried out yet, the oldest first."""

    until: int
    held: bool
    due: tuple[Due, ...]
    known: bool
    """False where neither `lock-due` nor `locked` is there: then no job locks the deposit for its term."""


def due_id(deposit_id: bytes, index: int | None = None) -> str:
    """Return the id of a `lock-due` record."""
    return deposit_id.hex() if index is None else f"{deposit_id.hex()}/{index:020}"


def format_due(until: int, since: int) -> bytes:
    """Return the bytes of a `lock-due` record."""
    return b"%d %d" % (until, since)


def parse_due(record: Record) -> Due:
    """Read a `lock-due` record. Raises DamagedProjection."""
    deposit, _, index = record.id.partition("/")
    found = _DATA.match(record.data)
    if found is None:
        raise DamagedProjection(f"the record {DUE} {record.id} is not in its form", REBUILD)
    return Due(
        deposit_id=bytes.fromhex(deposit),
        index=int(index) if index else None,
        until=int(found[1]),
        since=int(found[2]),
        record=record,
    )


async def owed(records: RecordStore, deposit: Deposited) -> Owed:
    """Return what the store owes a deposit.

    What is due is read first: it is taken away only when `locked` was written and the store was changed. Raises
    DamagedProjection.
    """
    due = [parse_due(each) for each in await records.page(DUE, prefix=deposit.id, limit=1000)]
    done = await records.get(DONE, deposit.id)
    terms = [each.until for each in due if each.index is None]
    if done is not None:
        if not _NUMBER.match(done.data):
            raise DamagedProjection(f"the record {DONE} {done.id} is not in its form", REBUILD)
        terms.append(int(done.data))
    return Owed(
        until=max([deposit.retain_until, *terms]),
        held=deposit.held,
        due=tuple(sorted(due, key=lambda each: each.since)),
        known=bool(terms),
    )
