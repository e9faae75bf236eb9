"""`muniment certificate` and its verification as commands, against the real service and a real authority."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import time_machine
from asn1crypto.x509 import Certificate

from app.certificates.claims import Office
from app.certificates.judging import judge
from app.client.home import Settings
from app.demo.pki import LoopbackPki, serving_pki
from app.errors import BadInput
from app.service.exposition import format_exposition
from app.service.metrics import Metrics
from app.service.office import OfficeSettings, load_office
from app.statements.statement import Seen
from app.statements.store_report import StoreReport, sign_report
from app.statements.trust import Trust, format_trust, parse_trust
from app.statements.trust_seal import SealTrust, seal_json
from app.statements.trust_time import TsaTrust, tsa_json
from ledger.anchors.tsa_chain import Authority
from ledger.checkpoint import Checkpoint
from ledger.note import Note
from storage.ports import Record
from tests.app.cli.running import Terminal
from tests.app.client.court import Court, court
from tests.app.client.world_service import checkpoint_of, keys_of, trust_of
from tests.app.rules.world import World
from tests.app.verify.proofs import panelled

YEAR = 365 * 86_400
SECRET = b"the words that nobody but the court may read"


@dataclass
class Place:
    court: Court
    case_id: str
    pki: LoopbackPki
    trust: Trust
    travel: time_machine.Traveller


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A registry with an office in a thread of its own; this whole process lives at the world's time."""
    world, _, case_id = panelled()
    ready: list[tuple[Court, LoopbackPki, Trust]] = []
    begun, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serving_pki() as pki:
            trust = trust_with(world, pki)
            async with court(world, tmp_path / "unused", office=office_in(tmp_path / "office", pki, trust)) as found:
                ready.append((found, pki, trust))
                begun.set()
                await end.wait()

    with time_machine.travel(world.now + 60, tick=True) as travel:
        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        assert begun.wait(60)
        monkeypatch.setattr("app.cli.person.clock", lambda: world.now)
        yield Place(court=ready[0][0], case_id=case_id.hex(), pki=ready[0][1], trust=ready[0][2], travel=travel)
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
        loop.close()


def trust_with(world: World, pki: LoopbackPki) -> Trust:
    base = trust_of(world)
    return parse_trust(
        format_trust(
            origin=base.origin,
            genesis=base.genesis,
            authority=base.authority,
            policy_text=base.policy_text,
            tsa=tsa_json(TsaTrust(m=1, authorities=(Authority(name="TSA", roots=(pki.root,)),))),
            seal=seal_json(SealTrust(roots=(pki.root,))),
        )
    )


def office_in(folder: Path, pki: LoopbackPki, trust: Trust) -> OfficeSettings:
    folder.mkdir()
    seal = pki.issue("Seal of the Court")
    (folder / "seal.pem").write_bytes(seal.key_pem())
    (folder / "chain.pem").write_bytes(seal.certificates_pem())
    (folder / "trust.json").write_text(trust.text)
    addresses = ", ".join(f'"{each.url}"' for each in pki.tsas)
    (folder / "office.toml").write_text(
        'name = "Registry of the Court"\nresponsible = "A. Example"\ncontact = "registry@court.example"\n'
        'verify = "https://court.example/verify"\noperator = "the court"\nconflicts = "none"\nzone_minutes = 60\n'
        'trust = "trust.json"\nseal_key = "seal.pem"\nseal_certificates = "chain.pem"\n'
        f"tsa = [{addresses}]\n"
    )
    return load_office(folder / "office.toml")


