"""The whole way at a real service over SQLite and files: ceremony, deposit, order, request, grants, fetch, open.

Everything after the people's enrolment is done by people's own clients over HTTP.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.client.api import Api
from app.client.deposit import Depositor, Evidence
from app.client.fetch import fetch, item_name
from app.client.home import Home
from app.client.judge import Judge
from app.client.opening import Output, open_request
from app.client.registrar import approve, open_session, propose, roster
from app.client.release import order, progress_of, request
from app.client.session import Client
from app.errors import Refused
from app.rules.aggregates import Request
from app.service.registry import Registry, Terms
from app.statements.disclosure import NamedDisclosure
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty
from app.statements.trust import Trust
from app.web.application import serve
from storage.files import FileBlobStore
from storage.sqlite import SqliteRecordStore
from tests.app.client.panel_service import JUDGES, PAPER, at_once
from tests.app.client.panel_service import court as people
from tests.app.client.world_service import keys_of, trust_of
from tests.app.rules.world import ORIGIN, World, fresh, seed


@dataclass
class Place:
    """A running registry and everybody's homes."""

    world: World
    trust: Trust
    url: str
    homes: Path

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        async with Client(
            Home(self.homes / name), keys_of(name), self.trust, self.url, clock=lambda: self.world.now, pause=at_once
        ) as client:
            yield client

    async def acts(self, *names: str) -> None:
        for name in names:
            async with self.client(name) as client:
                for done in await Judge(client).act():
                    assert done.fault is None, done.fault


@asynccontextmanager
async def registry(folder: Path) -> AsyncIterator[Place]:
    """A registry that holds its genesis and its people."""
    world = people()
    assert world.genesis is not None
    terms = Terms(
        origin=ORIGIN,
        genesis=world.genesis.digest,
        log_seed=seed("log"),
        service_seed=seed("service"),
        checkpoint_seconds=0.02,
        publication_seconds=0.005,
        batch_seconds=0,
    )
    records = await SqliteRecordStore.open(str(folder / "records.sqlite"))
    blobs = await FileBlobStore.open(str(folder / "blobs"), clock=lambda: world.now)
    runner, host, port = await serve(Registry(terms, records, blobs, lambda: world.now), "127.0.0.1", 0)
    try:
        url = f"http://{host}:{port}"
        async with Api(url, origin=ORIGIN, signer=None, clock=lambda: world.now, pause=at_once) as api:
            for entry in world.entries:
                await api.post_statement(entry.statement)
        yield Place(world=world, trust=trust_of(world), url=url, homes=folder / "homes")
    finally:
        await runner.cleanup()
        await records.close()
        await blobs.close()


async def panel_of_five(place: Place) -> bytes:
    """A panel, 3 of 5, through the clients of registrar, authority and judges."""
    async with place.client("registrar") as registrar:
        panel_id = (await propose(registrar, tuple(place.world.id(judge) for judge in JUDGES), 3)).panel_id
    await place.acts(*JUDGES)
    async with place.client("registrar") as registrar:
        act = await roster(registrar, panel_id)
        for key in ("authority1", "authority2"):
            await approve(registrar, act.digest, seed(key))
        await open_session(registrar, panel_id)
    await place.acts(*JUDGES, *JUDGES)
    return panel_id


async def case_with(place: Place, panel_id: bytes) -> bytes:
    """A case of both lawyers, judge1 presiding."""
    case_id = fresh("journey")
    async with place.client("clerk") as clerk:
        await clerk.post(CaseOpen(case_id=case_id, note=None))
        for party in ("lawyer1", "lawyer2"):
            await clerk.post(CaseParty(case_id=case_id, member=place.world.id(party), note=None))
        await clerk.post(CaseAssign(case_id=case_id, panel_id=panel_id, presiding=place.world.id("judge1")))
    return case_id


@pytest.mark.foreign("age")
async def test_three_of_five_judges_open_a_deposit_and_two_do_not(tmp_path: Path) -> None:
    contents = {"contract.pdf": os.urandom(3_000_000), "note.txt": b"Meet me at noon.", "empty.bin": b""}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    async with registry(tmp_path) as place:
        panel_id = await panel_of_five(place)
        case_id = await case_with(place, panel_id)
        async with place.client("lawyer1") as depositor:
            accepted = await Depositor(depositor).deposit(
                case_id, [Evidence(path=tmp_path / name) for name in contents], description="From the office"
            )
            told: tuple[NamedDisclosure, ...] = accepted.inventory.disclosures[-2:]
        async with place.client("judge1") as presiding:
            ordered = await order(
                presiding,
                case_id=case_id,
                deposits=[accepted.deposit_id],
                recipients=[place.world.id("lawyer2")],
                paper=PAPER,
                words="For Monday.",
            )
        async with place.client("lawyer2") as lawyer:
            receipt = await request(
                lawyer,
                order=ordered.statement.digest,
                deposit_id=accepted.deposit_id,
                words="We need it.",
                disclosures=told,
            )
        asked = receipt.statement.digest
        for judge in ("judge2", "judge4"):
            async with place.client(judge) as client:
                _, words = await Judge(client).docket(asked)
                assert (words.order, words.request, words.faults) == ("For Monday.", "We need it.", ())
                assert ("description", "From the office") in [(each.slot, each.value) for each in words.shown]
                await Judge(client).grant(asked, PAPER)
        async with place.client("judge3") as client:
            await Judge(client).refuse(asked, "I do not agree.")
        async with place.client("lawyer2") as lawyer:
            with pytest.raises(Refused) as caught:
                await fetch(lawyer, accepted.deposit_id, tmp_path / "early")
            assert caught.value.code == "not_released"
        async with place.client("judge5") as client:
            await Judge(client).grant(asked, PAPER)
        out, key = tmp_path / "out", tmp_path / "key.txt"
        async with place.client("lawyer2") as lawyer:
            found = progress_of((await lawyer.sync()).view, asked)
            assert (found.granted, found.refused) == (("judge2", "judge4", "judge5"), ("judge3",))
            opened = await open_request(lawyer, asked, Output(folder=out, identity=key))
            state = await lawyer.sync()
        assert [each.verdict for each in opened.items] == ["equal"] * 3
        assert {each.name: each.read_bytes() for each in out.iterdir() if each.is_file()} == contents
        assert (opened.description, opened.inventory_fault, opened.posting_fault) == ("From the office", None, None)
        ended = state.view.find(Request, asked.hex())
        assert ended is not None
        assert (ended.accessed, ended.state.ended) == (True, True)
        # The stock tool opens the same files with the same key.
        for index, data in enumerate(contents.values(), 1):
            sealed: Any = out / ".sealed" / item_name(index)
            stock = await asyncio.to_thread(
                subprocess.run, ["age", "-d", "-i", key, sealed], capture_output=True, check=True
            )
            assert stock.stdout == data
