"""The job that destroys what was erased: boxes first, then notes, statements, what was derived, and free segments.

The entry that lets an erasure take effect leaves a record `erase-due` HASH. The job writes down there what is to be
destroyed, while the statements that say so still stand; then it destroys, in any number of tries, and only then takes
the record away and leaves `erasure` HASH: when, and how much. So a crash anywhere leaves the record, and each step done
twice changes nothing.

Segments under a lock stay until their term, unreadable, and their upload is left as an ended one, which `sweeping`
takes away when they are free. What it named, member and case, is blanked.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import Refused
from app.fields import Int, Parsed, read_record, write_record
from app.rules.aggregates import Deposited, Erased, Fate, Publication, Request, SealedCapsule, Trail
from app.rules.erasures import beyond
from app.rules.view import View
from app.service import aggregates, owed
from app.service.arrivals import KIND as PINS
from app.service.history import History
from app.service.places import stored_segments
from app.service.projections import ERASE_DUE, ERASED, MEMBERS, Placed, Projections, asked_link
from app.service.quota import KIND as USAGE
from app.service.statements import KIND as STATEMENT
from app.service.statements import StatementStore
from app.service.uploads import Upload, read_upload, write_upload
from app.statements.kinds import Deposit, Digest, Erase, Id, ReleaseRequest
from app.statements.statement import parse_leaf, parse_statement
from storage.errors import AlreadyExists, Conflict, Locked, NotFound
from storage.ports import BlobStore, Record, RecordStore

log = logging.getLogger("muniment.erasing")
DONE, NOTE_ERASED = "erasure", "note-erased"
NOBODY = "A" * 43
MAX_PLAN_BYTES = 8 * 1024 * 1024

Count = Annotated[int, Int()]
Raw = Annotated[str, Parsed(lambda text, _what: text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    index: Count
    digest: Digest
    topic: Raw | None
    note: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    digest: Digest
    panel_id: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is to be destroyed. `deposit_id` is None where nothing of it stood any more."""

    deposit_id: Id | None
    entries: tuple[_Entry, ...]
    requests: tuple[_Asked, ...]
    aggregates: tuple[Raw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReport:
    """What was destroyed, when (Unix seconds); how many segments are locked, and until when the last of them is."""

    at: Count
    statements: Count
    boxes: Count
    notes: Count
    segments: Count
    locked: Count
    until: Count


async def check_erasure(projections: Projections, claims: Erase) -> None:
    """For the door: raise Refused for an act on no deposit, or on entries beside it."""

    def look(view: View) -> Refused | None:
        try:
            beyond(view, claims)
        except Refused as refusal:
            return refusal
        return None

    refusal = await projections.ask(look)
    if refusal is not None:
        raise refusal


class Eraser:
    """Erases over both stores."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        projections: Projections,
        *,
        history: History,
        statements: StatementStore,
        clock: Callable[[], int],
    ) -> None:
        self._records, self._blobs, self._projections = records, blobs, projections
        self._history, self._statements, self._clock = history, statements, clock

    async def run(self) -> int:
        """Do all that is due; return how many. Raises what the stores raise: what is not done stays due."""
        done, after = 0, ""
        while page := await self._records.page(ERASE_DUE, after=after, limit=100):
            after = page[-1].id
            for record in page:
                done += await self._one(record)
        return done

    async def report(self, deposit_hash: bytes) -> ErasureReport | None:
        """What was destroyed of an erased deposit, once it was."""
        found = await self._records.get(DONE, deposit_hash.hex())
        if found is None:
            return None
        return read_record(ErasureReport, parse_json(found.data, what="an erasure", max_bytes=1024), "an erasure")

    async def _one(self, record: Record) -> bool:
        erased = await self._projections.ask(lambda view: view.find(Erased, record.id))
        if erased is None or erased.index >= self._projections.size:
            return False  # the state that it names is still being written
        if not record.data:
            plan = await self._plan(erased)
            data = format_json(write_record(plan)).encode()
            try:
                revision = await self._records.replace(ERASE_DUE, record.id, data, revision=record.revision)
            except Conflict:
                return False  # another process is at it
            record = replace(record, data=data, revision=revision)
        plan = read_record(_Plan, parse_json(record.data, what="a plan", max_bytes=MAX_PLAN_BYTES), "a plan")
        report = await self._carry_out(plan)
        with suppress(AlreadyExists):
            await self._records.insert(DONE, record.id, format_json(write_record(report)).encode())
        with suppress(Conflict):
            await self._records.delete(ERASE_DUE, record.id, revision=record.revision)
        log.info("erased the deposit with the hash %s: %d statements", record.id, report.statements)
        return True

    async def _plan(self, erased: Erased) -> _Plan:
        trail = await self._projections.ask(lambda view: view.find(Trail, erased.id))
        deposit_id = trail.deposit_id if trail is not None else None
        entries, requests = [], []
        keys = [f"{Trail.PREFIX}/{erased.id}"]
        if deposit_id is not None:
            keys += [f"{Deposited.PREFIX}/{deposit_id.hex()}", f"{Fate.PREFIX}/{deposit_id.hex()}"]
        for index in erased.entries:
            digest = parse_leaf(await self._history.leaf(index)).digest
            text = await self._statements.read(digest)
            placed = await self._projections.placed(digest)
            claims = None if text is None else parse_statement(text).claims
            if isinstance(claims, ReleaseRequest):
                requests.append(_Asked(digest=digest, panel_id=claims.panel_id))
                keys += [f"{Request.PREFIX}/{digest.hex()}", f"{Publication.PREFIX}/{digest.hex()}"]
            elif isinstance(claims, Deposit):
                keys += [f"{SealedCapsule.PREFIX}/{each.ct_hash.hex()}" for each in claims.capsules]
            note = getattr(claims, "note", None)
            topic = placed.topic if placed is not None else None
            entries.append(_Entry(index=index, digest=digest, topic=topic, note=note))
        return _Plan(deposit_id=deposit_id, entries=tuple(entries), requests=tuple(requests), aggregates=tuple(keys))

    async def _carry_out(self, plan: _Plan) -> ErasureReport:
        boxes = notes = segments = locked = until = 0
        if plan.deposit_id is not None:
            boxes = await self._delete_all("box", f"{plan.deposit_id.hex()}/")
        for each in plan.entries:
            if each.note is not None:
                with suppress(AlreadyExists):  # before the note goes, so that the audit knows why
                    await self._records.insert(NOTE_ERASED, each.note.hex(), b"")
                notes += await self._delete("note", each.note.hex())
                await self._delete_all("note-owner", f"{each.note.hex()}|")
                await self._delete_all("link", f"note/{each.note.hex()}|")
        for asked in plan.requests:
            await self._delete("access", asked.digest.hex())
            await self._delete_all("link", f"access/{asked.digest.hex()}|")
            await self._delete("link", f"{asked_link(asked.panel_id)}|{asked.digest.hex()}")
        for each in plan.entries:
            await self._unlist(each)
        for each in plan.entries:
            await self._delete(STATEMENT, each.digest.hex())
        for key in plan.aggregates:
            await self._delete(aggregates.KIND, key)
        if plan.deposit_id is not None:
            id = plan.deposit_id.hex()
            await self._delete_all("link", f"served/{id}|")
            for kind in ("manifest", PINS):
                await self._delete_all(kind, f"{id}/")
            for kind in (owed.DUE, owed.DONE, owed.KEPT):
                await self._delete(kind, id)
                await self._delete_all(kind, f"{id}/")
            await self._end_upload(id)
            segments, locked, until = await self._free(plan.deposit_id)
        return ErasureReport(
            at=self._clock(),
            statements=len(plan.entries),
            boxes=boxes,
            notes=notes,
            segments=segments,
            locked=locked,
            until=until,
        )

    async def _unlist(self, entry: _Entry) -> None:
        """From now on the entry stands, and nobody reads it."""
        id = entry.digest.hex()
        data = format_json(write_record(Placed(index=entry.index, topic=ERASED))).encode()
        while (found := await self._records.get("entry", id)) is not None and found.data != data:
            with suppress(Conflict):
                await self._records.replace("entry", id, data, revision=found.revision)
        for topic in (entry.topic, MEMBERS):
            if topic is not None:
                await self._delete("timeline", f"{topic}|{entry.index:020}")

    async def _end_upload(self, id: str) -> None:
        """Leave what is locked to the sweep, and nothing of who deposited it where."""
        while True:
            found = await self._records.get("upload", id)
            if found is None:
                return
            upload = read_upload(found.data)
            blank = Upload(
                member=NOBODY, case_id=bytes(16), manifest=None, begun=upload.begun, ended=upload.ended or self._clock()
            )
            if upload == blank:
                return
            await self._delete(USAGE, f"{upload.member}/{id}")  # it says who deposited what, and counts no more
            with suppress(Conflict):
                await self._records.replace("upload", id, write_upload(blank), revision=found.revision)

    async def _free(self, deposit_id: bytes) -> tuple[int, int, int]:
        """Delete the segments that no lock keeps; (deleted, kept, until when the last is locked)."""
        gone = kept = until = 0
        async for each in stored_segments(self._blobs, deposit_id):
            try:
                await self._blobs.delete(each.key, each.version)
                gone += 1
            except NotFound:
                continue
            except Locked:
                kept, until = kept + 1, max(until, each.retain_until)
        return gone, kept, until

    async def _delete(self, kind: str, id: str) -> int:
        while (found := await self._records.get(kind, id)) is not None:
            with suppress(Conflict):
                await self._records.delete(kind, id, revision=found.revision)
                return 1
        return 0

    async def _delete_all(self, kind: str, prefix: str) -> int:
        count = 0
        while page := await self._records.page(kind, prefix=prefix, limit=1000):
            for each in page:
                with suppress(Conflict):
                    await self._records.delete(kind, each.id, revision=each.revision)
                    count += 1
        return count
