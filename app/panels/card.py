"""The host card, 230 bytes: a judge's keys for one epoch of one panel (SPEC 6.1).

0x01, 0x10 ‖ panel_id ‖ epoch ‖ host ‖ HE ‖ proof ‖ signature. It does not say whose it is: the signed statement that
carries it does. Making one stands in `making.card`.
"""

from dataclasses import dataclass
from typing import Final

from app.panels.errors import need
from app.panels.group import Element, G
from app.panels.hashing import u32
from app.panels.sigma import Proof, Statement, check_proof, read_proof
from app.panels.signing import good_key, verify_message
from app.panels.wire import open_typed

CARD_BYTES: Final = 230
CARD_TYPE: Final = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as its bytes say; `verify_card` shows that it holds."""

    panel_id: bytes
    epoch: int
    host: bytes
    HE: Element
    proof: Proof
    encoded: bytes


def parse_card(encoded: bytes) -> Card:
    """Raises `bad_length`, `bad_version`, `bad_type`, element and scalar errors."""
    reader = open_typed(encoded, CARD_TYPE, exactly=CARD_BYTES)
    panel_id, epoch, host = reader.take(32), reader.u32(), reader.take(32)
    HE = reader.elem()
    return Card(panel_id=panel_id, epoch=epoch, host=host, HE=HE, proof=read_proof(reader, 1), encoded=encoded)


def verify_card(encoded: bytes, panel_id: bytes, epoch: int) -> Card:
    """Raises what `parse_card` does, then `card_mismatch`, `bad_host_key`, `card_pop`, `bad_signature`."""
    card = parse_card(encoded)
    need(card.panel_id == panel_id and card.epoch == epoch, "card_mismatch")
    good_key(card.host, "bad_host_key")
    check_proof(card_statement(panel_id, epoch, card.host, card.HE), card.proof, "card_pop")
    verify_message(card.host, "card", encoded)
    return card


def card_statement(panel_id: bytes, epoch: int, host: bytes, HE: Element) -> Statement:
    """Proof `card`: the judge knows he of HE."""
    return Statement("card", [[G]], [HE], [panel_id, u32(epoch), host])
