"""`muniment audit --stores`: stopped anywhere and continued, held back, at a checkpoint, on every store."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.cli.commands.audit import rate_of
from app.cli.main import main
from app.config import Settings
from app.errors import AppError, BadInput
from app.rules.aggregates import Deposited
from app.service.aggregates import KIND
from app.service.arrivals import UploadMode
from app.service.findings import Finding
from app.service.found import registry_settings, write_registry
from app.service.owed import DUE, LATE_SECONDS
from app.service.progress_file import FORMAT, format_progress, held, parse_progress
from app.service.store_audit import Pacer, _reported, begin
from app.statements.kinds import Authority, HoldLift, HoldPlace
from app.statements.statement import Seen
from app.statements.trust import format_trust
from app.wiring import open_stores
from ledger.note import NoteSigner
from storage.errors import Unavailable
from storage.memory import MemoryBlobStore, MemoryRecordStore
from tests.app.rules.world import ORIGIN, Release, World, fresh, seed
from tests.servers import S3_SECRET, S3_USER
from tests.service.auditing import deposit_of, finished, kept, key_of, started, stores_of
from tests.service.bucketed import DAY
from tests.service.house import House, court, open_house, real_deposit, terms_of
from tests.service.test_erasing import act_of, erasure, used

PLAIN = begin(genesis=bytes(32), checkpoint="text\n", ledger=Seen(size=1, root=bytes(32)), now=5)


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[House, Release]]:
    """A house with two deposits of three segments each; one segment of each is damaged, and one is missing."""
    release = court()
    async with open_house(release.world) as house:
        await house.push()
        await kept(house, release)
        other = real_deposit(release.world, release.ceremony, release.case_id, "other")
        await house.upload(other)
        release.world.do("lawyer1", other.claims)
        await house.push()
        assert (await house.registry.locks.run()).failed == ()
        yield house, replace(release, deposit=other)


def damage(house: House, release: Release, item: int) -> None:
    blobs: Any = house.registry.blobs
    key = key_of(release, item)
    blobs._blobs.bodies[key] = bytes(len(blobs._blobs.bodies[key]))


async def test_nothing_is_found_where_nothing_is_wrong_and_everything_is_counted(two: tuple[House, Release]) -> None:
    house, release = two
    run = await finished(started(house))
    assert run.found == []
    size = sum(len(body) for _, body in deposit_of(release).segments)
    done = run.progress
    assert (done.deposits, done.segments, done.bytes, done.pending) == (2, 6, 2 * size, 0)
    assert run.saved[-1] == done


async def test_wherever_it_is_stopped_it_goes_on_and_finds_the_same_once(two: tuple[House, Release]) -> None:
    house, release = two
    damage(house, release, 1)
    damage(house, court(), 2)
    whole = await finished(started(house))
    assert [each.partition(" bytes")[0] for each in whole.found] == [
        "segment_damaged at 2 segment 0",
        "segment_damaged at 1 segment 0",
    ]
    assert len(whole.saved) == 8
    for stopped in range(len(whole.saved)):
        left = parse_progress(format_progress(whole.saved[stopped]))
        rest = await finished(started(house, left))
        assert rest.progress == whole.progress, stopped
        assert len(left.findings) + len(rest.found) == 2


async def test_it_stops_where_a_store_does_not_answer_and_goes_on_there(two: tuple[House, Release]) -> None:
    house, _ = two
    blobs: Any = house.registry.blobs
    real, asked = blobs.get, 0

    def failing(key: str, **where: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 5:
            raise Unavailable("the line is cut", "Look at it.")
        return real(key, **where)

    blobs.get = failing
    run = started(house)
    with pytest.raises(Unavailable):
        await finished(run)
    assert (run.progress.segments, run.progress.deposits) == (4, 1)
    rest = await finished(started(house, run.progress))
    assert (rest.found, rest.progress.segments, rest.progress.deposits) == ([], 6, 2)
    assert asked == 7, "nothing was read twice"


async def test_what_came_after_the_checkpoint_is_for_the_next_audit(two: tuple[House, Release]) -> None:
    house, release = two
    early = started(house)
    late = real_deposit(release.world, release.ceremony, release.case_id, "late")
    await house.upload(late)
    release.world.do("lawyer1", late.claims)
    (first, *_) = [each for each in release.world.view.aggregates.values() if isinstance(each, Deposited) and each.held]
    release.world.do("clerk", HoldLift(deposit_id=bytes.fromhex(first.id), hold=first.holds[0], note=None))
    await house.push()
    assert (await house.registry.locks.run()).failed == ()
    # The hold was lifted since, and that is no fault of the store.
    assert (await finished(early)).found == []
    assert early.progress.deposits == 2
    assert (await finished(started(house))).progress.deposits == 3


async def test_a_newer_state_that_was_made_up_excuses_nothing(two: tuple[House, Release]) -> None:
    """Somebody who writes records lifts a hold in the store and pretends that the state moved on."""
    house, _ = two
    release = court()
    records: Any = house.registry.records
    stat = await house.registry.blobs.stat(key_of(release, 1))
    assert stat is not None
    await house.registry.blobs.set_hold(stat.key, stat.version, on=False)
    id = f"deposit/{release.deposit.claims.deposit_id.hex()}"
    record = records._kinds[KIND][id]
    value = record.data.split(b"\n")[-1]
    records._kinds[KIND][id] = replace(record, data=b"999999\n" + value)
    assert await stores_of(house) == [f"hold_missing at 1 segment 0 bytes 0-{stat.size}"]


async def test_a_due_record_that_was_made_up_excuses_nothing(two: tuple[House, Release]) -> None:
    house, _ = two
    id = court().deposit.claims.deposit_id.hex()
    # With the time of another entry, or of its own: what is due is said by an entry of this deposit alone.
    for index, data in ((3, b"0 %d" % house.clock[0]), (3, b"0 %d" % (house.clock[0] + DAY))):
        await house.registry.records.insert(DUE, f"{id}/{index:020}", data)
        (found,) = await stores_of(house)
        assert found.startswith(f"lock_missing at deposit {id}")
        (record,) = await house.registry.records.page(DUE)
        await house.registry.records.delete(DUE, record.id, revision=record.revision)


async def test_what_is_due_is_pending_and_late_after_an_hour(two: tuple[House, Release]) -> None:
    house, release = two
    release.world.do("judge2", HoldPlace(deposit_id=release.deposit.claims.deposit_id, note=None))
    await house.push()
    run = await finished(started(house))
    assert (run.found, run.progress.pending) == ([], 1)
    house.clock[0] += LATE_SECONDS
    id = release.deposit.claims.deposit_id.hex()
    assert await stores_of(house) == [f"lock_late at deposit {id}"]


async def test_a_ledger_that_was_cut_off_or_is_another_is_found_by_its_checkpoint(two: tuple[House, Release]) -> None:
    house, _ = two
    run = started(house)
    lost = replace(run.progress, ledger=replace(run.progress.ledger, size=run.progress.ledger.size + 1))
    assert (await finished(started(house, lost))).found == ["truncated at ledger"]
    forked = replace(run.progress, ledger=replace(run.progress.ledger, root=bytes(32)))
    found = await finished(started(house, forked))
    assert found.found == ["forked at ledger"]
    assert found.progress.deposits == 2, "what can be read is read all the same"


async def test_what_was_erased_is_no_fault_neither_before_nor_while_it_runs() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    world = release.world
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        early = started(house)
        async for _found in early.audit.findings():
            raise AssertionError(_found)
        begun = early.saved[0]
    assert (begun.segments, begun.deposits) == (1, 0)
    await act_of(release, records, blobs)
    id = release.deposit.claims.deposit_id.hex()
    assert [each for each in await records.page("usage") if id in each.id]
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:
        await house.registry.maintain()
        assert await records.page("manifest", prefix=id) == ()
        for left in (replace(begun, entry=0, segment=0, segments=0, bytes=0), begun, None):
            run = await finished(started(house, left))
            assert (run.found, run.progress.deposits) == ([], 1), left
    assert not [each for each in await records.page("usage") if id in each.id], "it says who deposited it"


async def test_what_goes_because_its_deposit_is_erased_meanwhile_is_no_fault() -> None:
    records, blobs = MemoryRecordStore(), MemoryBlobStore(clock=lambda: 0)
    release, _ = await used(records, blobs)
    world, gone = release.world, list[str]()
    async with open_house(world, records, blobs, pushed=len(world.entries)) as house:

        async def pace(_count: int) -> None:
            if not gone:  # while the first segment is read
                world.approve(world.do("registrar", erasure(release)))
                await house.push()
                await house.registry.maintain()
                gone.append(key_of(release, 2))
                del blobs._blobs.stats[gone[0]]

        run = await finished(started(house, pace=pace))
        assert gone
        assert (run.found, run.progress.deposits) == ([], 1)
        assert run.progress.segments == 2 + 3


async def test_a_statement_that_is_gone_is_found(two: tuple[House, Release]) -> None:
    house, _ = two
    records: Any = house.registry.records
    del records._kinds["statement"][sorted(records._kinds["statement"])[0]]
    (found,) = await stores_of(house)
    assert found.startswith("statement_missing at entry ")


async def test_it_is_held_back_to_so_many_bytes_a_second() -> None:
    now, slept = [0.0], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pacer = Pacer(1000, clock=lambda: now[0], sleep=sleep)
    for _ in range(10):
        await pacer.read(500)
    assert now[0] == pytest.approx(5.0)
    now[0] += 60
    await pacer.read(1000)
    assert slept[-1] == pytest.approx(1.0), "what was not used in a minute is not saved up"
    free = Pacer(None, clock=lambda: now[0], sleep=sleep)
    await free.read(10**12)
    assert len(slept) == 11


@pytest.mark.parametrize(
    ("text", "rate"), [("1", 1), ("500000", 500_000), ("512K", 524_288), ("20M", 20_971_520), ("1G", 2**30)]
)
def test_a_rate_as_a_person_writes_it(text: str, rate: int) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5M", "1m", "20 M", "M", "1_0", "٣", "1" * 13, "1M\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="not a number of bytes"):
        rate_of(text)


def test_whatever_a_store_says_fits_into_a_report() -> None:
    found = _reported(Finding(code="segment_damaged", place="x\ny", message="\x1b[31m\u202e" + "m" * 5000))
    assert (found.place, found.deposit, len(found.message)) == ("x\N{REPLACEMENT CHARACTER}y", None, 600)
    place = f"deposit {'ab' * 16} item 12 segment 3"
    found = _reported(Finding(code="segment_missing", place=place, message="gone", span=(0, 9)))
    assert (found.deposit, found.item, found.segment, found.start, found.end) == (b"\xab" * 16, 12, 3, 0, 9)


def test_progress_is_read_back_and_nothing_else_is() -> None:
    data = format_progress(PLAIN)
    assert parse_progress(data) == PLAIN
    for changed in (b"", b"{}", b"[]", data + b"\n", data.replace(FORMAT.encode(), b"x"), data[:-1] + b',"a":1}'):
        with pytest.raises(BadInput):
            parse_progress(changed)


@given(st.binary(max_size=200))
def test_any_bytes_as_progress_are_refused(data: bytes) -> None:
    with pytest.raises(AppError):
        parse_progress(data)


def test_progress_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    path, now = tmp_path / "progress", [0.0]
    with held(path, every_seconds=10, monotonic=lambda: now[0]) as file:
        assert file.load() is None
        file.save(PLAIN)
        assert parse_progress(path.read_bytes()) == PLAIN
        file.save(replace(PLAIN, segments=1))
        assert parse_progress(path.read_bytes()) == PLAIN, "not after every segment"
        now[0] = 10
        file.save(replace(PLAIN, segments=2))
        assert file.load() == replace(PLAIN, segments=2)
        file.save(replace(PLAIN, segments=3))
        with pytest.raises(BadInput, match="another audit") as caught, held(path):
            pass
        assert caught.value.code == "audit_running"
    assert parse_progress(path.read_bytes()).segments == 3
    with held(path) as file:
        file.remove()
    assert not path.exists()
    path.write_bytes(b"{")
    with held(path) as file, pytest.raises(BadInput, match="progress"):
        file.load()


# The command, on stores of both kinds.


@dataclass
class Place:
    """A registry's folder with a deposit in its stores, and the trust file of its court."""

    folder: Path
    settings: Settings
    world: World
    release: Release

    def run(self, capsys: pytest.CaptureFixture[str], *more: str, code: int) -> tuple[Any, str]:
        capsys.readouterr()
        assert main(["audit", "--stores", "--dir", str(self.folder), "--json", *more]) == code
        shown = capsys.readouterr()
        return json.loads(shown.out), shown.err

    def reports(self) -> list[Path]:
        return sorted(self.folder.glob("*.jws"))

    def trust(self) -> Path:
        assert self.world.genesis is not None
        keys = tuple(self.world.signer(f"authority{i + 1}").public for i in range(3))
        log = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed("log")))
        text = format_trust(
            origin=ORIGIN,
            genesis=self.world.genesis.digest,
            authority=Authority(keys=keys, m=2),
            policy_text=f"log {log.key.text}\nquorum none\n",
        )
        path = self.folder / "trust.json"
        path.write_text(text)
        return path


