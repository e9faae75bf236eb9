"""The recipient's request (SPEC 5.1)."""

from app.panels.errors import need
from app.panels.group import G, dec_scalar
from app.panels.making.proof import prove
from app.panels.making.signature import public_key, signed
from app.panels.request import REQUEST_TYPE, request_statement
from app.panels.wire import VERSION


def make_request(
    *, epoch_id: bytes, ct_hash: bytes, order_hash: bytes, requester_seed: bytes, sk: bytes, rnd: bytes
) -> bytes:
    """The 290-byte request; all arguments are 32 bytes, `sk` a fresh scalar that no other request uses.

    Raises the errors of `dec_scalar` for sk, then `bad_length`.
    """
    secret = dec_scalar(sk)
    need(all(len(field) == 32 for field in (epoch_id, ct_hash, order_hash)), "bad_length")
    requester = public_key(requester_seed)
    PK_R = secret * G
    proof = prove(request_statement(epoch_id, ct_hash, order_hash, requester, PK_R), [secret], rnd)
    head = bytes([VERSION, REQUEST_TYPE]) + epoch_id + ct_hash + order_hash + requester
    return signed(requester_seed, "request", head + bytes(PK_R) + proof)
