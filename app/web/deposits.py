"""Notes, uploads, downloads."""

import logging
from dataclasses import dataclass
from typing import Annotated

from aiohttp import web

from app.canonical import b64u_encode
from app.errors import Refused
from app.fields import Int, Many, read_record
from app.panels.capsule import BOX_BYTES
from app.sealing.manifest import MAX_MANIFEST_BYTES
from app.service.notes import MAX_NOTE_BYTES
from app.service.places import Segment
from app.service.uploads import MAX_PLACES, Given
from app.statements.kinds import Digest, Id
from app.web.answers import bytes_answer, json_answer
from app.web.keys import MANIFEST_ROOM, REGISTRY, SEGMENT_ROOM
from app.web.public import OCTETS
from app.web.reading import path_bytes, path_number, pieces, read_body, read_json, read_value, reader
from storage.errors import StorageError

log = logging.getLogger("muniment.web")
PLACE_HEADER = "Muniment-Place"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begin:
    case_id: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Announced:
    case_id: Id
    bytes: Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    segments: Annotated[tuple[Segment, ...], Many(least=1, most=MAX_PLACES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    request: Digest


async def put_note(request: web.Request) -> web.Response:
    """Store a sealed note."""
    person, name = await reader(request), path_bytes(request, "sha256", 32)
    data = await read_body(request, MAX_NOTE_BYTES)
    new = await request.app[REGISTRY].notes.put(name, data, person)
    return json_answer({"sha256": name.hex()}, status=201 if new else 200)


async def get_note(request: web.Request) -> web.Response:
    """A sealed note."""
    person, name = await reader(request), path_bytes(request, "sha256", 32)
    return bytes_answer(await request.app[REGISTRY].notes.read(name, person), OCTETS)


async def usage(request: web.Request) -> web.Response:
    """How many bytes the member has in the store, and how many he may."""
    person = await reader(request)
    quota = request.app[REGISTRY].uploads.quota
    return json_answer({"used": await quota.used(person.id), "limit": quota.limit_of(person.id)})


async def begin(request: web.Request) -> web.Response:
    """Begin an upload, or find that it is one's own."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    value, announced = await read_value(request), 0
    if isinstance(value, dict) and "bytes" in value:
        told = read_record(_Announced, value)
        case_id, announced = told.case_id, told.bytes
    else:
        case_id = read_record(_Begin, value).case_id
    new = await request.app[REGISTRY].uploads.begin(deposit_id, case_id, person, announced=announced)
    return json_answer({"deposit_id": deposit_id.hex(), "case_id": case_id.hex()}, status=201 if new else 200)


async def status(request: web.Request) -> web.Response:
    """What is there of an upload."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    found = await request.app[REGISTRY].uploads.status(deposit_id, person)
    return json_answer(
        {
            "case_id": found.case_id.hex(),
            "segments": [_segment(each) for each in found.segments],
            "manifest": None if found.manifest is None else found.manifest.hex(),
            "boxes": [each.hex() for each in found.boxes],
        }
    )


async def places(request: web.Request) -> web.Response:
    """Places for 1 to 64 segments."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    wanted = await read_json(request, _Wanted)
    given = await request.app[REGISTRY].uploads.places(deposit_id, wanted.segments, person)
    return json_answer({"places": [_place(deposit_id, each) for each in given]})


async def put_segment(request: web.Request) -> web.Response:
    """Store a segment in the place that the token in its header gives."""
    uploads = request.app[REGISTRY].uploads
    deposit_id = path_bytes(request, "deposit_id", 16)
    item, segment = path_number(request, "item"), path_number(request, "segment")
    place = uploads.open_place(request.headers.get(PLACE_HEADER, ""), deposit_id, item, segment)
    if request.content_length is not None and request.content_length != place.size:
        raise Refused(
            f"the place is for {place.size} bytes, and {request.content_length} are announced",
            "Send exactly the segment.",
            code="digest_mismatch",
        )
    async with request.app[SEGMENT_ROOM].place():
        new = await uploads.put_segment(place, pieces(request))
    return json_answer({"sha256": place.sha256.hex()}, status=201 if new else 200)


async def put_manifest(request: web.Request) -> web.Response:
    """Store an upload's manifest."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    async with request.app[MANIFEST_ROOM].place():
        data = await read_body(request, MAX_MANIFEST_BYTES)
        name = await request.app[REGISTRY].uploads.put_manifest(deposit_id, data, person)
    return json_answer({"manifest_hash": name.hex()})


async def put_box(request: web.Request) -> web.Response:
    """Store a capsule's box."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    ct_hash = path_bytes(request, "ct_hash", 32)
    box = await read_body(request, BOX_BYTES)
    new = await request.app[REGISTRY].uploads.put_box(deposit_id, ct_hash, box, person)
    return json_answer({"ct_hash": ct_hash.hex()}, status=201 if new else 200)


async def download(request: web.Request) -> web.Response:
    """Have the access put on the ledger; the box for it."""
    person = await reader(request)
    digest = (await read_json(request, _Download)).request
    found = await request.app[REGISTRY].downloads.begin(digest, person)
    boxes = [
        {"panel_id": each.panel_id.hex(), "ct_hash": each.ct_hash.hex(), "box": b64u_encode(each.box)}
        for each in found.boxes
    ]
    return json_answer({"access": found.access.hex(), "deposit_id": found.deposit_id.hex(), "boxes": boxes})


async def get_segment(request: web.Request) -> web.StreamResponse:
    """A segment's bytes, for a recipient whose access is on the ledger."""
    person, deposit_id = await reader(request), path_bytes(request, "deposit_id", 16)
    item, segment = path_number(request, "item"), path_number(request, "segment")
    downloads = request.app[REGISTRY].downloads
    stat = await downloads.segment(deposit_id, item, segment, person)
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "Content-Type": OCTETS})
    response.content_length = stat.size
    await response.prepare(request)
    try:
        async for piece in downloads.stream(stat):
            await response.write(piece)
        await response.write_eof()
    except StorageError as error:
        # The answer has begun, so no problem can be sent: a cut connection is the one sign left.
        log.error("a segment of the deposit %s broke off: %s", deposit_id.hex(), error.code)  # noqa: TRY400
        if request.transport is not None:
            request.transport.abort()
    return response


def _segment(each: Segment) -> dict[str, object]:
    return {"item": each.item, "segment": each.segment, "size": each.size, "sha256": each.sha256.hex()}


def _place(deposit_id: bytes, given: Given) -> dict[str, object]:
    item, segment = given.segment.item, given.segment.segment
    url, headers = f"v1/uploads/{deposit_id.hex()}/segments/{item}/{segment}", {PLACE_HEADER: given.token}
    if given.request is not None:
        url, headers = given.request.url, dict(given.request.headers)
    return {
        "item": item,
        "segment": segment,
        "present": given.present,
        "method": "PUT",
        "url": url,
        "headers": headers,
        "expires": given.expires,
    }
