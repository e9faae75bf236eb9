"""Whether a PDF's seal holds: offline, from the bytes, the verifier's roots and a time. One answer of three.

The seal is judged at the moment of the first time-stamp that covers it, each time-stamp at the moment of the next, the
last one now: a chain in which every link held until the next one was there, as evidence records are (RFC 4998 §5.3).
Any error of a parser is "does not match". What only lacks (roots, a closing time-stamp, years of an authority that has
ended) is "cannot tell", with the reason. pyHanko validates the cryptography (ETSI EN 319 102-1 §5.6.3); what it lets
pass and a court must not is checked here, in `revisions` and in `strict`.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise

from asn1crypto import cms, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel, TimestampSignatureStatus
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.errors import ValidationError
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager

from app.certificates.revisions import check_metadata
from app.certificates.strict import SEAL_FIELD, check_form, check_token
from app.errors import AppError, CannotTell, Mismatch

CLOCK_SKEW = 300
"""Seconds by which an authority's clock may be ahead of the verifier's."""
_ALTERED = "The file was altered, or was never sealed so: ask for the original; keep this one."
_SOFT = RevocationCheckingPolicy(
    RevocationCheckingRule.CHECK_IF_DECLARED_SOFT, RevocationCheckingRule.CHECK_IF_DECLARED_SOFT
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A seal that holds. Times are Unix seconds, from time-stamps, not from the signer's clock."""

    subject: str
    """The seal's holder, as the certification authority names it."""
    sealed_at: int
    """When the first time-stamp says that the seal was there."""
    sealed_by: str
    """The authority that says so."""
    closed_at: int
    """When the last time-stamp was given, which covers the whole file."""
    closed_by: str
    good_until: int
    """When the last time-stamp's authority ends: the file must be renewed before."""


async def judge(
    pdf: bytes, *, seal_roots: Sequence[x509.Certificate], tsa_roots: Sequence[x509.Certificate], now: int
) -> Judged:
    """Judge a sealed PDF at `now` (Unix seconds). Opens no socket.

    Raises Mismatch (no_seal, seal_broken, changed_after_seal, metadata_changed, not_strict) and CannotTell
    (not_closed_yet, seal_not_trusted, unknown_tsa_root, renewal_missed, from_the_future).
    """
    try:
        with _quiet():
            return await _judge(pdf, seal_roots, tsa_roots, now)
    except AppError:
        raise
    except Exception as error:
        # Whatever a parser trips over: a file that was sealed here is read without an error.
        raise Mismatch(
            f"the sealed PDF cannot be read: {type(error).__name__}: {str(error)[:200]}", _ALTERED, code="seal_broken"
        ) from error


