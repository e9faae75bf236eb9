"""Erasure through the clients of a reader, a registrar and the authority; and the clients that go on afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.acts import describe_act
from app.client.cache import Cache
from app.client.deposit import Depositor, Evidence
from app.client.erasing import ErasureList, ask, certify, format_list, list_entries, parse_list
from app.client.mistakes import acknowledge
from app.client.registrar import approve
from app.errors import BadInput, Refused
from app.rules.aggregates import Deposited
from app.rules.deposits import trail_id
from tests.app.client.court import Court, court
from tests.app.rules.world import Release, World, seed
from tests.service.house import court as with_deposit

PAPER = b"Erase it."


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[Court, Release]]:
    """A registry with a case; lawyer1's deposit is put there through its stores' own door."""
    release = with_deposit()
    world: World = release.world
    async with court(world, tmp_path) as found:
        async with found.client("lawyer1") as depositor:
            (tmp_path / "a.txt").write_bytes(b"evidence")
            accepted = await Depositor(depositor).deposit(
                release.case_id, [Evidence(path=tmp_path / "a.txt")], approve=lambda _panels: None
            )
            release.deposit_id = accepted.deposit_id  # type: ignore[attr-defined]
        yield found, release


async def test_from_the_list_to_the_certificate_and_every_client_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as (found, release):
        deposit_id: bytes = release.deposit_id  # type: ignore[attr-defined]
        hashed = bytes.fromhex(trail_id(deposit_id))
        async with found.client("lawyer2") as party:
            await party.sync()
            await acknowledge(party, deposit_id)
        async with found.client("clerk") as clerk:
            listed = await list_entries(clerk, deposit_id)
            assert (listed.deposit, len(listed.entries)) == (hashed, 2)
        async with found.client("registrar") as registrar:
            with pytest.raises(Refused) as caught:
                await list_entries(registrar, deposit_id)
            assert caught.value.code == "unknown_deposit"  # it is not his case
            act = (await ask(registrar, listed, "by order", PAPER)).statement
            words = " ".join(describe_act((await registrar.sync()).view, act))
            assert "destroyed for good" in words
            assert "by order" in words
            with pytest.raises(Refused) as early:
                await certify(registrar, hashed)
            assert early.value.code == "not_erased"
            for key in ("authority1", "authority2"):
                await approve(registrar, act.digest, seed(key))
            for _ in range(2000):  # the registry's upkeep comes to it within milliseconds
                if (await certify(registrar, hashed)).gone == 2:
                    break
            else:
                pytest.fail("the registry did not destroy the statements")
        for name in ("lawyer2", "clerk", "lawyer1", "judge2"):
            async with found.client(name) as client:
                state = await client.sync()
                assert state.view.find(Deposited, deposit_id.hex()) is None
                assert not set(listed.entries) & set(state.entries)
                kept = Cache(client.home, client.vault).private(client.trust.genesis)
                assert not {each.index for each in kept.entries} & set(listed.entries)
                with pytest.raises(Refused) as again:
                    await acknowledge(client, deposit_id)
                assert again.value.code == "erased"


async def test_a_certificate_says_what_it_proves(tmp_path: Path) -> None:
    async with running(tmp_path) as (found, release):
        deposit_id: bytes = release.deposit_id  # type: ignore[attr-defined]
        async with found.client("clerk") as clerk:
            listed = await list_entries(clerk, deposit_id)
        async with found.client("registrar") as registrar:
            act = (await ask(registrar, listed, "by order", PAPER)).statement
            for key in ("authority1", "authority2"):
                await approve(registrar, act.digest, seed(key))
            made = await certify(registrar, listed.deposit)
            assert (made.act, made.entries, made.reason) == (act.digest, listed.entries, "by order")
            assert len(made.approvals) == 2
            assert made.effective_index == made.checkpoint_size - 1


async def test_a_list_that_names_too_much_or_too_little_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as (found, release):
        deposit_id: bytes = release.deposit_id  # type: ignore[attr-defined]
        async with found.client("clerk") as clerk:
            listed = await list_entries(clerk, deposit_id)
            await acknowledge(clerk, deposit_id)
        async with found.client("registrar") as registrar:
            for entries, code in ((listed.entries, "entries_left_out"), ((1, *listed.entries), "entries_left_out")):
                with pytest.raises(Refused) as caught:
                    await ask(registrar, ErasureList(deposit=listed.deposit, entries=entries), "x", PAPER)
                assert caught.value.code == code


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_list(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_list(data)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_list_is_read_back(entries: list[int]) -> None:
    listed = ErasureList(deposit=bytes(32), entries=tuple(entries))
    assert parse_list(format_list(listed)) == listed
