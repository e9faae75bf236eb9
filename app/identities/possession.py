"""The text that a person signs with his certificate's key, once, to bind it to his identity key; and its check.

Five lines, each ended by LF: the name of this form, the registry's origin, the member's id, the thumbprint of the
identity key that he has now, and the SHA-256 of his certificate in hex. So a signature is of use for no other ledger,
member, key or certificate.
"""

from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from app.errors import Refused
from app.identities.chain import Chain, PersonKey

FORM = "muniment-identity-binding/v1"
MAX_SIGNATURE_BYTES = 1_024

Algorithm = Literal["rsa-pss-sha256", "rsa-pkcs1v15-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384"]
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
"""RFC 8017 §8.1 with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes."""
CURVES: dict[str, tuple[Algorithm, hashes.HashAlgorithm]] = {
    "secp256r1": ("ecdsa-p256-sha256", hashes.SHA256()),
    "secp384r1": ("ecdsa-p384-sha384", hashes.SHA384()),
}


def binding_text(*, origin: str, member: str, key: str, certificate: bytes) -> bytes:
    """Return what is signed. `member` and `key` are thumbprints, `certificate` is a SHA-256 (32 bytes)."""
    return "".join(f"{each}\n" for each in (FORM, origin, member, key, certificate.hex())).encode()


def check_possession(
    chain: Chain, algorithm: Algorithm, signature: bytes, *, origin: str, member: str, key: str
) -> None:
    """Check that the holder of the chain's key signed the text. Raises Refused (bad_possession)."""
    text = binding_text(origin=origin, member=member, key=key, certificate=chain.sha256)
    try:
        good = _verify(chain.key, algorithm, signature, text)
    except (InvalidSignature, ValueError):
        good = False
    if not good:
        raise Refused(
            f"the signature ({algorithm}) is not by the key of {chain.subject} over this registry, member and key",
            "The person signs again: muniment identity bind, with his present keys.",
            code="bad_possession",
        )


def _verify(key: PersonKey, algorithm: Algorithm, signature: bytes, text: bytes) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        if algorithm == "rsa-pss-sha256":
            key.verify(signature, text, PSS, hashes.SHA256())
        elif algorithm == "rsa-pkcs1v15-sha256":
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
        return True
    name, digest = CURVES[key.curve.name]
    if algorithm != name or encode_dss_signature(*decode_dss_signature(signature)) != signature:
        return False
    key.verify(signature, text, ec.ECDSA(digest))
    return True
