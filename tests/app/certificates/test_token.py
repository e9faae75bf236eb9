"""A seal's key on a token of SoftHSM: it seals as a file does; every mistake with it is named."""

import asyncio
import os
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import load_pem_x509_certificates
from pyhanko_certvalidator.registry import SimpleCertificateStore

from app.certificates.judging import judge
from app.certificates.sealing import read_seal, seal
from app.certificates.token import TokenSigner, TokenUnavailable, open_token
from app.certificates.tokenplace import Token
from app.demo.pki import Issued, LoopbackPki, serving_pki
from app.errors import BadInput
from app.service.office import load_office
from tests.app.certificates.made import pages

pytestmark = pytest.mark.foreign("softhsm2-util")
PIN = "1234-secret"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class Hsm:
    """One token with keys of a seal, and the chain of its certificate."""

    folder: Path
    token: Token
    issued: Issued

    @property
    def chain(self) -> Path:
        return self.folder / "chain.pem"

    def put(self, label: str, key: Issued | rsa.RSAPrivateKey, id: str) -> None:
        pem = (
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            if isinstance(key, rsa.RSAPrivateKey)
            else key.key_pem()
        )
        (self.folder / "key.pem").write_bytes(pem)
        words = ["--import", self.folder / "key.pem", "--token", "Court", "--label", label, "--id", id, "--pin", PIN]
        subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
        (self.folder / "key.pem").unlink()


@pytest.fixture(scope="module")
def pki() -> LoopbackPki:
    return LoopbackPki("http://127.0.0.1:1", names="Token")


@pytest.fixture(scope="module")
def hsm(pki: LoopbackPki, tmp_path_factory: pytest.TempPathFactory) -> Hsm:
    """SoftHSM reads its configuration once a process: one folder for the module."""
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    words = ["--init-token", "--free", "--label", "Court", "--so-pin", "so-secret", "--pin", PIN]
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
    module = next(Path(each) for each in MODULES if Path(each).exists())
    issued = pki.issue("Seal of the Court")
    (folder / "chain.pem").write_bytes(issued.certificates_pem())
    made = Hsm(
        folder=folder, token=Token(module=module, token="Court", label="seal", pin_env="SEAL_PIN"), issued=issued
    )
    made.put("seal", issued, "01")
    return made


@pytest.fixture(autouse=True)
def _pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL_PIN", PIN)


def opened(hsm: Hsm, **changes: str) -> TokenSigner:
    found = read_seal(replace(hsm.token, **changes), hsm.chain)  # type: ignore[arg-type]
    assert isinstance(found, TokenSigner)
    return found


async def test_a_token_seals_many_at_once_and_the_seals_hold(hsm: Hsm) -> None:
    async with serving_pki() as pki, aiohttp.ClientSession() as session:
        issued = pki.issue("Seal of the Court")
        hsm.put("other", issued, "02")
        hsm.chain.with_name("other.pem").write_bytes(issued.certificates_pem())
        signer = read_seal(replace(hsm.token, label="other"), hsm.chain.with_name("other.pem"))
        roots = (x509.Certificate.load(pki.root_der),)
        addresses = tuple(each.url for each in pki.tsas)
        made = await asyncio.gather(
            *(seal(pages(), signer, addresses=addresses, roots=roots, session=session) for _ in range(4))
        )
        for each in made:
            assert each.closed, each.why
            judged = await judge(each.pdf, seal_roots=roots, tsa_roots=roots, now=int(time.time()))
            assert "Seal of the Court" in judged.subject
    assert isinstance(signer, TokenSigner)
    signer.close()


# The binding complains of handles in a session that was closed under it; that is what is played here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_twenty_threads_share_one_session_and_a_lost_one_is_opened_again(hsm: Hsm) -> None:
    from concurrent.futures import ThreadPoolExecutor

    signer = opened(hsm)
    with ThreadPoolExecutor(20) as pool:
        assert len({bytes(each) for each in pool.map(lambda n: signer.sign(b"%d" % n, "sha256"), range(60))}) == 60
    signer._session.close()  # as when a card is taken out: the handle is no more
    assert signer.sign(b"again", "sha256")
    signer.close()


