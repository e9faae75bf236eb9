"""The one error of this room: `PanelError`, whose `code` is a stable name of the specification (SPEC section 10)."""

from typing import Final

from app.errors import Refused

MEANING: Final[dict[str, str]] = {
    # encoding
    "elem_length": "a group element is not 32 bytes long",
    "elem_identity": "a group element is the identity",
    "elem_invalid": "32 bytes are not the encoding of a ristretto255 element",
    "scalar_length": "a scalar is not 32 bytes long",
    "scalar_noncanonical": "a scalar is not below the group order",
    "scalar_zero": "a secret scalar is zero",
    "bad_length": "a message or field has not the length that its layout gives",
    "bad_version": "the version byte is not 1",
    "bad_type": "the type byte is that of another message",
    "bad_params": "kind, epoch, k and n do not fit each other (2 ≤ k ≤ n ≤ 255)",
    "bad_index": "an index is outside its range or out of order",
    # keys
    "bad_host_key": "the host key on the card is not a good Ed25519 key",
    "bad_requester_key": "the requester's key is not a good Ed25519 key",
    # proofs and signatures
    "proof_invalid": "the proof does not hold",
    "ct_proof": "the capsule's proof does not hold for this panel and label",
    "request_pop": "the proof of the recipient's key does not hold for this request",
    "contribution_proof": "the contribution's proof does not hold for this judge, request and capsule",
    "opening_proof": "the proof of the public opening does not hold for these contributions",
    "card_pop": "the card's proof of its encryption key does not hold",
    "deal_pop": "the deal's proof of its constant and ephemeral key does not hold",
    "blame_proof": "the blame's proof of the opened share does not hold",
    "bad_signature": "a signature does not verify",
    # release
    "wrong_epoch": "the epoch is not the one that counts here",
    "wrong_ciphertext": "the request names another capsule",
    "requester_not_authorised": "the requester is not the one whom the court order names",
    "wrong_order": "the request names another court order",
    "share_mismatch": "the secret share does not belong to the public share",
    "below_threshold": "fewer than k contributions",
    "too_many": "more than k contributions",
    "duplicate_index": "two contributions of one judge",
    "index_order": "the indices are not in ascending order",
    "identity_result": "a sum of valid parts is the identity",
    "recipient_key_mismatch": "the secret key does not belong to the key in the request",
    "aggregate_mismatch": "the aggregate is not the sum of the contributions",
    "box_mismatch": "the box is not the one that the capsule's public part commits to",
    "malformed_deposit": "all parts are authentic and the box does not open: the depositor made it so",
    # ceremony
    "card_mismatch": "the card is for another panel or epoch",
    "roster_duplicate": "two cards share a host key or an encryption key",
    "prev_header_mismatch": "the previous header is not the one of the previous epoch's session",
    "wrong_session": "the message belongs to another session, or no such session is known",
    "dealer_barred": "the dealer is barred from this session",
    "host_mismatch": "the host key is not the one on the card",
    "he_mismatch": "the encryption secret does not belong to the card",
    "wrong_constant": "the deal does not share the dealer's share of the previous epoch",
    "deal_count": "a closed dealer set has not the needed number of deals",
    "duplicate_deal": "this dealer's deal is there already",
    "joint_key_changed": "the reshare leads to another joint key",
    "bad_share": "the dealer's encrypted share does not match its commitments",
    "own_deal_replaced": "the closed set holds another deal in this judge's name",
    "eta_mismatch": "the message acknowledges another set of deals",
    "ack_count": "the certificate needs one acknowledgement of each judge",
    "ack_conflict": "this judge acknowledged something else for this epoch",
    "blame_unknown_deal": "the closed set has no such deal",
    "blame_unfounded": "the share that the blame opens is good",
    "double_deal_unfounded": "the two deals are not two different deals of one dealer",
    "chain_broken": "the links do not lead from a key generation through reshares",
    "he_reused": "a card repeats an encryption key of an earlier epoch",
    # ledger
    "roster_not_approved": "the roster is not the newest approved one for this panel and epoch",
    "session_known": "this session was opened before",
    "session_open": "another session of this panel is still open",
    "panel_exists": "the panel has an epoch already",
    "unknown_epoch": "the panel has no such certified epoch",
    "successor_exists": "the previous epoch has a certified successor",
    "barred_mismatch": "the barred dealers are not exactly those blamed or revoked",
    "deals_closed": "the session takes no more deals",
    "not_dealt": "the session waits for deals",
    "session_closed": "the session has ended",
    "blame_duplicate": "a blame against this dealer was upheld in this session already",
    "duplicate_ack": "this judge acknowledged already",
    "request_known": "this request was made before",
    "request_open": "another request for this capsule is open",
    "request_ended": "the request has ended",
    "unknown_request": "no such request is known",
    "duplicate_contribution": "this judge contributed to this request already",
    "unknown_contribution": "no contribution of this index is recorded",
    "opening_known": "a public opening is recorded already",
}

_NEXT_STEP: Final[dict[str, str]] = {
    "bad_share": "Do not acknowledge. Publish a blame against the dealer that `detail` names.",
    "own_deal_replaced": "Do not acknowledge: the host key is in other hands. Tell the authority.",
    "blame_duplicate": "Nothing is left to do: the dealer is blamed already. Do not send the blame.",
    "malformed_deposit": "Publish an opening if the court decides so: it shows the fault to everyone.",
    "request_open": "Wait until the open request has ended, or have it withdrawn.",
    "wrong_epoch": "Fetch the panel's current epoch and make the message anew.",
    "requester_not_authorised": "Compare the requester's key with the court order, not with what the service shows.",
    "wrong_order": "Compare the request with the court order itself, not with what the service shows.",
}
_DEFAULT_STEP: Final = "Refuse the message; its sender may correct it and try again."


class PanelError(Refused):
    """Refused by the panel protocol. `code` is one of `MEANING`; `detail` is the index at fault where one is known.

    It never carries secret bytes. `bad_share` and `contribution_proof` carry the index of the dealer or judge.
    """

    def __init__(self, code: str, detail: int | None = None) -> None:
        meaning = MEANING[code]
        super().__init__(
            meaning if detail is None else f"{meaning} (index {detail})", _NEXT_STEP.get(code, _DEFAULT_STEP), code=code
        )
        self.detail = detail


def need(condition: bool, code: str, detail: int | None = None) -> None:
    """Raise `PanelError(code, detail)` unless the condition holds."""
    if not condition:
        raise PanelError(code, detail)
