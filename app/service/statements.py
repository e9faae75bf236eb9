"""Statements by digest, durable before any batch names them.

A record of kind `statement` holds when it was written and the compact JWS. No batch names a statement that was written
more than an hour ago, and whoever offers an older one writes it again; so one that is still in no entry after a day
never will be, and is swept. A sweeper and a writer cannot cross: the sweep deletes at the revision that it read, and
writing again moves the revision.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import AppError
from app.fields import Int, Parsed, read_record, write_record
from app.panels.hashing import H32
from app.statements.kinds import PanelBlame
from app.statements.statement import MAX_STATEMENT_BYTES, Statement, parse_statement
from storage.errors import AlreadyExists, Conflict
from storage.ports import RecordStore

KIND, FALSE_BLAME = "statement", "false-blame"
log = logging.getLogger("muniment.statements")
HOUR, DAY = 3600, 86_400
REWRITE_AFTER = HOUR // 2
"""Written again when it is older than this, so that the hour is never reached between writing and the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    at: Annotated[int, Int()]
    statement: Annotated[str, Parsed(lambda text, _what: text)]


class StatementStore:
    """Statements over a record store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    async def write(self, statement: Statement, now: int) -> int:
        """Have the statement stored and fresh; return when it was written (Unix seconds)."""
        id, written = statement.digest.hex(), _Written(at=now, statement=statement.text)
        while True:
            found = await self._records.get(KIND, id)
            try:
                if found is None:
                    await self._records.insert(KIND, id, _encode(written))
                    return now
                at = _decode(id, found.data).at
                if now - at <= REWRITE_AFTER:
                    return at
                await self._records.replace(KIND, id, _encode(written), revision=found.revision)
                return now
            except (AlreadyExists, Conflict):
                continue  # somebody else wrote or swept it: look again

    async def read(self, digest: bytes) -> str | None:
        """Return the compact JWS, or None."""
        found = await self._records.get(KIND, digest.hex())
        return None if found is None else _decode(digest.hex(), found.data).statement

    async def keep_false_blame(self, statement: Statement, now: int) -> None:
        """Keep a signed blame of a good share, for the authority's eyes; one for each accuser, dealer and session."""
        if not isinstance(statement.claims, PanelBlame):
            return
        message = statement.claims.blame
        with contextlib.suppress(AlreadyExists):
            written = _Written(at=now, statement=statement.text)
            await self._records.insert(FALSE_BLAME, message[2:38].hex(), _encode(written))
            log.warning("the key %s signed a false blame, H32 %s", statement.kid, H32("blame", message).hex())

    async def false_blames(self) -> AsyncIterator[Statement]:
        """Every signed blame of a good share that was refused, in the order of the digests."""
        after = ""
        while page := await self._records.page(FALSE_BLAME, after=after, limit=200):
            after = page[-1].id
            for record in page:
                yield parse_statement(_decode(record.id, record.data).statement)

    async def sweep(self, now: int, is_entry: Callable[[str], Awaitable[bool]]) -> int:
        """Delete what is older than a day and in no entry; `is_entry` takes a digest in hex. Returns how many."""
        swept, after = 0, ""
        while page := await self._records.page(KIND, after=after, limit=200):
            after = page[-1].id
            for record in page:
                if now - _decode(record.id, record.data).at <= DAY or await is_entry(record.id):
                    continue
                try:
                    await self._records.delete(KIND, record.id, revision=record.revision)
                    swept += 1
                except Conflict:
                    continue  # offered again meanwhile
        return swept


def _encode(written: _Written) -> bytes:
    return format_json(write_record(written)).encode()


def _decode(id: str, data: bytes) -> _Written:
    try:
        value = parse_json(data, what=f"the stored statement {id}", max_bytes=MAX_STATEMENT_BYTES + 100)
        return read_record(_Written, value, "")
    except AppError as error:
        error.code = "damaged_statement"
        raise
