"""Sealed notes: age files by the SHA-256 of their bytes. The service holds them and can read none.

Records: `note` SHA256 → the age file · `note-owner` SHA256|MEMBER → nothing. Who may read one: whoever may read a
statement that names it (the link `note/SHA256` → topic), and whoever stored it.
"""

import hashlib

from app.errors import BadInput, Refused
from app.rules.aggregates import Person
from app.service.projections import Projections
from app.service.who import may_read
from storage.errors import AlreadyExists
from storage.ports import RecordStore

MAX_NOTE_BYTES = 65_536
_AGE = b"age-encryption.org/v1\n"


class NoteStore:
    """Notes over a record store."""

    def __init__(self, records: RecordStore, projections: Projections) -> None:
        self._records, self._projections = records, projections

    async def put(self, name: bytes, data: bytes, by: Person) -> bool:
        """Store a note under its SHA-256; return whether it is new. Raises BadInput, Refused (`digest_mismatch`)."""
        if len(data) > MAX_NOTE_BYTES:
            raise BadInput(
                f"the note has {len(data)} bytes, more than {MAX_NOTE_BYTES}", "Write less.", code="too_large"
            )
        if hashlib.sha256(data).digest() != name:
            raise Refused(
                f"the SHA-256 of these bytes is {hashlib.sha256(data).hexdigest()}, not {name.hex()}",
                "Send the age file under its own digest.",
                code="digest_mismatch",
            )
        if not data.startswith(_AGE):
            raise BadInput("the note is not an age file", "Seal it with age; words never come here.", code="not_age")
        new = await self._once("note", name.hex(), data)
        await self._once("note-owner", f"{name.hex()}|{by.id}", b"")
        return new

    async def check(self, name: bytes) -> None:
        """Raise Refused (`note_missing`) unless the note is stored."""
        if await self._records.get("note", name.hex()) is None:
            raise Refused(f"the note {name.hex()} is not stored here", "Store it first.", code="note_missing")

    async def read(self, name: bytes, person: Person) -> bytes:
        """Return the age file for someone who may have it. Raises Refused (`not_found`, `forbidden`)."""
        found = await self._records.get("note", name.hex())
        if found is None:
            raise Refused(f"there is no note {name.hex()}", "Check the digest.", code="not_found")
        if await self._records.get("note-owner", f"{name.hex()}|{person.id}") is not None:
            return found.data
        for topic in await self._projections.linked(f"note/{name.hex()}"):
            if await may_read(self._projections, topic, person):
                return found.data
        raise Refused("this note is not for you", "Ask whoever wrote it.", code="forbidden")

    async def _once(self, kind: str, id: str, data: bytes) -> bool:
        try:
            await self._records.insert(kind, id, data)
        except AlreadyExists:
            return False
        return True
