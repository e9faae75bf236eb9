"""`muniment monitor` as a person runs it, against a static web server under a prefix."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.growing import GrowingLog
from tests.monitor.shown import Files, files_of, serving_files

LOG = GrowingLog(entries=700)
FORK = GrowingLog(entries=700)
FORK.entries[3] = b"rewritten"


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "policy.txt"
    path.write_text(f"log {LOG.signer.key.text}\nquorum none\n")
    return path


async def start(url: str, trust: Path, *more: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "app.cli.main", "monitor", url, "--trust", str(trust)]
    return await asyncio.create_subprocess_exec(
        *command,
        "--state",
        str(trust.parent / "state"),
        "--json",
        *more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def once(url: str, trust: Path, *more: str) -> tuple[int, dict[str, Any]]:
    process = await start(url, trust, "--once", *more)
    out, err = await process.communicate()
    assert b"Traceback" not in err
    assert process.returncode is not None
    return process.returncode, json.loads(out)


async def test_once_for_once(trust: Path) -> None:
    files = files_of(LOG, 300)
    async with serving_files(files) as url:
        code, look = await once(url + "/", trust)
        assert (code, look["outcome"], look["size"], look["before"]) == (0, "consistent", 300, None)
        files.update(files_of(LOG, 700))
        code, look = await once(url, trust, "--entries")
        assert (code, look["size"], look["before"], look["entries_read"]) == (0, 700, 300, 700)
        files.update(files_of(FORK, 700))
        code, look = await once(url, trust)
        assert (code, look["outcome"], len(look["evidence"])) == (1, "contradicts", 1)
        assert Path(look["evidence"][0]).is_file()
    code, look = await once(url, trust)  # nobody listens any more, and the evidence is still there
    assert (code, look["size"]) == (1, None)


async def test_nobody_there_and_bad_arguments(trust: Path) -> None:
    code, look = await once("http://127.0.0.1:9", trust)
    assert (code, look["outcome"]) == (3, "cannot tell")
    for url in ("file:///x", "http://h/?x"):
        assert (await once(url, trust))[0] == 2
    trust.write_text("quorum none\n")
    assert (await once("http://127.0.0.1:9", trust))[0] == 2


async def test_it_follows_until_a_signal_or_a_contradiction(trust: Path) -> None:
    files: Files = files_of(LOG, 300)
    async with serving_files(files) as url:
        process = await start(url, trust, "--interval", "0.1")
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["size"] == 300
        files.update(files_of(LOG, 301))
        assert json.loads(await process.stdout.readline())["size"] == 301
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0
        process = await start(url, trust, "--interval", "0.1")
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["before"] == 301
        files.update(files_of(FORK, 302))
        assert json.loads(await process.stdout.readline())["outcome"] == "contradicts"
        assert await process.wait() == 1
