"""No room: on the registry's disk, on the depositor's, on the recipient's. It is said, nothing is lost, it goes on."""

import asyncio
import errno
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.client.deposit import Depositor, Evidence
from app.client.home import Settings
from app.client.uploadstate import Journal
from app.demo.process import serve_elsewhere
from app.errors import Full
from app.rules.aggregates import Deposited
from tests.faults.town import ROOT, Town, audit, make_town, stands, start

LIMIT = 8_000_000
"""No file of the limited process grows beyond it; the deposits' ledgers and states are far smaller."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return asyncio.run(make_town(tmp_path_factory.mktemp("full") / "town"))


async def limited(town: Town, name: str, url: str, limit: int, *words: object) -> tuple[int, dict[str, object]]:
    """Run a person's command under a limit; return exit code and document."""
    town.cast[name].home.set_settings(Settings(service=url))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.faults.limited", str(limit), "app.cli.main"),
        *map(str, words),
        "--json",
        cwd=ROOT,
        env=town.environ(name),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return process.returncode, json.loads(out)


@pytest.mark.slow
async def test_a_store_without_room_says_so_and_the_deposit_is_resumed(town: Town, tmp_path: Path) -> None:
    town = town.copy(tmp_path / "town")
    small, large = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(secrets.token_bytes(3000))
    large.write_bytes(secrets.token_bytes(2 * LIMIT))
    ids: list[bytes] = []
    service = await start(["tests.faults.limited", str(LIMIT), *serve_elsewhere(town.registry)])
    try:
        async with town.client("lawyer-1", service.url) as client:
            acknowledged = await Depositor(client).deposit(town.case_id, [Evidence(path=small)])
            with pytest.raises(Full, match="no room") as caught:
                await Depositor(client).deposit(town.case_id, [Evidence(path=large)], planned=ids.append)
            assert caught.value.code == "store_full"
            assert "operator" in caught.value.next_step
            # The service goes on for what has room, and nothing acknowledged is touched.
            await Depositor(client).deposit(town.case_id, [Evidence(path=small)])
    finally:
        await service.stop()
    async with town.running() as service, town.client("lawyer-1", service.url) as client:
        depositor = Depositor(client)
        assert depositor.uploads.ids() == tuple(ids)
        done = await depositor.resume(ids[0])
        for each in (acknowledged, done):
            await stands(client, done.state, each)
    code, text = await audit(town)
    assert code == 0, text


@pytest.mark.slow
async def test_a_recipients_disk_without_room_is_named_and_the_opening_goes_on(town: Town, tmp_path: Path) -> None:
    town = town.copy(tmp_path / "town")
    evidence, out = tmp_path / "evidence.bin", tmp_path / "out"
    evidence.write_bytes(secrets.token_bytes(2 * LIMIT))
    async with town.running() as service:
        async with town.client("lawyer-1", service.url) as client:
            done = await Depositor(client).deposit(town.case_id, [Evidence(path=evidence)])
        asked = await town.ask(service.url, done.deposit_id)
        await town.grant(service.url, asked, "judge-1", "judge-2")
        for words, limit in (
            (("fetch", done.deposit_id.hex(), "-o", out / ".sealed"), LIMIT),
            (("open", asked.hex(), "-o", out), LIMIT),
        ):
            code, document = await limited(town, "lawyer-2", service.url, limit, *words)
            assert code == 1
            assert document["error"]["code"] == "disk_full"  # type: ignore[index]
            assert not (out / "evidence.bin").exists()
        # Everything is fetched, and then there is no room for the plaintext.
        code, _ = await limited(
            town, "lawyer-2", service.url, 8 * LIMIT, "fetch", done.deposit_id.hex(), "-o", out / ".sealed"
        )
        assert code == 0
        code, document = await limited(town, "lawyer-2", service.url, LIMIT, "open", asked.hex(), "-o", out)
        assert (code, document["error"]["code"]) == (1, "disk_full")  # type: ignore[index]
        assert [each.name for each in out.iterdir()] == [".sealed"]
        code, document = await limited(town, "lawyer-2", service.url, 8 * LIMIT, "open", asked.hex(), "-o", out)
        assert code == 0
        assert document["key_destroyed"]
        assert (out / "evidence.bin").read_bytes() == evidence.read_bytes()


@pytest.mark.slow
async def test_a_depositors_disk_without_room_is_named_and_nothing_half_done_is_sent(
    town: Town, tmp_path: Path
) -> None:
    town = town.copy(tmp_path / "town")
    evidence = tmp_path / "evidence.bin"
    evidence.write_bytes(secrets.token_bytes(3000))
    words = ("deposit", evidence, "--case", town.case_id.hex(), "--yes")
    async with town.running() as service:
        for limit in (100, 3000):
            code, document = await limited(town, "lawyer-1", service.url, limit, *words)
            assert code == 1
            assert document["error"]["code"] == "disk_full"  # type: ignore[index]
        code, document = await limited(town, "lawyer-1", service.url, LIMIT, "deposit", "--list")
        unfinished = document["unfinished"]
        assert isinstance(unfinished, list)
        for each in unfinished:
            code, document = await limited(town, "lawyer-1", service.url, LIMIT, "deposit", "--resume", each, "--yes")
            assert code == 0, document
        code, document = await limited(town, "lawyer-1", service.url, LIMIT, *words)
        assert code == 0, document
        async with town.client("lawyer-1", service.url) as client:
            state = await client.sync()
        found = [each for each in state.view.aggregates.values() if isinstance(each, Deposited)]
        assert len(found) == len(unfinished) + 1


@pytest.mark.parametrize("written", [0, 1, 40, 68])
def test_a_line_of_the_journal_that_has_no_room_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The disk takes a part of the line, then nothing. The segment must not leave, and the next reader sees no part."""
    path = tmp_path / "uploads" / "x.journal"
    journal = Journal(path)
    journal.record(1, 0, bytes(32))
    with monkeypatch.context() as patch:
        patch.setattr("os.write", nearly_full(written))
        with pytest.raises(Full) as caught:
            journal.record(1, 1, bytes(32))
    assert caught.value.code == "disk_full"
    assert journal.recorded(1) == (bytes(32),)
    again = Journal(path)
    assert again.recorded(1) == (bytes(32),)
    again.record(1, 1, b"\1" * 32)
    assert Journal(path).recorded(1) == (bytes(32), b"\1" * 32)


def nearly_full(room: int) -> Callable[[int, bytes], int]:
    real, left = os.write, [room]

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(descriptor, data[: left[0]])
        left[0] -= count
        return count

    return write
