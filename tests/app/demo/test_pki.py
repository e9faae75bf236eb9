"""The demonstration's certification authority: what it issues satisfies tools that know nothing of us."""

import hashlib
import subprocess
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from app.demo.pki import LoopbackPki, Profile, serving_pki

DATA = b"a checkpoint"


async def _stamped(pki: LoopbackPki, number: int) -> tuple[bytes, object]:
    asked = TimestampRequestBuilder().data(DATA).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build()
    async with aiohttp.ClientSession() as http, http.post(pki.tsas[number].url, data=asked.as_bytes()) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/timestamp-reply"
        return await answer.read(), asked


def _openssl(folder: Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    digest = hashlib.sha256(data).hexdigest()
    command = ["openssl", "ts", "-verify", "-digest", digest, "-in", "r.tsr", "-CAfile", "root.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False)


@pytest.mark.foreign("openssl")
async def test_stock_openssl_verifies_a_token(tmp_path: Path) -> None:
    async with serving_pki() as pki:
        reply, _ = await _stamped(pki, 1)
        (tmp_path / "r.tsr").write_bytes(reply)
        (tmp_path / "root.pem").write_bytes(pki.root.public_bytes(serialization.Encoding.PEM))
    for data, code in ((DATA, 0), (b"another checkpoint", 1)):
        done = _openssl(tmp_path, data)
        assert done.returncode == code, done.stderr


async def test_another_root_does_not_verify_a_token() -> None:
    async with serving_pki() as pki, serving_pki() as other:
        reply, asked = await _stamped(pki, 0)
        verifier = VerifierBuilder.from_request(asked)  # type: ignore[arg-type]
        digest, found = hashlib.sha256(DATA).digest(), decode_timestamp_response(reply)
        assert verifier.add_root_certificate(pki.root).build().verify(found, digest)
        with pytest.raises(VerificationError):
            VerifierBuilder().add_root_certificate(other.root).build().verify(found, digest)


async def test_a_revoked_seal_is_revoked_in_ocsp_and_list() -> None:
    async with serving_pki() as pki, aiohttp.ClientSession() as http:
        good, bad = pki.issue("Seal"), pki.issue("Lost seal", profile=Profile.PERSON)
        pki.revoke(bad.certificate)
        crl = x509.load_der_x509_crl(pki.crl("issuing"))
        assert crl.is_signature_valid(good.chain[0].public_key())  # type: ignore[arg-type]
        for issued, status in ((good, ocsp.OCSPCertStatus.GOOD), (bad, ocsp.OCSPCertStatus.REVOKED)):
            query = (
                ocsp.OCSPRequestBuilder()
                .add_certificate(issued.certificate, issued.chain[0], hashes.SHA256())
                .build()
                .public_bytes(serialization.Encoding.DER)
            )
            async with http.post(f"{pki.base}/ocsp", data=query) as answer:
                found = ocsp.load_der_ocsp_response(await answer.read())
            assert found.certificate_status is status
            listed = crl.get_revoked_certificate_by_serial_number(issued.certificate.serial_number)
            assert (listed is not None) == (status is ocsp.OCSPCertStatus.REVOKED)


async def test_what_is_no_query_is_rejected_and_a_fault_is_a_fault() -> None:
    async with serving_pki() as pki, aiohttp.ClientSession() as http:
        async with http.post(pki.tsas[0].url, data=b"nonsense") as answer:
            assert (await answer.read()).hex() == "30053003020102"
        pki.faults.add("/tsa/1")
        async with http.post(pki.tsas[0].url, data=b"") as answer:
            assert answer.status == 503
        async with http.post(f"{pki.base}/ocsp", data=b"nonsense") as answer:
            assert answer.status == 400
