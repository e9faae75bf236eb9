"""The one door for change: a statement comes in, and a receipt goes out.

1. Parse. 2. Admitted before: the same answer again. 3. A first decision on the newest state, so that nothing of whoever
has no right here is ever stored. 4. What the statement names must be there: note, manifest, boxes, segments. 5. Store
the statement, durable. 6. Submit: the sequencer decides again, on state at exactly the size that it extends. 7. Answer.

Each step can be the last one before a crash: until 6 nothing is visible, and offering the same bytes again goes on.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Refused, Unreachable
from app.rules.act import Circumstances
from app.rules.decide import Refusal
from app.service.aggregates import Behind
from app.service.assembly import Offer, WrittenTooLongAgo, refused
from app.service.erasing import check_erasure
from app.service.handover import check_handover
from app.service.history import History
from app.service.notes import NoteStore
from app.service.projections import Projections
from app.service.statements import StatementStore
from app.service.uploads import Uploads
from app.service.witnesses import Publication
from app.statements.kinds import Deposit, Erase, PanelOpen
from app.statements.statement import Statement, parse_statement
from ledger.proof import Proof
from ledger.sequencer import Sequencer

ATTEMPTS = 8
"""Other writers can be first this often before whoever posts is asked to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Where a statement stands: its index and leaf, and a proof under a signed checkpoint of `size` entries."""

    index: int
    digest: bytes
    leaf: str
    size: int
    tlog_proof: str
    created: bool
    """False when it had been admitted before."""


class Door:
    """Takes statements. One of them in each process; all of them write to one ledger."""

    def __init__(
        self,
        *,
        origin: str,
        genesis: bytes,
        clock: Callable[[], int],
        sequencer: Sequencer[Offer],
        publication: Publication,
        history: History,
        projections: Projections,
        statements: StatementStore,
        notes: NoteStore,
        uploads: Uploads,
    ) -> None:
        self._origin, self._genesis, self._clock = origin, genesis, clock
        self._sequencer, self._publication, self._history = sequencer, publication, history
        self._projections, self._statements = projections, statements
        self._notes, self._uploads = notes, uploads
        self.accepted: Counter[str] = Counter()
        """By kind: what this process brought onto the ledger."""

    async def post(self, text: bytes | str) -> Receipt:
        """Admit a compact JWS. Raises BadInput (form), Refused (a rule, or something missing), Stopped, Unreachable."""
        return await self.admit(parse_statement(text))

    async def admit(self, statement: Statement) -> Receipt:
        """Admit a parsed statement; the answer to the same one is the same. Raises as `post` does.

        An unfounded blame is refused and kept apart: it is never published, since it opens a good share to its readers,
        and it is the proof against the accuser, who signed it (SPEC 6.7).
        """
        try:
            return await self._admit(statement)
        except Refused as refusal:
            if refusal.code == "blame_unfounded":
                await self._statements.keep_false_blame(statement, self._clock())
            raise

    async def _admit(self, statement: Statement) -> Receipt:
        for _ in range(ATTEMPTS):
            placed = await self._projections.placed(statement.digest)
            if placed is not None:
                return await self.receipt(statement.digest, placed.index, created=False)
            try:
                keys = await self._first_look(statement)
            except Refused:
                # Between the two looks another process may have admitted this very statement, at an earlier sending of
                # it: then what contradicts it is itself.
                if await self._projections.placed(statement.digest) is None:
                    raise
                continue
            now = self._clock()
            if isinstance(statement.claims, Deposit):
                await self._uploads.check_deposit(statement.claims, statement.kid, now)
            if isinstance(statement.claims, PanelOpen):
                await check_handover(self._projections, statement.claims.header, now)
            if isinstance(statement.claims, Erase):
                await check_erasure(self._projections, statement.claims)
            note = getattr(statement.claims, "note", None)
            if note is not None:
                await self._notes.check(note)
            written = await self._statements.write(statement, now)
            offer = Offer(statement=statement, written=written, keys=keys)
            try:
                committed = await self._sequencer.submit(offer)
            except Behind:
                await self._catch_up()
                continue
            except WrittenTooLongAgo:
                continue
            self.accepted[statement.kind] += offer.appended
            return await self.receipt(statement.digest, committed.index, created=offer.appended)
        raise Unreachable("other writers were first every time", "Send the same statement again.", code="too_busy")

    async def receipt(self, digest: bytes, index: int, *, created: bool) -> Receipt:
        """Return the receipt of an entry that stands, once a checkpoint that covers it is published."""
        if index >= self._sequencer.size:
            await self._catch_up()  # another process appended it
        published = await self._publication.covering(index + 1)
        size = published.size
        leaf = await self._history.leaf(index)
        path = await self._history.tree.inclusion(index, size)
        proof = Proof(index=index, path=path, checkpoint=published.text).format()
        return Receipt(index=index, digest=digest, leaf=leaf, size=size, tlog_proof=proof, created=created)

    async def _first_look(self, statement: Statement) -> frozenset[str]:
        """Raise Refused when the rules say no on the newest state; return the keys of what they looked at."""
        if statement.envelope.seen.size > self._projections.size:
            await self._catch_up()
        refusal, keys = await self._verdict(statement)
        if refusal is not None:
            before = self._projections.size
            await self._catch_up()  # another process may have appended what this statement rests on
            if self._projections.size != before:
                refusal, keys = await self._verdict(statement)
        if refusal is not None:
            raise refused(refusal)
        return keys

    async def _catch_up(self) -> None:
        await self._projections.catch_up(await self._sequencer.catch_up())

    async def _verdict(self, statement: Statement) -> tuple[Refusal | None, frozenset[str]]:
        size, working = self._projections.size, self._projections.working()
        try:
            verdict = await working.decide(
                statement,
                Circumstances(
                    now=max(self._clock(), self._projections.time),
                    index=size,
                    origin=self._origin,
                    genesis=self._genesis,
                    seen=await self._history.seen(statement.envelope.seen.size, size),
                ),
            )
        except Behind:
            return None, frozenset()  # this state is gone already; the sequencer decides
        return (verdict if isinstance(verdict, Refusal) else None), working.keys
