"""Serving a released deposit: to the recipient alone, after k contributions, and after its `access` is on the ledger.

The service signs one `access` statement a request and offers it through the one door like anybody else. It is kept
before it is offered (record `access` REQUEST → JWS), so that after a crash the same one is offered again, and a second
one is made only when the first was never admitted and never can be.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from app.errors import Refused
from app.panels.capsule import box_hash
from app.rules.aggregates import Deposited, Person, Request
from app.rules.view import View
from app.service.accept import Door
from app.service.arrivals import stat_pinned
from app.service.history import History
from app.service.places import blob_key
from app.service.projections import Projections
from app.service.uploads import Uploads
from app.statements.kinds import Access
from app.statements.statement import Seen, Signer, Statement, parse_statement
from ledger.errors import DamagedLog
from storage.errors import AlreadyExists, Conflict
from storage.ports import BlobStat, BlobStore, RecordStore

VALIDITY = 3600
_PERISHED = ("expired", "seen_too_old", "retired_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A capsule's box (48 bytes) for the panel that the request went to."""

    panel_id: bytes
    ct_hash: bytes
    box: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a recipient gets once his access is on the ledger; `access` is that statement's digest."""

    access: bytes
    deposit_id: bytes
    boxes: tuple[Box, ...]


class Downloads:
    """Downloads over the door, the projections and the blobs."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        *,
        projections: Projections,
        history: History,
        uploads: Uploads,
        door: Door,
        signer: Signer,
        origin: str,
        clock: Callable[[], int],
    ) -> None:
        self._records, self._blobs, self._projections, self._history = records, blobs, projections, history
        self._uploads, self._door, self._signer, self._origin, self._clock = uploads, door, signer, origin, clock

    async def begin(self, request: bytes, person: Person) -> Download:
        """Have the access on the ledger and return the box. Raises Refused (`not_released`, `forbidden`, …)."""
        asked = await self._request(request)
        if asked is None:
            raise Refused(f"there is no request {request.hex()}", "Check the digest.", code="not_found")
        if asked.recipient != person.id:
            raise Refused("this request is another member's", "Only its recipient is served.", code="forbidden")
        if not asked.state.released:
            raise Refused(
                f"the request {request.hex()} has {len(asked.state.contributions)} contributions, too few to open",
                "Wait for the panel's judges.",
                code="not_released",
            )
        access = await self._access(request, asked)
        deposit = await self._deposit(asked.deposit_id)
        boxes = []
        for capsule in deposit.capsules:
            if capsule.panel_id == asked.panel_id:
                box = await self._uploads.box(asked.deposit_id, capsule.ct_hash, capsule.public)
                if box is None or box_hash(box) != capsule.public[-32:]:
                    what = "is not in the store" if box is None else "stands changed in the store"
                    raise DamagedLog(f"the box of {capsule.ct_hash.hex()} {what}", "Run the audit.")
                boxes.append(Box(panel_id=capsule.panel_id, ct_hash=capsule.ct_hash, box=box))
        return Download(access=access, deposit_id=asked.deposit_id, boxes=tuple(boxes))

    async def segment(self, deposit_id: bytes, item: int, segment: int, person: Person) -> BlobStat:
        """Return what stands for a segment, for a recipient whose access is on the ledger. Raises Refused."""
        if person.id not in await self._projections.linked(f"served/{deposit_id.hex()}"):
            raise Refused(
                "no access of yours to this deposit is on the ledger",
                "Ask for a download of your request first.",
                code="forbidden",
            )
        manifest_hash = (await self._deposit(deposit_id)).manifest_hash
        pinned = await self._uploads.pins.version(deposit_id, manifest_hash, (item, segment))
        stat = await stat_pinned(self._blobs, blob_key(deposit_id, item, segment), pinned)
        if stat is None:
            raise Refused(f"there is no item {item}, segment {segment}", "See the manifest.", code="not_found")
        return stat

    def stream(self, stat: BlobStat) -> AsyncIterator[bytes]:
        """Stream the bytes of a segment."""
        return self._blobs.get(stat.key, version=stat.version)

    async def _access(self, request: bytes, asked: Request) -> bytes:
        for _ in range(3):
            there = await self._projections.linked(f"access/{request.hex()}")
            if there:
                return bytes.fromhex(there[0])
            statement = await self._signed(request, asked)
            try:
                return (await self._door.admit(statement)).digest
            except Refused as error:
                if error.code == "already_accessed":
                    continue  # another process was first; its link is there now or soon
                if error.code not in _PERISHED:
                    raise
                await self._forget(request, statement)
        raise Refused("the access could not be noted", "Ask again.", code="unavailable")

    async def _signed(self, request: bytes, asked: Request) -> Statement:
        id = request.hex()
        while True:
            found = await self._records.get("access", id)
            if found is not None:
                return parse_statement(found.data)
            now, size = self._clock(), self._projections.size
            made = self._signer.sign(
                Access(deposit_id=asked.deposit_id, request=request, recipient=asked.recipient),
                aud=self._origin,
                iat=now,
                exp=now + VALIDITY,
                jti=secrets.token_bytes(16),
                seen=Seen(size=size, root=await self._history.root(size)),
            )
            try:
                await self._records.insert("access", id, made.text.encode())
            except AlreadyExists:
                continue
            return made

    async def _forget(self, request: bytes, statement: Statement) -> None:
        found = await self._records.get("access", request.hex())
        if found is not None and found.data == statement.text.encode():
            try:
                await self._records.delete("access", request.hex(), revision=found.revision)
            except Conflict:
                return  # somebody else did

    async def _request(self, request: bytes) -> Request | None:
        return await self._projections.ask(lambda view: view.find(Request, request.hex()))

    async def _deposit(self, deposit_id: bytes) -> Deposited:
        def look(view: View) -> Deposited | None:
            return view.find(Deposited, deposit_id.hex())

        found = await self._projections.ask(look)
        if found is None:
            raise DamagedLog(f"the deposit {deposit_id.hex()} of a request is not known", "Run the audit.")
        return found
