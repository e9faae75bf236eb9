"""A member's quota: refused before a byte is sent, counted once, shared by replicas, freed by the sweep."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import load_settings, parse_settings
from app.errors import BadInput, Refused
from app.sealing.segments import item_length, segment_sizes
from app.service.found import registry_settings, write_registry
from app.service.places import Segment
from app.service.quota import KIND, NOTHING, Limits, Quota
from storage.memory import MemoryRecordStore
from tests.app.rules.world import ORIGIN, Release, fresh, seed
from tests.service.house import House, RealDeposit, court, open_house, real_deposit, terms_of

DAY = 86_400
ONE, TWO = "a" * 43, "b" * 43


def segment(size: int, item: int = 0, number: int = 0) -> Segment:
    return Segment(item=item, segment=number, size=size, sha256=bytes(32))


def deposit_of(release: Release) -> RealDeposit:
    assert isinstance(release.deposit, RealDeposit)
    return release.deposit


def size_of(deposit: RealDeposit) -> int:
    return sum(len(body) for _, body in deposit.segments)


@pytest.fixture
def release() -> Release:
    return court()


@pytest.fixture
async def house(release: Release) -> AsyncIterator[House]:
    """A service where lawyer1 may have one deposit and a half, and everybody else nothing."""
    size = size_of(deposit_of(release))
    limits = Limits(all=0, members={release.world.id("lawyer1"): size * 3 // 2})
    async with open_house(release.world, terms=replace(terms_of(release.world), limits=limits)) as found:
        await found.push()
        yield found


async def begin(house: House, deposit: RealDeposit, size: int | None, by: str = "lawyer1") -> Any:
    body: dict[str, object] = {"case_id": deposit.claims.case_id.hex()}
    if size is not None:
        body["bytes"] = size
    return await house.send("PUT", f"/v1/uploads/{deposit.claims.deposit_id.hex()}", body, by=by)


async def used(house: House, release: Release) -> int:
    return await house.registry.uploads.quota.used(release.world.id("lawyer1"))


async def test_a_deposit_without_room_is_refused_before_a_byte_is_sent(house: House, release: Release) -> None:
    size = size_of(deposit_of(release))
    await house.upload(deposit_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    await house.push()
    assert await used(house, release) == size
    other = real_deposit(release.world, release.ceremony, release.case_id, "other")
    answer = await begin(house, other, size)
    assert (answer.status, answer.code) == (413, "quota_exceeded")
    assert answer.json["type"] == "urn:muniment:problem:quota_exceeded"
    limit = size * 3 // 2
    assert answer.json["detail"] == (
        f"your deposits and uploads use {size} bytes of the {limit} that you may; {size} more do not fit"
    )
    assert "ask the registrar" in answer.json["next_step"]
    assert await house.registry.records.get("upload", other.claims.deposit_id.hex()) is None
    assert (await house.places(other)).status == 404
    assert await used(house, release) == size
    assert (await begin(house, other, limit - size)).status == 201


async def test_everybody_sees_his_own_use_and_limit(house: House, release: Release) -> None:
    size = size_of(deposit_of(release))
    await house.upload(deposit_of(release))
    assert (await house.call("GET", "/v1/usage", by="lawyer1")).json == {"used": size, "limit": size * 3 // 2}
    assert (await house.call("GET", "/v1/usage", by="lawyer2")).json == {"used": 0, "limit": 0}
    assert (await house.call("GET", "/v1/usage")).status == 401


async def test_who_does_not_say_how_much_gets_no_place_that_has_no_room(house: House, release: Release) -> None:
    await house.upload(deposit_of(release))
    other = real_deposit(release.world, release.ceremony, release.case_id, "other")
    assert (await begin(house, other, None)).status == 201
    answer = await house.places(other)
    assert (answer.status, answer.code) == (413, "quota_exceeded")
    assert await house.registry.blobs.list(f"deposits/{other.claims.deposit_id.hex()}/") == ()
    assert await used(house, release) == size_of(deposit_of(release))


async def test_who_says_too_little_gets_no_further_than_his_room(house: House, release: Release) -> None:
    await house.upload(deposit_of(release))
    other = real_deposit(release.world, release.ceremony, release.case_id, "other")
    assert (await begin(house, other, 1)).status == 201
    assert (await house.places(other)).code == "quota_exceeded"


async def test_what_is_asked_again_is_counted_once(house: House, release: Release) -> None:
    deposit, size = deposit_of(release), size_of(deposit_of(release))
    for _ in range(3):
        assert (await begin(house, deposit, size)).status in (200, 201)
        assert (await house.places(deposit)).status == 200
        await house.upload(deposit)
        assert await used(house, release) == size


async def test_an_abandoned_upload_is_freed_when_it_is_swept(house: House, release: Release) -> None:
    deposit, size = deposit_of(release), size_of(deposit_of(release))
    await house.upload(deposit)
    other = real_deposit(release.world, release.ceremony, release.case_id, "other")
    for days in (7, 1):
        assert (await begin(house, other, size)).code == "quota_exceeded"
        house.clock[0] += days * DAY
        house.tokens.clear()
        await house.registry.upload_sweep.run(house.clock[0])
    assert await used(house, release) == 0
    assert await house.registry.records.page(KIND) == ()
    await house.upload(other)


async def test_what_was_accepted_is_not_freed_by_the_sweep(house: House, release: Release) -> None:
    await house.upload(deposit_of(release))
    release.world.do("lawyer1", release.deposit.claims)
    await house.push()
    house.clock[0] += 400 * DAY
    await house.registry.upload_sweep.run(house.clock[0])
    assert await used(house, release) == size_of(deposit_of(release))


async def test_replicas_do_not_pass_the_limit_together() -> None:
    records = MemoryRecordStore()
    quotas = [Quota(records.reopen(), Limits(all=100)) for _ in range(4)]
    asked = [quotas[i % 4].reserve(ONE, fresh(f"{i}"), announced=30) for i in range(12)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refusals = [each for each in answers if isinstance(each, BaseException)]
    assert all(isinstance(each, Refused) and each.code == "quota_exceeded" for each in refusals)
    assert await quotas[0].used(ONE) == 30 * (12 - len(refusals)) <= 100
    assert len(refusals) >= 9


async def test_two_that_reserve_at_the_same_moment_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pass the first look; whoever wrote looks again."""
    records = MemoryRecordStore()
    one, two = Quota(records, Limits(all=100)), Quota(records.reopen(), Limits(all=100))
    real = records.insert

    async def crossed(kind: str, id: str, data: bytes) -> None:
        monkeypatch.setattr(records, "insert", real)
        await two.reserve(ONE, fresh("two"), announced=60)
        await real(kind, id, data)

    monkeypatch.setattr(records, "insert", crossed)
    with pytest.raises(Refused, match="use 60 bytes of the 100"):
        await one.reserve(ONE, fresh("one"), announced=60)
    assert await one.used(ONE) == 60
    await one.reserve(ONE, fresh("one"), announced=40)
    assert await one.used(ONE) == 100