async def placed(folder: Path, **urls: str) -> Place:
    release = court()
    world = release.world
    assert world.genesis is not None
    settings = replace(registry_settings(folder, origin=ORIGIN, genesis=world.genesis.digest), **urls)
    write_registry(folder, settings, log_seed=seed("log"), service_seed=seed("service"))
    async with open_stores(settings) as stores:
        days = max(0, int(time.time()) - world.now) // DAY + 7
        terms = replace(
            terms_of(world), published=settings.published, provisional_lock_days=days, uploads=UploadMode.PROXY
        )
        async with open_house(world, stores.records, stores.blobs, terms=terms) as house:
            await house.push()
            await kept(house, release)
            await house.registry.maintain()
    return Place(folder=folder, settings=settings, world=world, release=release)


async def test_the_command_on_the_embedded_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await audited_twice(await placed(tmp_path / "court"), tmp_path, capsys)


async def test_the_command_on_mongodb_and_s3(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mongo_port: int,
    s3_port: int,
) -> None:
    monkeypatch.setenv("MUNIMENT_S3_ACCESS_KEY", S3_USER)
    monkeypatch.setenv("MUNIMENT_S3_SECRET_KEY", S3_SECRET)
    name = f"audit-{secrets.token_hex(4)}"
    place = await placed(
        tmp_path / "court",
        records=f"mongodb://127.0.0.1:{mongo_port}/{name}?directConnection=true",
        blobs=f"s3+http://127.0.0.1:{s3_port}/{name}",
    )
    await audited_twice(place, tmp_path, capsys)


