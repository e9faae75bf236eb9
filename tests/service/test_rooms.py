"""What one process takes at a time is bounded, and heavy decisions run beside the event loop."""

import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.errors import Unreachable
from app.rules.decide import decide
from app.service.deciding import Working
from app.statements.statement import parse_statement
from app.web.keys import MANIFEST_ROOM, SEGMENT_ROOM
from app.web.problems import status_of
from app.web.rooms import MANIFESTS, SEGMENTS, Room
from tests.app.rules.world import with_judges
from tests.service.house import court, open_house, real_deposit


async def test_a_full_room_turns_away_and_a_place_that_comes_free_is_taken() -> None:
    room = Room("things", 2, patience_seconds=0)
    async with room.place():
        async with room.place():
            with pytest.raises(Unreachable) as caught:
                async with room.place():
                    pass
            assert (caught.value.code, status_of(caught.value)) == ("busy", 503)
        with pytest.raises(ValueError, match="fault"):
            async with room.place():
                raise ValueError("fault")
        async with room.place():
            pass


async def test_segments_and_manifests_beyond_the_bound_are_answered_busy() -> None:
    release = court()
    deposit = real_deposit(release.world, release.ceremony, release.case_id)
    async with open_house(release.world) as house:
        await house.push()
        base = f"/v1/uploads/{deposit.claims.deposit_id.hex()}"
        await house.send("PUT", base, {"case_id": release.case_id.hex()}, by="lawyer1")
        place = (await house.places(deposit)).json["places"][0]
        segment = deposit.segments[0][1]
        rooms: Any = house.application
        async with AsyncExitStack() as full:
            for key, count in ((SEGMENT_ROOM, SEGMENTS), (MANIFEST_ROOM, MANIFESTS)):
                rooms[key]._patience = 0
                for _ in range(count):
                    await full.enter_async_context(rooms[key].place())
            put = await house.call("PUT", place["url"], segment, **place["headers"])
            assert (put.status, put.code) == (503, "busy")
            put = await house.call("PUT", f"{base}/manifest", deposit.manifest.encode(), by="lawyer1")
            assert (put.status, put.code) == (503, "busy")
        assert (await house.call("PUT", place["url"], segment, **place["headers"])).status == 201


async def test_a_ceremony_is_decided_in_a_thread_and_other_acts_in_the_loop() -> None:
    world, ceremony = with_judges()
    where: dict[str, bool] = {}

    async def load(_key: str) -> None:
        return None

    def law(view: Any, statement: Any, circumstances: Any) -> Any:
        where[statement.kind] = threading.current_thread() is threading.main_thread()
        return decide(view, statement, circumstances)

    facts: list[Any] = []
    world.law = lambda _view, _statement, circumstances: (
        facts.append(circumstances) or decide(_view, _statement, circumstances)
    )
    ceremony.run()
    for entry, circumstances in zip(world.entries[-len(facts) :], facts, strict=True):
        await Working(load, law).decide(parse_statement(entry.statement), circumstances)
    assert {kind for kind, in_loop in where.items() if not in_loop} == {
        "panel.card",
        "panel.open",
        "panel.deal",
        "panel.ack",
    }
    assert where["panel.propose"]
