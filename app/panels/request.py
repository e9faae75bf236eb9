"""A recipient's request, 290 bytes (SPEC 5.1), and the release that all contributions are bound to."""

from dataclasses import dataclass
from typing import Final

from app.panels.capsule import PublicPart, check_public, resume_public
from app.panels.errors import need
from app.panels.group import Element, G
from app.panels.hashing import H32
from app.panels.record import EpochRecord
from app.panels.sigma import Proof, Statement, check_proof, read_proof
from app.panels.signing import SIGNATURE_BYTES, good_key, verify_message
from app.panels.wire import open_typed

REQUEST_BYTES: Final = 290
REQUEST_TYPE: Final = 0x30


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as its bytes say; `verify_request` shows that it holds."""

    epoch_id: bytes
    ct_hash: bytes
    order_hash: bytes
    requester: bytes
    PK_R: Element
    proof: Proof
    encoded: bytes
    req_hash: bytes
    """H32 of everything before the signature: signing again does not make another request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One epoch, one capsule, one request, each checked against the others."""

    record: EpochRecord
    public: PublicPart
    request: Request


def parse_request(encoded: bytes) -> Request:
    """Raises `bad_length`, `bad_version`, `bad_type`, element and scalar errors."""
    reader = open_typed(encoded, REQUEST_TYPE, exactly=REQUEST_BYTES)
    epoch_id, ct_hash, order_hash, requester = (reader.take(32) for _ in range(4))
    PK_R = reader.elem()
    return Request(
        epoch_id=epoch_id,
        ct_hash=ct_hash,
        order_hash=order_hash,
        requester=requester,
        PK_R=PK_R,
        proof=read_proof(reader, 1),
        encoded=encoded,
        req_hash=H32("request", encoded[:-SIGNATURE_BYTES]),
    )


def verify_request(encoded: bytes, epoch_id: bytes, ct_hash: bytes) -> Request:
    """`epoch_id` is that of the current epoch. Raises what `parse_request` does, then `wrong_epoch`,
    `wrong_ciphertext`, `bad_requester_key`, `request_pop`, `bad_signature`, in this order."""
    request = parse_request(encoded)
    need(request.epoch_id == epoch_id, "wrong_epoch")
    need(request.ct_hash == ct_hash, "wrong_ciphertext")
    good_key(request.requester, "bad_requester_key")
    statement = request_statement(epoch_id, ct_hash, request.order_hash, request.requester, request.PK_R)
    check_proof(statement, request.proof, "request_pop")
    verify_message(request.requester, "request", encoded)
    return request


def request_statement(epoch_id: bytes, ct_hash: bytes, order_hash: bytes, requester: bytes, PK_R: Element) -> Statement:
    """Proof `request`: somebody knows sk of PK_R, for this epoch, capsule, order and requester."""
    return Statement("request", [[G]], [PK_R], [epoch_id, ct_hash, order_hash, requester])


def begin_release(record: EpochRecord, label: bytes, public: bytes, request: bytes) -> Release:
    """`check_public` under the record's Y, then `verify_request`: what comes before every step of SPEC 5.2 to 5.5.

    `record` is the one of a verified certificate; `label` is recomputed from what the caller knows himself.
    """
    checked = check_public(bytes(record.Y), label, public)
    return Release(record=record, public=checked, request=verify_request(request, record.epoch_id, checked.ct_hash))


def resume_release(record: EpochRecord, label: bytes, public: bytes, request: bytes) -> Release:
    """The same value without proofs and signature: only for bytes that `begin_release` accepted before."""
    return Release(record=record, public=resume_public(record.Y, label, public), request=parse_request(request))