async def _judge(
    pdf: bytes, seal_roots: Sequence[x509.Certificate], tsa_roots: Sequence[x509.Certificate], now: int
) -> Judged:
    reader = PdfFileReader(BytesIO(pdf), strict=True)
    seal, stamps = _signatures(reader)
    if not stamps:
        await _check_alone(seal, seal_roots)
        raise CannotTell(
            "the seal is whole and nothing follows it; the file is not closed yet: the status of the certificates was "
            "not to be had when it was issued",
            "Have it closed (muniment certificate --close FILE), then verify again.",
            code="not_closed_yet",
        )
    token = _covering(pdf, stamps[-1])
    # The last time-stamp covers all bytes but its own: what was altered anywhere else shows here, before more is read.
    last = await _link(pdf, tsa_roots)
    check_token(token, last.chain)
    if last.when.timestamp() > now + CLOCK_SKEW:
        raise CannotTell(
            f"the last time-stamp is of {last.when.isoformat()}, which is not yet",
            "Set this machine's clock.",
            code="from_the_future",
        )
    check_metadata(reader)
    _check_changes(seal)
    ends = [_end(each) for each in stamps]
    links = [*[await _link(pdf[:end], tsa_roots) for end in ends[:-1]], last]
    await _check_seal(pdf[: ends[0]], links[0].when, seal_roots, tsa_roots)
    for number, (older, newer) in enumerate(pairwise(links)):
        await _check_renewed(older, newer, pdf[: ends[number + 1]], tsa_roots)
    _check_lasts(links[-1], now, "now")
    first = _signature_stamp(seal)
    return Judged(
        subject=seal.signer_cert.subject.human_friendly,
        sealed_at=int(_gen_time(first).timestamp()),
        sealed_by=_stamper(first),
        closed_at=int(links[-1].when.timestamp()),
        closed_by=links[-1].chain[0].subject.human_friendly,
        good_until=links[-1].ends,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """One document time-stamp that holds for the file up to its own end: when, and its chain, its own first."""

    when: datetime
    chain: tuple[x509.Certificate, ...]

    @property
    def ends(self) -> int:
        """When the first certificate of the chain ends, Unix seconds."""
        return min(int(each.not_valid_after.timestamp()) for each in self.chain)


def _check_changes(seal: EmbeddedPdfSignature) -> None:
    """Nothing but status and time-stamps was appended to the seal's revision."""
    seal.compute_integrity_info()
    found = seal.summarise_integrity_info()
    level = getattr(found["diff_result"], "modification_level", ModificationLevel.OTHER)
    if (
        not found["docmdp_ok"]
        or level not in (ModificationLevel.NONE, ModificationLevel.LTA_UPDATES)
        or found["coverage"] not in _WHOLE
    ):
        raise Mismatch("the file was changed after it was sealed", _ALTERED, code="changed_after_seal")


async def _check_seal(
    pdf: bytes, when: datetime, seal_roots: Sequence[x509.Certificate], tsa_roots: Sequence[x509.Certificate]
) -> None:
    """Judge the seal at the moment of the first time-stamp that covers it, on the file as it was then."""
    (seal,) = PdfFileReader(BytesIO(pdf), strict=True).embedded_regular_signatures
    at = ValidationTimingInfo(validation_time=when, best_signature_time=when, point_in_time_validation=True)
    result = await ades_lta_validation(seal, _policy(seal_roots, tsa_roots), timing_info=at)
    status = result.api_status
    if not (status is not None and status.intact and status.valid):
        raise Mismatch("the seal does not hold for the file as it is", _ALTERED, code="seal_broken")
    if result.ades_subindic != AdESPassed.OK:
        raise CannotTell(
            f"the seal of {seal.signer_cert.subject.human_friendly} is whole, and its certificate cannot be accepted: "
            f"{getattr(result.ades_subindic, 'name', result.ades_subindic)}",
            "Check that your trust file names the root of that seal; a revoked seal is named so by its authority.",
            code="seal_not_trusted",
        )


async def _link(pdf: bytes, roots: Sequence[x509.Certificate]) -> _Link:
    """Check the time-stamp that ends `pdf`: over all of it, under a root, by a certificate that was good then."""
    last = PdfFileReader(BytesIO(pdf), strict=True).embedded_signatures[-1]
    last.compute_integrity_info(skip_diff=True)
    when, imprint = _gen_time(last.signed_data), last.compute_digest()
    context = ValidationContext(trust_roots=list(roots), allow_fetching=False, revocation_mode="soft-fail", moment=when)
    status = TimestampSignatureStatus(
        **await validate_tst_signed_data(last.signed_data, context, lambda _algorithm: imprint)
    )
    if not (status.intact and status.valid and getattr(last, "coverage", None) == SignatureCoverageLevel.ENTIRE_FILE):
        raise Mismatch(
            f"the time-stamp of {when.isoformat()} is not over this file", _ALTERED, code="changed_after_seal"
        )
    path = status.validation_path
    if not status.trusted or path is None:
        raise CannotTell(
            f"a time-stamp is by {last.signer_cert.subject.human_friendly}, under no root that you trust for "
            "time-stamps, or not for that time",
            "Check that your trust file names the root of that time-stamp authority.",
            code="unknown_tsa_root",
        )
    return _Link(when=when, chain=tuple(reversed(list(path.iter_certs(include_root=True)))))


async def _check_renewed(older: _Link, newer: _Link, pdf: bytes, roots: Sequence[x509.Certificate]) -> None:
    """A time-stamp was followed by the next while its authority lasted, and was not revoked by what was known then."""
    if newer.when < older.when:
        raise Mismatch("a later time-stamp is older than the one before it", _ALTERED, code="out_of_order")
    _check_lasts(older, int(newer.when.timestamp()), f"on {newer.when.date()}, when it was renewed")
    known = DocumentSecurityStore.read_dss(PdfFileReader(BytesIO(pdf), strict=True)).as_validation_context(
        {
            "trust_roots": list(roots),
            "allow_fetching": False,
            "revocation_mode": "soft-fail",
            "moment": newer.when,
        }
    )
    validator = CertificateValidator(older.chain[0], intermediate_certs=older.chain[1:], validation_context=known)
    try:
        await validator.async_validate_usage(set(), {"time_stamping"})
    except ValidationError as error:
        raise CannotTell(
            f"the authority of the time-stamp of {older.when.date()} was no longer good when it was renewed: {error}",
            "Look for a copy that was renewed in time, by another authority.",
            code="renewal_missed",
        ) from error


def _check_lasts(link: _Link, until: int, words: str) -> None:
    if link.ends < until:
        raise CannotTell(
            f"the authority of the time-stamp of {link.when.date()} ended on "
            f"{datetime.fromtimestamp(link.ends, UTC).date()}, and nothing renewed it before: {words} nobody vouches "
            "for it any more",
            "Look for a copy that was renewed in time.",
            code="renewal_missed",
        )


def _signatures(reader: PdfFileReader) -> tuple[EmbeddedPdfSignature, list[EmbeddedPdfSignature]]:
    """The one seal and the document time-stamps after it. Raises Mismatch (no_seal)."""
    found = list(reader.embedded_signatures)
    seals = [each for each in found if each.sig_object_type == "/Sig"]
    stamps = [each for each in found if each.sig_object_type == "/DocTimeStamp"]
    if (
        len(seals) != 1
        or found[0] is not seals[0]
        or seals[0].field_name != SEAL_FIELD
        or len(found) != 1 + len(stamps)
    ):
        raise Mismatch(
            f"the file has {len(seals)} seals and {len(stamps)} time-stamps, not one seal followed by time-stamps",
            _ALTERED,
            code="no_seal",
        )
    if seals[0].docmdp_level is not MDPPerm.NO_CHANGES:
        raise Mismatch("the seal does not forbid changes", _ALTERED, code="no_seal")
    return seals[0], stamps


async def _check_alone(seal: EmbeddedPdfSignature, roots: Sequence[x509.Certificate]) -> None:
    """Check a seal that no time-stamp follows: whole, under a known root, and the last thing in the file."""
    context = ValidationContext(
        trust_roots=list(roots),
        allow_fetching=False,
        revocation_mode="soft-fail",
        moment=_gen_time(_signature_stamp(seal)),
    )
    status = await async_validate_pdf_signature(seal, context, skip_diff=False)
    if not (status.intact and status.valid and status.coverage == SignatureCoverageLevel.ENTIRE_FILE):
        raise Mismatch("the seal does not hold for the file as it is", _ALTERED, code="changed_after_seal")
    if not status.trusted:
        raise CannotTell(
            f"the seal of {seal.signer_cert.subject.human_friendly} is whole, and is under no root that you trust",
            "Check that your trust file names the root of that seal.",
            code="seal_not_trusted",
        )


def _covering(pdf: bytes, last: EmbeddedPdfSignature) -> bytes:
    """The token of the last time-stamp, which covers the whole file and is in its one form."""
    start, length, second, rest = (int(each) for each in last.byte_range)
    if second + rest != len(pdf):
        raise Mismatch(
            f"{len(pdf) - second - rest} bytes follow the last time-stamp", _ALTERED, code="changed_after_seal"
        )
    return check_form(pdf, (start, length, second, rest))


def _end(stamp: EmbeddedPdfSignature) -> int:
    return int(stamp.byte_range[2]) + int(stamp.byte_range[3])


def _signature_stamp(seal: EmbeddedPdfSignature) -> cms.SignedData:
    """The time-stamp over the seal. Raises Mismatch: a seal without one was never issued."""
    found = list(extract_tst_data_iter(seal.signer_info, signed=False))
    if len(found) != 1:
        raise Mismatch(f"the seal has {len(found)} time-stamps of its own, not one", _ALTERED, code="no_seal")
    return found[0]


def _gen_time(token: cms.SignedData) -> datetime:
    when = token["encap_content_info"]["content"].parsed["gen_time"].native
    return when if isinstance(when, datetime) else datetime.fromtimestamp(0, UTC)


def _stamper(token: cms.SignedData) -> str:
    """The name of the certificate that signed a token."""
    wanted = token["signer_infos"][0]["sid"].chosen
    for each in token["certificates"]:
        certificate = each.chosen
        if certificate.serial_number == wanted["serial_number"].native and certificate.issuer == wanted["issuer"]:
            return str(certificate.subject.human_friendly)
    return "an authority that the token does not carry"


def _policy(
    seal_roots: Sequence[x509.Certificate], tsa_roots: Sequence[x509.Certificate]
) -> PdfSignatureValidationSpec:
    def under(roots: Sequence[x509.Certificate], status: CertRevTrustPolicy) -> CertValidationPolicySpec:
        return CertValidationPolicySpec(
            trust_manager=SimpleTrustManager.build(trust_roots=list(roots)), revinfo_policy=status
        )

    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=under(seal_roots, CertRevTrustPolicy(REQUIRE_REVINFO)),
            # What the file carries of an authority's status is used; of the last one it cannot carry any.
            ts_cert_validation_policy=under(tsa_roots, CertRevTrustPolicy(_SOFT)),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(
                online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY
            ),
        )
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """pyHanko logs every doubt with a stack trace; the answer says it in one sentence."""
    loggers = [logging.getLogger(each) for each in ("pyhanko", "pyhanko_certvalidator")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)


_WHOLE = (SignatureCoverageLevel.ENTIRE_REVISION, SignatureCoverageLevel.ENTIRE_FILE)
