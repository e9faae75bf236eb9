"""What the ledger knows of one panel and of one session: two aggregates (SPEC 6.8), moved by `admission`.

Each is a frozen value that is stored and loaded on its own (see `stored`).
"""

from dataclasses import dataclass
from enum import StrEnum

from app.panels.deal import Deal, parse_deal
from app.panels.record import EpochRecord, parse_record
from app.panels.session import Session, resume_session
from app.panels.stored import Json, reading, same, unhex


class SessionStatus(StrEnum):
    """The session states of SPEC 6.8."""

    OPEN = "OPEN"
    DEALT = "DEALT"
    BLAMED = "BLAMED"
    CERTIFIED = "CERTIFIED"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedEpoch:
    """One certified epoch: its record, and the header and certificate that show it."""

    record: EpochRecord
    header: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionNote:
    """What a panel remembers of a session that was opened for it."""

    session: bytes
    epoch: int
    prev_epoch_id: bytes
    HEs: tuple[bytes, ...]
    blamed: tuple[int, ...]
    live: bool
    """OPEN or DEALT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelState:
    """One lineage. The key is panel_id."""

    panel_id: bytes
    approved: tuple[tuple[int, bytes], ...] = ()
    """(epoch, newest approved roster_hash), ascending by epoch."""
    sessions: tuple[SessionNote, ...] = ()
    epochs: tuple[CertifiedEpoch, ...] = ()
    """Oldest first; the last is the current one."""
    revoked: tuple[tuple[bytes, int], ...] = ()
    """(epoch_id, index), in the order of the statements."""

    @property
    def current(self) -> EpochRecord | None:
        """The current epoch's record, or None before the first certificate."""
        return self.epochs[-1].record if self.epochs else None

    def epoch_of(self, epoch_id: bytes) -> CertifiedEpoch | None:
        """The certified epoch of that id, or None."""
        return next((epoch for epoch in self.epochs if epoch.record.epoch_id == epoch_id), None)

    def to_json(self) -> Json:
        return {
            "panel_id": self.panel_id.hex(),
            "approved": [[epoch, roster.hex()] for epoch, roster in self.approved],
            "sessions": [
                {
                    "session": note.session.hex(),
                    "epoch": note.epoch,
                    "prev_epoch_id": note.prev_epoch_id.hex(),
                    "HEs": [HE.hex() for HE in note.HEs],
                    "blamed": list(note.blamed),
                    "live": int(note.live),
                }
                for note in self.sessions
            ],
            "epochs": [
                {
                    "record": epoch.record.encoded.hex(),
                    "header": epoch.header.hex(),
                    "certificate": epoch.certificate.hex(),
                }
                for epoch in self.epochs
            ],
            "revoked": [[epoch_id.hex(), index] for epoch_id, index in self.revoked],
        }

    @classmethod
    def from_json(cls, data: Json) -> "PanelState":
        with reading("panel"):
            state = cls(
                panel_id=unhex(data["panel_id"]),
                approved=tuple((epoch, unhex(roster)) for epoch, roster in data["approved"]),
                sessions=tuple(
                    SessionNote(
                        session=unhex(note["session"]),
                        epoch=note["epoch"],
                        prev_epoch_id=unhex(note["prev_epoch_id"]),
                        HEs=tuple(unhex(HE) for HE in note["HEs"]),
                        blamed=tuple(note["blamed"]),
                        live=bool(note["live"]),
                    )
                    for note in data["sessions"]
                ),
                epochs=tuple(
                    CertifiedEpoch(
                        record=parse_record(unhex(epoch["record"])),
                        header=unhex(epoch["header"]),
                        certificate=unhex(epoch["certificate"]),
                    )
                    for epoch in data["epochs"]
                ),
                revoked=tuple((unhex(epoch_id), index) for epoch_id, index in data["revoked"]),
            )
            same(state.to_json(), data)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One session with its admitted messages. The key is the 32-byte session id."""

    session: Session
    status: SessionStatus = SessionStatus.OPEN
    deals: tuple[Deal, ...] = ()
    """Admitted, hence verified; in ledger order."""
    record: EpochRecord | None = None
    """What the closed set leads to; certified only when the status says so."""
    acks: tuple[tuple[int, bytes], ...] = ()
    """(judge, 132 bytes), in ledger order."""
    blamed: tuple[int, ...] = ()

    @property
    def closed_deals(self) -> tuple[Deal, ...]:
        """The deals in ascending order of dealer."""
        return tuple(sorted(self.deals, key=lambda deal: deal.dealer))

    def to_json(self) -> Json:
        previous = self.session.previous
        return {
            "header": self.session.header.encoded.hex(),
            "previous_record": previous.encoded.hex() if previous else "",
            "previous_header": self.session.previous_header.hex(),
            "status": str(self.status),
            "deals": [deal.encoded.hex() for deal in self.deals],
            "record": self.record.encoded.hex() if self.record else "",
            "acks": [[judge, ack.hex()] for judge, ack in self.acks],
            "blamed": list(self.blamed),
        }

    @classmethod
    def from_json(cls, data: Json) -> "SessionState":
        with reading("session"):
            previous = parse_record(unhex(data["previous_record"])) if data["previous_record"] else None
            session = resume_session(unhex(data["header"]), previous, unhex(data["previous_header"]))
            state = cls(
                session=session,
                status=SessionStatus(data["status"]),
                deals=tuple(parse_deal(session, unhex(deal)) for deal in data["deals"]),
                record=parse_record(unhex(data["record"])) if data["record"] else None,
                acks=tuple((judge, unhex(ack)) for judge, ack in data["acks"]),
                blamed=tuple(data["blamed"]),
            )
            same(state.to_json(), data)
        return state
