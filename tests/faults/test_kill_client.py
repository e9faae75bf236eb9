"""kill -9 of a depositor's command, at every named step of a deposit and at random moments.

After each death the person's folder lists what can be resumed, `--resume` finishes it, the ledger holds it once, and
neither the state of the upload nor any of its secrets is left in the folder.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.canonical import parse_json
from app.cli.main import USAGE, main
from app.client.home import Settings, Vault
from app.client.kept import kept
from app.client.proof import make_proof
from app.client.uploadstate import Plan
from app.errors import AppError
from app.fields import read_record
from app.rules.aggregates import Deposited
from app.sealing.age import decrypt_bytes
from app.statements.prooffile import choose
from app.verify.proof import check_proof, hash_file
from app.verify.verdict import Outcome
from tests.faults.town import ROOT, Town, audit, make_town

BEFORE_THE_PLAN = ("before put plan 1", "amid put plan 1")
UNFINISHED = (
    "after put plan 1",
    "after note segment 2",
    "amid put inventory 1",
    "after put inventory 1",
    "after send segment 3",
    "after put kept 1",
    "amid put final 1",
    "after put final 1",
    "after send manifest 1",
    "after post statement 1",
    "before delete plan 1",
)
DESTROYING = ("amid delete plan 1", "after delete plan 1", "amid delete inventory 1")
AGAIN = (
    "amid note segment 1",
    "after note segment 1",
    "amid put inventory 1",
    "after post statement 1",
)
AT_RANDOM = 4


@dataclass
class Life:
    """One depositor, his evidence, what was accepted, and every secret that was ever in his folder."""

    town: Town
    files: tuple[Path, Path]
    capture: pytest.CaptureFixture[str]
    accepted: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    secrets: set[bytes] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.town.cast["lawyer-1"].home.path

    @property
    def vault(self) -> Vault:
        person = self.town.cast["lawyer-1"]
        return Vault(person.home, person.keys)

    def write(self) -> list[str]:
        """Fresh evidence; return the command's words."""
        for each in self.files:
            each.write_bytes(secrets.token_bytes(3000))
        return ["deposit", *map(str, self.files), "--case", self.town.case_id.hex(), "--yes", "--json"]

    async def muniment(self, *words: str) -> dict[str, object]:
        """Run a command to its end; it must succeed."""
        self.capture.readouterr()
        code = await asyncio.to_thread(main, [*words, "--json"])
        out, err = self.capture.readouterr()
        assert code == 0, (words, out, err)
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    async def begin(self, words: list[str]) -> asyncio.subprocess.Process:
        """A command as a process of its own."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *words,
            cwd=ROOT,
            env=self.town.environ("lawyer-1"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def die(self, point: str, *words: str) -> None:
        """Deposit, or do what `words` say, and die at a step."""
        process = await self.begin(["tests.faults.dying_client", point, *(words or self.write())])
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGKILL, point
        self.look()

    def look(self) -> None:
        """Learn the secrets that the dead process left, in whole files and in files that were still aside."""
        for path in (self.folder / "uploads").glob("*") if (self.folder / "uploads").is_dir() else ():
            text = self.opened(path)
            if b'"format":"muniment-upload/v1"' in text:
                plan = read_record(Plan, parse_json(text, what="a plan", max_bytes=1 << 20), "a plan")
                keys = [plan.inventory_keys, *(each.keys for each in plan.items)]
                self.secrets |= {plan.secret, *(half for each in keys for half in (each[:32], each[32:]))}

    def opened(self, path: Path) -> bytes:
        """A file's content, decrypted if the person's own keys open it."""
        data = path.read_bytes()
        try:
            return decrypt_bytes(data, [self.town.cast["lawyer-1"].keys.notes])
        except AppError:
            return data

    async def listed(self) -> list[bytes]:
        found = (await self.muniment("deposit", "--list"))["unfinished"]
        assert isinstance(found, list)
        return [bytes.fromhex(each) for each in found]

    async def resume(self, deposit_id: bytes) -> None:
        """Resume it."""
        found = await self.muniment("deposit", "--resume", deposit_id.hex(), "--yes")
        assert found["deposit"] == deposit_id.hex()
        self.take(deposit_id)

    async def anew(self) -> None:
        """Deposit the same files, undisturbed."""
        words = ["deposit", *map(str, self.files), "--case", self.town.case_id.hex(), "--yes"]
        self.take(bytes.fromhex(str((await self.muniment(*words))["deposit"])))

    def take(self, deposit_id: bytes) -> None:
        assert deposit_id not in self.accepted
        self.accepted[deposit_id] = tuple(hash_file(each).sha256 for each in self.files)

    def no_upload(self, point: str) -> None:
        """Nothing of an upload is left."""
        assert list(self.folder.glob("uploads/*")) == [], point

    def no_secret(self, plans: int) -> None:
        """Of so many plans, none of whose seven secrets is in the folder for whoever has the person's own keys."""
        assert len(self.secrets) == 7 * plans
        forms = [form for each in self.secrets for form in (each, each.hex().encode())]
        for path in self.folder.rglob("*"):
            if path.is_file():
                text = self.opened(path)
                assert b"AGE-SECRET-KEY" not in text, path
                assert not any(form in text for form in forms), path

    async def on_the_ledger(self, url: str) -> None:
        """Exactly the accepted deposits are there; each one's proof verifies with what was kept of it."""
        async with self.town.client("lawyer-1", url) as client:
            state = await client.sync()
            found = [each.id for each in state.view.aggregates.values() if isinstance(each, Deposited)]
            assert sorted(found) == sorted(each.hex() for each in self.accepted)
            for deposit_id, hashes in self.accepted.items():
                remembered = kept(client.vault, deposit_id)
                shown = choose(remembered.inventory.disclosures, ["name", "size", "type", "sha256"])
                data = make_proof(state, deposit_id, remembered.manifest, shown, client.trust)
                verdict = check_proof(data, client.trust)
                assert verdict.outcome is Outcome.VERIFIED, verdict.failed
                assert tuple(each.sha256 for each in remembered.inventory.items) == hashes


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return asyncio.run(make_town(tmp_path_factory.mktemp("client-killed") / "town"))


