"""What people type at the commands of registrars, judges and recipients."""

from pathlib import Path

import pytest

from app.cli.main import main
from app.client.home import HOME_VARIABLE


def test_what_is_typed_wrong_is_a_matter_of_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "nobody"))
    for argv in (
        ["decide", "12"],
        ["decide", "AB" * 32],
        ["fetch", "ab" * 32, "-o", "out"],
        ["panel"],
        ["panel", "propose", "x"],
        ["decide", "ab" * 32, "--grant", "--refuse"],
        ["open", "ab" * 32],
    ):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2
    # A home that is not set up is named, with the same code.
    for argv in (["inbox"], ["act"], ["panel", "show"]):
        assert main(argv) == 2
    (tmp_path / "empty").write_bytes(b"\n")
    for argv in (
        ["order", "ab" * 16, "--deposit", "ab" * 16, "--to", "x", "--paper", str(tmp_path / "none")],
        [
            "order",
            "ab" * 16,
            "--deposit",
            "ab" * 16,
            "--to",
            "x",
            "--paper",
            __file__,
            "--note",
            str(tmp_path / "empty"),
        ],
        ["request", "ab" * 32, "ab" * 16, "--disclose", __file__],
        ["decide", "ab" * 32, "--reason", __file__],
    ):
        assert main(argv) == 2
    assert capsys.readouterr().out == ""
