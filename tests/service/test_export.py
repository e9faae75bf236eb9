"""`muniment export`: the copy is served by a plain file server and is the ledger, to the last byte."""

import asyncio
import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.cli.main import main
from app.client.api import Api
from app.client.leaves import Leaves
from app.service.registry import Registry
from app.statements.statement import digest_of
from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.merkle import leaf_hash
from ledger.tiles import Bundle, decode_bundle, tiles_of
from storage.memory import MemoryBlobStore
from storage.sqlite import SqliteRecordStore
from tests.app.client.world_service import log_signer
from tests.app.rules.world import ORIGIN, World, founded, peopled
from tests.service.house import open_house, terms_of
from tests.service.test_commands import written


async def filled(folder: Path, world: World, count: int | None = None) -> str:
    """Post the world's statements (the first `count`) to the registry in `folder`; return its checkpoint."""
    records = await SqliteRecordStore.open(folder / "records.sqlite")
    registry = Registry(terms_of(world), records, MemoryBlobStore(), lambda: world.now)
    await registry.start()
    for entry in world.entries[:count]:
        await registry.door.post(entry.statement)
    text = registry.publication.published.text
    await registry.close()
    await records.close()
    (folder / "blobs").mkdir(exist_ok=True)
    return text


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def export(capsys: pytest.CaptureFixture[str], folder: Path, out: Path, *more: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["export", "--dir", str(folder), "--static", str(out), "--json", *more]) == code
    return dict(json.loads(capsys.readouterr().out))


def files_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


async def follow(url: str, world: World) -> Checkpoint:
    """Load the ledger as a client does, from nothing but files."""
    async with Api(url, origin=ORIGIN, signer=None, clock=lambda: world.now) as api:
        checkpoint = verify_checkpoint(await api.checkpoint(), [log_signer().key])
        leaves = Leaves()
        for at in range(0, checkpoint.size, 256):
            bundle = Bundle(index=at // 256, width=min(256, checkpoint.size - at))
            leaves.extend(each.decode() for each in decode_bundle(await api.bundle(bundle), bundle.width))
        assert leaves.root(checkpoint.size) == checkpoint.root
        for leaf in leaves.parsed:
            if leaf.kind != "private":
                assert digest_of(await api.statement(leaf.digest)) == leaf.digest
    return checkpoint


def test_a_plain_web_server_serves_the_copy_and_it_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, out = peopled(), tmp_path / "out"
    folder, size = written(tmp_path / "registry", world), len(world.entries)
    asyncio.run(filled(folder, world, 5))
    first = export(capsys, folder, out)
    assert (first["size"], first["before"]) == (5, 0)
    before = files_of(out)
    with plain_server(out) as url:
        assert asyncio.run(follow(url, world)).size == 5
        text = asyncio.run(filled(folder, world))
        assert export(capsys, folder, out)["before"] == 5
        assert asyncio.run(follow(url, world)).size == size
    found = files_of(out)
    assert found["checkpoint"].decode() == text
    assert {path: found[path] for path in before if path != "checkpoint"} == {
        path: data for path, data in before.items() if path != "checkpoint"
    }, "what holders of the older checkpoint need stays"
    hashes = [leaf_hash(entry.leaf.encode()) for entry in world.entries]
    for tile in tiles_of(size):
        assert found[tile.path] == b"".join(hashes)
    public = {digest_of(each.statement).hex() for each in world.entries if '"kind":"private"' not in each.leaf}
    assert {Path(path).name for path in found if path.startswith("v1/")} == public
    assert len(public) < size, "private statements stay where they are"
    assert not any(Path(path).name.startswith(".") for path in found)
    assert export(capsys, folder, out)["files"] == 0, "nothing is written twice"
    (out / Bundle(index=0, width=size).path).write_bytes(b"rot")
    assert export(capsys, folder, out, "--whole")["files"] == 1


def test_an_export_that_fails_leaves_the_older_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, out = peopled(), tmp_path / "out"
    folder, size = written(tmp_path / "registry", world), len(world.entries)
    asyncio.run(filled(folder, world, 5))
    export(capsys, folder, out)
    old = (out / "checkpoint").read_bytes()
    asyncio.run(filled(folder, world))
    in_the_way = out / Bundle(index=0, width=size).path
    in_the_way.mkdir()
    assert export(capsys, folder, out, code=2)["error"]["code"] == "cannot_write"
    assert (out / "checkpoint").read_bytes() == old
    in_the_way.rmdir()
    export(capsys, folder, out)
    with plain_server(out) as url:
        assert asyncio.run(follow(url, world)).size == size


def test_a_copy_never_goes_back_nor_takes_another_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, out = peopled(), tmp_path / "out"
    folder = written(tmp_path / "registry", world)
    asyncio.run(filled(folder, world, 4))
    export(capsys, folder, out)
    (tmp_path / "old").write_bytes((out / "checkpoint").read_bytes())
    asyncio.run(filled(folder, world, 6))
    export(capsys, folder, out)
    kept = files_of(out)
    assert export(capsys, folder, out, "--checkpoint", str(tmp_path / "old"), code=1)["error"]["code"] == "copy_newer"
    other = founded(keys=2)
    another = written(tmp_path / "another", other)
    asyncio.run(filled(another, other))
    forked = Checkpoint(origin=ORIGIN, size=1, root=bytes(32))
    (out / "checkpoint").write_text(sign_checkpoint(forked, log_signer()))
    assert export(capsys, another, out, code=1)["error"]["code"] == "forked"
    (out / "checkpoint").write_text("not a checkpoint")
    assert export(capsys, folder, out, code=2)["error"]["code"] == "not_a_copy"
    (out / "checkpoint").write_bytes(kept["checkpoint"])
    assert files_of(out) == kept


def test_what_was_published_is_exported_with_its_cosignatures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, out = peopled(), tmp_path / "out"
    folder = written(tmp_path / "registry", world)
    text = asyncio.run(filled(folder, world, 4)) + "— w1 " + "A" * 32 + "\n"
    asyncio.run(filled(folder, world))
    (folder / "published.checkpoint").write_text(text)
    assert export(capsys, folder, out)["size"] == 4
    assert (out / "checkpoint").read_text() == text


async def test_the_service_gives_the_partial_tiles_of_every_size_that_it_published() -> None:
    world = peopled()
    async with open_house(world) as house:
        await house.push()
        hashes = [leaf_hash(entry.leaf.encode()) for entry in world.entries]
        for size in range(1, len(world.entries) + 1):
            for tile in tiles_of(size):
                answer = await house.call("GET", tile.path)
                assert (answer.status, answer.body) == (200, b"".join(hashes[:size]))
            answer = await house.call("GET", Bundle(index=0, width=size).path)
            assert decode_bundle(answer.body, size) == tuple(each.leaf.encode() for each in world.entries[:size])
            assert "immutable" in answer.headers["Cache-Control"]
        assert (await house.call("GET", Bundle(index=0, width=len(world.entries) + 1).path)).status == 404
