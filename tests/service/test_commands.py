"""`muniment serve` and `muniment audit`, as a person runs them."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from app.service.found import registry_settings, write_registry
from tests.app.rules.world import ORIGIN, World, founded, seed


def written(folder: Path, world: World) -> Path:
    assert world.genesis is not None
    settings = registry_settings(folder, origin=ORIGIN, genesis=world.genesis.digest)
    settings = replace(settings, publication_milliseconds=20)
    write_registry(folder, settings, log_seed=seed("log"), service_seed=seed("service"))
    return folder


def muniment(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "app.cli.main", *map(str, arguments)]


@contextmanager
def served(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = muniment("serve", "--dir", folder, "--listen", "127.0.0.1:0")
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on (http://127\.0\.0\.1:[0-9]+)\n", line)
            assert found, (line, process.stderr.read() if process.stderr else "")
            yield process, found[1]
        finally:
            process.kill()


def post(world: World, url: str) -> None:
    """Post the newest entry's statement, and take over the leaf that the registry's clock gave it."""
    body = world.entries[-1].statement.encode()
    with urlopen(Request(f"{url}/v1/statements", data=body, method="POST")) as answer:  # noqa: S310
        assert answer.status == 201
        world.entries[-1] = replace(world.entries[-1], leaf=json.load(answer)["leaf"])


def act(world: World, url: str, name: str, claims: object) -> None:
    world.now = int(time.time())
    world.do(name, claims)
    post(world, url)


def audited(folder: Path, *more: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        muniment("audit", "--dir", folder, *more, "--json"), capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_a_registry_is_served_killed_served_again_stopped_and_audited(tmp_path: Path) -> None:
    world = founded(now=int(time.time()))
    folder = written(tmp_path / "court", world)
    with served(folder) as (process, url):
        post(world, url)
        act(world, url, "registrar", world.enrolment("clerk", "clerk"))
        act(world, url, "registrar", world.enrolment("lawyer1", "depositor"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(folder, "--rebuild") as (process, url):
        act(world, url, "registrar", world.enrolment("lawyer2", "party"))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    code, report = audited(folder)
    assert (code, report["findings"]) == (0, [])
    assert report["audited"]["size"] == len(world.entries) == 4  # type: ignore[index]
    (tmp_path / "receipt").write_text("c2sp.org/tlog-proof@v1\nindex 0\n\nrot")
    code, report = audited(folder, "--receipt", str(tmp_path / "receipt"))
    assert (code, report["findings"][0]["code"]) == (1, "bad_receipt")  # type: ignore[index]
    _change_last_batch(folder / "records.sqlite")
    code, report = audited(folder)
    assert code == 1
    first = report["findings"][0]  # type: ignore[index]
    assert first["code"] == "bad_batch"
    said = subprocess.run(muniment("audit", "--dir", folder), capture_output=True, text=True, check=False).stdout
    assert f"bytes {first['span'][0]} to {first['span'][1] - 1}: " in said
    assert f"  {first['next_step']}\n" in said
    refused = subprocess.run(muniment("serve", "--dir", folder), capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "damaged_log" in refused.stderr
    assert "Traceback" not in refused.stderr


def _change_last_batch(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        id, data = connection.execute(
            "SELECT id, data FROM record WHERE kind = 'batch' ORDER BY id DESC LIMIT 1"
        ).fetchone()
        at = data.index(b'"digest":"') + 10
        changed = data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :]
        connection.execute("UPDATE record SET data = ? WHERE kind = 'batch' AND id = ?", (changed, id))
    connection.close()


def test_what_cannot_be_served_is_said_in_words(tmp_path: Path) -> None:
    done = subprocess.run(muniment("serve", "--dir", tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "muniment.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_are_served_where_the_setting_says(tmp_path: Path) -> None:
    folder = written(tmp_path / "court", founded(now=int(time.time())))
    with (folder / "muniment.toml").open("a") as file:
        file.write('metrics = "127.0.0.1:0"\nlog = "json"\n')
    with served(folder) as (process, url):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"metrics on (http://127\.0\.0\.1:[0-9]+/metrics)\n", line)
        assert found, line
        with urlopen(found[1]) as answer:  # noqa: S310
            assert b"\nmuniment_ledger_entries 0\n" in answer.read()
        with urlopen(f"{url}/healthz") as answer:  # noqa: S310
            request = answer.headers["Muniment-Request"]
        process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in process.communicate(timeout=60)[1].splitlines()]
        assert process.returncode == 0
        assert [each["message"][:16] for each in lines if each.get("request") == request] == ["GET /healthz 200"]
