"""`muniment witness` as its operator meets it: made, started as a process, asked, stopped, its files lost."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import main
from app.witness.folder import MEMORY, load_cosigners, load_witness_settings, make_folder
from ledger.cosignature import verify_cosignature
from ledger.note import KeyType, SignatureLine, VerifierKey
from tests.ledger.growing import GrowingLog
from tests.witness.serving import post, request

LOG = GrowingLog(entries=12)
NAME = "witness.example/w1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "witness"
    assert main(["witness", "--dir", str(made), "--init", NAME, "--log", LOG.signer.key.text]) == 0
    return made


def start(folder: Path, *more: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "app.cli.main", "witness", "--dir", str(folder), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def test_it_prints_the_keys_to_publish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["witness", "--dir", str(tmp_path / "w"), "--init", NAME]) == 0
    keys = [VerifierKey.parse(line) for line in capsys.readouterr().out.splitlines()]
    assert [(key.name, key.type) for key in keys] == [
        (NAME, KeyType.ED25519_COSIGNATURE),
        (NAME, KeyType.MLDSA44_COSIGNATURE),
    ]
    assert keys == [each.key for each in load_cosigners(tmp_path / "w", NAME)]
    assert main(["witness", "--dir", str(tmp_path / "w"), "--init", NAME]) == 2
    assert main(["witness", "--dir", str(tmp_path / "e"), "--init", NAME, "--no-post-quantum", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["keys"]) == 1


def test_it_remembers_over_a_kill(folder: Path) -> None:
    process, shown = start(folder)
    try:
        status, _, text = asyncio.run(post(shown["url"], request(0, 5, LOG)))
        assert status == 200
        for key, line in zip(shown["keys"], text.splitlines(), strict=True):
            verify_cosignature(VerifierKey.parse(key), LOG.checkpoint(5), SignatureLine.parse(line))
    finally:
        process.kill()
        process.wait()
    process, shown = start(folder)
    try:
        assert asyncio.run(post(shown["url"], request(0, 7, LOG))) == (409, "text/x.tlog.size", "5\n")
        assert asyncio.run(post(shown["url"], request(5, 7, LOG)))[0] == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_lost_or_exchanged_memory_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = folder / MEMORY
    memory.rename(tmp_path / "kept")
    assert main(["witness", "--dir", str(folder), "--listen", "127.0.0.1:0"]) == 1
    assert "lost_memory" in capsys.readouterr().err
    asyncio.run(make_folder(tmp_path / "other", "witness.example/w2"))
    (tmp_path / "other" / MEMORY).rename(memory)
    assert main(["witness", "--dir", str(folder), "--listen", "127.0.0.1:0"]) == 1
    assert "other_memory" in capsys.readouterr().err


def test_settings_are_checked(folder: Path, tmp_path: Path) -> None:
    settings = load_witness_settings(folder, [GrowingLog("other.example").signer.key.text])
    assert [key.name for key in settings.logs] == [LOG.origin, "other.example"]
    good = (folder / "witness.toml").read_text()
    for bad in (
        good.replace('name = "witness.example/w1"', ""),
        good.replace("witness.example/w1", "a b"),
        good.replace("witness.example/w1", "a" * 256),
        good.replace("127.0.0.1:7380", "somewhere"),
        good + "color = 1\n",
        good.replace(LOG.signer.key.text, "nobody+00000000+AAAA"),
        good.replace(LOG.signer.key.text, load_cosigners(folder, NAME)[0].key.text),
        "name = \xff",
        "logs = 3\n",
    ):
        (folder / "witness.toml").write_bytes(bad.encode("latin-1"))
        assert main(["witness", "--dir", str(folder)]) == 2, bad
    assert main(["witness", "--dir", str(tmp_path / "nothing")]) == 2
    assert main(["witness", "--dir", str(tmp_path / "new"), "--init", 'a"b']) == 2
    assert not (tmp_path / "new").exists()


def test_a_key_that_others_may_read_is_refused(folder: Path) -> None:
    for name in ("ed25519.pem", "mldsa44.pem"):
        (folder / name).chmod(0o644)
        assert main(["witness", "--dir", str(folder)]) == 2
        (folder / name).chmod(0o600)
