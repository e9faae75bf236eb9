"""Uploads: who fills a deposit, the places that he is given, and whether all of it is there.

An upload belongs to the member who began it. A place lets its bearer store exactly one segment, named by size and
SHA-256: a sealed text for this service, or a presigned request to the store itself, of which every header is signed. It
is checked on arrival by the store, all or nothing, and looked at again before acceptance (`arrivals`). Segments get a
short lock at once and the full one after acceptance (`locks`). What is there is asked of the store itself, so resuming
needs no memory.
"""

import hashlib
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated

from app.canonical import format_json, parse_json
from app.errors import BadInput, Refused
from app.fields import Int, read_record, write_record
from app.panels.capsule import BOX_BYTES, box_hash
from app.rules.aggregates import Case, Deposited, KeyHolder, Person
from app.rules.cases import principals
from app.rules.view import View
from app.sealing.manifest import Manifest, manifest_hash, parse_manifest
from app.service.arrivals import Pins, UploadMode, conflict, direct_store, look, look_at_all, missing
from app.service.places import Segment, blob_key, segment_of, stored_segments
from app.service.projections import DAY, Projections
from app.service.quota import Limits, Quota
from app.service.tokens import Place, Sealer
from app.statements.kinds import Deposit, Digest, Id, Member
from storage.errors import AlreadyExists, Conflict, Damaged, NotFound
from storage.ports import BlobStat, BlobStore, RecordStore, SignedRequest

PLACE_LIFETIME = 3600
"""Seconds in which a PUT must begin."""
MAX_PLACES = 64
NO_LIMITS = Limits()
MAX_MANIFESTS, MAX_BOXES = 4, 64
"""In one upload: a client needs one manifest and three boxes; mistakes stay beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Whose upload this is, for which case, the manifest that was stored last, when it began and ended."""

    member: Member
    case_id: Id
    manifest: Digest | None
    begun: Annotated[int, Int()]
    """Unix seconds."""
    ended: Annotated[int, Int()] | None
    """When it was given up (Unix seconds): nothing goes in any more, and a day later it is swept (`sweeping`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A place: where to PUT a segment, with which header, until when; `present` when these bytes stand there.

    With a `request` the bytes go straight to the store, and the token is empty.
    """

    segment: Segment
    present: bool
    token: str
    request: SignedRequest | None
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What is there: segments in order, the newest manifest's hash, and the ct_hashes of boxes."""

    case_id: bytes
    segments: tuple[Segment, ...]
    manifest: bytes | None
    boxes: tuple[bytes, ...]


