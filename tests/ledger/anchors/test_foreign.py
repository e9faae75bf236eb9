"""Others' software agrees: certomancer stamps, stock openssl and ots judge what we judged, good and tampered."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import rfc3161_client
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation

from app.demo.calendar import LoopbackCalendar, serving_calendar
from ledger.anchors.errors import BadAnchor
from ledger.anchors.headers import locate
from ledger.anchors.ots import (
    complete_paths,
    format_proof,
    new_stamp,
    node_of,
    parse_complete,
    parse_proof,
    parse_reply,
    pending_of,
)
from ledger.anchors.tsa import response_around, token_of_response, verify_reply, verify_token
from ledger.anchors.tsa_chain import Authority

MESSAGE = b"ledger.example\n7\nroot\n\nsignature\n"
ARCHITECTURE = """
external-url-prefix: http://pki.example
keysets: {k: {path-prefix: keys, keys: {root: {path: root.pem}, tsa: {path: tsa.pem}}}}
pki-architectures:
  t:
    keyset: k
    entity-defaults: {country-name: ZZ, organization-name: Test Registry}
    entities: {root: {common-name: Test Root CA}, tsa: {common-name: Test TSA}}
    certs:
      root: {subject: root, issuer: root, validity: &ca {valid-from: "2020-01-01T00:00:00+0000",
             valid-to: "2060-01-01T00:00:00+0000"}, profiles: [{id: simple-ca, params: {crl-repo: root}}]}
      tsa: {issuer: root, validity: *ca, extensions: &tsx [
             {id: key_usage, critical: true, smart-value: {schema: key-usage, params: [digital_signature]}},
             {id: extended_key_usage, critical: true, value: [time_stamping]}]}
      tsa-expired: {subject: tsa, issuer: root, extensions: *tsx,
             validity: {valid-from: "2021-01-01T00:00:00+0000", valid-to: "2022-01-01T00:00:00+0000"}}
      tsa-wrong-eku: {subject: tsa, issuer: root, validity: *ca,
             extensions: [{id: extended_key_usage, critical: true, value: [email_protection]}]}
    services:
      crl-repo: {root: {for-issuer: root, simulated-update-schedule: P90D}}
      time-stamping: {tsa: {signing-cert: tsa, certs-to-embed: [root]},
        tsa-expired: {signing-key: tsa, signing-cert: tsa-expired},
        tsa-wrong-eku: {signing-key: tsa, signing-cert: tsa-wrong-eku}}