async def test_members_are_counted_apart_and_each_has_his_own_limit() -> None:
    quota = Quota(MemoryRecordStore(), Limits(all=10, members={TWO: 20}))
    await quota.reserve(ONE, fresh("1"), announced=10)
    await quota.reserve(TWO, fresh("2"), announced=20)
    for member in (ONE, TWO):
        with pytest.raises(Refused):
            await quota.reserve(member, fresh("3"), announced=1)
    assert (quota.limit_of(ONE), quota.limit_of(TWO)) == (10, 20)
    free = Quota(MemoryRecordStore(), Limits())
    await free.reserve(ONE, fresh("1"), announced=2**50)
    assert (free.limit_of(ONE), await free.used(ONE)) == (None, 2**50)
    await free.free(ONE, fresh("1"))
    await free.free(ONE, fresh("1"))
    assert await free.used(ONE) == 0


async def test_the_use_of_many_deposits_is_summed() -> None:
    quota = Quota(MemoryRecordStore(), Limits())
    for i in range(1005):  # more than one page
        await quota.reserve(ONE, fresh(f"{i}"), announced=2)
    assert await quota.used(ONE) == 2010


def test_an_item_that_no_deposit_has_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        NOTHING.grown(0, [segment(1, item=999_999)])
    assert caught.value.code == "too_many"


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_places_for_whole_items_in_any_order_reserve_exactly_their_bytes(sizes: list[int], random: Any) -> None:
    """So a client that announced the lengths of its items is never refused on the way."""
    lengths = [item_length(each) for each in sizes]
    segments = [
        segment(size, item, number)
        for item, length in enumerate(lengths)
        for number, size in enumerate(segment_sizes(length))
    ]
    random.shuffle(segments)
    usage = NOTHING.grown(sum(lengths), [])
    for each in segments:
        usage = usage.grown(0, [each])
        assert usage.bytes == sum(lengths)
    assert sum(usage.items) == sum(lengths)


def test_the_settings_are_read_written_and_checked(tmp_path: Path) -> None:
    settings = registry_settings(tmp_path, origin=ORIGIN, genesis=bytes(32))
    asked = replace(settings, quota_mib=500, quotas=((ONE, 0), (TWO, 2000)))
    write_registry(tmp_path, asked, log_seed=seed("log"), service_seed=seed("service"))
    assert load_settings(tmp_path / "muniment.toml", {}) == asked
    assert load_settings(tmp_path / "muniment.toml", {"MUNIMENT_QUOTA_MIB": "7"}).quota_mib == 7
    table = {"origin": ORIGIN, "genesis": "00" * 32}
    for wrong, words in (
        ({"quotas": 5}, "Write a table"),
        ({"quotas": {"me": 5}}, "a member's id"),
        ({"quotas": {ONE: -1}}, "whole number"),
        ({"quotas": {ONE: "5"}}, "whole number"),
        ({"quotas": {ONE: True}}, "whole number"),
        ({"quota_mib": -1}, "whole number"),
    ):
        with pytest.raises(BadInput) as caught:
            parse_settings({**table, **wrong}, {}, folder=tmp_path)
        assert words in caught.value.next_step
    with pytest.raises(BadInput):
        parse_settings(table, {"MUNIMENT_QUOTAS": "x"}, folder=tmp_path)
