"""How much memory a deposit takes: measured in a process of its own, with keys that unlock cheaply."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.cli.running import ROOT, Terminal
from tests.app.cli.test_deposit_commands import place, terminal
from tests.app.client.court import Court

__all__ = ["place", "terminal"]

MIB = 1 << 20
SIZE = 400 * MIB
DRIVER = """
import sys
import app.cli.person
app.cli.person.clock = lambda: int(sys.argv[1])
from app.cli.main import main
code = main(sys.argv[2:])
# Not ru_maxrss, which begins with the memory of the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux alone")
def test_a_deposit_of_many_segments_stays_under_200_mib(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(SIZE)
    terminal.monkeypatch.setenv("MUNIMENT_HOME", str(terminal.home("lawyer1")))
    words = ["deposit", str(big), "--case", place[1].hex(), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(place[0].world.now), *words], cwd=ROOT, capture_output=True, check=True
    )
    peak = int(done.stderr.split()[-1]) * 1024
    assert peak < 200 * MIB, f"{peak / MIB:.0f} MiB"
