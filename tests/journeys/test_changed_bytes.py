"""One changed byte anywhere in what a registry stores: the audit names what and where, and no reader is given it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.client.deposit import Depositor, Evidence
from app.client.fetch import fetch
from app.client.opening import Output, open_request
from app.config import FILE_NAME, load_settings
from app.demo.copies import alter_segment
from app.errors import AppError
from app.service.places import blob_key
from app.statements.kinds import Deposit
from app.web.application import serve
from app.wiring import build
from storage.layout import place_of
from tests.faults.town import Town, audit, make_town

pytestmark = pytest.mark.slow

PLACES = (0.0, 0.37, 0.5, 0.83, 1.0)


@dataclass(frozen=True)
class Whole:
    """A registry with one deposit that two judges have released, and the ids of its records."""

    town: Town
    deposit_id: bytes
    asked: bytes
    ids: dict[str, tuple[str, str]]
    """By kind: the record's id, and the place that the audit gives."""
    statement: bytes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return asyncio.run(make_whole(tmp_path_factory.mktemp("changed")))


async def make_whole(folder: Path) -> Whole:
    town = await make_town(folder / "town")
    (folder / "a.txt").write_bytes(b"The contract." * 99)
    async with town.running() as service:
        async with town.client("lawyer-1", service.url) as client:
            done = await Depositor(client).deposit(
                town.case_id, [Evidence(path=folder / "a.txt")], words="For the file."
            )
        asked = await town.ask(service.url, done.deposit_id)
        await town.grant(service.url, asked, "judge-1", "judge-2")
        async with town.client("lawyer-2", service.url) as lawyer:
            await fetch(lawyer, done.deposit_id, folder / "fetched", request=asked)
    claims = done.receipt.statement.claims
    assert isinstance(claims, Deposit)
    assert claims.note is not None
    id, digest, capsule = done.deposit_id.hex(), done.receipt.statement.digest, claims.capsules[0]
    place = f"deposit {id}"
    ids = {
        "statement": (digest.hex(), f"entry {done.receipt.index}"),
        "manifest": (f"{id}/{claims.manifest_hash.hex()}", place),
        "box": (f"{id}/{capsule.ct_hash.hex()}/{capsule.public[-32:].hex()}", place),
        "note": (claims.note.hex(), f"note {claims.note.hex()}"),
    }
    return Whole(town=town, deposit_id=done.deposit_id, asked=asked, ids=ids, statement=digest)


def flip(town: Town, kind: str, id: str, where: float) -> None:
    """Change one bit of a record, at a part of what it holds for others (not of the time when it was written)."""
    with closing(sqlite3.connect(town.registry / "records.sqlite")) as connection, connection:
        found = connection.execute("SELECT data FROM record WHERE kind = ? AND id = ?", (kind, id)).fetchone()
        data = bytearray(found[0])
        start = {"statement": data.find(b"eyJ"), "note": data.find(b"age-")}.get(kind, 0)
        end = len(data) - 1 - (2 if kind == "statement" else 0)
        data[start + int(where * (end - start))] ^= 1
        connection.execute("UPDATE record SET data = ? WHERE kind = ? AND id = ?", (bytes(data), kind, id))


@asynccontextmanager
async def served(town: Town) -> AsyncIterator[str]:
    async with build(load_settings(town.registry / FILE_NAME, {})) as registry:
        runner, host, port = await serve(registry, "127.0.0.1", 0, shutdown_seconds=1)
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


async def test_the_audit_of_the_unchanged_registry_is_clean(whole: Whole) -> None:
    code, text = await audit(whole.town)
    assert code == 0, text


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", ["statement", "manifest", "box", "note"])
async def test_a_changed_record_is_named_and_given_to_nobody(
    whole: Whole, tmp_path: Path, kind: str, where: float, caplog: pytest.LogCaptureFixture
) -> None:
    town, (id, place) = whole.town.copy(tmp_path / "town"), whole.ids[kind]
    flip(town, kind, id, where)
    if where in (PLACES[0], PLACES[3]):
        code, text = await audit(town)
        assert code == 1
        assert any(line.startswith((f"{place}: ", f"{place}, bytes 0 to ")) for line in text.splitlines()), text
    async with served(town) as url:
        if kind == "box":
            async with town.client("lawyer-2", url) as lawyer:
                with pytest.raises(AppError) as caught:
                    await lawyer.api.begin_download(whole.asked)
        else:
            async with town.client("lawyer-1", url) as client:
                read = {
                    "statement": lambda: client.api.statement(whole.statement, private=True),
                    "manifest": lambda: client.api.deposit(whole.deposit_id),
                    "note": lambda: client.api.note(bytes.fromhex(id)),
                }[kind]
                with pytest.raises(AppError) as caught:
                    await read()
        assert caught.value.code not in ("not_found", "forbidden", "unauthorized")
    assert "DamagedLog" in caplog.text  # for the operator; whoever asked is told the incident


@pytest.mark.parametrize("where", PLACES)
async def test_a_changed_batch_is_named(whole: Whole, tmp_path: Path, where: float) -> None:
    with closing(sqlite3.connect(whole.town.registry / "records.sqlite")) as connection:
        ids = [id for (id,) in connection.execute("SELECT id FROM record WHERE kind = 'batch' ORDER BY id")]
    for id in (ids[len(ids) // 2], ids[-1]):
        town = whole.town.copy(tmp_path / id)
        flip(town, "batch", id, where)
        code, text = await audit(town)
        assert code == 1
        assert "batch" in text, text
        assert str(int(id)) in text, text
        if id == ids[-1]:
            with pytest.raises(Exception, match=r"batch|frontier|root|ledger"):
                async with served(town):
                    pass


@pytest.mark.parametrize("item", [0, 1])
async def test_a_changed_segment_is_named_by_audit_fetch_and_open(whole: Whole, tmp_path: Path, item: int) -> None:
    town = whole.town.copy(tmp_path / "town")
    await alter_segment(town.registry, whole.deposit_id, item, 0)
    code, text = await audit(town)
    assert code == 1
    assert f"deposit {whole.deposit_id.hex()} item {item} segment 0, bytes 0 to " in text
    async with served(town) as url, town.client("lawyer-2", url) as lawyer:
        with pytest.raises(AppError, match=f"segment 0 of item {item}"):
            await fetch(lawyer, whole.deposit_id, tmp_path / "fetched", request=whole.asked)
        opened = await open_request(lawyer, whole.asked, Output(folder=tmp_path / "out"))
        assert [(each.item, each.segment) for each in opened.damage] == [(item, 0)]
        assert [each.verdict for each in opened.items] == ["incomplete"]
        assert (opened.receipt, opened.key_destroyed) == (None, False)


@pytest.mark.parametrize("where", PLACES)
async def test_a_bit_that_rots_on_the_disk_is_named(whole: Whole, tmp_path: Path, where: float) -> None:
    town = whole.town.copy(tmp_path / "town")
    folders, name = place_of(blob_key(whole.deposit_id, 1, 0))
    path = town.registry.joinpath("blobs", "objects", *folders, name)
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.unlink()
    path.write_bytes(data)
    async with served(town) as url, town.client("lawyer-2", url) as lawyer:
        with pytest.raises(AppError):
            await fetch(lawyer, whole.deposit_id, tmp_path / "fetched", request=whole.asked)
    if where == PLACES[1]:
        code, text = await audit(town)
        assert code == 1
        assert f"deposit {whole.deposit_id.hex()} item 1 segment 0, bytes 0 to " in text
