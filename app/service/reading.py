"""What members read: their own page, cases, member statements, statements by digest, deposits.

Everything is served verbatim with its leaf and index, so that whoever reads can check it against the ledger himself.
"""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Refused
from app.rules.aggregates import Case, Delegations, Deposited, Person
from app.rules.readers import reads_topic
from app.sealing.manifest import manifest_hash
from app.service.accept import Door, Receipt
from app.service.history import History
from app.service.projections import ERASED, MEMBERS, Placed, Projections
from app.service.statements import StatementStore
from app.service.uploads import Uploads
from app.service.who import may_read
from app.statements.statement import digest_of
from ledger.errors import DamagedLog

MAX_LIMIT = 200
_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """A member's own page: who he is, the cases that concern him, the panels that he was proposed for (ids in hex)."""

    person: Person
    cases: tuple[str, ...]
    panels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A private statement with its place on the ledger."""

    index: int
    leaf: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeposit:
    """A deposit's statement with its place, and its manifest."""

    listed: Listed
    manifest: str


class Reading:
    """Reads over projections, statements and the ledger."""

    def __init__(
        self, *, projections: Projections, statements: StatementStore, history: History, uploads: Uploads, door: Door
    ) -> None:
        self._projections, self._statements, self._history = projections, statements, history
        self._uploads, self._door = uploads, door

    async def me(self, person: Person) -> Me:
        """Return a member's own page: only those cases that he may read now."""
        cases, panels = set[str](), set[str]()
        for name in await self._projections.linked(f"member/{person.id}"):
            if name.startswith("panel/"):
                panels.add(name)
            else:
                cases.add(name)
        for panel in panels:
            cases.update(await self._projections.linked(panel))
        readable = [each for each in sorted(cases) if await self._reads(each, person)]
        return Me(
            person=person,
            cases=tuple(each.removeprefix("case/") for each in readable),
            panels=tuple(each.removeprefix("panel/") for each in sorted(panels)),
        )

    async def case_statements(
        self, case_id: bytes, person: Person, *, after: int, limit: int
    ) -> tuple[tuple[Listed, ...], bool]:
        """Return a page of a case in ledger order, with what was done to its parties, and whether there is more."""
        id = case_id.hex()
        case, given = await self._projections.ask(lambda view: (view.find(Case, id), view.find(Delegations, id)))
        if case is None:
            raise Refused(f"there is no case {id}", "Check the case's id.", code="not_found")
        if not await self._reads(f"case/{id}", person):
            raise _forbidden()
        people = dict.fromkeys((*case.parties, *(given.ever if given is not None else ())))
        return await self._page([f"case/{id}", *(f"member/{each}" for each in people)], after, limit)

    async def member_statements(self, person: Person, *, after: int, limit: int) -> tuple[tuple[Listed, ...], bool]:
        """Return a page of private statements about members: all for a registrar, one's own for everybody else."""
        return await self._page([MEMBERS if person.role == "registrar" else f"member/{person.id}"], after, limit)

    async def statement(self, digest: bytes, person: Person | None) -> str:
        """Return a statement that the person (None: anyone) may read. Raises Refused."""
        await self._permitted(digest, person)
        return await self._text(digest)

    async def proof(self, digest: bytes, person: Person | None) -> Receipt:
        """Return the receipt of a statement that the person may read, under the newest checkpoint. Raises Refused."""
        placed = await self._permitted(digest, person)
        return await self._door.receipt(digest, placed.index, created=False)

    async def deposit(self, deposit_id: bytes, person: Person) -> StoredDeposit:
        """Return a deposit's statement and manifest. Raises Refused."""
        id = deposit_id.hex()
        found = await self._projections.ask(lambda view: view.find(Deposited, id))
        if found is None:
            raise Refused(f"there is no deposit {id}", "Check the deposit's id.", code="not_found")
        if person.id != found.depositor and not await self._reads(f"case/{found.case_id.hex()}", person):
            raise _forbidden()
        placed = await self._projections.placed(found.digest)
        manifest = await self._uploads.manifest(deposit_id, found.manifest_hash)
        if placed is None or manifest is None:
            raise DamagedLog(f"the deposit {id} is not whole in the store", "Run the audit.")
        if manifest_hash(manifest) != found.manifest_hash:
            raise DamagedLog(f"the manifest of the deposit {id} stands changed in the store", "Run the audit.")
        return StoredDeposit(listed=await self._listed(placed.index, found.digest), manifest=manifest)

    async def _permitted(self, digest: bytes, person: Person | None) -> Placed:
        placed = await self._projections.placed(digest)
        if placed is None:
            raise Refused(f"no statement {digest.hex()} is on this ledger", "Check the digest.", code="not_found")
        if placed.topic == ERASED:
            raise _erased(digest)
        if not await may_read(self._projections, placed.topic, person):
            if person is None:
                raise Refused("this statement is private", "Send a token of a reader.", code="unauthorized")
            raise _forbidden()
        return placed

    async def _reads(self, topic: str, person: Person) -> bool:
        return await self._projections.ask(lambda view: reads_topic(view, topic, person, self._projections.now()))

    async def _page(self, topics: Sequence[str], after: int, limit: int) -> tuple[tuple[Listed, ...], bool]:
        lines: list[tuple[tuple[int, bytes], ...]] = []
        for at in range(0, len(topics), _AT_ONCE):
            asked = (
                self._projections.timeline(each, after=after, limit=limit + 1) for each in topics[at : at + _AT_ONCE]
            )
            lines += await asyncio.gather(*asked)
        merged = sorted(set(heapq.merge(*lines)))
        listed = [await self._listed(index, digest) for index, digest in merged[:limit]]
        return tuple(listed), len(merged) > limit

    async def _listed(self, index: int, digest: bytes) -> Listed:
        leaf = await self._history.leaf(index)
        return Listed(index=index, leaf=leaf, statement=await self._text(digest))

    async def _text(self, digest: bytes) -> str:
        text = await self._statements.read(digest)
        if text is None:
            raise DamagedLog(f"the statement {digest.hex()} is on the ledger and not in the store", "Run the audit.")
        if digest_of(text) != digest:
            raise DamagedLog(f"the statement {digest.hex()} stands changed in the store", "Run the audit.")
        return text


def _erased(digest: bytes) -> Refused:
    return Refused(
        f"the statement {digest.hex()} was erased under an order of the court",
        "The public act of kind erase that names its entry says why.",
        code="statement_erased",
    )


def _forbidden() -> Refused:
    return Refused(
        "this does not concern you, as far as the ledger knows", "Ask the clerk of the case.", code="forbidden"
    )
