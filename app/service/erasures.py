"""Which erasures took effect, found by looking through the ledger's leaves for public acts and their approvals.

What was looked through is not looked through again. It is asked for only where something is missing, in a rebuild, and
by audit and scrub.
"""

from app.rules.erasures import NONE, Erasures, erasures_of
from app.service.history import History
from app.service.statements import StatementStore
from app.statements.kinds import Approval, Erase
from app.statements.statement import Statement, digest_of, parse_leaf, parse_statement

_KINDS = (b'"kind":"genesis"', b'"kind":"erase"', b'"kind":"approval"')


class ErasureIndex:
    """Looks through one ledger."""

    def __init__(self, history: History, statements: StatementStore) -> None:
        self._history, self._statements = history, statements
        self._at = 0
        self._kept: list[Statement] = []
        self._acts = set[bytes]()
        self._found = NONE

    async def at(self, size: int) -> Erasures:
        """Return the erasures among the first `size` entries, or more. A missing public statement counts as none."""
        while self._at < size:
            batch = await self._history.batch_from(self._at)
            if batch is None:
                break
            for entry in batch.entries:
                if any(each in entry for each in _KINDS):
                    await self._look(entry)
            self._at = batch.end
            if self._acts:
                self._found = erasures_of(self._kept)
        return self._found

    async def _look(self, entry: bytes) -> None:
        digest = parse_leaf(entry).digest
        text = await self._statements.read(digest)
        if text is None or digest_of(text) != digest:
            return  # named by the audit
        statement = parse_statement(text)
        if isinstance(statement.claims, Approval) and statement.claims.act not in self._acts:
            return
        if isinstance(statement.claims, Erase):
            self._acts.add(digest)
        self._kept.append(statement)
