"""After an erasure, people's folders hold nothing of the deposit that our clients put there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli import person
from app.client.certificate import Wanted
from app.client.certificate import remember as want
from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.kept import keep
from app.client.opening import Output, open_request
from app.client.release import request
from app.client.uploadstate import UploadStore
from app.errors import AppError
from app.rules.aggregates import Request, Trail
from app.rules.deposits import trail_id
from app.sealing.age import decrypt_bytes
from app.statements.kinds import DEFAULT_RULES, Erase, ReleaseRules
from app.statements.statement import Statement
from tests.app.client.panel_service import PAPER, Bench, with_panel
from tests.app.client.world_service import keys_of
from tests.app.rules.world import fresh

PEOPLE = ("lawyer1", "lawyer2", "judge1", "judge2", "judge3")
QUORUM: ReleaseRules = replace(DEFAULT_RULES, contribute="at-quorum")


def opened_files(court: Bench, name: str) -> dict[str, bytes]:
    """Every file of a person's folder, in plain: what is encrypted to him is opened."""
    found, folder = {}, court.homes / name
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data.startswith(b"age-encryption.org/"):
                data = decrypt_bytes(data, [keys_of(name).notes])
            found[str(path.relative_to(folder))] = data
    return found


def traces(court: Bench, name: str, deposit_id: bytes, requests: list[bytes]) -> list[str]:
    """Where a folder still names the deposit, its requests' secrets, or its words; public leaves do not."""
    words = (deposit_id.hex().encode(), b"what it is", b"a.txt", *(each.hex().encode() for each in requests))
    files = opened_files(court, name).items()
    return [
        path
        for path, data in files
        if path not in ("cache/leaves", "cache/statements")
        and any(word in data or word.decode() in path for word in words)
    ]


@asynccontextmanager
async def lived(folder: Path) -> AsyncIterator[tuple[Bench, bytes, list[bytes]]]:
    """A deposit that was opened once and asked for again, and everything that clients keep of it."""
    async with with_panel(folder) as court:
        court.assign("erased", QUORUM)
        made = court.deposit(("a.txt", b"evidence"))
        home = Home(court.homes / "lawyer1")
        vault = Vault(home, keys_of("lawyer1"))
        keep(vault, made.deposit_id, '{"description":"what it is"}', made.manifest)
        UploadStore(home, vault).set_inventory(made.deposit_id, b"left of an upload")
        wanted = Wanted(
            deposit_id=made.deposit_id, disclose=(), items=(), lang="en", annexes=(), record=None, output="/x.pdf"
        )
        want(vault, wanted)
        first = await court.released("judge2", "judge3")
        await court.acts("judge2")
        async with court.client("lawyer2") as lawyer:
            await open_request(lawyer, first, Output(folder=folder / "opened"))
        asked = court.world.view.find(Request, first.hex())
        assert asked is not None
        async with court.client("lawyer2") as lawyer:
            again = (await request(lawyer, order=asked.order, deposit_id=made.deposit_id)).statement.digest
        async with court.client("judge2") as judge:
            await Judge(judge).grant(again, PAPER)
        yield court, made.deposit_id, [first, again]


def erase(court: Bench, deposit_id: bytes, *, approvals: int = 2) -> Statement:
    trail = court.world.view.find(Trail, trail_id(deposit_id))
    assert trail is not None
    claims = Erase(
        deposit=bytes.fromhex(trail.id), entries=trail.entries, reason="by order", document=fresh("order", 32)
    )
    act = court.world.do("registrar", claims)
    court.world.approve(act, *[f"authority{i + 1}" for i in range(approvals)])
    return act


async def test_every_folder_forgets_an_erased_deposit_at_its_next_sync(tmp_path: Path) -> None:
    async with lived(tmp_path) as (court, deposit_id, requests):
        before = {name: traces(court, name, deposit_id, requests) for name in PEOPLE}
        secrets = [path for name in PEOPLE for path in before[name] if not path.startswith("cache")]
        kinds = {
            path.partition("/")[0] + path.partition("/")[2].partition("-")[0] * ("secrets" in path) for path in secrets
        }
        assert kinds == {"kept", "uploads", "certificates", "secretsasked", "secretsopening", "secretsgrant"}
        act = erase(court, deposit_id, approvals=1)
        for name in PEOPLE:
            async with court.client(name) as client:
                await client.sync()
                assert client.forgotten == (), "asked for is not approved"
        assert [path for name in PEOPLE for path in traces(court, name, deposit_id, requests)] != []
        court.world.approve(act, "authority2")
        said = {}
        for name in PEOPLE:
            async with court.client(name) as client:
                await client.sync()
                said[name] = len(client.forgotten)
                await client.sync()
                assert len(client.forgotten) == said[name]
        # kept, upload and certificate; secret of the request and what a public opening needs; a grant that waits.
        assert said == {"lawyer1": 3, "lawyer2": 2, "judge1": 0, "judge2": 1, "judge3": 0}
        assert {name: traces(court, name, deposit_id, requests) for name in PEOPLE} == {name: [] for name in PEOPLE}
        assert await court.acts("judge2") == []


async def test_what_is_kept_of_other_deposits_stays(tmp_path: Path) -> None:
    async with with_panel(tmp_path) as court:
        court.assign("two", QUORUM)
        gone = court.deposit(("a.txt", b"evidence"), name="gone")
        stays = court.deposit(("b.txt", b"evidence"), name="stays")
        vault = Vault(Home(court.homes / "lawyer1"), keys_of("lawyer1"))
        for each in (gone, stays):
            keep(vault, each.deposit_id, "{}", each.manifest)
        asked = await court.released("judge2")
        erase(court, gone.deposit_id)
        for name in ("lawyer1", "lawyer2", "judge2"):
            async with court.client(name) as client:
                await client.sync()
        assert vault.names("kept") == (stays.deposit_id.hex(),)
        assert len(opened_files(court, "lawyer2")) > 0
        async with court.client("judge3") as judge:
            await Judge(judge).grant(asked, PAPER)
        assert await court.acts("judge2") == ["release.contribution"]


def test_the_person_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    person._say_forgotten(())
    assert capsys.readouterr().err == ""
    person._say_forgotten(("kept/00",))
    told = capsys.readouterr().err
    assert "erased under an order of the court" in told
    assert "kept/00" in told


async def test_a_crash_in_the_middle_leaves_the_rest_to_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lived(tmp_path) as (court, deposit_id, requests):
        erase(court, deposit_id)
        async with court.client("lawyer1") as client:
            left = [2]
            real = Vault.delete

            def dying(self: Vault, area: str, name: str, *, last: bool = True) -> None:
                left[0] -= 1
                if left[0] == 0:
                    raise AppError("the machine died", "", code="died")
                real(self, area, name, last=last)  # type: ignore[arg-type]

            monkeypatch.setattr(Vault, "delete", dying)
            with pytest.raises(AppError):
                await client.sync()
            monkeypatch.setattr(Vault, "delete", real)
        assert traces(court, "lawyer1", deposit_id, requests) != []
        async with court.client("lawyer1") as client:
            await client.sync()
        assert traces(court, "lawyer1", deposit_id, requests) == []
