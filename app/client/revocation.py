"""What the authorities of a chain say of revocation, fetched from the addresses in the certificates; bounded, no more.

Nothing is judged here. OCSP (RFC 6960 §A.1) first, the list (RFC 5280 §4.2.1.13) where there is no answer.
"""

from collections.abc import Sequence
from itertools import pairwise

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from app.errors import Unreachable

MAX_EVIDENCE_BYTES = 32_768
TIMEOUT = aiohttp.ClientTimeout(total=20)


async def fetch_evidence(
    chain: Sequence[x509.Certificate], session: aiohttp.ClientSession
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return OCSP answers and lists (DER) for each certificate of a chain but its last.

    One that names no place is passed over. Raises Unreachable (no_revocation_evidence) naming what each place did.
    """
    answers: list[bytes] = []
    lists: list[bytes] = []
    for one, issuer in pairwise(chain):
        places = [("ocsp", each) for each in _responders(one)] + [("list", each) for each in _lists(one)]
        failures = []
        for kind, address in places:
            try:
                if kind == "ocsp":
                    answers.append(await _ask(session, address, _query(one, issuer)))
                else:
                    lists.append(await _ask(session, address, None))
                break
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                failures.append(f"{address}: {str(error) or type(error).__name__}")
        else:
            if failures:
                raise Unreachable(
                    f"nobody said whether {one.subject.rfc4514_string()} is revoked: {'; '.join(failures)}",
                    "Nothing was sent. Ask again when the authority answers.",
                    code="no_revocation_evidence",
                )
    return tuple(dict.fromkeys(answers)), tuple(dict.fromkeys(lists))


def _query(one: x509.Certificate, issuer: x509.Certificate) -> bytes:
    # SHA-1 here names the issuer, and is what every responder knows (RFC 5019 §2.1.1); it protects nothing.
    asked = ocsp.OCSPRequestBuilder().add_certificate(one, issuer, hashes.SHA1()).build()  # noqa: S303
    return asked.public_bytes(Encoding.DER)


async def _ask(session: aiohttp.ClientSession, address: str, query: bytes | None) -> bytes:
    if not address.startswith(("http://", "https://")):
        raise ValueError("not an address of HTTP")
    headers = {} if query is None else {"Content-Type": "application/ocsp-request"}
    async with session.request(
        "GET" if query is None else "POST",
        address,
        data=query,
        headers=headers,
        timeout=TIMEOUT,
        allow_redirects=False,
    ) as answer:
        if answer.status != 200:
            raise ValueError(f"answered {answer.status}")
        data = bytearray()
        async for piece in answer.content.iter_any():
            data += piece
            if len(data) > MAX_EVIDENCE_BYTES:
                raise ValueError(f"answered more than {MAX_EVIDENCE_BYTES} bytes")
    if query is not None and ocsp.load_der_ocsp_response(bytes(data)).response_status.value != 0:
        raise ValueError("answered that it does not know")
    return bytes(data)


def _responders(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return [
        each.access_location.value
        for each in found
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]


def _lists(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
