"""A false blame is not on the ledger and not in any copy of it; the operator hands it to the authority as a file."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from app.cli.main import main
from app.errors import Refused
from app.service.registry import Registry
from storage.memory import MemoryBlobStore
from storage.sqlite import SqliteRecordStore
from tests.app.client.court import terms_of
from tests.app.rules.stages import Stage, made
from tests.app.rules.test_adversary import false_blame
from tests.service.test_commands import written


async def offered(folder: Path, stage: Stage) -> tuple[str, int]:
    """Fill the registry in a folder and offer a false blame three times; its text, the ledger's size."""
    world = stage.world
    records = await SqliteRecordStore.open(folder / "records.sqlite")
    registry = Registry(terms_of(world), records, MemoryBlobStore(), lambda: world.now)
    await registry.start()
    for entry in world.entries:
        await registry.door.post(entry.statement)
    name, claims = false_blame(False)(stage)
    first, second = world.sign(name, claims), world.sign(name, claims)
    for each in (first, first, second):  # signed anew it is another statement, and the same lie
        with pytest.raises(Refused) as caught:
            await registry.door.post(each.text)
        assert caught.value.code == "blame_unfounded"
    size = registry.publication.published.size
    await registry.close()
    await records.close()
    (folder / "blobs").mkdir(exist_ok=True)
    return first.text, size


def test_a_false_blame_is_kept_once_for_the_authority_and_published_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = made("all dealt").copy()
    folder = written(tmp_path / "registry", stage.world)
    text, size = asyncio.run(offered(folder, stage))
    assert size == len(stage.world.entries)
    capsys.readouterr()
    assert main(["export", "--dir", str(folder), "--false-blames", str(tmp_path / "for-authority"), "--json"]) == 0
    (path,) = json.loads(capsys.readouterr().out)["false_blames"]
    assert Path(path).read_text() == text
    assert Path(path).stem == hashlib.sha256(text.encode()).hexdigest()
    assert main(["export", "--dir", str(folder), "--static", str(tmp_path / "copy"), "--json"]) == 0
    capsys.readouterr()
    copy = [each.read_bytes() for each in (tmp_path / "copy").rglob("*") if each.is_file()]
    assert len(copy) > size // 2
    assert not any(text.encode() in each for each in copy)
