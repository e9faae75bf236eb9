"""The certificate of an epoch, 68 + 64n bytes: every judge acknowledged the same deals (SPEC 6.6).

0x01, 0x23 ‖ n (u16) ‖ session ‖ eta ‖ the n signatures in index order. No share is used and nothing is encrypted to Y
before it verifies.
"""

from collections.abc import Sequence
from typing import Final

from app.panels.ack import ack_body, verify_ack
from app.panels.closing import ClosedDeals
from app.panels.errors import need
from app.panels.hashing import u16
from app.panels.record import EpochRecord
from app.panels.signing import SIGNATURE_BYTES, verify_signature
from app.panels.wire import VERSION, open_typed

_TYPE: Final = 0x23
_FIXED_BYTES: Final = 68


def make_certificate(closed: ClosedDeals, acks: Sequence[bytes]) -> bytes:
    """From the n acknowledgements in any order. Raises what `verify_ack` does for each, then `ack_count`."""
    by_judge = {}
    for encoded in acks:
        ack = verify_ack(closed.session, closed.eta, encoded)
        by_judge[ack.judge] = ack.signature
    n = closed.session.header.n
    need(len(by_judge) == n and len(acks) == n, "ack_count")
    return join_certificate(closed.session.session, closed.eta, [by_judge[j] for j in range(1, n + 1)])


def join_certificate(session: bytes, eta: bytes, signatures: Sequence[bytes]) -> bytes:
    """The bytes, from the verified signatures of judges 1..n."""
    return bytes([VERSION, _TYPE]) + u16(len(signatures)) + session + eta + b"".join(signatures)


def verify_certificate(closed: ClosedDeals, certificate: bytes) -> EpochRecord:
    """The certified epoch record, which may be trusted as far as the session may (`chain.verify_chain`).

    Raises, in this order: `bad_length`, `bad_version`, `bad_type`, `bad_params`, `wrong_session`, `eta_mismatch`,
    `bad_signature`.
    """
    header = closed.session.header
    reader = open_typed(certificate, _TYPE, exactly=_FIXED_BYTES + SIGNATURE_BYTES * header.n)
    n, session, eta = reader.u16(), reader.take(32), reader.take(32)
    need(n == header.n, "bad_params")
    need(session == header.session, "wrong_session")
    need(eta == closed.eta, "eta_mismatch")
    for judge, card in enumerate(header.cards, start=1):
        verify_signature(card.host, "ack", ack_body(judge, session, eta), reader.take(SIGNATURE_BYTES))
    return closed.record
