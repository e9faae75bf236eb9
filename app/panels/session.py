"""One session: a header, and for a reshare the epoch before it, checked against each other (SPEC 7, session check).

In a key generation the judges of the header deal; in a reshare the holders of the previous epoch do, with their old
indices and old host keys.
"""

from dataclasses import dataclass

from app.panels.card import Card
from app.panels.errors import PanelError, need
from app.panels.header import Header, Kind, parse_header, session_id, verify_header
from app.panels.record import EpochRecord, parse_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every message of one session is checked against."""

    header: Header
    previous: EpochRecord | None
    previous_header: bytes
    """The header that led to `previous`; empty in a key generation."""
    dealers: tuple[Card, ...]
    """Who may deal, in index order: the header's cards, or those of the previous header."""

    @property
    def session(self) -> bytes:
        """32 bytes: H32("session", header)."""
        return self.header.session

    @property
    def deals_needed(self) -> int:
        """n for a key generation, the previous k for a reshare."""
        return self.header.n if self.previous is None else self.previous.k


def check_session(header: Header, previous: EpochRecord | None = None, previous_header: bytes = b"") -> Session:
    """The session check for a header that passed `verify_header`.

    A key generation takes no previous epoch, and one that is given is not looked at. For a reshare, in this order:
    `wrong_epoch` (also when none is given), `prev_header_mismatch`, `bad_index`, `bad_params`. `previous` is the
    record of a verified certificate, `previous_header` the header that led to it.
    """
    if header.kind is Kind.KEY_GENERATION:
        return Session(header=header, previous=None, previous_header=b"", dealers=header.cards)
    if previous is None:
        raise PanelError("wrong_epoch")
    need(previous.epoch_id == header.prev_epoch_id, "wrong_epoch")
    need(previous.panel_id == header.panel_id and previous.epoch + 1 == header.epoch, "wrong_epoch")
    need(session_id(previous_header) == previous.session, "prev_header_mismatch")
    need(all(index <= previous.n for index in header.barred), "bad_index")
    need(previous.n - len(header.barred) >= previous.k, "bad_params")
    # The hash binds it to a certified epoch, so verify_header accepted it then.
    dealers = parse_header(previous_header).cards
    return Session(header=header, previous=previous, previous_header=previous_header, dealers=dealers)


def verify_session(header: bytes, previous_record: bytes = b"", previous_header: bytes = b"") -> Session:
    """`verify_header`, then the session check with a previous record given as bytes.

    It proves nothing about where the previous epoch comes from: clients use `chain.visit_check` instead.
    """
    checked = verify_header(header)
    previous = None if checked.kind is Kind.KEY_GENERATION else parse_record(previous_record)
    return check_session(checked, previous, previous_header)


def resume_session(header: bytes, previous: EpochRecord | None, previous_header: bytes) -> Session:
    """The same value without proofs and signatures: only for a session that was opened before."""
    return check_session(parse_header(header), previous, previous_header)