def test_rsa_keys_sign_too(hsm: Hsm, pki: LoopbackPki) -> None:
    from cryptography import x509 as c

    key = rsa.generate_private_key(65537, 2048)
    hsm.put("rsa", key, "03")
    like = hsm.issued.certificate
    made = (
        c.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.issuer)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(like.not_valid_before_utc)
        .not_valid_after(like.not_valid_after_utc)
        .sign(pki._issuing.key, hashes.SHA256())
    )
    signer = open_token(replace(hsm.token, label="rsa"), made, SimpleCertificateStore())
    key.public_key().verify(signer.sign(b"x", "sha256"), b"x", padding.PKCS1v15(), hashes.SHA256())
    signer.close()


def test_mistakes_are_named(hsm: Hsm, pki: LoopbackPki, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**changes: object) -> str:
        with pytest.raises(BadInput) as caught:
            read_seal(replace(hsm.token, **changes), hsm.chain)  # type: ignore[arg-type]
        assert PIN not in caught.value.message
        return caught.value.code

    assert refused(label="nothing") == "bad_seal"
    assert refused(module=hsm.folder / "no.so") == "bad_setting"
    assert refused(pin_env="UNSET_PIN") == "bad_setting"
    hsm.put("stranger", pki.issue("Stranger"), "04")
    assert refused(label="stranger") == "bad_seal"
    monkeypatch.setenv("SEAL_PIN", "wrong")
    assert refused() == "bad_setting"
    monkeypatch.setenv("SEAL_PIN", PIN)
    opened(hsm).close()


async def test_a_token_that_is_away_stops_no_start_and_a_pin_is_not_tried_again(
    hsm: Hsm, caplog: pytest.LogCaptureFixture
) -> None:
    away = opened(hsm, token="Nowhere")
    assert "no certificate is issued until it is back" in caplog.text
    with pytest.raises(TokenUnavailable) as caught:
        away.sign(b"x", "sha256")
    assert caught.value.code == "seal_unavailable"
    with pytest.raises(TokenUnavailable) as told:
        await away.async_sign_raw(b"x", "sha256")
    assert "Nowhere" not in told.value.message, "a depositor reads it"
    signer = opened(hsm)
    signer.close()
    signer._pin = "changed by somebody"
    for _ in range(2):
        with pytest.raises(BadInput, match="PIN"):
            signer.sign(b"x", "sha256")
    assert signer._pin is None
    with pytest.raises(TokenUnavailable):
        await signer.async_sign_raw(b"x", "sha256")
    opened(hsm).close()


def test_the_offices_file_names_a_token(hsm: Hsm, tmp_path: Path) -> None:
    text = (
        'name = "Registry"\nresponsible = "A"\ncontact = "c"\nverify = "https://v"\noperator = "o"\n'
        'conflicts = "none"\n'
        'trust = "trust.json"\nseal_certificates = "chain.pem"\ntsa = ["http://tsa.example"]\n'
    )
    file = tmp_path / "office.toml"

    def load(more: str) -> object:
        file.write_text(text + more)
        return load_office(file).seal_key

    module = hsm.token.module
    good = f'seal_pkcs11 = {{module = "{module}", token = "Court", label = "seal", pin_env = "SEAL_PIN"}}\n'
    assert load(good) == hsm.token
    assert load('seal_key = "seal.pem"\n') == tmp_path / "seal.pem"
    for bad in (
        "",
        good + 'seal_key = "seal.pem"\n',
        f'seal_pkcs11 = {{module = "{module}", token = "Court", label = "seal", pin = "{PIN}"}}\n',
        f'seal_pkcs11 = {{module = "{module}", token = "Court", label = "seal", pin_env = "A B"}}\n',
        f'seal_pkcs11 = {{module = "{module}", token = "", label = "seal", pin_env = "SEAL_PIN"}}\n',
        'seal_pkcs11 = "softhsm"\n',
    ):
        with pytest.raises(BadInput) as caught:
            load(bad)
        assert caught.value.code == "bad_setting"
    assert load_pem_x509_certificates(hsm.chain.read_bytes())
