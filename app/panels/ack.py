"""An acknowledgement, 132 bytes: judge j saw this set of deals and all his shares are good (SPEC 6.4).

0x01, 0x22 ‖ j (u16) ‖ session ‖ eta ‖ signature. Making one stands in `making.ack`.
"""

from dataclasses import dataclass
from typing import Final

from app.panels.errors import need
from app.panels.hashing import u16
from app.panels.session import Session
from app.panels.signing import SIGNATURE_BYTES, verify_message
from app.panels.wire import VERSION, open_typed

ACK_BYTES: Final = 132
ACK_TYPE: Final = 0x22


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """A verified acknowledgement."""

    judge: int
    signature: bytes
    encoded: bytes


def ack_body(judge: int, session: bytes, eta: bytes) -> bytes:
    """What judge j signs, 68 bytes."""
    return bytes([VERSION, ACK_TYPE]) + u16(judge) + session + eta


def verify_ack(session: Session, eta: bytes, encoded: bytes) -> Ack:
    """`eta` is that of the closed set. Raises, in this order: `bad_length`, `bad_version`, `bad_type`, `wrong_session`,
    `bad_index`, `eta_mismatch`, `bad_signature`."""
    reader = open_typed(encoded, ACK_TYPE, exactly=ACK_BYTES)
    judge, named_session, named_eta = reader.u16(), reader.take(32), reader.take(32)
    need(named_session == session.session, "wrong_session")
    need(1 <= judge <= session.header.n, "bad_index")
    need(named_eta == eta, "eta_mismatch")
    verify_message(session.header.cards[judge - 1].host, "ack", encoded)
    return Ack(judge=judge, signature=encoded[-SIGNATURE_BYTES:], encoded=encoded)
