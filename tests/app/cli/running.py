"""Commands run as a person runs them, against a registry that runs beside them."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main
from app.client.home import Home, Keys

ROOT = Path(__file__).parents[3]
PASSPHRASE = "correct horse"


@dataclass
class Terminal:
    """One machine with several people's folders under `people`; no terminal, so nothing is asked."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        (self.folder / "passphrase").write_text(PASSPHRASE + "\n")
        self.monkeypatch.setenv("MUNIMENT_PASSPHRASE_FILE", str(self.folder / "passphrase"))

    def home(self, name: str) -> Path:
        return self.folder / "people" / name

    def person(self, name: str, keys: Keys | None = None) -> Home:
        """A folder with keys under a weak passphrase hash: what `identity new` makes takes a second each."""
        draws = itertools.chain([keys.seed, keys.notes.seed] if keys else [], iter(lambda: None, 0))

        def rng(size: int) -> bytes:
            given = next(draws)
            return given if given is not None and len(given) == size else os.urandom(size)

        home, made = Home.create(self.home(name), name=name, passphrase=PASSPHRASE, rng=rng, log_n=4)
        assert keys is None or made == keys
        return home

    def run(self, name: str, *words: str | Path, code: int = 0) -> dict[str, Any]:
        """Run a command as a person, with --json; return its document."""
        self.monkeypatch.setenv("MUNIMENT_HOME", str(self.home(name)))
        self.capsys.readouterr()
        got = main([*map(str, words), "--json"])
        out = self.capsys.readouterr()
        assert got == code, out.err
        return dict(json.loads(out.out))

    def text(self, name: str, *words: str | Path) -> str:
        """Run a command as a person; return what it prints."""
        self.monkeypatch.setenv("MUNIMENT_HOME", str(self.home(name)))
        self.capsys.readouterr()
        assert main([*map(str, words)]) == 0
        return self.capsys.readouterr().out


@contextmanager
def serving(registry: Path) -> Iterator[str]:
    """`muniment serve` as a process of its own; yields its URL."""
    command = [sys.executable, "-m", "app.cli.main", "serve", "--dir", str(registry), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on ")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