class Uploads:
    """Uploads over both stores."""

    def __init__(
        self,
        records: RecordStore,
        blobs: BlobStore,
        projections: Projections,
        sealer: Sealer,
        clock: Callable[[], int],
        *,
        provisional_lock_days: int,
        mode: UploadMode = UploadMode.AUTO,
        limits: Limits = NO_LIMITS,
    ) -> None:
        """Raises BadInput where the mode asks for what the store cannot do."""
        self._records, self._blobs, self._projections = records, blobs, projections
        self._sealer, self._clock = sealer, clock
        self._lock_seconds = provisional_lock_days * DAY
        self._direct = direct_store(blobs, mode)
        self.pins, self.quota = Pins(records), Quota(records, limits)
        self.begun = 0
        """Uploads that were begun at this process."""

    async def begin(self, deposit_id: bytes, case_id: bytes, person: Person, *, announced: int = 0) -> bool:
        """Give the upload to a depositor of the case; return whether it is new.

        `announced` is how many bytes will come, as the client knows. Raises Refused (`quota_exceeded`, …).
        """

        def look(view: View) -> tuple[Case | None, bool, bool]:
            case = view.find(Case, case_id.hex())
            own = case is not None and person.id in case.parties
            may = own or (
                case is not None and len(tuple(principals(view, case, person, self._clock(), "deposit"))) == 1
            )
            return case, view.find(Deposited, deposit_id.hex()) is not None, may

        case, deposited, may = await self._projections.ask(look)
        if deposited:
            raise _in_use(deposit_id)
        if case is None:
            raise Refused(f"there is no case {case_id.hex()}", "Check the case's id.", code="unknown_case")
        if person.role != "depositor" or not may:
            raise Refused(
                f"only a depositor of the case {case.id} deposits there", "Have him join it first.", code="forbidden"
            )
        made = Upload(member=person.id, case_id=case_id, manifest=None, begun=self._clock(), ended=None)
        try:
            await self._records.insert("upload", deposit_id.hex(), write_upload(made))
        except AlreadyExists:
            found = await self._records.get("upload", deposit_id.hex())
            there = None if found is None else read_upload(found.data)
            if there is None or (there.member, there.case_id) != (made.member, made.case_id):
                raise _in_use(deposit_id) from None
            _check_not_ended(there, deposit_id)
            await self.quota.reserve(person.id, deposit_id, announced=announced)
            return False
        try:
            await self.quota.reserve(person.id, deposit_id, announced=announced)
        except Refused:
            with suppress(Conflict):  # it was begun twice at once, and the other one had room
                await self._records.delete("upload", deposit_id.hex(), revision=1)
            raise
        self.begun += 1
        return True

    async def status(self, deposit_id: bytes, person: Person) -> Uploaded:
        """Return what is there of one's own upload. Raises Refused."""
        upload = await self._own(deposit_id, person)
        boxes = await self._records.page("box", prefix=f"{deposit_id.hex()}/")
        segments = [segment_of(deposit_id, each) async for each in stored_segments(self._blobs, deposit_id)]
        return Uploaded(
            case_id=upload.case_id,
            segments=tuple(segments),
            manifest=upload.manifest,
            boxes=tuple(sorted({bytes.fromhex(each.id.split("/")[1]) for each in boxes})),
        )

    async def places(self, deposit_id: bytes, segments: tuple[Segment, ...], person: Person) -> tuple[Given, ...]:
        """Give a place for each segment.

        Raises Refused (`segment_conflict` where other bytes stand, `quota_exceeded` where the member has no room).
        """
        await self._open(deposit_id, person)
        await self.quota.reserve(person.id, deposit_id, segments=segments)
        return tuple([await self._place(deposit_id, each) for each in segments])

    async def _place(self, deposit_id: bytes, segment: Segment) -> Given:
        stat = await look(self._blobs, deposit_id, segment)
        if stat is None and self._direct is not None:
            request = self._direct.presign_put(
                blob_key(deposit_id, segment.item, segment.segment),
                size=segment.size,
                sha256=segment.sha256,
                retain_until=self._clock() + self._lock_seconds,
                expires_in=PLACE_LIFETIME,
            )
            return Given(segment=segment, present=False, token="", request=request, expires=request.expires_at)
        expires = self._clock() + PLACE_LIFETIME
        place = Place(
            origin=self._sealer.origin,
            deposit_id=deposit_id,
            item=segment.item,
            segment=segment.segment,
            size=segment.size,
            sha256=segment.sha256,
            expires=expires,
        )
        return Given(
            segment=segment, present=stat is not None, token=self._sealer.seal(place), request=None, expires=expires
        )

    def open_place(self, token: str, deposit_id: bytes, item: int, segment: int) -> Place:
        """Return the place that a token gives, which must be the one addressed. Raises Refused (401)."""
        place = self._sealer.open(Place, token, self._clock())
        if (place.deposit_id, place.item, place.segment) != (deposit_id, item, segment):
            raise Refused("the token is for another place", "Use each place's own headers.", code="bad_token")
        return place

    async def put_segment(self, place: Place, source: AsyncIterable[bytes]) -> bool:
        """Store a segment; return whether it is new.

        Raises Refused (`digest_mismatch`, `segment_conflict`, and `id_in_use` once the deposit was accepted).
        """
        key = blob_key(place.deposit_id, place.item, place.segment)
        if await self._blobs.stat(key) is None and await self._deposited(place.deposit_id):
            raise _in_use(place.deposit_id)  # nothing is laid beside what was accepted
        until = self._clock() + self._lock_seconds
        try:
            await self._blobs.put_new(key, source, size=place.size, sha256=place.sha256, retain_until=until)
        except AlreadyExists:
            stat = await self._blobs.stat(key)
            if stat is None or (stat.size, stat.sha256) != (place.size, place.sha256):
                raise conflict(_segment_of(place)) from None
            return False
        except Damaged as error:
            raise Refused(
                f"item {place.item}, segment {place.segment}: these are not {place.size} bytes with the SHA-256 "
                f"{place.sha256.hex()}",
                "Nothing was kept; send the segment again.",
                code="digest_mismatch",
            ) from error
        return True

    async def put_manifest(self, deposit_id: bytes, data: bytes, person: Person) -> bytes:
        """Store a manifest beside those that are there; return its hash. Raises BadInput, Refused."""
        await self._open(deposit_id, person)
        parse_manifest(data)
        name = hashlib.sha256(data).digest()
        id = f"{deposit_id.hex()}/{name.hex()}"
        if await self._records.get("manifest", id) is None:
            there = await self._records.page("manifest", prefix=f"{deposit_id.hex()}/", limit=MAX_MANIFESTS)
            _room(len(there), MAX_MANIFESTS, "manifests")
            with suppress(AlreadyExists):  # the same bytes, at the same time
                await self._records.insert("manifest", id, data)
        await self._name_manifest(deposit_id, name)
        return name

    async def put_box(self, deposit_id: bytes, ct_hash: bytes, box: bytes, person: Person) -> bool:
        """Store a box (48 bytes) for a capsule; return whether it is new. Raises BadInput, Refused."""
        await self._open(deposit_id, person)
        if len(box) != BOX_BYTES:
            raise BadInput(f"the box has {len(box)} bytes, not {BOX_BYTES}", "Send the whole box.", code="wrong_length")
        there = await self._records.page("box", prefix=f"{deposit_id.hex()}/")
        _room(len(there), MAX_BOXES, "boxes")
        try:
            await self._records.insert("box", _box_id(deposit_id, ct_hash, box_hash(box)), box)
        except AlreadyExists:
            return False
        return True

    async def manifest(self, deposit_id: bytes, name: bytes) -> str | None:
        """Return the text of a manifest, or None."""
        found = await self._records.get("manifest", f"{deposit_id.hex()}/{name.hex()}")
        return None if found is None else found.data.decode()

    async def box(self, deposit_id: bytes, ct_hash: bytes, public: bytes) -> bytes | None:
        """Return the box that a capsule's public part (161 bytes, the last 32 its hash) commits to, or None."""
        found = await self._records.get("box", _box_id(deposit_id, ct_hash, public[-32:]))
        return None if found is None else found.data

    async def check_deposit(self, claims: Deposit, kid: str, now: int) -> None:
        """Raise Refused unless the upload is the signer's, and all of it is there, as the statement names it.

        Codes: upload_missing, upload_ended, manifest_missing, box_missing, segment_missing, segment_conflict. Locks
        that are about to end are moved on. That the upload did not end is looked at last: see `sweeping`.
        """
        await self._check_there(claims, kid, now)
        found = await self._records.get("upload", claims.deposit_id.hex())
        if found is None:
            raise _ended(claims.deposit_id)
        _check_not_ended(read_upload(found.data), claims.deposit_id)

    async def _check_there(self, claims: Deposit, kid: str, now: int) -> None:
        record = await self._records.get("upload", claims.deposit_id.hex())
        upload = None if record is None else read_upload(record.data)
        signer = await self._projections.ask(lambda view: view.find(KeyHolder, kid))
        if upload is None or signer is None or (upload.member, upload.case_id) != (signer.member, claims.case_id):
            raise Refused(
                f"there is no upload {claims.deposit_id.hex()} of the signer for this case",
                "Upload the deposit first, as the member who signs.",
                code="upload_missing",
            )
        _check_not_ended(upload, claims.deposit_id)  # before a lock is moved on
        text = await self.manifest(claims.deposit_id, claims.manifest_hash)
        if text is None or manifest_hash(text) != claims.manifest_hash:
            raise Refused(
                f"the manifest {claims.manifest_hash.hex()} is not stored here",
                "PUT it to the upload first.",
                code="manifest_missing",
            )
        for capsule in claims.capsules:
            box = await self.box(claims.deposit_id, capsule.ct_hash, capsule.public)
            if box is None or box_hash(box) != capsule.public[-32:]:
                raise Refused(
                    f"the box of the capsule {capsule.ct_hash.hex()} is not stored here",
                    "PUT it to the upload first.",
                    code="box_missing",
                )
        found = await self._check_segments(claims.deposit_id, parse_manifest(text), now)
        await self.pins.keep(claims.deposit_id, claims.manifest_hash, found)

    async def _check_segments(
        self, deposit_id: bytes, manifest: Manifest, now: int
    ) -> tuple[tuple[Segment, BlobStat], ...]:
        found = await look_at_all(self._blobs, deposit_id, manifest)
        for each, stat in found:
            if stat.retain_until < now + DAY:
                try:
                    await self._blobs.extend(stat.key, stat.version, now + self._lock_seconds)
                except NotFound:
                    raise missing(each) from None  # swept just now
        return found

    async def _name_manifest(self, deposit_id: bytes, name: bytes) -> None:
        while True:
            found = await self._records.get("upload", deposit_id.hex())
            if found is None or read_upload(found.data).manifest == name:
                return
            named = write_upload(replace(read_upload(found.data), manifest=name))
            try:
                await self._records.replace("upload", deposit_id.hex(), named, revision=found.revision)
            except Conflict:
                continue

    async def _own(self, deposit_id: bytes, person: Person) -> Upload:
        found = await self._records.get("upload", deposit_id.hex())
        if found is None:
            raise Refused(f"there is no upload {deposit_id.hex()}", "Begin it with PUT.", code="not_found")
        upload = read_upload(found.data)
        if upload.member != person.id:
            raise Refused("this upload is another member's", "Begin one of your own.", code="forbidden")
        _check_not_ended(upload, deposit_id)
        return upload

    async def _open(self, deposit_id: bytes, person: Person) -> Upload:
        upload = await self._own(deposit_id, person)
        if await self._deposited(deposit_id):
            raise _in_use(deposit_id)
        return upload

    async def _deposited(self, deposit_id: bytes) -> bool:
        return await self._projections.ask(lambda view: view.find(Deposited, deposit_id.hex())) is not None


