"""Delegation and new keys through the clients and the real service: others of the case go on, too."""

from pathlib import Path

import pytest

from app.client.deposit import Depositor, Evidence
from app.client.hands import add_device, delegate, new_key, remove_device, title_of, undelegate
from app.client.mistakes import withdraw
from app.client.problems import ServiceRefused
from app.client.readers import case_recipients
from app.errors import Refused
from app.rules.aggregates import Deposited, Person
from app.statements.kinds import CaseOpen, CaseParty, MemberEnrol, MemberRevoke
from tests.app.client.court import court
from tests.app.client.world_service import keys_of
from tests.app.rules.world import Release, fresh
from tests.service.house import court as with_case

DAY = 86_400


def with_staff() -> Release:
    release = with_case()
    release.world.enrol("staff", "depositor")
    return release


async def test_staff_deposits_for_its_principal_and_everybody_can_follow(tmp_path: Path) -> None:
    release = with_staff()
    (tmp_path / "a.txt").write_bytes(b"evidence")
    evidence = [Evidence(path=tmp_path / "a.txt")]
    async with court(release.world, tmp_path) as found:
        world = found.world
        async with found.client("lawyer2") as party:
            await party.sync()  # before: what is delegated later brings older statements with it
        async with found.client("staff") as staff:
            with pytest.raises(Refused) as caught:
                await Depositor(staff).deposit(release.case_id, evidence, approve=lambda _panels: None)
            assert caught.value.code in ("unknown_case", "not_in_case")
        async with found.client("lawyer1") as lawyer:
            await delegate(lawyer, release.case_id, world.id("staff"), ("read", "deposit"), days=30)
        async with found.client("staff") as staff:
            accepted = await Depositor(staff).deposit(release.case_id, evidence, approve=lambda _panels: None)
            with pytest.raises(Refused) as caught:
                await withdraw(staff, accepted.deposit_id)
            assert caught.value.code == "wrong_signer"
        for name in ("lawyer1", "lawyer2", "clerk", "judge2"):
            async with found.client(name) as client:
                deposit = (await client.sync()).view.find(Deposited, accepted.deposit_id.hex())
                assert deposit is not None
                assert deposit.depositor == world.id("lawyer1")
        async with found.client("lawyer1") as lawyer:
            await undelegate(lawyer, release.case_id, world.id("staff"))
            await withdraw(lawyer, accepted.deposit_id)
        async with found.client("staff") as staff:
            assert (await staff.api.me()).cases == ()
            with pytest.raises(ServiceRefused):
                await staff.api.case_statements(release.case_id)
        for name in ("lawyer2", "clerk"):
            async with found.client(name) as client:
                await client.sync()  # the deposit of one who acts no more still has its signer


async def test_a_delegation_that_ran_out_opens_no_door(tmp_path: Path) -> None:
    release = with_staff()
    async with court(release.world, tmp_path) as found:
        async with found.client("lawyer1") as lawyer:
            await delegate(lawyer, release.case_id, found.world.id("staff"), ("read",), days=1)
        async with found.client("staff") as staff:
            assert (await staff.api.me()).cases == (release.case_id,)
        found.world.now += DAY
        async with found.client("staff") as staff:
            assert (await staff.api.me()).cases == ()


async def test_words_are_sealed_to_whoever_acts_now_and_the_title_anew(tmp_path: Path) -> None:
    release = with_staff()
    async with court(release.world, tmp_path) as found:
        world, case_id = found.world, fresh("titled")
        async with found.client("clerk") as clerk:
            note = await clerk.put_note("The ship", (), [keys_of("lawyer1").card.notes])
            await clerk.post(CaseOpen(case_id=case_id, note=note))
            await clerk.post(CaseParty(case_id=case_id, member=world.id("lawyer1"), note=None))
        staff, spare = keys_of("staff").card.notes, keys_of("clerk2").card
        async with found.client("registrar") as registrar:
            enrolled = await registrar.post(MemberEnrol(key=spare.key, notes=spare.notes, role="depositor", name="c2"))
            assert enrolled.index
        async with found.client("lawyer1") as lawyer:
            said, _ = await delegate(lawyer, case_id, world.id("staff"), ("read",), days=10, notes=staff)
            assert said.note is not None
            await delegate(lawyer, case_id, world.id("clerk2"), ("read",), days=2, notes=spare.notes)
        async with found.client("staff") as helper:
            state = await helper.sync()
            assert await title_of(helper, state, case_id) == "The ship"
        async with found.client("lawyer2") as stranger:
            assert await title_of(stranger, await stranger.sync(), case_id) is None

        async def recipients(by: str) -> tuple[str, ...]:
            async with found.client(by) as client:
                state = await client.sync()
                return case_recipients(state.view, case_id, state.taken_at)

        assert {staff, spare.notes} <= set(await recipients("clerk"))
        world.now += 2 * DAY
        assert staff in await recipients("clerk")
        assert spare.notes not in await recipients("clerk")  # his time is over
        async with found.client("registrar") as registrar:
            await registrar.post(MemberRevoke(member=world.id("lawyer1"), role="depositor"))
        assert staff not in await recipients("clerk")  # his principal is no member any more


async def test_a_lost_key_is_replaced_by_a_registrar_and_the_member_stays(tmp_path: Path) -> None:
    release = with_staff()
    async with court(release.world, tmp_path) as found:
        member = found.world.id("lawyer1")
        card = keys_of("lawyer1 again").card
        async with found.client("lawyer2") as other:
            await other.sync()
            with pytest.raises(Refused) as caught:
                await new_key(other, member, card)
            assert caught.value.code == "wrong_signer"
        async with found.client("registrar") as registrar:
            await new_key(registrar, member, card)
        async with found.client("lawyer1") as old:
            with pytest.raises(Refused) as refused:
                await delegate(old, release.case_id, found.world.id("staff"), ("read",), days=1)
            assert refused.value.code in ("retired_key", "unauthorized")
        async with found.client("lawyer1 again") as new:
            state = await new.sync()
            assert state.me.id == member
            person = state.view.find(Person, member)
            assert person is not None
            assert person.key == card.key
            await delegate(new, release.case_id, found.world.id("staff"), ("read",), days=1)


async def test_a_second_device_reads_and_signs_for_its_member_until_it_is_retired(tmp_path: Path) -> None:
    release = with_staff()
    async with court(release.world, tmp_path) as found:
        member = found.world.id("lawyer1")
        async with found.client("lawyer1") as lawyer:
            await add_device(lawyer, keys_of("laptop").card)
        (tmp_path / "a.txt").write_bytes(b"evidence")
        async with found.client("laptop") as laptop:
            assert (await laptop.sync()).me.id == member
            made = await Depositor(laptop).deposit(
                release.case_id, [Evidence(path=tmp_path / "a.txt")], approve=lambda _panels: None, words="for both"
            )
            assert made.receipt.statement.kid == keys_of("laptop").signer.kid
        async with found.client("lawyer1") as lawyer:
            deposit = (await lawyer.sync()).view.find(Deposited, made.deposit_id.hex())
            assert deposit is not None
            assert deposit.depositor == member
            await remove_device(lawyer, keys_of("laptop").signer.kid)
        async with found.client("laptop") as laptop:
            with pytest.raises(Refused):
                await laptop.api.me()
        async with found.client("clerk") as clerk:
            await clerk.sync()
