"""A time-stamp token taken apart: its form is checked, nothing of it is believed yet (RFC 3161, RFC 5652)."""

import datetime
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from asn1crypto import cms, tsp
from cryptography import x509

from ledger.anchors.der import check_der
from ledger.anchors.errors import BadAnchor
from ledger.errors import LedgerError

MAX_TOKEN_BYTES = 65_536
MAX_CERTIFICATES = 8
IMPRINTS = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What the ASN.1 reader raises for hostile bytes, from wherever it first looks at them."""
_UNITS = (("seconds", 1_000_000), ("millis", 1000), ("micros", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParts:
    """Its TSTInfo, stated time, signer, signed attributes by name, and certificates with their DER."""

    info: tsp.TSTInfo
    gen_time: datetime.datetime
    signer: cms.SignerInfo
    attributes: dict[str, list[object]]
    certificates: tuple[x509.Certificate, ...]
    certificates_der: tuple[bytes, ...]

    @classmethod
    def read(cls, token: bytes) -> "TokenParts":
        """Read a bare token: DER, one signer, nothing unsigned but certificates. Raises BadAnchor."""
        if len(token) > MAX_TOKEN_BYTES:
            raise bad_form(f"the token has {len(token)} bytes, more than {MAX_TOKEN_BYTES}")
        check_der(token, "the token")
        with hostile_bytes():
            return cls._read(token)

    @classmethod
    def _read(cls, token: bytes) -> "TokenParts":
        outer = cms.ContentInfo.load(token, strict=True)
        if outer["content_type"].native != "signed_data":
            raise bad_form("the token is no signed data")
        signed = outer["content"]
        inner = signed["encap_content_info"]
        if inner["content_type"].native != "tst_info":
            raise bad_form("the token signs something that is no TSTInfo")
        info_der = bytes(inner["content"].contents)
        check_der(info_der, "the TSTInfo")
        info = tsp.TSTInfo.load(info_der, strict=True)
        _ = info.native  # the reader is lazy: every field is parsed here or nowhere
        _ = signed.native
        signers, algorithms = signed["signer_infos"], signed["digest_algorithms"]
        if len(signers) != 1 or len(algorithms) != 1:
            raise bad_form("the token has not exactly one signer and one digest algorithm")
        signer = signers[0]
        if algorithms[0].native != signer["digest_algorithm"].native:
            raise bad_form("the token names another digest algorithm than its signer")
        if signer["digest_algorithm"]["algorithm"].native not in IMPRINTS:
            raise BadAnchor("weak_imprint", f"it is signed over {signer['digest_algorithm']['algorithm'].native}")
        if signer["unsigned_attrs"].native:
            raise bad_form("the token has attributes that nobody signed")
        if signed["crls"].native:
            raise bad_form("the token carries revocation lists, which nobody signed into it")
        _check_unsigned(signed, signer)
        attributes: dict[str, list[object]] = {}
        for each in signer["signed_attrs"]:
            name = each["type"].native
            if name in attributes:
                raise bad_form(f"the signed attribute {name} stands in the token twice")
            attributes[name] = list(each["values"])
        if [str(each.native) for each in _attribute(attributes, "content_type")] != ["tst_info"]:  # type: ignore[attr-defined]
            raise bad_form("the signed content type is not TSTInfo")
        embedded = signed["certificates"] if signed["certificates"].native else ()
        if not 1 <= len(embedded) <= MAX_CERTIFICATES or any(each.name != "certificate" for each in embedded):
            raise bad_form(f"the token carries not 1 to {MAX_CERTIFICATES} certificates")
        ders = tuple(bytes(each.chosen.dump()) for each in embedded)
        if len(set(ders)) != len(ders):
            raise BadAnchor("surplus_certificate", "the token carries a certificate twice")
        return cls(
            info=info,
            gen_time=_time(info),
            signer=signer,
            attributes=attributes,
            certificates=tuple(x509.load_der_x509_certificate(each) for each in ders),
            certificates_der=ders,
        )


@contextmanager
def hostile_bytes() -> Iterator[None]:
    """Turn whatever a reader of ASN.1 or certificates raises for hostile bytes, wherever it first looks, into ours."""
    try:
        yield
    except LedgerError:
        raise
    except Exception as error:
        raise bad_form(f"the token cannot be read: {type(error).__name__} {error}"[:300]) from error


def _check_unsigned(signed: cms.SignedData, signer: cms.SignerInfo) -> None:
    """What no signature covers has one value: versions (RFC 5652, 5.1 and 5.3) and the algorithm of the signature."""
    by_name = signer["sid"].name == "issuer_and_serial_number"
    if signed["version"].native != "v3" or signer["version"].native != ("v1" if by_name else "v3"):
        raise bad_form("the token names a version that is not the one of its form")
    algorithm = signer["signature_algorithm"]
    name, digest = algorithm["algorithm"].native, signer["digest_algorithm"]["algorithm"].native
    if name not in (f"{digest}_ecdsa", f"{digest}_rsa", "rsassa_pkcs1v15", "rsassa_pss"):
        raise bad_form(f"the token is signed by {name} over {digest}")
    plain = name != "rsassa_pss"
    if plain and algorithm["parameters"].native is not None:
        raise bad_form(f"{name} has parameters")


def _time(info: tsp.TSTInfo) -> datetime.datetime:
    raw = bytes(info["gen_time"].contents)
    # RFC 3161, section 2.4.2: to the second, or with a fraction that does not end in 0; always in UTC.
    if not re.fullmatch(rb"[0-9]{14}(?:\.[0-9]*[1-9])?Z", raw):
        raise bad_form(f"the time {raw[:40]!r} is not in the form of RFC 3161")
    found = datetime.datetime.strptime(raw[:14].decode(), "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    fraction = raw[15:-1][:6]
    return found.replace(microsecond=int(fraction.ljust(6, b"0") or b"0"))


def accuracy_of(info: tsp.TSTInfo) -> int | None:
    """Return the accuracy in microseconds, None where the authority states none. Raises BadAnchor."""
    accuracy = info["accuracy"]
    if accuracy.native is None:
        return None
    parts = [(accuracy[name].native or 0) * unit for name, unit in _UNITS]
    if any(part < 0 for part in parts):
        raise bad_form("the accuracy is negative")
    return int(sum(parts))


def _attribute(attributes: dict[str, list[object]], name: str) -> list[object]:
    if name not in attributes:
        raise bad_form(f"the signed attribute {name} is missing")
    return attributes[name]


def bad_form(problem: str) -> BadAnchor:
    """The fault of a token that is not in its form."""
    return BadAnchor("anchor_form", problem)