"""


@asynccontextmanager
async def certomancer(folder: Path) -> AsyncIterator[tuple[str, x509.Certificate]]:
    """Certomancer's authority over fresh keys, on loopback: its address, and its root."""
    from certomancer.integrations.aiohttp_animator import build_animator_app
    from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig

    (folder / "keys").mkdir()
    for name in ("root", "tsa"):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "keys" / f"{name}.pem").write_bytes(pem)
    (folder / "certomancer.yml").write_text(ARCHITECTURE)
    arch = CertomancerConfig.from_file(str(folder / "certomancer.yml")).get_pki_arch(ArchLabel("t"))
    root = x509.load_der_x509_certificate(arch.get_cert(CertLabel("root")).dump())
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    runner = web.AppRunner(build_animator_app({ArchLabel("t"): arch}, with_web_ui=False), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/t/tsa", root
    finally:
        await runner.cleanup()


async def stamped(url: str, message: bytes = MESSAGE) -> tuple[bytes, int]:
    """The answer to a query about a message, and the query's nonce."""
    query = (
        rfc3161_client.TimestampRequestBuilder()
        .data(message)
        .hash_algorithm(rfc3161_client.HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    assert query.nonce is not None
    headers = {"Content-Type": "application/timestamp-query"}
    async with aiohttp.ClientSession() as http, http.post(url, data=query.as_bytes(), headers=headers) as answer:
        assert answer.status == 200
        return await answer.read(), query.nonce


async def run(*command: object, folder: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    await process.communicate()
    return process.returncode or 0


async def openssl(folder: Path, token: bytes, message: bytes) -> bool:
    """Whether stock openssl takes a bare token over a message, under root.pem, now."""
    (folder / "token.der").write_bytes(token)
    digest = hashlib.sha256(message).hexdigest()
    command = ["openssl", "ts", "-verify", "-digest", digest, "-token_in", "-in", "token.der", "-CAfile", "root.pem"]
    return await run(*command, folder=folder) == 0


@pytest.mark.foreign("openssl")
async def test_certomancer_stamps_and_openssl_agrees(tmp_path: Path) -> None:
    async with certomancer(tmp_path) as (url, root):
        authorities = (Authority(name="it", roots=(root,)),)
        reply, nonce = await stamped(f"{url}/tsa")
        token, found = verify_reply(reply, MESSAGE, nonce, authorities, now=int(time.time()))
        assert len(token) < len(reply)  # the root that it embeds is not kept
        assert found.gen_time_us % 1_000_000  # it states fractions of a second
        assert await openssl(tmp_path, token, MESSAGE)
        assert token_of_response(response_around(token)) == token
        for changed, message in ((token, b"another"), (token[:-1] + bytes([token[-1] ^ 1]), MESSAGE)):
            assert not await openssl(tmp_path, changed, message)
            with pytest.raises(BadAnchor):
                verify_token(changed, message, authorities)
        for service, code in (("tsa-expired", "expired_tsa"), ("tsa-wrong-eku", "wrong_eku")):
            reply, nonce = await stamped(f"{url}/{service}")
            assert not await openssl(tmp_path, token_of_response(reply), MESSAGE)
            with pytest.raises(BadAnchor) as caught:
                verify_reply(reply, MESSAGE, nonce, authorities, now=int(time.time()))
            assert caught.value.code == code


async def confirmed(calendar: LoopbackCalendar, message: bytes) -> bytes:
    """What our own client makes of a calendar's promise and confirmation: the strict form."""
    digest = hashlib.sha256(message).digest()
    stamp = new_stamp(digest)
    media = "application/vnd.opentimestamps.v1"
    async with aiohttp.ClientSession(headers={"Accept": media}) as http:
        async with http.post(f"{calendar.uri}/digest", data=digest) as answer:
            stamp.merge(parse_reply(await answer.read(), digest))
        (pending,) = pending_of(stamp)
        assert calendar.confirm() is not None
        async with http.get(f"{pending.uri}/timestamp/{pending.message.hex()}") as answer:
            node_of(stamp, pending.message).merge(parse_reply(await answer.read(), pending.message))
    ((_, data),) = complete_paths(stamp)
    assert format_proof(stamp) != data  # the promise is not kept
    return data


async def test_stock_ots_agrees_on_good_and_tampered(tmp_path: Path) -> None:
    ots = Path(sys.executable).parent / "ots"
    assert ots.exists()
    async with serving_calendar() as calendar:
        proof = await confirmed(calendar, MESSAGE)
        checkpoint = tmp_path / "checkpoint"
        checkpoint.write_bytes(MESSAGE)
        path = tmp_path / "checkpoint.ots"
        path.write_bytes(proof)
        verify = (ots, "--no-cache", "--bitcoin-node", f"{calendar.node}/", "verify", "-f", checkpoint, path)
        assert await run(*verify, folder=tmp_path) == 0
        checkpoint.write_bytes(MESSAGE + b" ")
        assert await run(*verify, folder=tmp_path) == 1
        with pytest.raises(BadAnchor):
            parse_complete(proof, hashlib.sha256(MESSAGE + b" ").digest())
        checkpoint.write_bytes(MESSAGE)
        # A forged attestation: another block than the one that has this Merkle root.
        forged = new_stamp(hashlib.sha256(MESSAGE).digest())
        forged.attestations.add(BitcoinBlockHeaderAttestation(1))
        path.write_bytes(format_proof(forged))
        assert await run(*verify, folder=tmp_path) == 1
        attested = parse_complete(format_proof(forged))
        chain = calendar.chain
        with pytest.raises(BadAnchor) as caught:
            locate(1, attested.merkle_root, chain.raw[80 : 80 + 560], chain.checkpoint, None)
        assert caught.value.code == "wrong_merkle_root"


async def test_a_proof_by_stock_ots_comes_into_the_kept_form(tmp_path: Path) -> None:
    ots = Path(sys.executable).parent / "ots"
    async with serving_calendar() as calendar:
        (tmp_path / "checkpoint").write_bytes(MESSAGE)
        assert await run(ots, "--no-cache", "stamp", "-m", "1", "-c", calendar.uri, "checkpoint", folder=tmp_path) == 0
        assert complete_paths(parse_proof((tmp_path / "checkpoint.ots").read_bytes())) == ()
        assert calendar.confirm() is not None
        upgrade = (ots, "--no-cache", "-l", calendar.uri, "upgrade", "checkpoint.ots")
        assert await run(*upgrade, folder=tmp_path) == 0
        ((attested, data),) = complete_paths(parse_proof((tmp_path / "checkpoint.ots").read_bytes()))
        assert parse_complete(data, hashlib.sha256(MESSAGE).digest()) == attested
