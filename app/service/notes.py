"""Sealed notes: age files by the SHA-256 of their bytes. The service holds them and can read none.

Records: `note` SHA256 → when it was last wanted (Unix seconds in decimal, a newline), then the age file · `note-owner`
SHA256|MEMBER → nothing. Who may read one: whoever may read a statement that names it (the link `note/SHA256` → topic),
and whoever stored it.

No statement is appended more than an hour after its note was looked for, which makes the note's time new; so a note
that nobody wanted for a day and that no statement names never will be named, and is swept. Sweep and door cannot cross:
the sweep deletes at the revision that it read, and a new time moves the revision.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress

from app.errors import AppError, BadInput, Refused
from app.rules.aggregates import Person
from app.service.projections import Projections
from app.service.who import may_read
from ledger.errors import DamagedLog
from storage.errors import AlreadyExists, Conflict
from storage.ports import Record, RecordStore

MAX_NOTE_BYTES = 65_536
REFRESH_AFTER = 1800
"""The time is made new when it is older than this (seconds): half of the hour that a statement has."""
DAY = 86_400
_AGE = b"age-encryption.org/v1\n"
_TIME = re.compile(rb"0|[1-9][0-9]{0,15}")
log = logging.getLogger("muniment.notes")


class NoteStore:
    """Notes over a record store."""

    def __init__(self, records: RecordStore, projections: Projections, clock: Callable[[], int]) -> None:
        self._records, self._projections, self._clock = records, projections, clock

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
        while not (new := await self._once("note", name.hex(), _encode(self._clock(), data))):
            if await self._refresh(name):
                break
        await self._once("note-owner", f"{name.hex()}|{by.id}", b"")
        return new

    async def check(self, name: bytes) -> None:
        """Raise Refused (`note_missing`) unless the note is stored; it stays for a statement of the next hour."""
        if not await self._refresh(name):
            raise Refused(f"the note {name.hex()} is not stored here", "Store it first.", code="note_missing")

    async def read(self, name: bytes, person: Person) -> bytes:
        """Return the age file for someone who may have it. Raises Refused (`not_found`, `forbidden`)."""
        found = await self._records.get("note", name.hex())
        if found is None:
            raise Refused(f"there is no note {name.hex()}", "Check the digest.", code="not_found")
        if await self._records.get("note-owner", f"{name.hex()}|{person.id}") is not None:
            return _unchanged(name, found)
        for topic in await self._projections.linked(f"note/{name.hex()}"):
            if await may_read(self._projections, topic, person):
                return _unchanged(name, found)
        raise Refused("this note is not for you", "Ask whoever wrote it.", code="forbidden")

    async def sweep(self, now: int) -> int:
        """Delete what no statement names and nobody wanted for a day; return how many.

        The projections must have been brought to the ledger's end after `now` was read.
        """
        swept, after = 0, ""
        while page := await self._records.page("note", after=after, limit=100):
            after = page[-1].id
            for record in page:
                if now - _decode(record)[0] <= DAY or await self._projections.linked(f"note/{record.id}"):
                    continue
                for owner in await self._records.page("note-owner", prefix=f"{record.id}|", limit=1000):
                    with suppress(Conflict):
                        await self._records.delete("note-owner", owner.id, revision=owner.revision)
                try:
                    await self._records.delete("note", record.id, revision=record.revision)
                except Conflict:
                    continue  # wanted again meanwhile; whoever stores it again owns it again
                log.info("swept the note %s, which no statement names", record.id)
                swept += 1
        return swept

    async def _refresh(self, name: bytes) -> bool:
        """Make the note's time new, unless it is; return whether the note is there."""
        while (found := await self._records.get("note", name.hex())) is not None:
            now = self._clock()
            at, data = _decode(found)
            if now - at <= REFRESH_AFTER:
                return True
            try:
                await self._records.replace("note", name.hex(), _encode(now, data), revision=found.revision)
            except Conflict:
                continue  # swept, or made new by another: look again
            return True
        return False

    async def _once(self, kind: str, id: str, data: bytes) -> bool:
        try:
            await self._records.insert(kind, id, data)
        except AlreadyExists:
            return False
        return True


class DamagedNote(AppError):
    """A stored note is not in its form."""

    code = "damaged_note"


def _unchanged(name: bytes, found: Record) -> bytes:
    data = note_bytes(found)
    if hashlib.sha256(data).digest() != name:
        raise DamagedLog(f"the note {name.hex()} stands changed in the store", "Run the audit.")
    return data


def note_bytes(record: Record) -> bytes:
    """Return the age file in a record of kind `note`. Raises DamagedNote."""
    return _decode(record)[1]


def _encode(at: int, data: bytes) -> bytes:
    return b"%d\n%b" % (at, data)


def _decode(record: Record) -> tuple[int, bytes]:
    at, newline, data = record.data.partition(b"\n")
    if not newline or not _TIME.fullmatch(at):
        raise DamagedNote(f"the stored note {record.id} is not in its form", "Run the audit; put back a copy of it.")
    return int(at), data