def read_upload(data: bytes) -> Upload:
    """Return the upload that a record of kind `upload` holds. Raises BadInput."""
    return read_record(Upload, parse_json(data, what="an upload", max_bytes=1024), "an upload")


def write_upload(upload: Upload) -> bytes:
    """Return the bytes of its record."""
    return format_json(write_record(upload)).encode()


def _check_not_ended(upload: Upload, deposit_id: bytes) -> None:
    if upload.ended is not None:
        raise _ended(deposit_id)


def _ended(deposit_id: bytes) -> Refused:
    return Refused(
        f"the upload {deposit_id.hex()} was given up: the locks of its segments had ended",
        "Begin another one, under a new id.",
        code="upload_ended",
    )


def _box_id(deposit_id: bytes, ct_hash: bytes, hash: bytes) -> str:
    return f"{deposit_id.hex()}/{ct_hash.hex()}/{hash.hex()}"


def _room(there: int, most: int, what: str) -> None:
    if there >= most:
        raise Refused(f"the upload has {there} {what} already", "Begin another upload.", code="too_many")


def _in_use(deposit_id: bytes) -> Refused:
    return Refused(f"the deposit id {deposit_id.hex()} is in use", "Draw 16 fresh random bytes.", code="id_in_use")


def _segment_of(place: Place) -> Segment:
    return Segment(item=place.item, segment=place.segment, size=place.size, sha256=place.sha256)