async def audited_twice(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once with nothing wrong, once after somebody lifted a hold in the store; each report is checked as by others."""
    trust = str(place.trust())
    shown, _ = await asyncio.to_thread(place.run, capsys, code=0)
    assert (shown["ok"], shown["deposits"], shown["segments"], shown["findings"]) == (True, 1, 3, [])
    (report,) = place.reports()
    assert shown["report"] == str(report)
    assert main(["verify", str(report), "--trust", trust]) == 0
    assert "SIGNED by the service key of" in capsys.readouterr().out
    assert not (place.folder / "store-audit.progress").exists()
    async with open_stores(place.settings) as stores:
        stat = await stores.blobs.stat(key_of(place.release, 1))
        assert stat is not None
        await stores.blobs.set_hold(stat.key, stat.version, on=False)
    out = str(tmp_path / "second.jws")
    shown, _ = await asyncio.to_thread(lambda: place.run(capsys, "--report", out, code=1))
    (found,) = shown["findings"]
    where = (found["code"], found["deposit"], found["item"], found["segment"], found["start"], found["end"])
    assert where == ("hold_missing", place.release.deposit.claims.deposit_id.hex(), 1, 0, 0, stat.size)
    assert main(["verify", out, "--trust", trust]) == 1
    said = capsys.readouterr().out
    assert f"item 1 segment 0, bytes 0 to {stat.size - 1}: a legal hold stands on the ledger" in said
    assert found["next_step"] in said
    text = Path(out).read_text()
    Path(out).write_text(text[:-20] + ("A" if text[-20] != "A" else "B") + text[-19:])
    assert main(["verify", out, "--trust", trust]) == 1
    assert "bad_signature" in capsys.readouterr().err


async def test_a_store_that_does_not_answer_is_exit_3_and_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUNIMENT_S3_ACCESS_KEY", S3_USER)
    monkeypatch.setenv("MUNIMENT_S3_SECRET_KEY", S3_SECRET)
    place = await placed(tmp_path / "court")
    monkeypatch.setenv("MUNIMENT_BLOBS", "s3+http://127.0.0.1:1/nowhere")
    shown, said = await asyncio.to_thread(place.run, capsys, code=3)
    assert shown["error"]["exit_code"] == 3
    assert "the same command goes on" in said
    assert place.reports() == []


def killed_after_a_segment(place: Place) -> None:
    """At a hundred bytes a second each of the segments, of some 300 bytes, takes a while."""
    command = [sys.executable, "-m", "app.cli.main", "audit", "--stores", "--rate", "100", "--json"]
    command += ["--dir", str(place.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGKILL)
    assert (line["event"], line["done"], line["unit"]) == ("progress", 1, "segments")


async def test_a_killed_audit_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = await placed(tmp_path / "court")
    progress = place.folder / "store-audit.progress"
    await asyncio.to_thread(killed_after_a_segment, place)
    left = parse_progress(progress.read_bytes())
    assert 1 <= left.segments < 3
    shown, said = await asyncio.to_thread(place.run, capsys, code=0)
    assert "going on with the audit" in said
    assert (shown["segments"], shown["deposits"], shown["interruptions"]) == (3, 1, 1)
    assert shown["begun"] == left.begun
    assert not progress.exists()
    assert main(["verify", str(place.reports()[0]), "--trust", str(place.trust())]) == 0


async def test_options_that_do_not_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = await placed(tmp_path / "court")
    for options in (["--rate", "1M"], ["--stores", "--receipt", "x"]):
        assert await asyncio.to_thread(main, ["audit", "--dir", str(place.folder), *options]) == 2
        assert "bad_option" in capsys.readouterr().err
    other = replace(PLAIN, genesis=fresh("other", 32))
    (place.folder / "store-audit.progress").write_bytes(format_progress(other))
    shown, _ = await asyncio.to_thread(place.run, capsys, code=2)
    assert shown["error"]["code"] == "other_registry"
