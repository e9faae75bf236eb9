"""Certificates: set, sealed (B-T), closed (B-LTA with a closed tail), one at a time and 20 at once; and their checking.

Beside them pyHanko's own one-call B-LTA on the same pages with the same authority, in turns in the same run. The
authority (EC P-256; OCSP, lists, two time-stamp authorities) is on loopback in a process of its own, and both sides
wait for it: the figures are upper bounds of what an office with a near authority gets.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from asn1crypto import x509
from cryptography.x509 import load_der_x509_certificate
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from app.canonical import format_json
from app.certificates.authorities import Authorities
from app.certificates.claims import Certificate, Identity, Office, PanelNamed
from app.certificates.facts import read_shown
from app.certificates.page import render, renderer
from app.certificates.sealing import load_seal, seal
from app.statements.prooffile import ProofFile, parse_proof_file
from app.statements.trust import Trust, parse_trust
from app.statements.trust_seal import SealTrust, seal_json
from app.statements.trust_time import TsaTrust, make_authority, tsa_json
from app.verify.certificate import check_certificate
from app.verify.proof import check_proof
from ops.bench import Row

TITLE = "pages from typst, seals by pyHanko, authority on loopback"
ROUNDS = int(os.environ.get("MUNIMENT_BENCH_ROUNDS", "7"))
AT_ONCE = 20
_VECTOR = Path(__file__).parents[2] / "tests" / "vectors" / "proof" / "valid-witnessed.json"


def run() -> tuple[Row, ...]:
    """Measure `MUNIMENT_BENCH_ROUNDS` rounds (7)."""
    with _authority() as pki:
        return asyncio.run(_run(pki))


async def _run(pki: dict[str, Any]) -> tuple[Row, ...]:
    vector = json.loads(_VECTOR.read_text())
    data, trust = vector["proof"].encode(), parse_trust(vector["trust"])
    proof = parse_proof_file(data)
    certificate = _certificate(proof, trust.sha256)
    signer = load_seal(pki["key"].encode(), pki["chain"].encode())
    root = x509.Certificate.load(bytes.fromhex(pki["root"]))
    async with aiohttp.ClientSession() as session:

        async def pages() -> bytes:
            return await asyncio.to_thread(render, proof, certificate)

        unsealed = await pages()

        async def ours(addresses: list[str], roots: list[x509.Certificate]) -> bytes:
            return (await seal(unsealed, signer, addresses=addresses, roots=roots, session=session)).pdf

        async def begun() -> bytes:
            # Without a root no status can be had: it stops after the first step.
            return await ours(pki["tsa"], [])

        async def closed() -> bytes:
            return await ours(pki["tsa"], [root])

        async def theirs() -> bytes:
            return await _one_call(unsealed, signer, pki["tsa"], root, session)

        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, work in (("pages", pages), ("B-T", begun), ("closed", closed), ("one call", theirs)):
                found.setdefault(name, []).append(await _timed(work, 1))
                found.setdefault(f"{name}, {AT_ONCE} at once", []).append(await _timed(work, AT_ONCE) / AT_ONCE)
        pdf = await closed()
    now = int(time.time())
    with_roots = _with_roots(vector["trust"], root)
    judged, proven = [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        verdict = await asyncio.to_thread(check_certificate, pdf, with_roots, now=now)
        judged.append(time.perf_counter() - begin)
        assert verdict.failed is None, verdict.failed
        begin = time.perf_counter()
        check_proof(data, trust)
        proven.append(time.perf_counter() - begin)
    rows = []
    for name in ("pages", "B-T", "closed"):
        for suffix in ("", f", {AT_ONCE} at once"):
            ours_, theirs_ = statistics.median(found[name + suffix]), statistics.median(found["one call" + suffix])
            rows.append(
                Row(
                    what=name + suffix,
                    figure=f"{1 / ours_:.1f} a second, {ours_ * 1000:.0f} ms",
                    ratio=f"{theirs_ / ours_:.2f}",
                    against="pyHanko's one-call B-LTA",
                )
            )
    for suffix in ("", f", {AT_ONCE} at once"):
        each = statistics.median(found["one call" + suffix])
        rows.append(Row(what=f"pyHanko's one call{suffix}", figure=f"{1 / each:.1f} a second, {each * 1000:.0f} ms"))
    rows.append(Row(what="verification of a certificate", figure=f"{statistics.median(judged) * 1000:.0f} ms"))
    rows.append(Row(what="verification of its proof alone", figure=f"{statistics.median(proven) * 1000:.1f} ms"))
    return tuple(rows)


async def _one_call(
    pdf: bytes, signer: Any, addresses: list[str], root: x509.Certificate, session: aiohttp.ClientSession
) -> bytes:
    async with AIOHttpFetcherBackend(session=session) as fetchers:
        meta = PdfSignatureMetadata(
            field_name="Seal",
            subfilter=SigSeedSubFilter.PADES,
            certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
            md_algorithm="sha256",
            embed_validation_info=True,
            use_pades_lta=True,
            validation_context=ValidationContext(
                trust_roots=[root], allow_fetching=True, fetchers=fetchers, revocation_mode="hard-fail"
            ),
        )
        made = PdfSigner(meta, signer=signer, timestamper=Authorities(addresses, session))
        return (await made.async_sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)))).getvalue()


async def _timed(work: Callable[[], Awaitable[bytes]], count: int) -> float:
    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(count)))
    return time.perf_counter() - begin


def _with_roots(text: str, root: x509.Certificate) -> Trust:
    anchor = load_der_x509_certificate(root.dump())
    tsa = TsaTrust(m=1, authorities=(make_authority("TSA", [root.dump()], None),))
    value = json.loads(text)
    return parse_trust(format_json({**value, "tsa": tsa_json(tsa), "seal": seal_json(SealTrust(roots=(anchor,)))}))


def _certificate(proof: ProofFile, trust: bytes) -> Certificate:
    shown = read_shown(proof)
    return Certificate(
        renderer=renderer(),
        number="bench",
        issued=int(time.time()),
        zone=0,
        lang="en+zh",
        office=Office(name="Bench", responsible="Nobody", contact="none", verify="https://verify.example"),
        trust=trust,
        level="witnessed",
        panels=tuple(PanelNamed(panel_id=each.panel_id, k=2, n=3) for each in shown.claims.capsules),
        identity=Identity(assurance="enrolled", subject=None, issuer=None),
        opened=None,
        annexes=(),
    )


_SERVER = """
import asyncio, json, sys
from app.demo.pki import serving_pki
async def main():
    async with serving_pki() as pki:
        seal = pki.issue("Seal of the Bench")
        print(json.dumps({"key": seal.key_pem().decode(), "chain": seal.certificates_pem().decode(),
            "root": pki.root_der.hex(), "tsa": [each.url for each in pki.tsas]}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


@contextlib.contextmanager
def _authority() -> Iterator[dict[str, Any]]:
    process = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
