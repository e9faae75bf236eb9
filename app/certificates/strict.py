"""The one part of a closed PDF that no signature covers: the last time-stamp's own bytes. They have one form only.

The last document time-stamp covers the whole file but for its own `/Contents`: a hexadecimal string with room to spare.
Inside, CMS leaves fields unsigned: which certificates are embedded, digest lists, versions, encodings. Each must be
what our own writer makes, so that no byte of a certificate can change unseen. RFC 5652 §5, RFC 3161 §2.4.2.
"""

import re
from typing import NoReturn

from asn1crypto import cms, core, x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import load_der_x509_certificate

from app.errors import Mismatch

SEAL_FIELD = "Seal"
"""The name of the one field that holds the registry's seal."""
_HEX = re.compile(rb"<([0-9A-F]*)>\Z")


def check_form(pdf: bytes, byte_range: tuple[int, int, int, int]) -> bytes:
    """Return the DER of the signature whose byte range is given. Raises Mismatch (not_strict)."""
    start, length, second, rest = byte_range
    if start != 0 or second + rest != len(pdf) or not 0 < length < second:
        _no("its byte range does not span the file")
    found = _HEX.match(pdf[length:second])
    if found is None or len(found.group(1)) % 2:
        _no("it is not one string of uppercase hexadecimal digits")
    data = bytes.fromhex(found.group(1).decode("ascii"))
    token = _whole(data)
    if data[len(token) :].strip(b"\x00"):
        _no("bytes other than zero follow it")
    return token


def check_token(token: bytes, chain: tuple[x509.Certificate, ...]) -> None:
    """Check that a token (DER of a ContentInfo) has one form; `chain` is the signer's, with the root.

    Raises Mismatch (not_strict).
    """
    try:
        content = cms.ContentInfo.load(token, strict=True)
        _exact(content, token)
        signed = content["content"]
        (signer,) = signed["signer_infos"]
        digests = [each.dump() for each in signed["digest_algorithms"]]
        embedded = [each.chosen.dump() for each in signed["certificates"]]
        named = signer["sid"].chosen
        sid = (signer["sid"].name, named["issuer"].dump(), named["serial_number"].native)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Mismatch(
            f"the last time-stamp cannot be read: {error}", "Ask for the original file.", code="not_strict"
        ) from error
    known = [each.dump() for each in chain]
    if content["content_type"].native != "signed_data" or signed["version"].native != "v3":
        _no("its type or version is another")
    if signer["version"].native != "v1" or digests != [signer["digest_algorithm"].dump()]:
        _no("its list of digests is not that of its one signer")
    # Names are the same in capitals and small letters (RFC 5280 §7.1), and no signature covers this one.
    if sid != ("issuer_and_serial_number", chain[0].issuer.dump(), chain[0].serial_number):
        _no("it does not name its signer as the certificate does")
    if not isinstance(signed["crls"], core.Void):
        _no("it carries revocation lists")
    if not isinstance(signer["unsigned_attrs"], core.Void):
        _no("it has unsigned attributes")
    others = [each for each in embedded if each not in known]
    used = not others or (len(others) == 1 and known[-1] not in embedded and _is_root(others[0], chain[-1]))
    if len(set(embedded)) != len(embedded) or known[0] not in embedded or not used:
        _no("it embeds certificates that its chain does not use, or lacks its signer's")


def _is_root(data: bytes, root: x509.Certificate) -> bool:
    """The root again with another of its own signatures: ECDSA makes a new one each time, and each must hold."""
    try:
        found = load_der_x509_certificate(data)
        found.verify_directly_issued_by(load_der_x509_certificate(root.dump()))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return bytes(x509.Certificate.load(data)["tbs_certificate"].dump()) == bytes(root["tbs_certificate"].dump())


def _whole(data: bytes) -> bytes:
    """The first DER value: the length field says where it ends."""
    if len(data) < 4 or data[0] != 0x30:
        _no("it holds no DER sequence")
    if data[1] < 0x80:
        end = 2 + data[1]
    else:
        octets = data[1] & 0x7F
        if not 1 <= octets <= 4:
            _no("its length is not DER")
        end = 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")
    if end > len(data):
        _no("it is cut off")
    return data[:end]


def _exact(value: core.Asn1Value, data: bytes) -> None:
    """Encoded anew, a value of DER gives the same bytes."""
    again = value.copy()
    _ = again.native
    if again.dump(force=True) != data:
        _no("it is not DER")


def _no(why: str) -> NoReturn:
    raise Mismatch(
        f"the last time-stamp is not in its one form: {why}",
        "A byte of the file was changed after it was closed: ask for the original.",
        code="not_strict",
    )
