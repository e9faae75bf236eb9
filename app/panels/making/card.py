"""A judge's host card (SPEC 6.1)."""

from app.panels.card import CARD_TYPE, card_statement
from app.panels.errors import need
from app.panels.group import G, dec_scalar
from app.panels.hashing import u32
from app.panels.making.proof import prove
from app.panels.making.signature import public_key, signed
from app.panels.wire import VERSION


def make_card(*, panel_id: bytes, epoch: int, host_seed: bytes, he: bytes, rnd: bytes) -> bytes:
    """The 230-byte card. `he` is a fresh scalar for this epoch; all byte arguments are 32 bytes.

    Raises `bad_length` for panel_id, `bad_params` for an epoch outside 1..2^32 − 1, `bad_length` for the seed, the
    errors of `dec_scalar` for he, `bad_length` for rnd.
    """
    need(len(panel_id) == 32, "bad_length")
    need(1 <= epoch < 2**32, "bad_params")
    host, secret = public_key(host_seed), dec_scalar(he)
    HE = secret * G
    proof = prove(card_statement(panel_id, epoch, host, HE), [secret], rnd)
    head = bytes([VERSION, CARD_TYPE]) + panel_id + u32(epoch) + host
    return signed(host_seed, "card", head + bytes(HE) + proof)
