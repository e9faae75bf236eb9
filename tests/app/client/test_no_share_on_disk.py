"""No share, and nothing that it is made of, is on a disk unencrypted: a grep after ceremony, grant, backup, restore."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.client.home import Home, Vault
from app.client.judge import Judge
from app.client.judge_keys import JudgeVault
from app.client.sheet import parse_sheet
from app.client.visit import closed_epoch
from app.panels.making.ack import recover
from app.rules.aggregates import Panel
from tests.app.cli.running import PASSPHRASE, ROOT
from tests.app.client.panel_service import JUDGES, PAPER, Bench
from tests.app.client.test_recovery import desk
from tests.app.client.world_service import keys_of

THREE = JUDGES[:3]


def forms(secret: bytes) -> Iterator[bytes]:
    """The secret as a program might write it: raw, hex, base64 at each offset, base32, JSON numbers, backwards."""
    yield secret
    yield secret[::-1]
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        # What surrounds the secret changes the letters at its ends alone.
        inner = base64.b64encode(bytes(shift) + secret)[4:-4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))
    for shift in range(5):
        yield base64.b32encode(bytes(shift) + secret)[8:-8]
    yield json.dumps(list(secret))[1:-1].encode()
    yield str(int.from_bytes(secret, "little")).encode()
    yield str(int.from_bytes(secret, "big")).encode()


def secrets_of(court: Bench) -> dict[str, bytes]:
    """Every judge's host seed, he and share."""
    panel: Any = court.world.view.find(Panel, court.panel_id.hex())
    closed, epoch = closed_epoch(court.world.view, panel)
    found = {}
    for index, judge in enumerate(THREE, 1):
        (keys,) = JudgeVault(Vault(Home(court.homes / judge), keys_of(judge))).hosts()
        found[f"host of {judge}"], found[f"he of {judge}"] = keys.host, keys.he
        found[f"share of {judge}"] = recover(closed, epoch.certificate, judge=index, he=keys.he)
    return found


def where(folder: Path, secret: bytes) -> list[Path]:
    """The files, and the names of files, that show it."""
    looked_for = list(forms(secret))
    return [
        path
        for path in folder.rglob("*")
        if any(form in path.name.encode() or (path.is_file() and form in path.read_bytes()) for form in looked_for)
    ]


async def test_no_share_is_found_in_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path, capsys, monkeypatch) as (place, court):
        panel = court.panel_id.hex()
        for suffix in ("html", "txt"):
            made = await place.does("judge1", "panel", "backup", panel, "-o", tmp_path / f"sheet.{suffix}")
        (tmp_path / "code").write_text(made["code"])
        restoring = ("panel", "restore", panel, "--sheet", tmp_path / "sheet.txt", "--code", tmp_path / "code")
        await place.does("judge1", *restoring, "--check")
        await place.does("judge1", *restoring)
        court.deposit(("evidence.txt", b"It was raining."))
        asked = await court.released("judge2")
        # A grant whose contribution is kept and not yet sent, too.
        court.service.lost.add("release.contribution")
        async with court.client("judge1") as client:
            with pytest.raises(Exception, match="lost"):
                await Judge(client).grant(asked, PAPER)
        said = b"".join(court.service.bodies)
        output = "".join(capsys.readouterr()).encode()
        for name, secret in secrets_of(court).items():
            assert where(tmp_path, secret) == [], name
            assert not any(form in said or form in output for form in forms(secret)), name
        assert (court.homes / "judge1" / "secrets").is_dir()


def test_the_grep_finds_what_is_there(tmp_path: Path) -> None:
    secret = os.urandom(32)
    for number, form in enumerate(forms(secret)):
        (tmp_path / str(number)).write_bytes(os.urandom(50) + form + os.urandom(50))
    assert len(where(tmp_path, secret)) == len(list(forms(secret)))


async def test_the_sheet_holds_the_secrets_under_its_code_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 96 bytes behind the words and the QR code, not only the letters, are free of them."""
    async with desk(tmp_path, capsys, monkeypatch) as (place, court):
        await place.does("judge1", "panel", "backup", court.panel_id.hex(), "-o", tmp_path / "sheet.txt")
        data = parse_sheet((tmp_path / "sheet.txt").read_text()).encoded
        for name, secret in secrets_of(court).items():
            assert secret[:8] not in data, name


def test_a_crash_of_the_client_leaves_no_memory_on_the_disk(tmp_path: Path) -> None:
    """Unlocking the keys forbids core dumps and looks from outside, before the first secret is in memory."""
    if sys.platform != "linux":
        pytest.skip("core dumps are asked for as Linux has them")
    Home.create(tmp_path / "home", name="judge", passphrase=PASSPHRASE, log_n=4)
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    program = (
        "import ctypes, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        "from app.cli.person import home_of, unlock\n"
        "from app.client import home\n"
        "seen = []\n"
        "read = home.read_passphrase\n"
        "def look(*a, **k):\n"
        "    seen.append((resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)))\n"
        "    return read(*a, **k)\n"
        "home.read_passphrase = look\n"
        "unlock(home_of())\n"
        "print(seen)\n"
    )
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MUNIMENT_HOME": str(tmp_path / "home"),
        "MUNIMENT_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[((0, 0), 0)]"
