"""`ops/minio-from-source`: what it builds is pinned and checked, and where it cannot, it says why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.minio import build

ROOT = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """Copy the script and what it reads into `folder`, once; return the copy."""
    ops = folder / "ops"
    if not ops.exists():
        shutil.copytree(ROOT / "ops" / "minio", ops / "minio")
        shutil.copy(ROOT / "ops" / "minio-from-source", ops)
    return ops / "minio-from-source"


def run(folder: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the script, copied with its lists of modules into `folder`, with an empty cache and the given variables."""
    script = copied(folder)
    inherited = {name: value for name, value in os.environ.items() if name != "MUNIMENT_MINIO"}
    empty = {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHON": sys.executable}
    return subprocess.run(
        [str(script), *args],
        env={**inherited, **empty, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_version_is_pinned_and_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.version() == "v0.0.0-20260212201848-7aac2a2c5b7c"
    first = build.place()
    assert first.is_relative_to(tmp_path / "muniment")
    assert "20260212201848" in first.parent.name
    shutil.copytree(build.HERE, tmp_path / "here")
    monkeypatch.setattr(build, "HERE", tmp_path / "here")
    assert build.place() == first
    with (tmp_path / "here" / "go.sum").open("a") as file:
        file.write("example.org/other v1.0.0 h1:" + "A" * 43 + "=\n")
    assert build.place() != first, "other modules make another program"


def test_without_go_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    done = run(tmp_path, PATH=str(tmp_path / "bin"))
    assert (done.returncode, done.stdout) == (build.IMPOSSIBLE, "")
    assert "there is no Go" in done.stderr
    looked = run(tmp_path, "--where")
    assert (looked.returncode, looked.stdout) == (build.IMPOSSIBLE, "")
    assert "ops/minio-from-source" in looked.stderr


def test_what_was_built_is_found_again(tmp_path: Path) -> None:
    program = tmp_path / "minio"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for args in ((), ("--where",)):
        done = run(tmp_path, *args, MUNIMENT_MINIO=str(program))
        assert (done.returncode, done.stdout) == (0, f"{program}\n")


@pytest.mark.minio
@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")
def test_without_network_and_modules_it_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, GOMODCACHE=str(tmp_path / "none"), GOPROXY="off")
    assert (done.returncode, done.stdout) == (build.IMPOSSIBLE, "")
    assert "neither in Go's module cache nor to be had from the network" in done.stderr


@pytest.mark.minio
@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")
def test_a_module_that_is_not_what_was_pinned_is_not_built(tmp_path: Path) -> None:
    """As a proxy of modules would hand out that somebody altered."""
    cached = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    if not (Path(cached) / "cache" / "download" / build.MODULE).exists():
        pytest.skip("Go's module cache is empty: make test-minio fills it")
    sums = copied(tmp_path).parent / "minio" / "go.sum"
    lines = sums.read_text().splitlines(keepends=True)
    (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{build.MODULE} {build.version()} h1:"))
    name, number, digest = lines[at].split()
    lines[at] = f"{name} {number} h1:{'A' if digest[3] != 'A' else 'B'}{digest[4:]}\n"
    sums.write_text("".join(lines))
    done = run(tmp_path, GOPROXY="off")
    assert (done.returncode, done.stdout) == (build.FAILED, "")
    assert "checksum mismatch" in done.stderr
    assert not list((tmp_path / "cache").rglob("minio"))
