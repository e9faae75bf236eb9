"""RFC 3161 time-stamp tokens: judged against the verifier's own list of authorities, at the time that they state.

`verify_token` checks, in this order:
 1 form: DER (`ledger.anchors.der`), one signer, one digest algorithm, no unsigned attribute, no revocation list
 2 the imprint: of the given bytes, by SHA-256, SHA-384 or SHA-512
 3 the certificates lead from the signer to a root of an authority on the list, each valid at the stated time, each
   issued by the next; none stands in the token that this chain does not use
 4 the signer's certificate is for time-stamping and nothing else, marked critical (RFC 3161, section 2.3)
 5 ESSCertID binds the signature to that certificate (RFC 2634, RFC 5816)
 6 the signature holds, and the chain once more, by another implementation (rfc3161-client)

Revocation is not looked at here: it needs lists of the day. Sources: RFC 3161, RFC 5652, RFC 5816.
"""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import rfc3161_client
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.anchors.der import parts_of
from ledger.anchors.errors import BadAnchor
from ledger.anchors.token import IMPRINTS, MALFORMED, MAX_TOKEN_BYTES, TokenParts, accuracy_of, bad_form, hostile_bytes
from ledger.anchors.tsa_chain import Authority, check_purpose, common_name_of, find_chain

MAX_CLOCK_DIFFERENCE = 300
"""How far, in seconds, the time of a new token may lie from the asker's clock."""
_LATER = "It is asked again later."
_CLOCKS = "Compare this machine's clock with the authority's."


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a good token says. Times are Unix microseconds, or Unix seconds where the name says so."""

    authority: str
    """The name in the verifier's list."""
    gen_time_us: int
    accuracy_us: int | None
    """How far the true time may lie from the stated one, if the authority says so."""
    ordering: bool
    serial: int
    nonce: int | None
    algorithm: str
    """Of the imprint."""
    common_name: str
    certificate: bytes
    """SHA-256 of the signing certificate."""
    public_key: bytes
    """SHA-256 of its SubjectPublicKeyInfo: two authorities with one key are one."""
    ends: int
    """When the first certificate of the chain ends, Unix seconds: until then the token stands on its own."""

    @property
    def earliest(self) -> int:
        """Unix second before which the token was not made, by the authority's word."""
        return (self.gen_time_us - (self.accuracy_us or 0)) // 1_000_000

    @property
    def latest(self) -> int:
        """Unix second after which the token was not made, by the authority's word."""
        return -(-(self.gen_time_us + (self.accuracy_us or 0)) // 1_000_000)


def verify_token(token: bytes, message: bytes, authorities: Sequence[Authority]) -> Token:
    """Judge a bare token (ContentInfo, DER) over `message`. Raises BadAnchor, UnknownAuthority."""
    with hostile_bytes():
        return _verify(token, message, authorities)


def _verify(token: bytes, message: bytes, authorities: Sequence[Authority]) -> Token:
    parts = TokenParts.read(token)  # 1
    algorithm = _check_imprint(parts.info, message)  # 2
    gen_time = parts.gen_time
    authority, chain = find_chain(parts, authorities, gen_time)  # 3
    leaf = chain[0]
    check_purpose(leaf)  # 4
    _check_binding(parts.attributes, leaf)  # 5
    _check_signature(token, message, algorithm, chain)  # 6
    return Token(
        authority=authority.name,
        gen_time_us=_microseconds(gen_time),
        accuracy_us=accuracy_of(parts.info),
        ordering=bool(parts.info["ordering"].native),
        serial=int(parts.info["serial_number"].native),
        nonce=parts.info["nonce"].native,
        algorithm=algorithm,
        common_name=common_name_of(leaf),
        certificate=leaf.fingerprint(hashes.SHA256()),
        public_key=hashlib.sha256(_key_bytes(leaf)).digest(),
        ends=min(int(each.not_valid_after_utc.timestamp()) for each in chain),
    )


def strict_token(token: bytes, authorities: Sequence[Authority]) -> bytes:
    """Return the token with only the certificates that its chain uses, without the root: the form that is kept.

    Certificates in a token are not signed; many authorities send more than are needed. Raises BadAnchor,
    UnknownAuthority.
    """
    with hostile_bytes():
        parts = TokenParts.read(token)
        _, chain = find_chain(parts, authorities, parts.gen_time, surplus=True)
    roots = {each.fingerprint(hashes.SHA256()) for authority in authorities for each in authority.roots}
    used = {each.fingerprint(hashes.SHA256()) for each in chain} - roots
    kept = [
        der
        for der, each in zip(parts.certificates_der, parts.certificates, strict=True)
        if each.fingerprint(hashes.SHA256()) in used
    ]
    if len(kept) == len(parts.certificates_der):
        return token
    try:
        content = cms.ContentInfo.load(token, strict=True)
        content["content"]["certificates"] = [cms.CertificateChoices.load(each) for each in sorted(kept)]
        return bytes(content.dump())
    except MALFORMED as error:
        raise bad_form("the certificates cannot be told apart") from error


def token_of_response(response: bytes) -> bytes:
    """Return the token of a TimeStampResp. Raises BadAnchor (`rejected`, `anchor_form`)."""
    if len(response) > MAX_TOKEN_BYTES:
        raise bad_form(f"the answer has {len(response)} bytes, more than {MAX_TOKEN_BYTES}")
    body = parts_of(response, "the answer")
    status = parts_of(body[0], "the status of the answer") if body else []
    if not status or status[0][:2] != b"\x02\x01" or len(body) > 2:
        raise bad_form("the answer is not a TimeStampResp")
    # 1 is "granted with modifications": what was modified is seen in the token.
    if status[0][2] not in (0, 1):
        raise BadAnchor(
            "rejected", f"the authority refused to stamp (status {status[0][2]})", "It is asked again later."
        )
    if len(body) != 2:
        raise bad_form("the answer carries no token")
    return body[1]


def verify_reply(
    response: bytes, message: bytes, nonce: int, authorities: Sequence[Authority], *, now: int
) -> tuple[bytes, Token]:
    """Judge the answer to a query of `now` (Unix seconds); return the token in the form to keep, and what it says.

    Beyond `verify_token`: the nonce is that of the query, and the stated time is near. Raises as `verify_token` does.
    """
    token = strict_token(token_of_response(response), authorities)
    found = verify_token(token, message, authorities)
    if found.nonce != nonce:
        raise BadAnchor("wrong_nonce", f"the token answers the query {found.nonce}, not {nonce}", _LATER)
    if abs(found.gen_time_us // 1_000_000 - now) > MAX_CLOCK_DIFFERENCE:
        raise BadAnchor("token_time", f"the token says {found.gen_time_us // 1_000_000}, and it is {now} here", _CLOCKS)
    return token, found


def response_around(token: bytes) -> bytes:
    """Return the granted TimeStampResp around a bare token, which is what other tools read."""
    body = bytes.fromhex("3003020100") + token
    digits = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    head = bytes([len(body)]) if len(body) < 0x80 else bytes([0x80 | len(digits)]) + digits
    return b"\x30" + head + body


def _check_imprint(info: tsp.TSTInfo, message: bytes) -> str:
    imprint = info["message_imprint"]
    algorithm = imprint["hash_algorithm"]["algorithm"].native
    if algorithm not in IMPRINTS:
        raise BadAnchor("weak_imprint", f"the imprint is by {algorithm}", "Take SHA-256, SHA-384 or SHA-512.")
    if imprint["hashed_message"].native != IMPRINTS[algorithm](message).digest():
        raise BadAnchor("wrong_imprint", "the token is over other bytes than this checkpoint")
    return str(algorithm)


def _check_binding(attributes: dict[str, list[object]], leaf: x509.Certificate) -> None:
    """ESSCertID: the signed attributes name the signer's certificate by hash, else it could be exchanged."""
    seen = False
    for name, default in (("signing_certificate", "sha1"), ("signing_certificate_v2", "sha256")):
        for value in attributes.get(name, ()):
            try:
                first = value["certs"][0]  # type: ignore[index]
                algorithm = default if name == "signing_certificate" else first["hash_algorithm"]["algorithm"].native
                if algorithm not in ("sha1", *IMPRINTS):
                    raise bad_form(f"ESSCertID by {algorithm}")
                named = first["cert_hash"].native
            except MALFORMED as error:
                raise bad_form("ESSCertID cannot be read") from error
            # SHA-1 only where version 1 of the attribute knows no other: it binds, the signature proves.
            if named != hashlib.new(algorithm, leaf.public_bytes(Encoding.DER)).digest():
                raise BadAnchor("bad_token_signature", "the token was signed for another certificate (ESSCertID)")
            seen = True
    if not seen:
        raise BadAnchor("bad_token_signature", "the token does not bind its signer's certificate (no ESSCertID)")


def _check_signature(token: bytes, message: bytes, algorithm: str, chain: Sequence[x509.Certificate]) -> None:
    try:
        response = rfc3161_client.decode_timestamp_response(response_around(token))
        verifier = rfc3161_client.VerifierBuilder(roots=[chain[-1]], intermediates=list(chain[1:-1])).build()
        good = verifier.verify(response, IMPRINTS[algorithm](message).digest())
    except (rfc3161_client.VerificationError, ValueError) as error:
        raise BadAnchor("bad_token_signature", f"the token's signature does not hold: {error}"[:300]) from error
    if not good:
        raise BadAnchor("bad_token_signature", "the token's signature does not hold")


def _microseconds(when: datetime.datetime) -> int:
    return int(when.replace(microsecond=0).timestamp()) * 1_000_000 + when.microsecond


def _key_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
