"""A person binds his certificate offline: its key signs a short text that names registry, member and identity key."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import Certificate, load_pem_x509_certificates

from app.errors import BadInput
from app.identities.bindingfile import BindingFile
from app.identities.possession import CURVES, PSS, Algorithm, binding_text

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_REMEDY = "Give RSA of at least 2048 bits, or a key on P-256 or P-384, in PEM."


def read_certificates(pem: bytes, what: str) -> tuple[Certificate, ...]:
    """Read certificates in PEM, at least one. Raises BadInput (bad_certificate)."""
    try:
        return tuple(load_pem_x509_certificates(pem))
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"{what} holds no certificates in PEM: {error}",
            "Give -----BEGIN CERTIFICATE----- blocks.",
            code="bad_certificate",
        ) from error


def is_locked(pem: bytes) -> bool:
    """Whether a key in PEM is under a passphrase."""
    return b"ENCRYPTED" in pem


def read_key(pem: bytes, passphrase: str | None) -> PrivateKey:
    """Read a private key in PEM. Raises BadInput (bad_key)."""
    try:
        key = serialization.load_pem_private_key(pem, None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(f"the key cannot be read: {error}", _REMEDY, code="bad_key") from error
    if isinstance(key, rsa.RSAPrivateKey) or (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES):
        return key
    raise BadInput("the key is neither RSA nor on P-256 or P-384", _REMEDY, code="bad_key")


def bind(
    key: PrivateKey,
    certificates: tuple[Certificate, ...],
    *,
    origin: str,
    member: str,
    current: str,
    pkcs1v15: bool = False,
) -> BindingFile:
    """Sign with the certificate's key; `current` is the thumbprint of the identity key. Raises BadInput (other_key)."""
    if certificates[0].public_key() != key.public_key():
        raise BadInput(
            "the first certificate is not that of the key",
            "Put your own certificate first, then those of the authorities above it.",
            code="other_key",
        )
    sha256 = certificates[0].fingerprint(hashes.SHA256())
    text = binding_text(origin=origin, member=member, key=current, certificate=sha256)
    algorithm, signature = sign_text(key, text, pkcs1v15=pkcs1v15)
    return BindingFile(
        origin=origin,
        member=member,
        key=current,
        certificates=tuple(each.public_bytes(serialization.Encoding.DER) for each in certificates),
        algorithm=algorithm,
        signature=signature,
    )


def sign_text(key: PrivateKey, text: bytes, *, pkcs1v15: bool = False) -> tuple[Algorithm, bytes]:
    """Sign; RSA by PSS unless `pkcs1v15` (what some cards can do only)."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm, digest = CURVES[key.curve.name]
        return algorithm, key.sign(text, ec.ECDSA(digest))
    if pkcs1v15:
        return "rsa-pkcs1v15-sha256", key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return "rsa-pss-sha256", key.sign(text, PSS, hashes.SHA256())
