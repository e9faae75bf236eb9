"""From a token's signer to a root of an authority on the verifier's list, judged at the time that the token states."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger.anchors.errors import BadAnchor, UnknownAuthority
from ledger.anchors.token import MAX_CERTIFICATES, TokenParts

_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A time-stamp authority that a verifier counts: its name in his list, its roots, and whom it certifies.

    `subject` is the common name of its signing certificates, where several authorities share a root; None: any.
    """

    name: str
    roots: tuple[x509.Certificate, ...]
    subject: str | None = None


def find_chain(
    parts: TokenParts, authorities: Sequence[Authority], gen_time: datetime.datetime, *, surplus: bool = False
) -> tuple[Authority, tuple[x509.Certificate, ...]]:
    """Return the authority, and the chain from the signer to its root. With `surplus`, others may stand beside it."""
    leaf = _signer_certificate(parts)
    chain, named = [leaf], False
    while len(chain) <= MAX_CERTIFICATES:
        here = chain[-1]
        found = [(each, root) for each in authorities for root in each.roots if root.subject == here.issuer]
        named = named or bool(found)
        issued = [(each, root) for each, root in found if root != leaf and _issued_by(here, root)]
        if issued:
            common_name = common_name_of(leaf)
            ours = [(each, root) for each, root in issued if each.subject in (None, common_name)]
            if not ours:
                raise UnknownAuthority(
                    f"the token is by {common_name!r}, under a root that is known for others",
                    "Ask for a proof made for your trust file, or for a trust file that names this authority.",
                )
            # A list that names the subject is meant before one that takes anybody.
            authority, root = sorted(ours, key=lambda pair: pair[0].subject is None)[0]
            full = (*chain, root)
            _check_chain(full, gen_time)
            if not surplus and any(each not in full for each in parts.certificates):
                raise BadAnchor("surplus_certificate", "the token carries a certificate that its chain does not use")
            return authority, full
        above = [each for each in parts.certificates if each not in chain and each.subject == here.issuer]
        above = [each for each in above if _issued_by(here, each)]
        if not above:
            break
        chain.append(above[0])
    if named:
        raise BadAnchor(
            "wrong_tsa", "the certificates name a known root, and were not issued by it", "This is a forgery: keep it."
        )
    raise UnknownAuthority(
        f"the token is by {common_name_of(leaf)!r}, which is under no root that the verifier knows",
        "Ask for a proof made for your trust file, or for a trust file that names this authority.",
    )


def _signer_certificate(parts: TokenParts) -> x509.Certificate:
    sid = parts.signer["sid"]
    for der, certificate in zip(parts.certificates_der, parts.certificates, strict=True):
        if sid.name == "issuer_and_serial_number":
            same = (
                sid.chosen["serial_number"].native == certificate.serial_number
                and sid.chosen["issuer"].dump() == certificate.issuer.public_bytes()
            )
        else:
            same = cms.Certificate.load(der).key_identifier == sid.chosen.native
        if same:
            return certificate
    raise BadAnchor("wrong_tsa", "the token does not carry the certificate of its signer")


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_chain(chain: Sequence[x509.Certificate], when: datetime.datetime) -> None:
    for number, each in enumerate(chain):
        if not each.not_valid_before_utc <= when <= each.not_valid_after_utc:
            raise BadAnchor(
                "expired_tsa",
                f"the certificate of {common_name_of(each)!r} was valid from {each.not_valid_before_utc:%Y-%m-%d} to "
                f"{each.not_valid_after_utc:%Y-%m-%d}, and the token says {when:%Y-%m-%d}",
            )
        if number == 0:
            continue
        constraints = _extension(each, x509.BasicConstraints)
        usage = _extension(each, x509.KeyUsage)
        is_root = number == len(chain) - 1
        if constraints is None and is_root:
            continue  # a root of version 1: the verifier's list names it
        # The length of the path counts the authorities between this one and the signer.
        length = None if constraints is None else constraints.path_length
        if constraints is None or not constraints.ca or (length is not None and number - 1 > length):
            raise BadAnchor("wrong_tsa", f"{common_name_of(each)!r} may not issue the certificate below it")
        if usage is not None and not usage.key_cert_sign:
            raise BadAnchor("wrong_tsa", f"{common_name_of(each)!r} may not sign certificates")


def check_purpose(leaf: x509.Certificate) -> None:
    """Check that a certificate is for time-stamping, critically and only (RFC 3161, section 2.3). Raises BadAnchor."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        found = None
    if found is None or not found.critical or list(found.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise BadAnchor(
            "wrong_eku", f"the certificate of {common_name_of(leaf)!r} is not, critically and only, for time-stamping"
        )
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise BadAnchor("wrong_eku", f"the certificate of {common_name_of(leaf)!r} is not for signatures")


def common_name_of(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate's subject, its whole name where it has none."""
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else certificate.subject.rfc4514_string()
    except ValueError:
        return "(unreadable)"


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise BadAnchor("wrong_tsa", f"an extension of {common_name_of(certificate)!r} cannot be read") from error
