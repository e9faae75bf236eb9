"""Whether a chain stands under configured roots and, by recorded evidence, was not revoked. Offline; pure but for CPU.

RFC 5280 §6 by pyhanko-certvalidator: an OCSP answer or a list for the person's own certificate is required, for those
above it wherever they name one. The registrar's client asks it before it signs; any reader of a `member.identity`
statement can ask it again, under roots of his own, at the time of the statement's leaf.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from asn1crypto import crl, ocsp, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, RevokedError, ValidationError
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy, RevocationCheckingRule

from app.errors import AppError, BadInput, CannotTell, Refused

T = TypeVar("T", ocsp.OCSPResponse, crl.CertificateList, x509.Certificate)
CLOCK_SKEW = timedelta(seconds=300)
_POLICY = RevocationCheckingPolicy(
    ee_certificate_rule=RevocationCheckingRule.CRL_OR_OCSP_REQUIRED,
    intermediate_ca_cert_rule=RevocationCheckingRule.CHECK_IF_DECLARED,
)


async def judge_chain(
    certificates: Sequence[bytes],
    *,
    roots: Sequence[bytes],
    ocsp_answers: Sequence[bytes],
    lists: Sequence[bytes],
    at: int,
) -> None:
    """Judge a chain (DER, the person's first, its root last) at `at`, Unix seconds. All other bytes are DER too.

    Raises CannotTell (unknown_root, chain_not_accepted), Refused (certificate_revoked), BadInput (bad_evidence).
    """
    if certificates[-1] not in roots:
        raise CannotTell(
            f"the chain ends under {_subject(certificates[-1])}, which is none of the roots that you named",
            "Name the file with the roots that the court accepts for people.",
            code="unknown_root",
        )
    answers = [_exact(ocsp.OCSPResponse, each, "an OCSP answer") for each in ocsp_answers]
    revoked = [_exact(crl.CertificateList, each, "a revocation list") for each in lists]
    person, *above = (_exact(x509.Certificate, each, "a certificate") for each in certificates)
    try:
        # certvalidator passes what was revoked at that second or is to be revoked later: nothing of it is bound here.
        for each in (person, *above):
            if _is_named(each, answers, revoked):
                raise _revoked(person, f"its authority names {each.subject.human_friendly}")
        context = ValidationContext(
            trust_roots=[above[-1]],
            moment=datetime.fromtimestamp(at, UTC),
            ocsps=answers,
            crls=revoked,
            revinfo_policy=CertRevTrustPolicy(_POLICY),
            time_tolerance=CLOCK_SKEW,
        )
        validator = CertificateValidator(person, intermediate_certs=above[:-1], validation_context=context)
        await validator.async_validate_usage({"digital_signature"})
    except AppError:
        raise
    except RevokedError as error:
        raise _revoked(person, str(error)) from error
    except (ValidationError, PathError) as error:
        raise CannotTell(
            f"the chain of {_subject(certificates[0])} cannot be accepted: {error}",
            "It must be valid, and fresh evidence must say that nothing in it is revoked.",
            code="chain_not_accepted",
        ) from error
    except Exception as error:
        # What certvalidator trips over in evidence of a hostile authority.
        raise _bad("the chain or its evidence", error) from error


def _is_named(
    certificate: x509.Certificate, answers: Sequence[ocsp.OCSPResponse], lists: Sequence[crl.CertificateList]
) -> bool:
    serial = certificate.serial_number
    for each in lists:
        found = each["tbs_cert_list"]
        if found["issuer"] == certificate.issuer and any(
            entry["user_certificate"].native == serial for entry in found["revoked_certificates"] or ()
        ):
            return True
    return any(
        one["cert_id"]["serial_number"].native == serial and one["cert_status"].name != "good"
        for answer in answers
        for one in answer.response_data["responses"]
    )


def _exact(kind: type[T], der: bytes, what: str) -> T:
    try:
        found: T = kind.load(der, strict=True)
        again = found.copy().dump(force=True)
    except Exception as error:
        # asn1crypto raises ValueError, TypeError, KeyError and more for bytes that are not what they seem.
        raise _bad(what, error) from error
    if again != der:
        raise _bad(what, ValueError("it is not in DER"))
    return found


def _revoked(person: x509.Certificate, why: str) -> Refused:
    return Refused(
        f"a certificate in the chain of {person.subject.human_friendly} is revoked: {why}",
        "Ask the person for a certificate that is good.",
        code="certificate_revoked",
    )


def _subject(der: bytes) -> str:
    return str(x509.Certificate.load(der).subject.human_friendly)


def _bad(what: str, error: Exception) -> BadInput:
    return BadInput(
        f"{what} cannot be read: {type(error).__name__}: {str(error)[:200]}",
        "Fetch it again from the authority.",
        code="bad_evidence",
    )
