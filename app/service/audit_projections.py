"""Whether the kept aggregates are those that the statements give, while the service may be writing new ones.

An aggregate keeps two versions, each with its ledger size, so what was true at the audited size can mostly be read
while the service goes on. What runs ahead is *busy*: it is compared again at the size that the ledger has then.
"""

from collections.abc import AsyncIterator, Iterable

from app.service.aggregates import KIND, DamagedProjection, read_versions
from app.service.findings import Finding
from app.service.scratch import Scratch
from storage.ports import Record, RecordStore


async def compare_all(records: RecordStore, scratch: Scratch, size: int, busy: set[str]) -> AsyncIterator[Finding]:
    """Compare every kept aggregate with `scratch`, which is the state at `size`; add to `busy` what runs ahead."""
    after = ""
    while page := await records.page(KIND, after=after, limit=500):
        after = page[-1].id
        for record in page:
            scratch.meet(record.id)
            if not _same(record, scratch.text(record.id), size, busy):
                yield _differs(record.id)
    for key in scratch.unmet():
        yield Finding(code="projection_differs", place=key, message="the aggregate is not kept")


async def compare_again(
    records: RecordStore, scratch: Scratch, size: int, keys: Iterable[str], busy: set[str]
) -> AsyncIterator[Finding]:
    """Compare the named aggregates at another `size`; as `compare_all` otherwise."""
    for key in keys:
        record = await records.get(KIND, key)
        if record is None or not _same(record, scratch.text(key), size, busy):
            yield _differs(key)


def _same(record: Record, expected: bytes | None, size: int, busy: set[str]) -> bool:
    try:
        versions = read_versions(record.id, record.data)
    except DamagedProjection:
        return False
    if versions[0].size > size:
        busy.add(record.id)
    held = next((each for each in versions if each.size <= size), None)
    if held is None:
        return len(versions) == 2 or expected is None  # two newer ones may have pushed out the one that is asked for
    return held.value == expected


def _differs(key: str) -> Finding:
    message = "the kept aggregate is not the one that the statements give"
    return Finding(code="projection_differs", place=key, message=message)
