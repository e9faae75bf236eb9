"""`muniment proof` on a proof file that is held: it rises through its levels in place, and never falls."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.canonical import format_json
from app.client.api import Api
from app.client.home import Settings
from app.demo.calendar import LoopbackCalendar, serving_calendar
from app.demo.pki import LoopbackPki, serving_pki
from app.service.anchor_settings import AnchorTerms, CalendarPlace, TsaPlace
from app.statements.trust_time import TsaTrust, headers_json, make_authority, tsa_json
from ledger.anchors.growth import ORDER, Level
from tests.app.cli.running import Terminal
from tests.app.client.court import court, terms_of
from tests.app.client.world_service import keys_of
from tests.app.rules.world import World
from tests.app.verify.proofs import panelled


@dataclass
class Town:
    """A registry with those who anchor it, in a thread of its own; all clocks are the world's."""

    world: World
    case_id: str
    pki: LoopbackPki
    calendar: LoopbackCalendar
    loop: asyncio.AbstractEventLoop
    url: str
    trust: str

    def confirm(self) -> None:
        """A block for all that was submitted."""

        async def mine() -> None:
            self.calendar.confirm()

        asyncio.run_coroutine_threadsafe(mine(), self.loop).result(60)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    world, _, case_id = panelled()
    ready: list[Town] = []
    begun, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        async with (
            serving_pki(clock=lambda: world.now) as pki,
            serving_calendar(clock=lambda: world.now) as calendar,
        ):
            authorities = [make_authority(each.name, [pki.root_der], each.name) for each in pki.tsas]
            terms = AnchorTerms(
                tsas=tuple(TsaPlace(url=a.url, authority=b) for a, b in zip(pki.tsas, authorities, strict=True)),
                tsa_quorum=2,
                calendars=(CalendarPlace(url=calendar.uri, addresses=frozenset({calendar.uri})),),
                header_sources=calendar.sources,
                header_quorum=2,
                bitcoin=calendar.chain.checkpoint,
                every_seconds=1,
                upgrade_seconds=1,
            )
            # Nothing is anchored before the test says so: an anchor would come between the world's own entries.
            pki.faults.update({"/tsa/1", "/tsa/2"})
            calendar.faults.add("/digest")
            async with court(world, tmp_path / "unused", terms=replace(terms_of(world), anchors=terms)) as found:
                base = json.loads(found.trust.text)
                base["tsa"] = tsa_json(TsaTrust(m=2, authorities=tuple(authorities)))
                base["headers"] = headers_json(calendar.chain.checkpoint, calendar.chain.raw)
                ready.append(
                    Town(
                        world=world,
                        case_id=case_id.hex(),
                        pki=pki,
                        calendar=calendar,
                        loop=loop,
                        url=found.url,
                        trust=format_json(base),
                    )
                )
                begun.set()
                await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert begun.wait(60)
    monkeypatch.setattr("app.cli.person.clock", lambda: world.now)
    monkeypatch.setattr("app.cli.commands.proof.clock", lambda: world.now)
    yield ready[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()


def test_a_held_proof_rises_in_place_and_never_falls(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(tmp_path, capsys, monkeypatch)
    (tmp_path / "trust.json").write_text(town.trust)
    home = terminal.person("lawyer1", keys_of("lawyer1"))
    home.set_trust(town.trust.encode())
    home.set_settings(Settings(service=town.url))
    (tmp_path / "a.txt").write_bytes(b"a")
    monkeypatch.chdir(tmp_path)
    made = terminal.run("lawyer1", "deposit", "a.txt", "--case", town.case_id)
    first = terminal.run("lawyer1", "proof", made["deposit"], "--disclose", "name,sha256")
    path = tmp_path / first["proof"]
    assert path.name == f"{made['deposit']}.proof.json"
    assert (first["level"], first["level_before"]) == ("received", None)
    assert first["pending"] == ["timestamped", "anchored"]
    disclosed = json.loads(path.read_text())["disclosures"]

    levels = [first["level"]]

    def grow_until(level: Level) -> None:
        deadline = time.monotonic() + 90
        while levels[-1] != level.value:
            assert time.monotonic() < deadline, levels
            town.world.now += 20  # whoever failed is asked again
            grown = terminal.run("lawyer1", "proof", path if len(levels) % 2 else made["deposit"])
            assert grown["level_before"] == levels[-1]
            levels.append(grown["level"])
            assert json.loads(path.read_text())["disclosures"] == disclosed

    town.pki.faults.clear()
    grow_until(Level.TIMESTAMPED)
    assert "pending; no Bitcoin block" in terminal.text("lawyer1", "verify", path, "--trust", tmp_path / "trust.json")
    town.calendar.faults.clear()
    stop = threading.Event()

    def blocks() -> None:
        while not stop.wait(0.2):
            town.confirm()

    miner = threading.Thread(target=blocks)
    miner.start()
    try:
        grow_until(Level.ANCHORED)
    finally:
        stop.set()
        miner.join(60)
    assert [ORDER.index(Level(each)) for each in levels] == sorted(ORDER.index(Level(each)) for each in levels)
    told = terminal.run("lawyer1", "verify", path, tmp_path / "a.txt", "--trust", tmp_path / "trust.json")
    assert told["level"] == "anchored"
    best = path.read_bytes()

    # A registry that withholds its anchors takes nothing away.
    async def withheld(_api: Api, _digest: bytes) -> None:
        return None

    with monkeypatch.context() as patch:
        patch.setattr(Api, "anchor", withheld)
        lost = terminal.run("lawyer1", "proof", path, code=1)
    assert lost["error"]["code"] == "level_lost"
    assert path.read_bytes() == best

    # What does not match is evidence; it is not written over.
    forged = best.replace(disclosed[0]["disclosure"].encode(), disclosed[1]["disclosure"].encode(), 1)
    path.write_bytes(forged)
    kept = terminal.run("lawyer1", "proof", path, code=1)
    assert kept["error"]["code"] == "disclosure_mismatch"
    assert path.read_bytes() == forged
    path.write_bytes(b"{}")
    assert terminal.run("lawyer1", "proof", path, code=2)["error"]["code"] == "not_a_proof"
    assert terminal.run("lawyer1", "proof", "nothing.json", code=2)["error"]["code"] == "missing"
    other = terminal.run("lawyer1", "proof", path, "--disclose", "name", code=2)
    assert other["error"]["code"] in ("output_exists", "not_a_proof")
