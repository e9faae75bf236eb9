"""The header of a ceremony, 109 + 2b + 230n bytes, made by the ledger (SPEC 6.2).

0x01, 0x20, kind ‖ panel_id ‖ epoch ‖ k ‖ n ‖ nonce ‖ prev_epoch_id ‖ b ‖ b barred indices ‖ n cards in index order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from app.panels.card import CARD_BYTES, Card, parse_card, verify_card
from app.panels.errors import need
from app.panels.hashing import H32, u16, u32
from app.panels.record import sizes_fit
from app.panels.wire import VERSION, open_typed

_TYPE: Final = 0x20
_FIXED_BYTES: Final = 109
NO_EPOCH: Final = bytes(32)
"""prev_epoch_id of a key generation."""


class Kind(IntEnum):
    """What the session does."""

    KEY_GENERATION = 0
    RESHARE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The terms of one session."""

    kind: Kind
    panel_id: bytes
    epoch: int
    k: int
    n: int
    nonce: bytes
    prev_epoch_id: bytes
    barred: tuple[int, ...]
    cards: tuple[Card, ...]
    encoded: bytes
    session: bytes
    roster_hash: bytes


def verify_header(encoded: bytes) -> Header:
    """All seven checks of SPEC 6.2, the cards' proofs and signatures included.

    Raises, in this order: `bad_length`, `bad_version`, `bad_type`, `bad_params`, `bad_length`, `bad_params`,
    `bad_index`, the errors of `verify_card` card by card, `roster_duplicate`.
    """
    return _read(encoded, verify_card)


def parse_header(encoded: bytes) -> Header:
    """The same without the cards' proofs, keys and signatures: only for bytes that `verify_header` accepted before."""
    return _read(encoded, lambda card, _panel_id, _epoch: parse_card(card))


def make_header(
    *,
    kind: Kind,
    panel_id: bytes,
    epoch: int,
    k: int,
    n: int,
    nonce: bytes,
    prev_epoch_id: bytes,
    barred: Sequence[int],
    cards: Sequence[bytes],
) -> bytes:
    """The bytes of a header with a nonce that is fresh for the session, checked by `verify_header`.

    Raises `bad_params` or `bad_index` when an integer has no place in its field, `bad_length` for a field that is not
    32 bytes long, and what `verify_header` does.
    """
    need(0 <= kind <= 255 and 0 <= epoch < 2**32 and 0 <= k < 2**16 and 0 <= n < 2**16, "bad_params")
    need(all(0 <= index < 2**16 for index in barred) and len(barred) < 2**16, "bad_index")
    need(all(len(field) == 32 for field in (panel_id, nonce, prev_epoch_id)), "bad_length")
    encoded = bytes([VERSION, _TYPE, kind]) + panel_id + u32(epoch) + u16(k) + u16(n) + nonce + prev_epoch_id
    encoded += u16(len(barred)) + b"".join([u16(index) for index in barred]) + b"".join(cards)
    return verify_header(encoded).encoded


def session_id(header: bytes) -> bytes:
    """H32("session", header)."""
    return H32("session", header)


def roster_hash(*, panel_id: bytes, epoch: int, k: int, n: int, prev_epoch_id: bytes, cards: Sequence[bytes]) -> bytes:
    """What the authority approves: lineage, epoch, predecessor, k, n and the cards (SPEC 6.2, 8.1)."""
    return H32("roster", panel_id, u32(epoch), u16(k), u16(n), prev_epoch_id, *cards)


def _read(encoded: bytes, read_card: Callable[[bytes, bytes, int], Card]) -> Header:
    reader = open_typed(encoded, _TYPE, at_least=_FIXED_BYTES)  # 1
    kind, panel_id, epoch, k, n = reader.take(1)[0], reader.take(32), reader.u32(), reader.u16(), reader.u16()
    nonce, prev_epoch_id, count = reader.take(32), reader.take(32), reader.u16()
    need(kind <= 1 and sizes_fit(k, n), "bad_params")  # 2
    need(len(encoded) == _FIXED_BYTES + 2 * count + CARD_BYTES * n, "bad_length")  # 3
    if kind == Kind.KEY_GENERATION:  # 4
        need(epoch == 1 and prev_epoch_id == NO_EPOCH and count == 0, "bad_params")
    else:
        need(epoch >= 2 and prev_epoch_id != NO_EPOCH, "bad_params")
    barred = tuple([reader.u16() for _ in range(count)])
    need(all(a < b for a, b in zip((0, *barred), barred, strict=False)), "bad_index")  # 5
    cards = tuple([read_card(reader.take(CARD_BYTES), panel_id, epoch) for _ in range(n)])  # 6
    need(len({card.host for card in cards}) == n and len({card.HE for card in cards}) == n, "roster_duplicate")  # 7
    return Header(
        kind=Kind(kind),
        panel_id=panel_id,
        epoch=epoch,
        k=k,
        n=n,
        nonce=nonce,
        prev_epoch_id=prev_epoch_id,
        barred=barred,
        cards=cards,
        encoded=encoded,
        session=session_id(encoded),
        roster_hash=roster_hash(
            panel_id=panel_id,
            epoch=epoch,
            k=k,
            n=n,
            prev_epoch_id=prev_epoch_id,
            cards=[card.encoded for card in cards],
        ),
    )
