"""Downloads: a segment that cannot be had is named, all else is saved, and only what is missing is fetched again."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.client.activity import COMPARING, DOWNLOADING, OPENING, Activity
from app.client.fetch import Fetched, Incomplete, fetch, part_name
from app.client.opening import Opened, Output
from app.errors import Full, Refused, Unreachable
from app.sealing.segments import SEGMENT_PLAIN_BYTES
from tests.app.client.panel_service import Bench
from tests.app.client.test_release import deposit_of, kept, opened, released

pytestmark = pytest.mark.slow

BIG = os.urandom(1 << 20) * 64 + b"the third segment"
TWO = BIG[:SEGMENT_PLAIN_BYTES] + b"the second segment"
FILES = (("case/video.mp4", BIG), ("case/letter.txt", b"a letter"))
SMALL = (("case/video.mp4", b"a short one"), ("case/letter.txt", b"a letter"))
MIDDLE = (SEGMENT_PLAIN_BYTES, 2 * SEGMENT_PLAIN_BYTES)


@asynccontextmanager
async def damaged(
    tmp_path: Path, *places: tuple[int, int], files: tuple[tuple[str, bytes], ...] = FILES
) -> AsyncIterator[tuple[Bench, bytes, dict[Any, bytes]]]:
    """A released deposit with one bit changed in each of some segments; the third value mends them."""
    async with released(tmp_path, *files) as (court, asked):
        stored = court.service.evidence[deposit_of(court).hex()].segments
        good = {place: stored[place] for place in places}
        for place, data in good.items():
            stored[place] = bytes([*data[:-1], data[-1] ^ 1])
        yield court, asked, good


def mend(court: Bench, good: dict[Any, bytes]) -> None:
    court.service.evidence[deposit_of(court).hex()].segments.update(good)
    court.service.lies.clear()
    court.service.calls.clear()


def asked_for(court: Bench) -> list[str]:
    """Item and segment of each download, in order."""
    return ["/".join(each.split("/")[-2:]) for each in court.service.calls if "/segments/" in each]


async def fetched(court: Bench, folder: Path, **how: Any) -> Fetched:
    async with court.client("lawyer2") as client:
        return await fetch(client, deposit_of(court), folder, **how)


async def test_a_damaged_segment_is_named_and_the_rest_is_fetched(tmp_path: Path) -> None:
    async with damaged(tmp_path, (1, 1)) as (court, _, good):
        folder = tmp_path / "sealed"
        with pytest.raises(Incomplete, match=r"segment 1 of item 1 \(bytes 33562808 to 67125431\)") as caught:
            await fetched(court, folder)
        assert caught.value.code == "segment_mismatch"
        (damage,) = caught.value.fetched.damage
        stored = court.service.evidence[deposit_of(court).hex()].segments
        assert (damage.item, damage.segment, damage.end - damage.start) == (1, 1, len(good[1, 1]))
        assert sorted(asked_for(court)) == ["0/0", "1/0", "1/1", "1/1", "1/2", "2/0"]
        # All but that segment is there, and zeros stand for it: no byte of it can be taken for evidence.
        assert {each.name for each in folder.iterdir()} == {
            "manifest.json", "box", "item-000.age", "item-001.age.part", "item-002.age",
        }  # fmt: skip
        part = (folder / part_name(1)).read_bytes()
        assert part[: damage.start] == stored[1, 0]
        assert part[damage.start : damage.end] == bytes(damage.end - damage.start)
        assert part[damage.end :] == stored[1, 2]
        # When the store is mended only that segment is fetched.
        mend(court, good)
        whole = await fetched(court, folder)
        assert asked_for(court) == ["1/1"]
        assert whole.damage == ()
        assert whole.files[1].read_bytes() == b"".join(stored[1, i] for i in range(3))
        assert not (folder / part_name(1)).exists()


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_a_segment_that_is_not_served_is_named_too(tmp_path: Path, status: int) -> None:
    async with damaged(tmp_path, files=SMALL) as (court, _, good):
        court.service.lies[f"/v1/deposits/{deposit_of(court).hex()}/segments/1/0"] = status
        with pytest.raises(Incomplete, match=r"segment 0 of item 1 .* is not served") as caught:
            await fetched(court, tmp_path / "sealed")
        assert caught.value.code == "incomplete"
        assert [(each.item, each.segment, each.fault.code) for each in caught.value.fetched.damage] == [
            (1, 0, "segment_missing")
        ]
        mend(court, good)
        await fetched(court, tmp_path / "sealed")
        assert asked_for(court) == ["1/0"]


async def test_a_service_that_is_gone_is_no_damage(tmp_path: Path) -> None:
    async with damaged(tmp_path) as (court, _, good):
        for path in ("/checkpoint", *(f"/v1/deposits/{deposit_of(court).hex()}/segments/1/{i}" for i in range(3))):
            court.service.lies[path] = 503
        async with court.client("lawyer2") as client:
            court.service.lies.pop("/checkpoint")
            state = await client.sync()
            court.service.lies["/checkpoint"] = 503
            client.sync = lambda: _given(state)  # type: ignore[method-assign]
            with pytest.raises(Unreachable):
                await fetch(client, deposit_of(court), tmp_path / "sealed")
        mend(court, good)
        await fetched(court, tmp_path / "sealed")
        assert {"1/0", "1/1", "1/2"} <= set(asked_for(court))


async def _given(state: Any) -> Any:
    return state


async def test_who_may_not_download_learns_so_at_once(tmp_path: Path) -> None:
    async with damaged(tmp_path, files=SMALL) as (court, _, _good):
        court.service.lies[f"/v1/deposits/{deposit_of(court).hex()}/segments/1/0"] = 403
        with pytest.raises(Refused) as caught:
            await fetched(court, tmp_path / "sealed")
        assert not isinstance(caught.value, Incomplete)


async def test_segments_come_side_by_side(tmp_path: Path) -> None:
    """Each of three waits until all three were asked for."""
    async with damaged(tmp_path) as (court, _, _good):
        begun, all_begun = set[int](), asyncio.Event()
        async with court.client("lawyer2") as client:
            original = client.api.segment_into

            async def together(deposit_id: bytes, item: int, segment: int, sink: Any) -> None:
                if item == 1:
                    begun.add(segment)
                    if len(begun) == 3:
                        all_begun.set()
                    await asyncio.wait_for(all_begun.wait(), 60)
                await original(deposit_id, item, segment, sink)

            client.api.segment_into = together  # type: ignore[method-assign]
            await fetch(client, deposit_of(court), tmp_path / "sealed")
        assert begun == {0, 1, 2}


async def test_a_download_killed_anywhere_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    """What a kill leaves is a part with holes, and some of it half written."""
    async with damaged(tmp_path) as (court, _, _good):
        folder = tmp_path / "sealed"
        stored = court.service.evidence[deposit_of(court).hex()].segments
        whole = await fetched(court, folder)
        content = whole.files[1].read_bytes()
        first, second = len(stored[1, 0]), len(stored[1, 1])
        whole.files[1].unlink()
        whole.files[2].rename(folder / part_name(2))  # whole, and not yet named
        for torn, expected in (
            (content[:1000], ["1/0", "1/1", "1/2"]),
            (content[: first + 10], ["1/1", "1/2"]),
            (bytes(first) + content[first:], ["1/0"]),
            (content[:first] + bytes(second // 2) + content[first + second // 2 :], ["1/1"]),
            (content + b"more", []),
        ):
            (folder / part_name(1)).write_bytes(torn)
            court.service.calls.clear()
            again = await fetched(court, folder)
            assert sorted(asked_for(court)) == expected
            assert again.files[1].read_bytes() == content
            again.files[1].unlink()
        assert again.files[2].read_bytes() == stored[2, 0]


async def test_progress_says_what_is_compared_fetched_and_opened(tmp_path: Path) -> None:
    async with damaged(tmp_path, files=(("case/video.mp4", TWO), FILES[1])) as (court, asked, _good):
        seen: list[Activity] = []
        found = await opened(court, asked, Output(folder=tmp_path / "out"), progress=seen.append)
        total = sum(len(each) for each in court.service.evidence[deposit_of(court).hex()].segments.values())
        for doing, all_of_it in ((COMPARING, total), (DOWNLOADING, total), (OPENING, len(TWO) + 8)):
            told = [each for each in seen if each.doing == doing]
            assert {each.total for each in told} == {all_of_it}
            assert (told[-1].done, max(each.done for each in told)) == (all_of_it, all_of_it)
        assert found.damage == ()


def verdicts(found: Opened) -> list[str]:
    return [each.verdict for each in found.items]


async def test_what_is_there_of_a_damaged_item_is_opened_under_a_name_that_says_so(tmp_path: Path) -> None:
    async with damaged(tmp_path, (1, 1)) as (court, asked, good):
        out = tmp_path / "out"
        found = await opened(court, asked, Output(folder=out))
        assert verdicts(found) == ["incomplete", "equal"]
        assert found.items[0].path == out / "case" / "video.mp4.partial"
        assert found.items[0].missing == (MIDDLE,)
        assert not (out / "case" / "video.mp4").exists()
        assert (out / "case" / "letter.txt").read_bytes() == b"a letter"
        partial = (out / "case" / "video.mp4.partial").read_bytes()
        assert partial == BIG[: MIDDLE[0]] + bytes(SEGMENT_PLAIN_BYTES) + BIG[MIDDLE[1] :]
        # The ledger is told nothing: the fault is the store's, and the key is needed again.
        assert court.service.claims_heard("release.opening") == []
        assert found.posting_fault is not None
        assert (found.receipt, found.key_destroyed, len(kept(court))) == (None, False, 1)
        assert [(each.item, each.segment) for each in found.damage] == [(1, 1)]
        # Mended: the same command fetches the one segment, opens the item, and publishes.
        mend(court, good)
        again = await opened(court, asked, Output(folder=out))
        assert asked_for(court) == ["1/1"]
        assert verdicts(again) == ["equal", "equal"]
        assert (out / "case" / "video.mp4").read_bytes() == BIG
        assert again.key_destroyed
        assert court.service.claims_heard("release.opening")[0].items == ("equal", "equal")


async def test_without_its_first_segment_nothing_of_an_item_opens(tmp_path: Path) -> None:
    async with damaged(tmp_path, (1, 0), (1, 2)) as (court, asked, _good):
        out = tmp_path / "out"
        found = await opened(court, asked, Output(folder=out), publish=False)
        assert verdicts(found) == ["incomplete", "equal"]
        assert (found.items[0].path, found.items[0].missing) == (None, ((0, len(BIG)),))
        assert [(each.item, each.segment) for each in found.damage] == [(1, 0), (1, 2)]
        assert [each.name for each in (out / "case").iterdir()] == ["letter.txt"]


async def test_without_the_inventory_the_files_are_saved_and_nothing_is_said_of_them(tmp_path: Path) -> None:
    async with damaged(tmp_path, (0, 0), files=SMALL) as (court, asked, good):
        out = tmp_path / "out"
        found = await opened(court, asked, Output(folder=out))
        assert verdicts(found) == ["incomplete", "incomplete"]
        assert (out / "item-001.bin").read_bytes() == b"a short one"
        assert (out / "item-002.bin").read_bytes() == b"a letter"
        assert court.service.claims_heard("release.opening") == []
        mend(court, good)
        assert verdicts(await opened(court, asked, Output(folder=out))) == ["equal", "equal"]


async def test_partial_files_take_no_items_name_and_overwrite_nothing(tmp_path: Path) -> None:
    files = (("v.mp4", TWO), ("v.mp4.partial", b"an item of that name"))
    async with released(tmp_path, *files) as (court, asked):
        stored = court.service.evidence[deposit_of(court).hex()].segments
        stored[1, 1] = b"short"
        out = tmp_path / "out"
        for number in (2, 3):
            found = await opened(court, asked, Output(folder=out))
            assert verdicts(found) == ["incomplete", "equal"]
            assert found.items[0].path == out / f"v.mp4.partial-{number}"
        assert (out / "v.mp4.partial").read_bytes() == b"an item of that name"


async def test_an_opening_that_was_killed_leaves_no_plaintext_behind_the_next(tmp_path: Path) -> None:
    async with damaged(tmp_path, files=SMALL) as (court, asked, _good):
        out = tmp_path / "out"
        (out / "case").mkdir(parents=True)
        left = out / "case" / ".unsealing-abc.part"
        left.write_bytes(b"half of the evidence")
        assert verdicts(await opened(court, asked, Output(folder=out))) == ["equal", "equal"]
        assert not left.exists()


async def test_a_disk_without_room_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with damaged(tmp_path, files=SMALL) as (court, _, _good):
        least = sum(len(each) for each in court.service.evidence[deposit_of(court).hex()].segments.values())
        monkeypatch.setattr("shutil.disk_usage", lambda _folder: type("Usage", (), {"free": least - 1})())
        with pytest.raises(Full) as caught:
            await fetched(court, tmp_path / "sealed")
        assert caught.value.code == "disk_full"
        assert asked_for(court) == []
