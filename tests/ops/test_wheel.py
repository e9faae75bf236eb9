"""Two builds of the wheel are byte-equal, and the wheel runs where the repository is not."""

import base64
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ops.dependencies import ROOT, project
from ops.wheel import build

ROOMS = ("app", "ledger", "storage")
NAME = f"muniment-{project()['version']}"
# What the wheel is made of, and what makes it.
FILES = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "ops/wheel.py", "ops/dependencies.py")


def sources() -> list[Path]:
    """Every file that a wheel must have, by its path in the repository."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    return sorted(each.relative_to(ROOT) for each in found if "__pycache__" not in each.parts)


def copy_to(folder: Path, *, backwards: bool, mode: int, moment: int) -> None:
    """The source in another folder: written in another order, with other modes and times."""
    for each in sorted([*sources(), *map(Path, FILES)], reverse=backwards):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / each, folder / each)
        (folder / each).chmod(mode)
        os.utime(folder / each, (moment, moment))


def built(folder: Path, out: Path, umask: int, **more: str) -> Path:
    """The wheel as `make wheel` builds it, of the copy in `folder`."""
    environment = {key: value for key, value in os.environ.items() if key not in ("SOURCE_DATE_EPOCH", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-m", "ops.wheel", str(out)],
        cwd=folder,
        env={**environment, **more},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.iterdir()
    assert done.stdout == f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}\n"
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    copy_to(folder / "source", backwards=False, mode=0o644, moment=1_700_000_000)
    return built(folder / "source", folder / "out", 0o022, TZ="UTC")


def test_two_builds_are_byte_equal(wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "in another, deeper folder" / "source"
    copy_to(copy, backwards=True, mode=0o755, moment=1_100_000_001)
    # What a machine leaves lying about does not come in.
    (copy / "app" / "__pycache__").mkdir()
    (copy / "app" / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"other")
    other = built(copy, tmp_path / "out", 0o077, TZ="Asia/Shanghai", LC_ALL="C", PYTHONHASHSEED="7")
    assert other.name == wheel.name == f"{NAME}-py3-none-any.whl"
    assert other.read_bytes() == wheel.read_bytes()


def test_a_changed_byte_of_the_source_changes_the_wheel(wheel: Path, tmp_path: Path) -> None:
    copy_to(tmp_path / "source", backwards=False, mode=0o644, moment=1_700_000_000)
    with (tmp_path / "source" / "app" / "certificates" / "template.typ").open("ab") as file:
        file.write(b"\n")
    assert built(tmp_path / "source", tmp_path / "out", 0o022).read_bytes() != wheel.read_bytes()


def test_it_holds_every_file_of_the_three_rooms_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entries = {each.filename: each for each in archive.infolist()}
        contents = {name: archive.read(name) for name in entries}
    assert len(entries) == len(contents)
    information = {name for name in entries if name.startswith(f"{NAME}.dist-info/")}
    assert {name.split("/", maxsplit=1)[1] for name in information} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert set(entries) - information == {each.as_posix() for each in sources()}
    assert {"app/certificates/template.typ", "app/certificates/annexes/cn.zh.txt"} <= set(entries)
    for each in sources():
        assert contents[each.as_posix()] == (ROOT / each).read_bytes()
    # Nothing of the machine: compression, times, modes, system.
    for entry in entries.values():
        assert entry.compress_type == zipfile.ZIP_STORED
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr == 0o100644 << 16
        assert (entry.create_system, entry.extra, entry.comment) == (3, b"", b"")
    rows = {row[0]: row[1] for row in csv.reader(contents[f"{NAME}.dist-info/RECORD"].decode().splitlines())}
    assert set(rows) == set(entries)
    for name, digest in rows.items():
        made = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).rstrip(b"=").decode()
        assert digest == ("" if name.endswith("/RECORD") else f"sha256={made}")


def test_source_date_epoch_gives_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    with zipfile.ZipFile(build(ROOT, tmp_path)) as archive:
        assert {each.date_time for each in archive.infolist()} == {(2026, 9, 21, 14, 13, 20)}
    assert [each.suffix for each in tmp_path.iterdir()] == [".whl"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "٤٢")
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH"):
        build(ROOT, tmp_path)


def test_it_runs_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    def call(*arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    home = tmp_path / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", str(home))
    python = str(home / "bin" / "python")
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    own = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # The dependencies of this run. A line of a .pth adds the folder alone, not the .pth of the editable Muniment in it.
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "dependencies.pth").write_text("".join(f"{each}\n" for each in sorted(folders)))

    assert "deposit" in call(str(home / "bin" / "muniment"), "--help")
    where = call(
        python, "-c", "import app, ledger, storage; print(*(each.__file__ for each in (app, ledger, storage)))"
    )
    assert where.split() == [str(own / room / "__init__.py") for room in ROOMS]
    # Its data are found there too, by the code that prints certificates with them.
    read = "from app.certificates.page import _template; print(_template().hex())"
    assert bytes.fromhex(call(python, "-c", read)) == (ROOT / "app" / "certificates" / "template.typ").read_bytes()
