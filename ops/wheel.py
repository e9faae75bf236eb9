"""Build Muniment's wheel so that everybody who builds the same source gets the same bytes.

Hatchling makes the content in its fixed order; then the archive is written again here without compression, with fixed
times, modes and system, since what DEFLATE gives depends on the zlib of the machine. Needs no network: Hatchling comes
from the hashed lock. SOURCE_DATE_EPOCH (Unix seconds) gives the files' time; without it, it is 1980-01-01.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from ops.dependencies import ROOT

# The earliest and the latest time that a ZIP archive can say.
_EARLIEST, _LATEST = 315532800, 4354819198


def build(source: Path, out: Path) -> Path:
    """Build the wheel of `source` into the folder `out`; return its path. Raises ValueError on a SOURCE_DATE_EPOCH
    that is no number, `subprocess.CalledProcessError` when Hatchling fails.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", str(_EARLIEST))
    if not epoch.isascii() or not epoch.isdigit():
        raise ValueError(f"SOURCE_DATE_EPOCH is not a number of seconds: {epoch!r}")
    moment = time.gmtime(min(max(int(epoch), _EARLIEST), _LATEST))[:6]
    out.mkdir(parents=True, exist_ok=True)
    # In `out`, so that the finished file is renamed into place and a torn one never bears the name.
    with tempfile.TemporaryDirectory(dir=out, prefix=".wheel-") as folder:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            cwd=source,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        )
        (made,) = Path(folder).glob("*.whl")
        again = Path(folder) / "again"
        _write_again(made, again, moment)
        return again.replace(out / made.name)


def _write_again(made: Path, again: Path, moment: tuple[int, ...]) -> None:
    """The same files in the same order, stored. RECORD holds digests of the content, so it stays true."""
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as new:
        for each in old.infolist():
            entry = zipfile.ZipInfo(each.filename, moment)  # type: ignore[arg-type]
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o100644 << 16
            new.writestr(entry, old.read(each))


def main() -> int:
    """Build, and say the digest."""
    parser = argparse.ArgumentParser(prog="python -m ops.wheel", description=__doc__)
    parser.add_argument("out", metavar="DIR", type=Path, help="the folder to write the wheel to")
    try:
        wheel = build(ROOT, parser.parse_args().out.absolute())
    except subprocess.CalledProcessError as error:
        print(f"no wheel: Hatchling says:\n{error.stdout}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"no wheel: {error}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
