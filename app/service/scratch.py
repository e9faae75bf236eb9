"""Where the audit keeps the state that it derives: a temporary file, so that its memory does not grow.

The file has no name, belongs to this process alone and is gone with it; it is written without flushing. A few hundred
aggregates are kept parsed.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TypeVar

from app.rules.aggregates import Aggregate, Deposited, format_aggregate, key_of, parse_aggregate
from app.rules.view import WholeView

A = TypeVar("A", bound=Aggregate)
PARSED = 512

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE aggregate (key TEXT PRIMARY KEY, value BLOB NOT NULL, met INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE entered (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE deposit (id TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE note (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Scratch(WholeView):
    """A view for a replay, and what else an audit has to remember: deposits with their index, names of notes."""

    def __init__(self) -> None:
        super().__init__()
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_SCHEMA)
        self._parsed: OrderedDict[str, Aggregate] = OrderedDict()

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def find(self, of: type[A], id: str) -> A | None:
        key = f"{of.PREFIX}/{id}"
        found = self._parsed.get(key)
        if found is None and (text := self.text(key)) is not None:
            found = parse_aggregate(key, text)
            self._keep(key, found)
        return found if isinstance(found, of) else None

    def evolve(self, changes: Iterable[Aggregate]) -> None:
        """Lay changes over what is here."""
        for each in changes:
            key, value = key_of(each), format_aggregate(each).encode()
            self._file.execute("REPLACE INTO aggregate (key, value) VALUES (?, ?)", (key, value))
            self._keep(key, each)

    def text(self, key: str) -> bytes | None:
        """An aggregate as it is stored, or None."""
        row = self._file.execute("SELECT value FROM aggregate WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def meet(self, key: str) -> None:
        """Remember that the aggregate was met in the store."""
        self._file.execute("UPDATE aggregate SET met = 1 WHERE key = ?", (key,))

    def unmet(self) -> Iterator[str]:
        """The keys that were not met."""
        for (key,) in self._file.execute("SELECT key FROM aggregate WHERE met = 0 ORDER BY key"):
            yield key

    def add_deposit(self, deposit: Deposited, index: int) -> None:
        """Remember a deposit and the index of its entry."""
        self._file.execute("INSERT OR IGNORE INTO deposit VALUES (?, ?)", (deposit.id, index))

    def deposits(self) -> Iterator[tuple[Deposited, int]]:
        """The deposits in the order of the ledger, with their indices."""
        for id, index in self._file.execute("SELECT id, place FROM deposit ORDER BY place"):
            found = self.find(Deposited, id)
            assert found is not None  # noqa: S101 - what was added was admitted, and stands as an aggregate
            yield found, index

    def add_note(self, name: bytes) -> None:
        """Remember a sealed note that a statement names."""
        self._file.execute("INSERT OR IGNORE INTO note VALUES (?)", (name,))

    def notes(self) -> Iterator[bytes]:
        """The names of notes, sorted."""
        for (name,) in self._file.execute("SELECT name FROM note ORDER BY name"):
            yield name

    def count(self, what: str) -> int:
        """How many `deposit` or `note` there are."""
        (found,) = self._file.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608 - one of two words
        return int(found)

    def _keep(self, key: str, aggregate: Aggregate) -> None:
        self._parsed[key] = aggregate
        self._parsed.move_to_end(key)
        if len(self._parsed) > PARSED:
            self._parsed.popitem(last=False)

    # The statements that were entered: what a replay asks of a set.

    def __contains__(self, digest: object) -> bool:
        return self._file.execute("SELECT 1 FROM entered WHERE digest = ?", (digest,)).fetchone() is not None

    def add(self, digest: bytes) -> None:
        """Remember a statement's digest."""
        self._file.execute("INSERT OR IGNORE INTO entered VALUES (?)", (digest,))