@pytest.fixture
def life(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Life:
    life = Life(town.copy(tmp_path / "town"), (tmp_path / "one.bin", tmp_path / "two.bin"), capsys)
    for name in ("MUNIMENT_HOME", "MUNIMENT_PASSPHRASE_FILE"):
        monkeypatch.setenv(name, life.town.environ("lawyer-1")[name])
    return life


def at(life: Life, url: str) -> None:
    life.town.cast["lawyer-1"].home.set_settings(Settings(service=url))


@pytest.mark.slow
async def test_killed_at_every_named_step_the_deposit_is_resumed_and_leaves_no_secret(life: Life) -> None:
    async with life.town.running() as service:
        at(life, service.url)
        for point in UNFINISHED:
            await life.die(point)
            (deposit_id,) = await life.listed()
            await life.resume(deposit_id)
            life.no_upload(point)
        assert await life.listed() == []
        life.no_secret(len(UNFINISHED))
        await life.on_the_ledger(service.url)
    code, text = await audit(life.town)
    assert code == 0, text


async def test_killed_before_the_plan_is_durable_there_is_nothing_to_resume_and_nothing_left(life: Life) -> None:
    async with life.town.running() as service:
        at(life, service.url)
        for point in BEFORE_THE_PLAN:
            await life.die(point)
            assert await life.listed() == [], point
            life.no_upload(point)
            await life.anew()
            life.no_upload(point)
        life.no_secret(1)  # that of the plan that was still aside
        await life.on_the_ledger(service.url)


@pytest.mark.slow
async def test_killed_while_the_state_is_destroyed_the_deposit_stands_and_the_rest_is_destroyed(life: Life) -> None:
    async with life.town.running() as service:
        at(life, service.url)
        for point in DESTROYING:
            await life.die("before delete plan 1")
            (deposit_id,) = await life.listed()
            await life.die(point, "deposit", "--resume", deposit_id.hex(), "--yes")
            life.take(deposit_id)
            assert await life.listed() == [], point
            life.no_upload(point)
        life.no_secret(len(DESTROYING))
        await life.on_the_ledger(service.url)


@pytest.mark.slow
async def test_killed_again_and_again_one_deposit_is_finished(life: Life) -> None:
    async with life.town.running() as service:
        at(life, service.url)
        await life.die(AGAIN[0])
        (deposit_id,) = await life.listed()
        for point in AGAIN[1:]:
            await life.die(point, "deposit", "--resume", deposit_id.hex(), "--yes")
            assert await life.listed() == [deposit_id], point
        await life.resume(deposit_id)
        life.no_upload(AGAIN[-1])
        life.no_secret(1)
        await life.on_the_ledger(service.url)


@pytest.mark.slow
async def test_a_discarded_deposit_keeps_its_disclosures_if_it_may_have_been_accepted(life: Life) -> None:
    async with life.town.running() as service:
        at(life, service.url)
        await life.die("after put kept 1")
        (never,) = await life.listed()
        await life.muniment("deposit", "--discard", never.hex())
        assert life.vault.names("kept") == ()
        await life.die("after post statement 1")
        (deposit_id,) = await life.listed()
        await life.muniment("deposit", "--discard", deposit_id.hex())
        life.take(deposit_id)
        life.no_upload("discarded")
        life.no_secret(2)
        assert await asyncio.to_thread(main, ["deposit", "--discard", deposit_id.hex()]) == USAGE
        await life.on_the_ledger(service.url)


@pytest.mark.slow
async def test_killed_at_random_moments_the_deposit_is_there_once(life: Life) -> None:
    seed = int(os.environ.get("MUNIMENT_KILL_SEED", secrets.randbits(32)))
    print(f"MUNIMENT_KILL_SEED={seed}")
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    async with life.town.running() as service:
        at(life, service.url)
        began = loop.time()
        process = await life.begin(["app.cli.main", *life.write()])
        assert await process.wait() == 0
        usual = loop.time() - began
        (first,) = life.vault.names("kept")
        life.take(bytes.fromhex(first))
        for _ in range(AT_RANDOM):
            known = set(life.vault.names("kept"))
            process = await life.begin(["app.cli.main", *life.write()])
            waiting = asyncio.create_task(process.wait())
            await asyncio.wait({waiting}, timeout=rng.uniform(0.3, 1.0) * usual)
            if not waiting.done():
                process.kill()
            await waiting
            life.look()
            unfinished = await life.listed()
            for each in unfinished:
                await life.resume(each)
            if not unfinished:
                for name in set(life.vault.names("kept")) - known:
                    life.take(bytes.fromhex(name))
                await life.anew()
            life.no_upload("at random")
        life.no_secret(len(life.secrets) // 7)
        await life.on_the_ledger(service.url)
