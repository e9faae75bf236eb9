"""The full pass over one registry: everything is derived again from stored bytes, and every difference is named.

1. The ledger re-derives (`ledger.audit`: batches, frontiers, tiles). 2. Each leaf's statement is there, is the one of
that digest, and parses. 3. The rules, replayed from the genesis on, admit each of them with exactly its leaf. 4. The
kept aggregates are those of the replay, and how far they reach is where the ledger ends. 5. Each deposit's manifest,
boxes and segments are there: every byte is read and hashed, and every lock reaches to the deposit's term or is due.
6. Each sealed note that a statement names is there and is the one of that digest.

One thing is told once: after a refused or missing statement the replay ends, since what follows cannot be judged.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.errors import AppError, Mismatch
from app.panels.capsule import box_hash
from app.rules.act import SeenFacts
from app.rules.aggregates import Aggregate, Deposited, format_aggregate, key_of
from app.rules.decide import Admitted
from app.rules.replay import Entry, Replay
from app.sealing.manifest import parse_manifest
from app.service.aggregates import KIND, AggregateStore
from app.service.locks import DONE, DUE
from app.service.logstore import RecordLogStore
from app.service.notes import DamagedNote, note_bytes
from app.service.places import Segment, blob_key, expected_segments
from app.service.statements import StatementStore
from app.statements.statement import digest_of, parse_leaf
from ledger.audit import audit as audit_ledger
from ledger.batch import check_extends
from ledger.errors import DamagedLog
from ledger.merkle import EMPTY_FRONTIER, EMPTY_ROOT, leaf_hash
from ledger.tip import decode_stored
from storage.errors import StorageError
from storage.ports import BlobStore, RecordStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a stable code, where, and what."""

    code: str
    place: str
    """A batch's id, `entry INDEX`, an aggregate's key, `deposit ID item I segment S`, `note SHA256`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was looked at."""

    size: int
    deposits: int
    segments: int
    segment_bytes: int
    notes: int


