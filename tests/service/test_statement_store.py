"""Statements on their way in: fresh before a batch names them, swept when none ever did."""

from app.service.statements import DAY, HOUR, KIND, StatementStore
from app.statements.kinds import Approval
from app.statements.statement import EMPTY_SEEN, Signer, Statement
from storage.memory import MemoryRecordStore

NOW = 1_800_000_000


def statement(number: int) -> Statement:
    claims = Approval(act=bytes(32))
    return Signer(bytes(32)).sign(
        claims, aud="o", iat=NOW, exp=NOW + 9, jti=number.to_bytes(16, "big"), seen=EMPTY_SEEN
    )


async def nothing(_digest: str) -> bool:
    return False


async def test_a_statement_is_kept_verbatim_and_written_again_when_it_ages() -> None:
    records = MemoryRecordStore()
    store, given = StatementStore(records), statement(1)
    assert await store.write(given, NOW) == NOW
    assert await store.write(given, NOW + 60) == NOW
    assert await store.write(given, NOW + HOUR) == NOW + HOUR
    assert await store.read(given.digest) == given.text
    assert await store.read(bytes(32)) is None
    found = await records.get(KIND, given.digest.hex())
    assert found is not None
    assert found.revision == 2


async def test_only_old_orphans_are_swept() -> None:
    store = StatementStore(MemoryRecordStore())
    kept, orphan, young = statement(1), statement(2), statement(3)
    await store.write(kept, NOW)
    await store.write(orphan, NOW)
    await store.write(young, NOW + HOUR)

    async def is_entry(digest: str) -> bool:
        return digest == kept.digest.hex()

    assert await store.sweep(NOW + DAY, is_entry) == 0
    assert await store.sweep(NOW + DAY + 1, is_entry) == 1
    assert await store.read(orphan.digest) is None
    assert await store.read(kept.digest) == kept.text
    assert await store.read(young.digest) == young.text


async def test_a_sweep_does_not_take_what_is_offered_again_at_that_moment() -> None:
    records = MemoryRecordStore()
    store, given = StatementStore(records), statement(1)
    await store.write(given, NOW)
    later = NOW + 2 * DAY

    async def offered_now(_digest: str) -> bool:
        await store.write(given, later)
        return False

    assert await store.sweep(later, offered_now) == 0
    assert await store.read(given.digest) == given.text
    assert await store.sweep(later + HOUR, nothing) == 0
