"""The demonstration as a newcomer runs it, and what must hold of everything that it leaves behind."""

import base64
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MARK = b"UNMISTAKABLE-MARK-7c1f"
NAMES = ("Zebrawood-inspection.txt", "Quicksilver-ledger.bin")
WORDS = (
    "Lindqvist v Borealis Timber",
    "sale of standing timber",
    "Scan, contract and recording",
    "Received from the client",
    "Inspection before the hearing",
    "As ordered; for inspection",
    "hear the parties first",
)


@dataclass(frozen=True)
class Run:
    """A finished demonstration."""

    folder: Path
    files: tuple[Path, ...]
    summary: dict[str, Any]
    story: str


def muniment(*args: object, person: str | None = None, run: Run | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would, without a network proxy or settings of the machine."""
    environ = dict(os.environ)
    if person is not None and run is not None:
        its = run.summary["people"][person]
        environ |= {"MUNIMENT_HOME": its["home"], "MUNIMENT_PASSPHRASE_FILE": its["passphrase_file"]}
    command = [sys.executable, "-m", "app.cli.main", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=540, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run it once with marked files: a text, and a file of two segments."""
    base = tmp_path_factory.mktemp("demo")
    text, large = (base / name for name in NAMES)
    text.write_bytes(b"Contract. " + MARK + b"\n")
    large.write_bytes(MARK * (40 * 1024 * 1024 // len(MARK)))
    folder = base / "dir"
    done = muniment("demo", text, large, "--dir", folder)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    summary = json.loads((folder / "summary.json").read_text())
    return Run(folder=folder, files=(text, large), summary=summary, story=done.stdout)


@contextmanager
def serving(command: str, folder: Path) -> Iterator[None]:
    """Run a server until the block ends; it must end in order."""
    argv = [sys.executable, "-m", "app.cli.main", command, "--dir", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert "http://127.0.0.1:" in process.stdout.readline()
            yield
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0


def spellings(secret: bytes) -> Iterator[bytes]:
    """Every form in which bytes are usually written: raw, hex, and base64 at each alignment in both alphabets."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for lead in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(lead) + secret).rstrip(b"=")
            # What the neighbours' bits touch is cut off at both ends.
            inner = encoded[4 if lead else 0 : len(encoded) - 4]
            if len(inner) >= 12:
                yield inner


def test_nothing_of_the_evidence_is_anywhere_in_the_registry(run: Run) -> None:
    """Neither plaintext, names, digests nor words: in no file of the service, whatever the encoding."""
    secrets = {f"name {name}": name.encode() for name in NAMES} | {f"words {words}": words.encode() for words in WORDS}
    secrets["plaintext"] = MARK
    secrets["the paper"] = (run.folder / "order.txt").read_bytes()[10:50]
    for path in run.files:
        secrets[f"digest of {path.name}"] = hashlib.sha256(path.read_bytes()).digest()
    patterns = {spelling: what for what, secret in secrets.items() for spelling in spellings(secret)}
    searched = re.compile(b"|".join(re.escape(each) for each in patterns))
    files = [path for path in (run.folder / "registry").rglob("*") if path.is_file()]
    assert any(path.name == "records.sqlite" for path in files)
    assert any(path.name == "service.log" and path.stat().st_size for path in files)
    assert sum(path.stat().st_size for path in files) > 40 * 1024 * 1024
    for path in files:
        found = searched.search(path.read_bytes())
        assert found is None, f"{patterns[found[0]]} in {path}"


def test_the_search_would_find_what_it_looks_for(run: Run) -> None:
    """Against the opened files, where everything is."""
    searched = re.compile(b"|".join(re.escape(each) for each in spellings(MARK)))
    assert searched.search((run.folder / "opened" / NAMES[0]).read_bytes())
    assert searched.search(base64.b64encode(b"x" + MARK + b"yz"))
    assert searched.search(b"...." + MARK.hex().encode())


def test_the_folder_is_as_promised(run: Run) -> None:
    summary = run.summary
    assert (summary["k"], summary["n"]) == (3, 5)
    for pair, original in zip(summary["files"], run.files, strict=True):
        assert pair["original"] == str(original)
        digest = hashlib.sha256(original.read_bytes()).hexdigest()
        assert digest == pair["sha256"] == hashlib.sha256(Path(pair["opened"]).read_bytes()).hexdigest()
    for name in ("trust.json", "policy.txt", "deposit.proof.json", "registry", "people", "fetched", "opened"):
        assert (run.folder / name).exists(), name
    assert json.loads((run.folder / "trust.json").read_text())["policy"] == (run.folder / "policy.txt").read_text()
    assert re.fullmatch(r"AGE-SECRET-KEY-1[0-9A-Z]+\n?", (run.folder / "opened" / "identity.txt").read_text())
    assert set(summary["seconds"]) >= {"deposit", "opening", "ceremony"}
    for person in summary["people"].values():
        home = Path(person["home"])
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "identity.age").read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")


def test_the_three_attacks_failed_by_name(run: Run) -> None:
    assert "[quorum_missing]" in run.story
    assert "[replay_refused]" in run.story
    assert re.search(
        r"segment 1 of item 2 \(bytes \d+ to \d+\) is not the one that the deposit committed to \[segment_mismatch\]",
        run.story,
    )
    assert "[not_released]" in run.story
    assert "muniment verify: exit 1" in run.story


def test_an_outsider_verifies_offline_and_a_foreign_file_does_not_match(run: Run, tmp_path: Path) -> None:
    proof, trust = run.folder / "deposit.proof.json", run.folder / "trust.json"
    good = muniment("verify", proof, *run.files, "--trust", trust, "--json")
    assert good.returncode == 0, good.stdout
    other = tmp_path / "other.txt"
    other.write_bytes(b"something else")
    bad = muniment("verify", proof, other, "--trust", trust)
    assert bad.returncode == 1
    assert "other.txt" in bad.stdout
    assert muniment("verify", run.folder / "back-dated.proof.json", "--trust", trust).returncode == 1
    assert "back-dated.proof.json" in run.story.split("Go on with")[0].rpartition("summary.json")[2], (
        "told where it lies"
    )


def test_others_vouch_for_the_time_and_a_changed_anchor_does_not_match(run: Run, tmp_path: Path) -> None:
    proof, trust = run.folder / "deposit.proof.json", run.folder / "trust.json"
    told = json.loads(muniment("verify", proof, "--trust", trust, "--json").stdout)
    assert told["level"] == "anchored"
    assert set(told["levels"].values()) == {"reached"}
    assert told["not_before"]["time"] <= told["time"] + 1
    assert told["not_after"]["time"] >= told["time"] - 1
    assert [each["place"] for each in told["anchors"] if each["covers"] and each["place"]] == ["located"]
    value = json.loads(proof.read_text())
    number, block = next((n, e) for n, e in enumerate(value["anchors"]) if e["path"] and e["headers"])
    # The last of the six successors: another block with its work would be a fork of the chain in the trust file.
    headers = bytearray(base64.urlsafe_b64decode(block["headers"] + "=="))
    headers[-40] ^= 1
    changed = base64.urlsafe_b64encode(bytes(headers)).decode().rstrip("=")
    value["anchors"][number]["headers"] = changed
    forged = tmp_path / "forged.proof.json"
    forged.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    refused = json.loads(muniment("verify", forged, "--trust", trust, "--json").stdout)
    assert (refused["exit_code"], refused["checks"][-1]["number"]) == (1, 11)
    assert refused["checks"][-1]["code"] in ("wrong_chain", "header_without_work")


def test_the_certificate_verifies_with_the_files_and_shows_every_name_and_digest(run: Run, tmp_path: Path) -> None:
    pdf, trust = run.folder / "certificate.pdf", run.folder / "trust.json"
    told = json.loads(muniment("verify", pdf, *run.files, "--trust", trust, "--json").stdout)
    assert told["outcome"] == "verified"
    assert told["certificate"]["level"] == "anchored"
    shown = {each["name"]: each["sha256"] for each in told["proof"]["items"]}
    assert shown == {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in run.files}
    data = bytearray(pdf.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed.pdf").write_bytes(data)
    assert muniment("verify", tmp_path / "changed.pdf", "--trust", trust).returncode == 1
    # The registry keeps its digest and nothing else of it.
    with closing(sqlite3.connect(run.folder / "registry" / "records.sqlite")) as records:
        kept = [each[0] for each in records.execute("SELECT id FROM record WHERE kind = 'certificate'")]
    assert kept == [hashlib.sha256(pdf.read_bytes()).hexdigest()]


def test_the_audit_of_what_is_stored_is_clean(run: Run) -> None:
    done = muniment("audit", "--dir", run.folder / "registry", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_registry_is_served_again_to_the_same_people(run: Run) -> None:
    with ExitStack() as stack:
        for witness in ("north", "south"):
            stack.enter_context(serving("witness", run.folder / "witnesses" / witness))
        stack.enter_context(serving("serve", run.folder / "registry"))
        listed = muniment("case", "list", "--json", person="lawyer-1", run=run)
        assert listed.returncode == 0, listed.stderr
        assert run.summary["case_id"] in listed.stdout
        inbox = muniment("inbox", "--json", person="judge-5", run=run)
        assert inbox.returncode == 0, inbox.stderr
        fetched = run.folder.parent / "again"
        request = run.summary["request_id"]
        done = muniment(
            "fetch", run.summary["deposit_id"], "-o", fetched, "--request", request, person="lawyer-2", run=run
        )
        assert done.returncode == 0, done.stderr
        for index in range(1, 3):
            name = f"item-{index:03d}.age"
            assert (fetched / name).read_bytes() == (run.folder / "fetched" / name).read_bytes()


def test_what_was_published_is_served_even_without_the_witnesses(run: Run) -> None:
    """Their cosignatures are kept: reading goes on; only what is new waits for them."""
    with serving("serve", run.folder / "registry"):
        inbox = muniment("inbox", "--json", person="judge-4", run=run)
        assert inbox.returncode == 0, inbox.stderr


@pytest.mark.foreign("age")
def test_stock_age_opens_what_was_fetched(run: Run, tmp_path: Path) -> None:
    for index, original in enumerate(run.files, 1):
        out = tmp_path / f"{index}"
        sealed = run.folder / "fetched" / f"item-{index:03d}.age"
        command = ["age", "-d", "-i", run.folder / "opened" / "identity.txt", "-o", out, sealed]
        subprocess.run(command, check=True, timeout=120)
        assert out.read_bytes() == original.read_bytes()


def test_a_folder_that_is_not_empty_is_left_alone(run: Run) -> None:
    before = (run.folder / "summary.json").read_bytes()
    done = muniment("demo", "--dir", run.folder)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert (run.folder / "summary.json").read_bytes() == before
