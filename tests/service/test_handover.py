"""A reshare is not opened while the others of a case have their time to object."""

from dataclasses import replace

from app.rules.terms import request_of
from app.rules.view import WholeView
from app.service.handover import running_notice
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty
from storage.memory import MemoryBlobStore, MemoryRecordStore
from tests.app.rules.world import JUDGES, Ceremony, Release, fresh
from tests.service.house import court, open_house, real_deposit

NOTICE = 7 * 86_400


async def test_a_reshare_waits_for_the_end_of_a_notice_period() -> None:
    release = court()
    world = release.world
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: world.now)
    case_id = fresh("case with notice")
    rules = replace(CaseOpen(case_id=case_id, note=None).rules, notice_seconds=NOTICE)
    world.do("clerk", CaseOpen(case_id=case_id, note=None, rules=rules))
    for party in ("lawyer1", "lawyer2"):
        world.do("clerk", CaseParty(case_id=case_id, member=world.id(party), note=None))
    assign = CaseAssign(case_id=case_id, panel_id=release.ceremony.panel_id, presiding=world.id("judge1"))
    world.do("clerk", assign)
    deposit = real_deposit(world, release.ceremony, case_id, "noticed")
    asked = Release(world=world, ceremony=release.ceremony, case_id=case_id, deposit=deposit)
    later = Ceremony(world=world, judges=JUDGES, k=2, previous=release.ceremony, name="later")
    async with open_house(world, records, blobs) as house:
        await house.push()
        await house.upload(deposit)
        world.do("lawyer1", deposit.claims)
        await house.push()
        asked.ask()
        later.propose()
        later.give_cards()
        world.approve(world.do("registrar", later.roster()))
        await house.push()
        # A registrar lists what is open by digest and times, and is told nothing of case, deposit or people.
        path = f"/v1/panels/{release.ceremony.panel_id.hex()}/requests"
        assert asked.request is not None
        listed = await house.call("GET", path, by="registrar")
        made = request_of(world.view, asked.request.digest)
        opens, until = made.opens_at, made.expires_at
        expected = {"request": asked.request.digest.hex(), "status": "notice", "opens_at": opens, "expires_at": until}
        assert listed.json == {"requests": [expected]}
        for other in ("judge1", "lawyer2", "clerk"):
            assert (await house.call("GET", path, by=other)).code == "forbidden"
        assert (await house.call("GET", path)).status == 401
        assert (await house.call("GET", path.replace(path[11:75], "00" * 32), by="registrar")).status == 404
        early = await house.post(world.sign("registrar", later.open()))
        assert (early.status, early.code) == (409, "notice_running")
        assert asked.request.digest.hex() in early.json["detail"]
        world.now += NOTICE
        house.clock[0] = world.now
        house.tokens.clear()  # they were good for an hour
        listed = await house.call("GET", path, by="registrar")
        assert [each["status"] for each in listed.json["requests"]] == ["waits"]
        late = await house.post(world.sign("registrar", later.open()))
        assert late.status == 201, late.body


def test_only_open_requests_of_the_current_epoch_count() -> None:
    view = WholeView()
    assert running_notice(view, bytes(32), ("00" * 32,), 0) == ()
