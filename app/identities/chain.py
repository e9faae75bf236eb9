"""A person's X.509 certificate with those above it, as a binding carries them. No roots, no clock: those are passed in.

DER, the person's first, each issued by the next one, the last the root under which the registrar checked (its own
signature proves nothing, so it is not looked at). Stricter than RFC 5280 where nothing is lost: keys and hashes are of
a short list, texts are printable, and critical extensions are only those that are understood here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from app.errors import BadInput, Refused

MAX_CERTIFICATES = 6
MAX_CERTIFICATE_BYTES = 8_192
MAX_NAME = 300
"""Characters of a subject or an issuer, as RFC 4514 writes it."""

_HASHES = ("sha256", "sha384", "sha512")
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_CRITICAL = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
_SERVICES = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING}
_POLICIES = ExtensionOID.CERTIFICATE_POLICIES
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

E = TypeVar("E", bound=x509.ExtensionType)
PersonKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a chain of certificates says. Times are Unix seconds, both included, and hold for every certificate."""

    subject: str
    """RFC 4514, most specific name first, as are all names here."""
    issuer: str
    root: str
    sha256: bytes
    """Of the person's certificate, 32 bytes."""
    key: PersonKey
    not_before: int
    not_after: int


def read_chain(certificates: Sequence[bytes]) -> Chain:
    """Read and check a chain. Raises BadInput (bad_certificate, bad_chain), Refused (weak_certificate)."""
    if not 2 <= len(certificates) <= MAX_CERTIFICATES:
        raise _bad(f"the chain has {len(certificates)} certificates, not 2 to {MAX_CERTIFICATES}", code="bad_chain")
    found = [_read(each, number) for number, each in enumerate(certificates)]
    leaf, *above = found
    try:
        _check_person(leaf)
        for depth, each in enumerate(above):
            _check_authority(each, depth)
        for number, (one, issuer) in enumerate(zip(found, above, strict=False)):
            _check_issued(one, issuer, number)
        return Chain(
            subject=_name(leaf.subject, "the subject"),
            issuer=_name(leaf.issuer, "the issuer"),
            root=_name(found[-1].subject, "the root"),
            sha256=sha256(certificates[0]).digest(),
            key=_person_key(leaf),
            not_before=max(int(each.not_valid_before_utc.timestamp()) for each in found),
            not_after=min(int(each.not_valid_after_utc.timestamp()) for each in found),
        )
    except _UNREADABLE as error:
        raise _unreadable("a certificate of the chain", error) from error


def check_time(chain: Chain, now: int) -> None:
    """Check that every certificate is valid at `now` (Unix seconds). Raises Refused (certificate_ended, …_not_yet)."""
    if now > chain.not_after:
        raise Refused(
            f"a certificate in the chain of {chain.subject} ended {now - chain.not_after} seconds ago",
            "Bind a certificate that is valid.",
            code="certificate_ended",
        )
    if now < chain.not_before:
        raise Refused(
            f"a certificate in the chain of {chain.subject} is valid in {chain.not_before - now} seconds",
            "Wait, or set the clock right.",
            code="certificate_not_yet",
        )


def _read(der: bytes, number: int) -> x509.Certificate:
    what = f"certificate {number} of the chain"
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise _bad(f"{what} has {len(der)} bytes, more than {MAX_CERTIFICATE_BYTES}")
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.extensions  # noqa: B018 - parsed when asked for
        again = certificate.public_bytes(Encoding.DER)
        serial = certificate.serial_number
    except _UNREADABLE as error:
        raise _unreadable(what, error) from error
    if serial <= 0:
        raise _bad(f"{what} has the serial number {serial}")
    if again != der:
        raise _bad(f"{what} is not in DER")
    return certificate


def _check_person(leaf: x509.Certificate) -> None:
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise _bad("the person's certificate is not for digital signatures (key usage)", code="bad_chain")
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _bad("the person's certificate is that of an authority", code="bad_chain")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and _SERVICES & set(purposes):
        # Such a key signs what strangers send it.
        raise _bad("the person's certificate is that of a time-stamp or revocation service", code="bad_chain")
    _check_extensions(leaf)


def _check_authority(certificate: x509.Certificate, depth: int) -> None:
    """`depth`: how many authorities stand between this one and the person."""
    name = _name(certificate.subject, "an authority")
    usage, constraints = _extension(certificate, x509.KeyUsage), _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise _bad(f"{name} is not an authority that signs certificates", code="bad_chain")
    if constraints.path_length is not None and depth > constraints.path_length:
        raise _bad(f"{name} must not have {depth} authorities below it", code="bad_chain")
    _check_extensions(certificate)
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key, name)


def _check_issued(one: x509.Certificate, issuer: x509.Certificate, number: int) -> None:
    # The names' bytes: cryptography compares them when it verifies.
    algorithm = one.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        raise _weak(f"certificate {number} is signed with {'no known hash' if algorithm is None else algorithm.name}")
    try:
        one.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE) as error:
        raise _bad(f"certificate {number} of the chain was not issued by the one after it", code="bad_chain") from error


def _person_key(leaf: x509.Certificate) -> PersonKey:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key, "the person's certificate")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES[:2]:
        return key
    raise _weak("the person's key is neither RSA nor on the curves P-256 or P-384")


def _check_rsa(key: rsa.RSAPublicKey, what: str) -> None:
    if not 2_048 <= key.key_size <= 8_192 or key.public_numbers().e >= 2**32:
        raise _weak(f"{what} has an RSA key of {key.key_size} bits, or an exponent beyond 32 bits")


def _check_extensions(certificate: x509.Certificate) -> None:
    for each in certificate.extensions:
        if each.critical and each.oid not in _CRITICAL and each.oid != _POLICIES:
            raise _bad(f"a certificate has the critical extension {each.oid.dotted_string}", code="bad_chain")


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(name: x509.Name, what: str) -> str:
    text = name.rfc4514_string()
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise _bad(f"{what} has {len(text)} characters, not 1 to {MAX_NAME} printable ones: {text[:60]!r}")
    return text


def _bad(message: str, *, code: str = "bad_certificate") -> BadInput:
    return BadInput(message, "Give the person's certificate and those above it, each once, in order.", code=code)


def _unreadable(what: str, error: BaseException) -> BadInput:
    return _bad(f"{what} cannot be read: {type(error).__name__}: {str(error)[:200]}")


def _weak(message: str) -> Refused:
    return Refused(message, "Get a certificate with RSA of 2048 bits or P-256, and SHA-256.", code="weak_certificate")
