"""What is wrong with an anchor, by name."""

from typing import ClassVar

from ledger.errors import LedgerError


class BadAnchor(LedgerError):
    """An anchor that does not hold; `code` says which protection failed.

    anchor_form            not in strict form: another encoding, pending branches, surplus parts
    wrong_imprint          it is over other bytes
    weak_imprint           its imprint is by a hash that is not SHA-256, SHA-384 or SHA-512
    bad_token_signature    the token's signature, or its binding to the certificate (ESSCertID), does not hold
    wrong_tsa              the certificates do not lead to the root that they name
    surplus_certificate    it carries a certificate that its chain does not use
    wrong_eku              the certificate is not one for time-stamping, and only for that
    expired_tsa            a certificate of the chain was not valid at the time that the token states
    wrong_nonce            it answers another query
    rejected               the authority refused
    token_time             the stated time is not near the time of asking
    wrong_merkle_root      the named block has another Merkle root: the attestation is forged, or of another chain
    header_without_work    a header's hash is above its target, or its target above what the verifier takes
    broken_linkage         a header does not follow the one before it
    wrong_retarget         a header's target is not the one that the rules of the chain give
    wrong_chain            a header differs from the verifier's own at that height
    """

    code = "bad_anchor"
    CODES: ClassVar[tuple[str, ...]] = (
        "anchor_form",
        "wrong_imprint",
        "weak_imprint",
        "bad_token_signature",
        "wrong_tsa",
        "surplus_certificate",
        "wrong_eku",
        "expired_tsa",
        "wrong_nonce",
        "rejected",
        "token_time",
        "wrong_merkle_root",
        "header_without_work",
        "broken_linkage",
        "wrong_retarget",
        "wrong_chain",
    )

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        if code not in self.CODES:
            raise ValueError(f"no such fault of an anchor: {code}")
        super().__init__(message, next_step or "Ask the registry for the anchor again; keep this one.")
        self.code = code


class UnknownAuthority(LedgerError):
    """A well-formed token of an authority that the verifier's list does not name: neither good nor bad."""

    code = "unknown_tsa"
