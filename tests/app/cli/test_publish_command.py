"""`muniment publish` and `verify` of what it writes, as people type them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.main import main
from app.client.home import Settings
from app.client.opening import Output, open_request
from tests.app.cli.running import Terminal
from tests.app.client.panel_service import Bench, with_panel
from tests.app.client.world_service import keys_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bench, bytes]]:
    """A court in a thread of its own; lawyer2 has opened a deposit of two files."""
    ready: list[tuple[Bench, bytes]] = []
    begun, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        async with with_panel(tmp_path) as court:
            court.deposit(("a.txt", b"evidence"), ("b.txt", b"more"))
            asked = await court.released("judge1", "judge2")
            async with court.client("lawyer2") as client:
                await open_request(client, asked, Output(folder=tmp_path / "out"))
            ready.append((court, asked))
            begun.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert begun.wait(60)
    monkeypatch.setattr("app.cli.person.clock", lambda: ready[0][0].world.now)
    yield ready[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()


@pytest.fixture
def terminal(
    place: tuple[Bench, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Terminal:
    court, _ = place
    (tmp_path / "people").symlink_to(court.homes)
    found = Terminal(tmp_path, capsys, monkeypatch)
    (tmp_path / "trust.json").write_text(court.trust.text)
    for name in ("judge1", "lawyer2"):
        home = found.person(name, keys_of(name))
        home.set_trust(court.trust.text.encode())
        home.set_settings(Settings(service=court.url))
    return found


def test_permitted_published_exported_verified(terminal: Terminal, place: tuple[Bench, bytes], tmp_path: Path) -> None:
    asked, trust = place[1].hex(), tmp_path / "trust.json"
    for name, data in (("paper", b"show it"), ("a", b"evidence"), ("b", b"swapped")):
        (tmp_path / name).write_bytes(data)
    assert terminal.run("lawyer2", "publish", asked, "--yes", code=1)["error"]["code"] == "not_permitted"
    terminal.run("judge1", "publish", asked, "--permit", tmp_path / "paper")
    unsure = terminal.run("lawyer2", "publish", asked, code=1)
    assert unsure["error"]["code"] == "not_confirmed"
    early = terminal.run("lawyer2", "publish", asked, "--export", tmp_path / "early", code=1)
    assert early["error"]["code"] == "not_published"
    assert terminal.run("lawyer2", "publish", asked, "--yes")["verdict"] == "file_key"
    file = tmp_path / "shown.json"
    terminal.run("lawyer2", "publish", asked, "--export", file)
    sealed = ["--sealed", tmp_path / "out" / ".sealed"]
    found = terminal.run("lawyer2", "verify", file, tmp_path / "a", "--trust", trust, *sealed)
    assert found["files"] == [{"path": str(tmp_path / "a"), "item": 1, "as": "deposited"}]
    text = terminal.text("lawyer2", "verify", file, tmp_path / "a", "--trust", trust)
    assert text.startswith("VERIFIED")
    assert "AGE-SECRET-KEY-1" in text
    assert "that the court permitted this opening" in text
    swapped = terminal.run("lawyer2", "verify", file, tmp_path / "b", "--trust", trust, *sealed, code=1)
    assert swapped["checks"][-1]["code"] == "file_differs"


def test_the_warning_is_shown_and_options_go_together(
    terminal: Terminal, place: tuple[Bench, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = place[1].hex()
    (tmp_path / "paper").write_bytes(b"show it")
    for words in (["--note", tmp_path / "paper"], ["--trust", tmp_path / "paper"]):
        assert terminal.run("lawyer2", "publish", asked, *words, code=2)["error"]["code"] == "bad_option"
    proof = terminal.run(
        "lawyer2", "verify", tmp_path / "paper", "--trust", tmp_path / "trust.json", "--sealed", ".", code=2
    )
    assert proof["error"]["code"] == "bad_option"
    terminal.run("judge1", "publish", asked, "--permit", tmp_path / "paper")
    terminal.monkeypatch.setenv("MUNIMENT_HOME", str(terminal.home("lawyer2")))
    assert main(["publish", asked]) == 1
    assert "THIS SHOWS THE KEY OF THE DEPOSIT" in capsys.readouterr().err
    assert terminal.run("lawyer2", "publish", asked, "--forget") == {"forgotten": asked}
    assert terminal.run("lawyer2", "publish", asked, "--yes", code=1)["error"]["code"] == "nothing_kept"
