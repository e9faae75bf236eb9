"""The epoch record: what releases are checked against (SPEC 6.5), 138 + 32n bytes.

Parsing one proves nothing about where its Y and Y_i come from: that is `certificate.verify_certificate`'s word.
"""

from dataclasses import dataclass
from typing import Final

from app.panels.errors import need
from app.panels.group import Element
from app.panels.hashing import H32, u16, u32
from app.panels.wire import VERSION, open_typed

_TYPE: Final = 0x25
_FIXED_BYTES: Final = 138
MAX_JUDGES: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One sharing of a joint key among n judges, any k of whom open."""

    panel_id: bytes
    epoch: int
    k: int
    n: int
    session: bytes
    eta: bytes
    Y: Element
    shares: tuple[Element, ...]
    """Y_1..Y_n: the public share of judge i stands at i − 1."""
    encoded: bytes
    epoch_id: bytes


def parse_record(encoded: bytes) -> EpochRecord:
    """Raises `bad_length`, `bad_version`, `bad_type`, `bad_params`, `bad_length`, element errors, in this order."""
    reader = open_typed(encoded, _TYPE, at_least=_FIXED_BYTES)
    panel_id, epoch, k, n = reader.take(32), reader.u32(), reader.u16(), reader.u16()
    session, eta = reader.take(32), reader.take(32)
    need(sizes_fit(k, n), "bad_params")
    need(len(encoded) == _FIXED_BYTES + 32 * n, "bad_length")
    Y = reader.elem()
    shares = reader.elems(n)
    return EpochRecord(
        panel_id=panel_id,
        epoch=epoch,
        k=k,
        n=n,
        session=session,
        eta=eta,
        Y=Y,
        shares=shares,
        encoded=encoded,
        epoch_id=epoch_id(encoded),
    )


def make_record(
    *, panel_id: bytes, epoch: int, k: int, session: bytes, eta: bytes, Y: Element, shares: tuple[Element, ...]
) -> EpochRecord:
    """The record that a closed set of deals leads to; nobody receives it on trust."""
    n = len(shares)
    head = bytes([VERSION, _TYPE]) + panel_id + u32(epoch) + u16(k) + u16(n) + session + eta
    encoded = head + bytes(Y) + b"".join([bytes(share) for share in shares])
    return EpochRecord(
        panel_id=panel_id,
        epoch=epoch,
        k=k,
        n=n,
        session=session,
        eta=eta,
        Y=Y,
        shares=shares,
        encoded=encoded,
        epoch_id=epoch_id(encoded),
    )


def epoch_id(record: bytes) -> bytes:
    """H32("epoch", record)."""
    return H32("epoch", record)


def sizes_fit(k: int, n: int) -> bool:
    """2 ≤ k ≤ n ≤ 255."""
    return 2 <= k <= n <= MAX_JUDGES
