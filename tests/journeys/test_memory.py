"""Memory of deposit and opening: under 200 MiB for 2 GiB, and no more for more. Key unlocking is cheap here."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.client.home import Settings
from tests.faults.town import ROOT, Town, make_town

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux alone"),
]

MIB = 1 << 20
LIMIT = 200 * MIB
SLACK = 24 * MIB
DRIVER = """
import sys
from app.cli.main import main
code = main(sys.argv[1:])
# Not ru_maxrss, which begins with the memory of the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Peaks:
    """Bytes at the most."""

    deposit: int
    opening: int


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied afterwards: gigabytes must not stay behind."""
    yield tmp_path
    shutil.rmtree(tmp_path)


async def measured(town: Town, name: str, url: str, *words: object) -> tuple[dict[str, object], int]:
    """Run a person's command in a process of its own; return what it printed and its peak memory."""
    home = town.cast[name].home
    home.set_settings(Settings(service=url))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DRIVER,
        *map(str, words),
        "--json",
        cwd=ROOT,
        env=town.environ(name),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out + err
    return json.loads(out), int(err.split()[-1]) * 1024


async def peaks(town: Town, folder: Path, size: int) -> Peaks:
    """Deposit a sparse file of that size, have it granted, and open it."""
    big = folder / f"{size}.bin"
    with big.open("wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b"the last bytes", size - 14)
    async with town.running() as service:
        made, deposit = await measured(
            town, "lawyer-1", service.url, "deposit", big, "--case", town.case_id.hex(), "--yes"
        )
        asked = await town.ask(service.url, bytes.fromhex(str(made["deposit"])))
        await town.grant(service.url, asked, "judge-1", "judge-2")
        out = folder / f"opened-{size}"
        _, opening = await measured(town, "lawyer-2", service.url, "open", asked.hex(), "-o", out)
        opened = out / big.name
        assert opened.stat().st_size == size
        with opened.open("rb") as file:
            file.seek(-14, os.SEEK_END)
            assert file.read() == b"the last bytes"
    shutil.rmtree(out)
    return Peaks(deposit=deposit, opening=opening)


async def test_two_gibibytes_stay_under_200_mib_and_take_no_more_than_a_quarter(folder: Path) -> None:
    town = await make_town(folder / "town")
    small = await peaks(town, folder, 256 * MIB)
    large = await peaks(town, folder, 2048 * MIB)
    for what, before, after in (
        ("deposit", small.deposit, large.deposit),
        ("opening", small.opening, large.opening),
    ):
        print(f"{what}: {before / MIB:.0f} MiB for 256 MiB, {after / MIB:.0f} MiB for 2 GiB")
        assert after < LIMIT, what
        assert after < before + SLACK, what
