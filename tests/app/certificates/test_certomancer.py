"""The same against an authority that is not ours: certomancer's CA, OCSP, lists and time-stamps, on loopback."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from asn1crypto import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from app.certificates.authorities import NoTimestamp
from app.certificates.judging import judge
from app.certificates.sealing import load_seal, renew, seal
from app.errors import CannotTell, Mismatch, Refused
from tests.app.certificates.made import pages

ARCHITECTURE = """
external-url-prefix: http://pki.example
keysets: {k: {path-prefix: keys, keys: {root: {path: root.pem}, interm: {path: interm.pem}, tsa: {path: tsa.pem},
              ocsp: {path: ocsp.pem}, seal: {path: seal.pem}, gone: {path: gone.pem}}}}
pki-architectures:
  t:
    keyset: k
    entity-defaults: {country-name: ZZ, organization-name: Test Registry}
    entities: {root: {common-name: Test Root CA}, interm: {common-name: Test Issuing CA},
      ocsp: {common-name: Test OCSP}, tsa: {common-name: Test TSA}, seal: {common-name: Test Seal},
      gone: {common-name: Revoked Seal}}
    certs:
      root: {subject: root, issuer: root, validity: &ca {valid-from: "2020-01-01T00:00:00+0000",
             valid-to: "2060-01-01T00:00:00+0000"}, profiles: [{id: simple-ca, params: {crl-repo: root}}]}
      interm: {issuer: root, validity: *ca,
               profiles: [{id: simple-ca, params: {max-path-len: 0, crl-repo: interm, ocsp-service: interm}}]}
      ocsp: {issuer: interm, validity: *ca, profiles: [ocsp-responder]}
      seal: {issuer: interm, validity: &ee {valid-from: "2025-01-01T00:00:00+0000",
             valid-to: "2045-01-01T00:00:00+0000"}, profiles: [digsig-commitment]}
      gone: {template: seal, subject: gone,
             revocation: {revoked-since: "2026-01-01T00:00:00+0000", reason: key_compromise}}
      tsa: {issuer: root, validity: *ee, extensions: &tsx [
             {id: key_usage, critical: true, smart-value: {schema: key-usage, params: [digital_signature]}},
             {id: extended_key_usage, critical: true, value: [time_stamping]}]}
      tsa-expired: {subject: tsa, issuer: root, extensions: *tsx,
             validity: {valid-from: "2021-01-01T00:00:00+0000", valid-to: "2022-01-01T00:00:00+0000"}}
    services:
      ocsp: {interm: {for-issuer: interm, responder-cert: ocsp}}
      crl-repo: {root: {for-issuer: root, simulated-update-schedule: P90D},
                 interm: {for-issuer: interm, simulated-update-schedule: P30D}}
      time-stamping: {tsa: {signing-cert: tsa, certs-to-embed: [root]},
                      tsa-expired: {signing-key: tsa, signing-cert: tsa-expired}}
"""


class Authority:
    """What the tests need of it."""

    def __init__(self, folder: Path, prefix: str) -> None:
        from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig

        (folder / "keys").mkdir()
        for name in ("root", "interm", "tsa", "ocsp", "seal", "gone"):
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / "keys" / f"{name}.pem").write_bytes(pem)
        (folder / "c.yml").write_text(ARCHITECTURE)
        config = CertomancerConfig.from_file(str(folder / "c.yml"), external_url_prefix=prefix)
        self.label = ArchLabel("t")
        self.arch, self.folder, self.prefix = config.get_pki_arch(self.label), folder, prefix
        self._cert = CertLabel

    def certificate(self, name: str) -> x509.Certificate:
        return self.arch.get_cert(self._cert(name))

    def signer(self, name: str) -> object:
        chain = [load_der_x509_certificate(self.certificate(each).dump()) for each in (name, "interm")]
        return load_seal(
            (self.folder / "keys" / f"{name}.pem").read_bytes(),
            b"".join(each.public_bytes(Encoding.PEM) for each in chain),
        )

    def tsa(self, name: str = "tsa") -> str:
        return f"{self.prefix}/t/tsa/{name}"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Authority]:
    from certomancer.integrations.aiohttp_animator import build_animator_app

    listening = socket.create_server(("127.0.0.1", 0))
    made = Authority(folder, f"http://127.0.0.1:{listening.getsockname()[1]}")
    runner = web.AppRunner(build_animator_app({made.label: made.arch}, with_web_ui=False), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield made
    finally:
        await runner.cleanup()


async def test_sealed_closed_judged_and_renewed(tmp_path: Path) -> None:
    async with serving(tmp_path) as ca, aiohttp.ClientSession() as session:
        root = ca.certificate("root")
        made = await seal(
            pages(),
            ca.signer("seal"),
            addresses=[ca.tsa()],
            roots=[root],
            session=session,  # type: ignore[arg-type]
        )
        assert made.closed, made.why
        now = int(time.time())
        found = await judge(made.pdf, seal_roots=[root], tsa_roots=[root], now=now)
        assert "Test Seal" in found.subject
        assert "Test TSA" in found.closed_by
        longer = await renew(made.pdf, addresses=[ca.tsa()], roots=[root], session=session)
        assert longer.startswith(made.pdf)
        assert (await judge(longer, seal_roots=[root], tsa_roots=[root], now=now)).sealed_at == found.sealed_at
        with pytest.raises(Mismatch):
            await judge(longer[:-1], seal_roots=[root], tsa_roots=[root], now=now)
        with pytest.raises(CannotTell):
            await judge(longer, seal_roots=[root], tsa_roots=[], now=now)


async def test_a_revoked_seal_and_an_ended_authority_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as ca, aiohttp.ClientSession() as session:
        root = ca.certificate("root")
        with pytest.raises(Refused) as caught:
            await seal(
                pages(),
                ca.signer("gone"),
                addresses=[ca.tsa()],
                roots=[root],
                session=session,  # type: ignore[arg-type]
            )
        assert caught.value.code == "seal_revoked"
        # An authority whose certificate ended answers all the same: what it stamps closes nothing.
        made = await seal(
            pages(),
            ca.signer("seal"),
            addresses=[ca.tsa("tsa-expired")],
            roots=[root],
            session=session,  # type: ignore[arg-type]
        )
        if made.closed:
            with pytest.raises((CannotTell, Mismatch)):
                await judge(made.pdf, seal_roots=[root], tsa_roots=[root], now=int(time.time()))
        with pytest.raises(NoTimestamp):
            await seal(
                pages(),
                ca.signer("seal"),
                addresses=[ca.tsa("nobody")],
                roots=[root],
                session=session,  # type: ignore[arg-type]
            )
