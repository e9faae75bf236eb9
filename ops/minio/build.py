"""Build the MinIO server into a cache folder, or find what was built there: `ops/minio-from-source [--where]`.

Prints the path of the program. Exit codes: 0 it is there · 1 the build failed, or a module is not what go.sum says ·
3 it cannot be built here: no Go, one that is too old, or a module neither in the module cache nor on the network.
Nothing but Go and this Python is needed. Without network it is built from Go's module cache, if that has everything.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).absolute().parent
MODULE = "github.com/minio/minio"
BUILT, FAILED, IMPOSSIBLE = 0, 1, 3
FETCH_SECONDS = 1200
BUILD_SECONDS = 1800
_TAMPERED = ("SECURITY ERROR", "checksum mismatch", "missing go.sum entry")


class CannotBuild(Exception):
    """This machine has not what it takes; the text says what is missing."""


class BuildFailed(Exception):
    """It has, and the build failed all the same."""


def version() -> str:
    """Return the pinned version of the module, e.g. v0.0.0-20260212201848-7aac2a2c5b7c."""
    found = re.search(rf"^\s*{re.escape(MODULE)} (v\S+)", (HERE / "go.mod").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise BuildFailed(f"{HERE / 'go.mod'} names no version of {MODULE}")
    return found.group(1)


def place() -> Path:
    """Return where the program is, or will be: one folder for each content of go.mod and go.sum and each system."""
    pinned = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:12]
    system = f"{platform.system()}-{platform.machine()}".lower()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "muniment" / f"minio-{version().rsplit('-', 2)[-2]}-{pinned}-{system}" / "minio"


def found() -> Path | None:
    """Return the program that was built earlier, or the one that MUNIMENT_MINIO names; None where there is none."""
    named = os.environ.get("MUNIMENT_MINIO")
    path = Path(named) if named else place()
    return path if path.is_file() and os.access(path, os.X_OK) else None


def build() -> Path:
    """Build the program, unless it is there. Raises CannotBuild, BuildFailed."""
    there = found()
    if there is not None:
        return there
    target = place()
    go = _go()
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    _say(f"fetching {MODULE} {version()} and what it needs, unless Go's module cache has it")
    fetched = _run([go, "list", "-deps", "-f", "", MODULE], environ, FETCH_SECONDS)
    if fetched is None or fetched.returncode:
        said = "no answer in time" if fetched is None else fetched.stderr.strip()[-600:]
        if any(each in said for each in _TAMPERED):
            raise BuildFailed(f"a module is not what {HERE / 'go.sum'} says: {said}")
        raise CannotBuild(f"the modules are neither in Go's module cache nor to be had from the network: {said}")
    target.parent.mkdir(parents=True, exist_ok=True)
    _say("building: some minutes the first time")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / "minio"
        command = [go, "build", "-trimpath", "-ldflags", _ldflags(), "-o", str(fresh), MODULE]
        built = _run(command, environ, BUILD_SECONDS)
        if built is None or built.returncode:
            raise BuildFailed("no end in time" if built is None else built.stderr.strip()[-2000:])
        fresh.replace(target)
    return target


def main() -> int:
    """Build, or look; print the path."""
    parser = argparse.ArgumentParser(prog="ops/minio-from-source", description=__doc__)
    parser.add_argument("--where", action="store_true", help="build nothing; print where it is, or exit with 3")
    try:
        path = found() if parser.parse_args().where else build()
    except (CannotBuild, BuildFailed) as error:
        print(f"MinIO is not built: {error}", file=sys.stderr)
        return IMPOSSIBLE if isinstance(error, CannotBuild) else FAILED
    if path is None:
        print("MinIO is not built here: ops/minio-from-source does it.", file=sys.stderr)
        return IMPOSSIBLE
    print(path)
    return BUILT


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("there is no Go on this machine (https://go.dev/dl)")
    # In a folder without go.mod, so that no other version is fetched to answer. Go 1.21 and later can fetch the
    # version that go.mod asks for; older ones cannot read the file.
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())
    number = re.search(r"\bgo(\d+)\.(\d+)", said.stdout)
    if number is None or (int(number[1]), int(number[2])) < (1, 21):
        raise CannotBuild(f"Go 1.24 or later is needed, and {go} says: {(said.stdout or said.stderr).strip()[:200]}")
    return go


def _ldflags() -> str:
    day, commit = version().rsplit("-", 2)[-2:]
    when = f"{day[:4]}-{day[4:6]}-{day[6:8]}T{day[8:10]}:{day[10:12]}:{day[12:14]}Z"
    named = {"Version": when, "ReleaseTag": f"SOURCE.{when.replace(':', '-')}", "ShortCommitID": commit}
    named["CommitID"] = commit
    return " ".join(["-s", "-w", *(f"-X {MODULE}/cmd.{name}={value}" for name, value in named.items())])


def _run(command: list[str], environ: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command, cwd=HERE, env=environ, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return None


def _say(what: str) -> None:
    print(f"minio-from-source: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
