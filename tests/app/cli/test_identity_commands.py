"""A person binds his certificate, a registrar records it, and proofs and certificates say so; as commands."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from app.client.home import Settings
from app.demo.pki import Issued, LoopbackPki, Profile
from tests.app.cli.running import PASSPHRASE, Terminal
from tests.app.cli.test_certificate_command import Place, deposit, place, terminal
from tests.app.client.world_service import keys_of

__all__ = ["deposit", "place", "terminal"]


@pytest.fixture
def registrar(terminal: Terminal, place: Place, tmp_path: Path) -> str:
    home = terminal.person("registrar", keys_of("registrar"))
    home.set_trust(place.trust.text.encode())
    home.set_settings(Settings(service=place.court.url))
    (tmp_path / "roots.pem").write_bytes(place.pki.root.public_bytes(Encoding.PEM))
    return "registrar"


def given(folder: Path, person: Issued, *, locked: bool = False) -> tuple[str | Path, ...]:
    """The options that name a person's key and certificates."""
    key = person.key_pem()
    if locked:
        key = person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    (folder / "person.pem").write_bytes(key)
    (folder / "chain.pem").write_bytes(person.certificates_pem())
    return "--key", folder / "person.pem", "--certificates", folder / "chain.pem"


def test_from_the_person_to_the_certificate(terminal: Terminal, place: Place, registrar: str, tmp_path: Path) -> None:
    person = place.pki.issue("张三", profile=Profile.PERSON)
    file, roots, trust = tmp_path / "binding.json", tmp_path / "roots.pem", tmp_path / "trust.json"
    made = terminal.run("lawyer1", "identity", "bind", *given(tmp_path, person, locked=True), "-o", file)
    assert made["algorithm"] == "ecdsa-p256-sha256"
    assert terminal.run("lawyer1", "identity", "bind", *given(tmp_path, person), "-o", file, code=2)["error"][
        "code"
    ] == ("output_exists")
    done = terminal.run(registrar, "member", "identify", file, "--roots", roots)
    assert done["subject"].startswith("CN=张三,")
    assert done["member"] == made["member"]
    assert {"/ocsp", "/crl/root.crl"} <= set(place.pki.asked)
    found = {each["name"]: each["identity"] for each in terminal.run(registrar, "member", "list")["members"]}
    assert found["lawyer1"]["subject"] == done["subject"]
    assert found["lawyer2"] is None
    assert "certificate of CN=张三" in terminal.text(registrar, "member", "list")
    asked = len(place.pki.asked)
    again = terminal.run("lawyer1", "member", "identity", "lawyer1", "--roots", roots)
    assert (again["in_force"], again["judged"]) == (True, True)
    assert len(place.pki.asked) == asked, "judged from what is recorded"
    assert "the registrar's word" in terminal.text("lawyer1", "member", "identity", "lawyer1")

    (tmp_path / "brief.txt").write_bytes(os.urandom(100))
    deposit_id = terminal.run("lawyer1", "deposit", tmp_path / "brief.txt", "--case", place.case_id)["deposit"]
    pdf = tmp_path / "certificate.pdf"
    assert terminal.run("lawyer1", "certificate", deposit_id, "-o", pdf, "--lang", "en")["outcome"] == "verified"
    verdict = terminal.run("lawyer2", "verify", pdf, "--trust", trust)
    assert verdict["outcome"] == "verified"
    assert verdict["proof"]["identity"]["subject"] == done["subject"]
    assert "identity: bound to X.509 subject CN=张三" in terminal.text("lawyer2", "verify", pdf, "--trust", trust)


def test_what_the_registrars_client_refuses(terminal: Terminal, place: Place, registrar: str, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"

    def identify(file: Path, *, under: Path = roots, code: int = 1) -> str:
        return str(terminal.run(registrar, "member", "identify", file, "--roots", under, code=code)["error"]["code"])

    def bind(name: str, person: Issued, *more: str, who: str = "lawyer1") -> Path:
        terminal.run(who, "identity", "bind", *given(tmp_path, person), "-o", tmp_path / name, *more)
        return tmp_path / name

    revoked = place.pki.issue("Lost", profile=Profile.PERSON)
    place.pki.revoke(revoked.certificate)
    assert identify(bind("revoked", revoked)) == "certificate_revoked"
    good = place.pki.issue("Good", profile=Profile.PERSON)
    honest = bind("good", good)
    other = LoopbackPki("http://127.0.0.1:1", clock=lambda: place.court.world.now, names="Other")
    (tmp_path / "other.pem").write_bytes(other.root.public_bytes(Encoding.PEM))
    assert identify(honest, under=tmp_path / "other.pem", code=3) == "unknown_root"
    # The other lawyer says that it is his: the signature is for lawyer1.
    text = honest.read_text()
    mine, his = (terminal.run(name, "identity", "show")["member"] for name in ("lawyer1", "lawyer2"))
    (tmp_path / "replayed").write_text(text.replace(mine, his))
    assert identify(tmp_path / "replayed") == "bad_possession"
    (tmp_path / "elsewhere").write_text(text.replace("ledger.example/court", "ledger.example/other"))
    assert identify(tmp_path / "elsewhere") == "other_registry"
    (tmp_path / "key").write_text(text.replace(f'"key":"{mine}"', f'"key":"{his}"'))
    assert identify(tmp_path / "key") == "other_key"
    short = place.pki.issue("Short", profile=Profile.PERSON, days=1, begin=place.pki.now() - timedelta(days=3))
    assert identify(bind("short", short)) == "certificate_ended"
    place.pki.faults.update(("/ocsp", "/crl/issuing.crl"))
    assert identify(honest) == "no_revocation_evidence"
    place.pki.faults.discard("/crl/issuing.crl")  # the list is asked where OCSP is down
    assert terminal.run(registrar, "member", "identify", honest, "--roots", roots)["index"]
    assert terminal.run(registrar, "member", "identity", "lawyer2", code=1)["error"]["code"] == "not_identified"
    assert terminal.run("lawyer2", "member", "identify", honest, "--roots", roots, code=1)["error"]["code"] in (
        "unknown_member",
        "wrong_signer",
    )