class Audit:
    """One pass. `findings` yields what is wrong; `audited` tells afterwards what was looked at."""

    def __init__(self, records: RecordStore, blobs: BlobStore, *, origin: str, genesis: bytes) -> None:
        self._records, self._blobs = records, blobs
        self._log, self._statements = RecordLogStore(records), StatementStore(records)
        self._replay = Replay(origin=origin, genesis=genesis, seen=self._seen)
        self._roots: list[bytes] = [EMPTY_ROOT]
        self._times: list[int] = []
        self._deposits: list[Deposited] = []
        self._notes: set[bytes] = set()
        self._segments = self._bytes = self._size = 0

    @property
    def audited(self) -> Audited:
        """What was looked at so far."""
        return Audited(
            size=self._size,
            deposits=len(self._deposits),
            segments=self._segments,
            segment_bytes=self._bytes,
            notes=len(self._notes),
        )

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield every finding; none when all is well. Raises only what the stores raise."""
        broken = False
        async for each in audit_ledger(self._log):
            broken = True
            yield Finding(code=each.code, place=each.place, message=each.message)
        whole = True
        async for found in self._entries():
            whole = False
            yield found
        if whole and not broken:
            async for found in self._aggregates():
                yield found
        for deposit in self._deposits:
            async for found in self._deposit(deposit):
                yield found
        for note in sorted(self._notes):
            async for found in self._note(note):
                yield found

    async def _entries(self) -> AsyncIterator[Finding]:
        frontier = EMPTY_FRONTIER
        while (data := await self._log.read(self._size)) is not None:
            try:
                batch = decode_stored(self._size, data)
                check_extends(frontier, batch)
            except DamagedLog:
                return  # the ledger's own audit has named it
            for index, entry in enumerate(batch.entries, batch.start):
                problem = await self._entry(index, entry)
                if problem is not None:
                    yield problem
                    return
                frontier = frontier.append(leaf_hash(entry))
                self._roots.append(frontier.root)
            self._size = batch.end

    async def _entry(self, index: int, entry: bytes) -> Finding | None:
        place = f"entry {index}"
        try:
            leaf = parse_leaf(entry)
            text = await self._statements.read(leaf.digest)
            if text is None:
                return Finding(
                    code="statement_missing", place=place, message=f"the statement {leaf.digest.hex()} is not stored"
                )
            if digest_of(text) != leaf.digest:
                return Finding(
                    code="statement_changed",
                    place=place,
                    message=f"under the digest {leaf.digest.hex()} the statement {digest_of(text).hex()} is stored",
                )
            self._times.append(leaf.time)
            self._note_down(self._replay.add(Entry(index=index, leaf=entry.decode(), statement=text)))
        except (AppError, UnicodeError) as error:
            # A stored byte can break any form on its way: the digest in the leaf is what it is compared with.
            code = error.code if isinstance(error, Mismatch) else "statement_changed"
            return Finding(code=code, place=place, message=str(error))
        return None

    def _note_down(self, admitted: Admitted) -> None:
        note = getattr(admitted.statement.claims, "note", None)
        if note is not None:
            self._notes.add(note)
        self._deposits += [each for each in admitted.changes if isinstance(each, Deposited)]

    def _seen(self, size: int, before: int) -> SeenFacts:
        if size > before:
            return SeenFacts(root=None, superseded_at=None)
        return SeenFacts(root=self._roots[size], superseded_at=self._times[size] if size < before else None)

    async def _aggregates(self) -> AsyncIterator[Finding]:
        kept, derived, after = AggregateStore(self._records), dict(self._replay.view.aggregates), ""
        while page := await self._records.page(KIND, after=after, limit=500):
            after = page[-1].id
            for record in page:
                expected = derived.pop(record.id, None)
                try:
                    found = await kept.newest(record.id)
                    same = found is not None and expected is not None and _text(found) == _text(expected)
                except (AppError, KeyError):
                    same = False
                if not same:
                    yield Finding(
                        code="projection_differs",
                        place=record.id,
                        message="the kept aggregate is not the one that the statements give: muniment serve --rebuild",
                    )
        for key in derived:
            yield Finding(
                code="projection_differs", place=key, message="the aggregate is not kept: muniment serve --rebuild"
            )

    async def _deposit(self, deposit: Deposited) -> AsyncIterator[Finding]:
        place = f"deposit {deposit.id}"
        found = await self._records.get("manifest", f"{deposit.id}/{deposit.manifest_hash.hex()}")
        for capsule in deposit.capsules:
            id = f"{deposit.id}/{capsule.ct_hash.hex()}/{capsule.public[-32:].hex()}"
            box = await self._records.get("box", id)
            if box is None or box_hash(box.data) != capsule.public[-32:]:
                message = f"the box of the capsule {capsule.ct_hash.hex()} is missing or changed"
                yield Finding(code="box_damaged", place=place, message=message)
        if found is None or hashlib.sha256(found.data).digest() != deposit.manifest_hash:
            message = f"the manifest {deposit.manifest_hash.hex()} is missing or changed"
            yield Finding(code="manifest_damaged", place=place, message=message)
            return
        due = await self._records.get(DUE, deposit.id)
        done = await self._records.get(DONE, deposit.id)
        until = int(done.data) if done is not None and due is None else 0
        if due is None and done is None:
            yield Finding(code="lock_missing", place=place, message="no job locks its segments for their term")
        for each in expected_segments(parse_manifest(found.data)):
            problem = await self._segment(deposit.id, each, until)
            if problem is not None:
                code, message = problem
                yield Finding(code=code, place=f"{place} item {each.item} segment {each.segment}", message=message)

    async def _segment(self, deposit_id: str, expected: Segment, until: int) -> tuple[str, str] | None:
        key = blob_key(bytes.fromhex(deposit_id), expected.item, expected.segment)
        try:
            stat = await self._blobs.stat(key)
            if stat is None:
                return "segment_missing", "the segment is not in the store"
            hashed, count = hashlib.sha256(), 0
            async for piece in self._blobs.get(key, version=stat.version):
                hashed.update(piece)
                count += len(piece)
        except StorageError as error:
            return "segment_damaged", error.message
        self._segments += 1
        self._bytes += count
        if count != expected.size or hashed.digest() != expected.sha256:
            return "segment_damaged", f"{count} bytes with the SHA-256 {hashed.hexdigest()}, not as the manifest says"
        if stat.retain_until < until:
            return "lock_short", f"its lock ends at {stat.retain_until}, and the term at {until}"
        return None

    async def _note(self, name: bytes) -> AsyncIterator[Finding]:
        found = await self._records.get("note", name.hex())
        try:
            whole = found is not None and hashlib.sha256(note_bytes(found)).digest() == name
        except DamagedNote:
            whole = False
        if not whole:
            yield Finding(code="note_damaged", place=f"note {name.hex()}", message="the note is missing or changed")


def _text(aggregate: Aggregate) -> str:
    return f"{key_of(aggregate)} {format_aggregate(aggregate)}"
