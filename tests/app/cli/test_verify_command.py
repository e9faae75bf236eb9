"""`muniment verify` as a person and as a script meet it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import main
from app.cli.output import printable
from tests.app.verify.proofs import FILES, Made, a_deposit

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made() -> Made:
    return a_deposit()


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    (tmp_path / "proof.json").write_bytes(made.proof())
    (tmp_path / "trust.json").write_text(made.trust.text)
    for index, data in enumerate(FILES.values()):
        (tmp_path / f"renamed {index}").write_bytes(data)
    return tmp_path


def run(folder: Path, *more: str) -> int:
    return main(["verify", str(folder / "proof.json"), "--trust", str(folder / "trust.json"), *more])


def test_verified_is_0_and_says_what_it_cannot_show(
    folder: Path, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, *(str(folder / f"renamed {i}") for i in range(3))) == 0
    out = capsys.readouterr().out
    assert out.startswith("VERIFIED")
    assert made.trust.sha256.hex() in out
    assert "Vertrag § 1.txt" in out
    assert "revoked" in out
    assert "declaration" in out


def test_a_changed_file_is_1_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "renamed 1").write_bytes(b"changed")
    assert run(folder, str(folder / "renamed 0"), str(folder / "renamed 1")) == 1
    out = capsys.readouterr().out
    assert out.startswith("DOES NOT MATCH")
    assert "12 FAIL the files" in out
    assert "renamed 1" in out


def test_a_changed_proof_is_1(folder: Path) -> None:
    data = bytearray((folder / "proof.json").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "proof.json").write_bytes(data)
    assert run(folder) == 1


def test_not_disclosed_is_3(folder: Path, made: Made) -> None:
    (folder / "proof.json").write_bytes(made.proof(("name",)))
    assert run(folder, str(folder / "renamed 0")) == 3


def test_usage_is_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, str(folder / "absent")) == 2
    (folder / "trust.json").write_text("{}")
    assert run(folder) == 2
    with pytest.raises(SystemExit) as caught:
        main(["verify"])
    assert caught.value.code == 2
    assert main([]) == 2
    assert "muniment" in capsys.readouterr().err


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, str(folder / "renamed 1"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "verified"
    assert found["files"][0]["items"] == [2]
    assert len(found["cannot_show"]) == 5
    assert run(folder, str(folder / "absent"), "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "missing"


def test_it_opens_no_socket(folder: Path) -> None:
    """In a process where making a socket is an error, and so is a name look-up."""
    (folder / "sitecustomize.py").write_text(
        "import _socket\n"
        "def refuse(*_a, **_k):\n    raise RuntimeError('a socket was opened')\n"
        "class Refused(_socket.socket):\n    __slots__ = ()\n    __init__ = refuse\n"
        "_socket.socket = Refused\n"
        "_socket.getaddrinfo = refuse\n"
    )
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"}
    probe = [sys.executable, "-c", "import socket; socket.socket()"]
    assert b"a socket was opened" in subprocess.run(probe, env=environment, capture_output=True, check=False).stderr
    program = (
        "import sys; from app.cli.main import main; code = main(sys.argv[1:]); "
        "print('aiohttp' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "verify", str(folder / "proof.json"), str(folder / "renamed 0")]
    done = subprocess.run(
        [*command, "--trust", str(folder / "trust.json")], env=environment, capture_output=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == b"False"


def test_hostile_names_do_not_reach_the_terminal() -> None:
    hostile = "a\x1b[31mb\N{RIGHT-TO-LEFT OVERRIDE}c\nd"
    assert printable(hostile) == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c\nd"


def test_help_and_version_are_quick_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "verify" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("muniment ")
    program = (
        "import sys; from app.cli.main import make_parser; make_parser('verify'); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == b"False"
