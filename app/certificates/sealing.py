"""Seals: a certification signature that allows no change, in three steps, each a revision appended to the file.

1 B-T: the registry's seal, with a signature time-stamp. Without a time-stamp nothing is issued.
2 B-LT: chains and revocation answers, so that the seal can be judged without a network.
3 a document time-stamp that covers the whole file and closes it.

When revocation cannot be had (OCSP and lists are down) the file stops at step 1, is valid so far and says so; `close`
goes on from there, also years later. Earlier bytes stay a prefix. Profile: PAdES baseline, ETSI EN 319 142-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import aiohttp
from asn1crypto import keys, x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import Certificate, load_pem_x509_certificates
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, PdfTimeStamper, SimpleSigner
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.validation.dss import async_add_validation_info
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import PathError, RevokedError, ValidationError
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend
from pyhanko_certvalidator.registry import SimpleCertificateStore

from app.certificates.authorities import Authorities
from app.certificates.strict import SEAL_FIELD
from app.certificates.token import open_token
from app.certificates.tokenplace import Token
from app.errors import BadInput, Refused, Unreachable

DIGEST = "sha256"
MAX_PEM_BYTES = 1 << 20


class NotClosed(Unreachable):
    """The seal holds, and could not be made lasting yet."""

    code = "not_closed_yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed file. `closed`: it carries what a verifier needs for years, under a last time-stamp over all of it."""

    pdf: bytes
    closed: bool
    why: str = ""
    """Why it is not closed."""


def load_seal(key: bytes, certificates: bytes, *, what: str = "the seal") -> Signer:
    """Return a signer from PEM: an unencrypted PKCS#8 key, and its certificate followed by the chain without the root.

    Raises BadInput (bad_seal) when they are not that, or do not belong together.
    """
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unreadable(what, error) from error
    chain, store = _chain(certificates, what)
    if private.public_key() != chain[0].public_key():
        raise BadInput(
            f"{what}: the first certificate is not that of the key",
            "Put the seal's own certificate first, then the authorities above it.",
            code="bad_seal",
        )
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own = x509.Certificate.load(chain[0].public_bytes(serialization.Encoding.DER))
    return SimpleSigner(signing_cert=own, signing_key=keys.PrivateKeyInfo.load(der), cert_registry=store)


def read_seal(key: Path | Token, certificates: Path) -> Signer:
    """Read a seal: its key from a file or on a token, its certificates from a file.

    Raises BadInput (missing, bad_seal, bad_setting), TokenUnavailable.
    """
    above = _read(certificates)
    if isinstance(key, Token):
        chain, store = _chain(above, f"the seal {certificates}")
        return open_token(key, chain[0], store)
    return load_seal(_read(key), above, what=f"the seal {key}, {certificates}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:MAX_PEM_BYTES]
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", "Check seal_… in muniment.toml.", code="missing"
        ) from error


def _chain(pem: bytes, what: str) -> tuple[list[Certificate], SimpleCertificateStore]:
    """The certificates, the seal's own first, and a store of those above it."""
    try:
        chain = load_pem_x509_certificates(pem)
    except (ValueError, TypeError) as error:
        raise _unreadable(what, error) from error
    store = SimpleCertificateStore()
    store.register_multiple(
        [x509.Certificate.load(each.public_bytes(serialization.Encoding.DER)) for each in chain[1:]]
    )
    return chain, store


def _unreadable(what: str, error: Exception) -> BadInput:
    return BadInput(
        f"{what} cannot be read: {error}",
        "Give the key (without a passphrase) and the certificates in PEM.",
        code="bad_seal",
    )


async def seal(
    pdf: bytes,
    signer: Signer,
    *,
    addresses: Sequence[str],
    roots: Sequence[x509.Certificate],
    session: aiohttp.ClientSession,
) -> Sealed:
    """Seal a PDF, and close it if that can be done now. Raises NoTimestamp, Refused (seal_revoked): none is issued."""
    stampers = Authorities(addresses, session)
    meta = PdfSignatureMetadata(
        field_name=SEAL_FIELD,
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        md_algorithm=DIGEST,
    )
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    signed = await PdfSigner(meta, signer=signer, timestamper=stampers).async_sign_pdf(writer)
    begun = bytes(signed.getbuffer())
    try:
        return Sealed(pdf=await close(begun, addresses=addresses, roots=roots, session=session), closed=True)
    except Unreachable as error:
        return Sealed(pdf=begun, closed=False, why=error.message)


async def close(
    pdf: bytes, *, addresses: Sequence[str], roots: Sequence[x509.Certificate], session: aiohttp.ClientSession
) -> bytes:
    """Take a file from B-T to a closed one. Raises NotClosed, NoTimestamp, Refused; the file given stays good."""
    # New fetchers each time: they keep revocation answers for as long as they live.
    async with AIOHttpFetcherBackend(session=session) as fetchers:
        context = ValidationContext(
            trust_roots=list(roots), allow_fetching=True, fetchers=fetchers, revocation_mode="hard-fail"
        )
        try:
            (found,) = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
            with_status = await async_add_validation_info(found, context, in_place=False)
        except RevokedError as error:
            raise Refused(
                f"the seal's certificate is revoked: {error}",
                "Nothing was issued. Get another seal from the certification authority.",
                code="seal_revoked",
            ) from error
        except (ValidationError, PathError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotClosed(
                f"the status of the certificates cannot be had: {str(error) or type(error).__name__}",
                "The seal holds. Ask again when the authority's OCSP or its revocation lists answer.",
            ) from error
    return await _stamp(with_status.getvalue(), addresses, session)


async def renew(
    pdf: bytes, *, addresses: Sequence[str], roots: Sequence[x509.Certificate], session: aiohttp.ClientSession
) -> bytes:
    """Add the status of the last time-stamp's chain and a new time-stamp over all. Raises NotClosed, NoTimestamp."""
    async with AIOHttpFetcherBackend(session=session) as fetchers:
        context = ValidationContext(
            trust_roots=list(roots), allow_fetching=True, fetchers=fetchers, revocation_mode="hard-fail"
        )
        try:
            longer = await PdfTimeStamper(Authorities(addresses, session)).async_update_archival_timestamp_chain(
                PdfFileReader(BytesIO(pdf)), context, in_place=False
            )
        except (ValidationError, PathError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotClosed(
                f"the status of the last time-stamp cannot be had: {str(error) or type(error).__name__}",
                "The certificate is as good as before. Ask again soon: before its last time-stamp's authority ends.",
            ) from error
    return await _stamp(longer.getvalue(), addresses, session)


async def _stamp(pdf: bytes, addresses: Sequence[str], session: aiohttp.ClientSession) -> bytes:
    stamper = PdfTimeStamper(Authorities(addresses, session))
    closed = await stamper.async_timestamp_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), DIGEST)
    return bytes(closed.getbuffer())
