"""What the ledger knows of one capsule and of one request: two aggregates (SPEC 5.6), moved by `admission_release`.

Each is a frozen value that is stored and loaded on its own (see `stored`).
"""

from dataclasses import dataclass

from app.panels.record import parse_record
from app.panels.request import Release, resume_release
from app.panels.stored import Json, reading, same, unhex


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsuleState:
    """The requests ever admitted for one capsule. The key is ct_hash."""

    ct_hash: bytes
    requests: tuple[bytes, ...] = ()
    """Every req_hash, oldest first."""
    open_request: tuple[bytes, bytes] | None = None
    """(req_hash, epoch_id) of the one that has not ended; it is open while that epoch is current."""

    def to_json(self) -> Json:
        return {
            "ct_hash": self.ct_hash.hex(),
            "requests": [req_hash.hex() for req_hash in self.requests],
            "open_request": [part.hex() for part in self.open_request] if self.open_request else [],
        }

    @classmethod
    def from_json(cls, data: Json) -> "CapsuleState":
        with reading("capsule"):
            open_parts = [unhex(part) for part in data["open_request"]]
            state = cls(
                ct_hash=unhex(data["ct_hash"]),
                requests=tuple(unhex(req_hash) for req_hash in data["requests"]),
                open_request=(open_parts[0], open_parts[1]) if open_parts else None,
            )
            same(state.to_json(), data)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One request with its admitted contributions. The key is req_hash."""

    release: Release
    contributions: tuple[tuple[int, bytes], ...] = ()
    """(index, 162 bytes), in ledger order."""
    ended: bool = False
    opening: tuple[tuple[int, ...], bytes] | None = None
    """(indices of the contributions that it was made from, 96 bytes)."""

    @property
    def req_hash(self) -> bytes:
        """32 bytes."""
        return self.release.request.req_hash

    @property
    def released(self) -> bool:
        """Whether k distinct contributions are recorded."""
        return len(self.contributions) >= self.release.record.k

    def contribution_of(self, index: int) -> bytes | None:
        """The 162 bytes of that judge, or None."""
        return next((encoded for i, encoded in self.contributions if i == index), None)

    def to_json(self) -> Json:
        return {
            "record": self.release.record.encoded.hex(),
            "label": self.release.public.label.hex(),
            "public": self.release.public.encoded.hex(),
            "request": self.release.request.encoded.hex(),
            "contributions": [[index, encoded.hex()] for index, encoded in self.contributions],
            "ended": int(self.ended),
            "opening": [list(self.opening[0]), self.opening[1].hex()] if self.opening else [],
        }

    @classmethod
    def from_json(cls, data: Json) -> "RequestState":
        with reading("request"):
            opening = data["opening"]
            state = cls(
                release=resume_release(
                    parse_record(unhex(data["record"])),
                    unhex(data["label"]),
                    unhex(data["public"]),
                    unhex(data["request"]),
                ),
                contributions=tuple((index, unhex(encoded)) for index, encoded in data["contributions"]),
                ended=bool(data["ended"]),
                opening=(tuple(opening[0]), unhex(opening[1])) if opening else None,
            )
            same(state.to_json(), data)
        return state