@pytest.fixture
def terminal(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    found = Terminal(tmp_path, capsys, monkeypatch)
    (tmp_path / "trust.json").write_text(place.trust.text)
    for name in ("lawyer1", "lawyer2"):
        home = found.person(name, keys_of(name))
        home.set_trust(place.trust.text.encode())
        home.set_settings(Settings(service=place.court.url))
    return found


@pytest.fixture
def deposit(terminal: Terminal, place: Place, tmp_path: Path) -> str:
    (tmp_path / "brief.txt").write_bytes(SECRET)
    return str(terminal.run("lawyer1", "deposit", tmp_path / "brief.txt", "--case", place.case_id)["deposit"])


def test_issued_verified_and_forgotten(terminal: Terminal, place: Place, deposit: str, tmp_path: Path) -> None:
    pdf, trust = tmp_path / "certificate.pdf", tmp_path / "trust.json"
    words = ["--disclose", "name,digest", "--lang", "en+zh", "--annex", "us", "--annex", "cn"]
    made = terminal.run("lawyer1", "certificate", deposit, "-o", pdf, *words)
    assert made["outcome"] == "verified"
    assert made["problem"] is None
    found = terminal.run("lawyer2", "verify", pdf, tmp_path / "brief.txt", "--trust", trust)
    assert found["outcome"] == "verified"
    assert "Seal of the Court" in found["seal"]["subject"]
    assert found["proof"]["files"][0]["items"] == [1]
    shown = terminal.text("lawyer2", "verify", pdf, "--trust", trust)
    assert shown.startswith("VERIFIED")
    assert "good until" in shown
    (tmp_path / "other.txt").write_bytes(b"another")
    assert terminal.run("lawyer2", "verify", pdf, tmp_path / "other.txt", "--trust", trust, code=1)["exit_code"] == 1
    data = pdf.read_bytes()
    pdf.write_bytes(data + b"\n")
    assert terminal.run("lawyer2", "verify", pdf, "--trust", trust, code=1)["exit_code"] == 1
    # The registry forgot what it rendered: only the digest stays.
    stored = b"".join(bytes(each.data) + each.id.encode() for each in _records(place.court))
    assert hashlib.sha256(data).hexdigest().encode() in stored
    for secret in (b"brief.txt", hashlib.sha256(SECRET).hexdigest().encode(), hashlib.sha256(SECRET).digest(), b"%PDF"):
        assert secret not in stored
    assert terminal.run("lawyer1", "certificate", deposit, "-o", pdf, code=2)["error"]["code"] == "output_exists"


def test_queued_when_no_authority_answers_and_issued_later(
    terminal: Terminal, place: Place, deposit: str, tmp_path: Path
) -> None:
    pdf = tmp_path / "certificate.pdf"
    place.pki.faults.update(("/tsa/1", "/tsa/2"))
    refused = terminal.run("lawyer1", "certificate", deposit, "-o", pdf, "--disclose", "name", code=1)
    assert refused["error"]["code"] == "queued"
    assert not pdf.exists()
    assert terminal.run("lawyer1", "certificate", "--queued", code=1) == {"issued": [], "queued": 1}
    place.pki.faults.clear()
    assert terminal.run("lawyer1", "certificate", "--queued")["issued"][0]["certificate"] == str(pdf)
    assert terminal.run("lawyer1", "certificate", "--queued") == {"issued": [], "queued": 0}
    issuing = place.court.registry.issuing
    assert issuing is not None
    assert (issuing.issued, issuing.left_open, dict(issuing.failed)) == (1, 0, {"no_timestamp": 2})
    assert terminal.run("lawyer2", "verify", pdf, "--trust", tmp_path / "trust.json")["outcome"] == "verified"


def test_closed_later_and_renewed_in_time(terminal: Terminal, place: Place, deposit: str, tmp_path: Path) -> None:
    pdf, trust = tmp_path / "certificate.pdf", tmp_path / "trust.json"
    place.pki.faults.update(("/ocsp", "/crl/issuing.crl"))
    made = terminal.run("lawyer1", "certificate", deposit, "-o", pdf, code=3)
    assert made["problem"]["code"] == "not_closed_yet"
    issuing = place.court.registry.issuing
    assert issuing is not None
    assert (issuing.issued, issuing.left_open, dict(issuing.failed)) == (1, 1, {})
    samples = format_exposition(asyncio.run(Metrics(place.court.registry)._counters()))
    assert "\nmuniment_certificates_issued_total 1\n" in samples
    assert "\nmuniment_certificates_not_closed_total 1\n" in samples
    begun = pdf.read_bytes()
    assert terminal.run("lawyer1", "certificate", "--renew", pdf, code=1)["error"]["code"] == "not_closed_yet"
    assert pdf.read_bytes() == begun
    place.pki.faults.clear()
    assert terminal.run("lawyer1", "certificate", "--renew", pdf)["certificates"][0]["done"] == "closed"
    closed = pdf.read_bytes()
    assert closed.startswith(begun)
    assert terminal.run("lawyer1", "certificate", "--renew", pdf)["certificates"][0]["done"] == "nothing"
    assert pdf.read_bytes() == closed
    assert terminal.run("lawyer2", "verify", pdf, "--trust", trust)["outcome"] == "verified"


def test_what_was_found_becomes_a_report(terminal: Terminal, place: Place, deposit: str, tmp_path: Path) -> None:
    proof, trust = tmp_path / "p.json", tmp_path / "trust.json"
    terminal.run("lawyer1", "proof", deposit, "--disclose", "name,sha256", "-o", proof)
    plain, sealed, bad = tmp_path / "plain.pdf", tmp_path / "sealed.pdf", tmp_path / "bad.pdf"
    words = ["verify", proof, tmp_path / "brief.txt", "--trust", trust]
    assert terminal.run("lawyer2", *words, "--report", plain)["outcome"] == "verified"
    assert plain.read_bytes().startswith(b"%PDF-")
    assert b"/ByteRange" not in plain.read_bytes()
    office = ["--office", tmp_path / "office" / "office.toml"]
    assert terminal.run("lawyer2", *words, "--report", sealed, *office)["outcome"] == "verified"
    roots = (Certificate.load(place.pki.root_der),)
    judged = asyncio.run(judge(sealed.read_bytes(), seal_roots=roots, tsa_roots=roots, now=int(time.time())))
    assert "Seal of the Court" in judged.subject
    (tmp_path / "other.txt").write_bytes(b"x")
    assert terminal.run("lawyer2", "verify", proof, tmp_path / "other.txt", "--trust", trust, "--report", bad, code=1)
    assert bad.exists()
    assert terminal.run("lawyer2", *words, "--report", plain, code=2)["error"]["code"] == "output_exists"
    assert terminal.run("lawyer2", *words, *office, code=2)["error"]["code"] == "bad_option"


def test_the_report_of_a_store_audit_becomes_a_sealed_document(
    terminal: Terminal, place: Place, tmp_path: Path
) -> None:
    text, pdf = tmp_path / "report.jws", tmp_path / "report.pdf"
    trust = tmp_path / "trust.json"
    text.write_text(report_of(place.court.world) + "\n")
    made = terminal.run("lawyer1", "certificate", "--of", text, "-o", pdf, "--lang", "en+zh")
    assert made["outcome"] == "verified"
    assert made["document"]["kind"] == "audit"
    assert terminal.run("lawyer2", "verify", pdf, "--trust", trust)["outcome"] == "verified"
    assert "report of a store audit" in terminal.text("lawyer2", "verify", pdf, "--trust", trust)
    assert terminal.run("lawyer1", "certificate", "--renew", pdf)["certificates"][0]["done"] == "nothing"
    assert terminal.run("lawyer2", "verify", pdf, text, "--trust", trust, code=2)["error"]["code"] == "bad_option"
    header, payload, signature = text.read_text().strip().split(".")
    letter = "B" if signature[3] == "A" else "A"
    text.write_text(".".join((header, payload, signature[:3] + letter + signature[4:])))
    refused = terminal.run("lawyer1", "certificate", "--of", text, "-o", tmp_path / "x.pdf", code=1)
    assert refused["error"]["code"] == "content_refused"


def report_of(world: World) -> str:
    assert world.genesis is not None
    signed = checkpoint_of(world.entries)
    seen = Checkpoint.parse_body(Note.parse(signed).text)
    return sign_report(
        StoreReport(
            genesis=world.genesis.text,
            checkpoint=signed,
            ledger=Seen(size=seen.size, root=seen.root),
            begun=world.now,
            finished=world.now,
            interruptions=0,
            bytes_per_second=None,
            deposits=0,
            segments=0,
            bytes=0,
            pending=0,
            findings=(),
            more=0,
        ),
        world.signer("service"),
    )


def test_who_may_not_and_what_is_refused(terminal: Terminal, place: Place, deposit: str, tmp_path: Path) -> None:
    pdf = tmp_path / "c.pdf"
    for words in (["certificate"], ["certificate", deposit], ["certificate", "-o", pdf]):
        assert terminal.run("lawyer1", *words, code=2)["error"]["code"] == "bad_option"
    wrong = terminal.run("lawyer1", "certificate", deposit, "-o", pdf, "--disclose", "colour", code=2)
    assert wrong["error"]["code"] == "bad_disclosure"
    (tmp_path / "not.pdf").write_bytes(b"%PDF-1.7 no")
    assert (
        terminal.run("lawyer1", "certificate", "--renew", tmp_path / "not.pdf", code=1)["error"]["code"] == "not_ours"
    )
    assert not pdf.exists()


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("name", 'name = ""'),
        ("zone_minutes", 'zone_minutes = "east"'),
        ("tsa", "tsa = []"),
        ("tsa", 'tsa = ["ftp://x"]'),
        ("colour", 'colour = "red"'),
        ("responsible", 'responsible = "a\\u0007b"'),
    ],
)
def test_an_offices_file_is_checked_by_name(tmp_path: Path, key: str, line: str) -> None:
    pki = LoopbackPki("http://127.0.0.1:1")
    world, _, _ = panelled()
    office_in(tmp_path / "office", pki, trust_with(world, pki))
    file = tmp_path / "office" / "office.toml"
    kept = [each for each in file.read_text().splitlines() if not each.startswith(f"{key} =")]
    file.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(BadInput, match=key):
        load_office(file)
    assert Office(name="x", responsible="x", contact="x", verify="x")


def _records(found: Court) -> list[Record]:
    return [each for kind in found.records._kinds.values() for each in kind.values()]
