"""The roots of a trust file in the form in which pyHanko takes them."""

from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from app.statements.trust import Trust

Roots = tuple[x509.Certificate, ...]


def roots_of(trust: Trust) -> tuple[Roots, Roots]:
    """Return the roots of seals and those of time-stamp authorities; empty where the trust file names none."""
    seals = () if trust.seal is None else trust.seal.roots
    stamps = () if trust.tsa is None else trust.tsa.roots
    return tuple(_asn1(each) for each in seals), tuple(_asn1(each) for each in stamps)


def _asn1(certificate: Certificate) -> x509.Certificate:
    return x509.Certificate.load(certificate.public_bytes(Encoding.DER))
