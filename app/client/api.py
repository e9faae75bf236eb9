"""The HTTP interface of the service (docs/http.md) as functions. What they return is unproven: `session` checks it.

A problem document becomes Refused with its code; a fault of the network Unreachable. Every call here may be repeated:
reads, writes that are named by a digest, and statements, which are admitted once. So a call is tried again when the
network or the service (502, 503, 504) fails, and its outcome is the same. Where the service has several addresses, the
next one is asked at once. Answers have a size limit; redirects are not followed, and the token goes to the service
alone.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl

from app.canonical import b64u_decode, format_json
from app.client.addresses import Addresses
from app.client.problems import ServiceRefused, StoreRefused, refusal_of, why_unreachable
from app.errors import BadInput, Full, Refused, Unreachable
from app.sealing.segments import MAX_SEGMENT_BYTES
from app.statements.statement import MAX_STATEMENT_BYTES, Signer
from ledger.tiles import Bundle

CHALLENGE_TYP = "muniment-challenge+jws"
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_NOTE_BYTES = 65_536
MAX_ANCHOR_BYTES = 200_000
TRIES = 4
"""How often each address of the service is asked before it counts as unreachable."""
_PAUSE_SECONDS = 0.25
_SLICE_BYTES = 1 << 18
_SINK_BYTES = 1 << 20
_EARLY_SECONDS = 60
"""A token is renewed this long before it expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What the service says of an admitted statement."""

    index: int
    digest: bytes
    leaf: str
    size: int
    tlog_proof: str
    fresh: bool
    """False when it was admitted before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """What the service says of the signed-in member: id, role, name, his cases and panels (raw ids)."""

    member: str
    role: str
    name: str
    cases: tuple[bytes, ...]
    panels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A private statement and the place where the service says that it stands."""

    index: int
    leaf: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentName:
    """A segment to upload: item, segment number, size in bytes, SHA-256."""

    item: int
    segment: int
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a segment goes; `present` when it stands there already."""

    item: int
    segment: int
    present: bool
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """What the service has of an upload."""

    case_id: bytes
    segments: tuple[SegmentName, ...]
    manifest: bytes | None
    boxes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Bytes that a member has in the store, uploads and deposits together, and how many he may: None is no limit."""

    used: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeposit:
    """A deposit as the service serves it: statement, its place, the manifest's text."""

    statement: str
    index: int
    leaf: str
    manifest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box (48 bytes), and the capsule that it belongs to."""

    panel_id: bytes
    ct_hash: bytes
    box: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The answer to a download that is about to begin: digest of the `access` statement, and the boxes."""

    access: bytes
    deposit_id: bytes
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnchor:
    """An anchor as the service keeps it: what was stamped, the bytes, for Bitcoin the headers (560 bytes)."""

    checkpoint: str
    anchor: bytes
    headers: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A request that a handover would overtake, as the service tells a registrar; times in Unix seconds."""

    request: bytes
    status: str
    """`notice`, `waits` or `released`."""
    opens_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Body:
    """A segment to be sent, and who is told how much of it has gone."""

    data: memoryview
    sent: Callable[[int], None]

    async def slices(self) -> AsyncIterator[bytes]:
        """In slices: a transport may copy whatever it cannot send at once."""
        for at in range(0, len(self.data), _SLICE_BYTES):
            self.sent(at)
            yield bytes(self.data[at : at + _SLICE_BYTES])
        self.sent(len(self.data))


class Sink(Protocol):
    """Takes an answer's body in pieces of about 1 MiB."""

    def begin(self) -> None:
        """A try begins; what came in an earlier one is void."""
        ...

    async def take(self, piece: bytearray) -> None:
        """The next piece, which is the sink's to keep."""
        ...


class Api:
    """The service, for one member (or nobody: then only what is open to anyone). Async context manager."""

    def __init__(
        self,
        service: str | Sequence[str],
        *,
        origin: str,
        signer: Signer | None,
        clock: Callable[[], int],
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`service`: one address, or several of the same registry. Raises BadInput (bad_url)."""
        self.addresses = Addresses(service)
        self._origin, self._signer, self._clock, self._pause = origin, signer, clock, pause
        self._token: tuple[str, int] | None = None
        self._token_lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=120)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # Open to anyone

    async def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        return _text(await self._call("GET", "checkpoint", most=1_000_000), "the checkpoint")

    async def bundle(self, bundle: Bundle) -> bytes:
        """The bytes of an entry bundle."""
        return await self._call("GET", bundle.path, most=bundle.width * 65_537)

    async def registry(self) -> dict[str, Any]:
        """What the service says of itself."""
        return _object(await self._call("GET", "v1/registry", most=MAX_NOTE_BYTES))

    async def statement(self, digest: bytes, *, private: bool = False) -> str:
        """A statement by its digest, verbatim; a private one with the token."""
        data = await self._call("GET", f"v1/statements/{digest.hex()}", most=MAX_STATEMENT_BYTES, signed_in=private)
        return _text(data, f"the statement {digest.hex()}")

    async def anchoring(self) -> dict[str, Any]:
        """What the service says of how anchoring goes (docs/http.md)."""
        return _object(await self._call("GET", "v1/anchors", most=MAX_ANCHOR_BYTES))

    async def anchor(self, digest: bytes) -> StoredAnchor | None:
        """An anchor by the SHA-256 of its bytes; None where the service has none. Nothing of it is checked yet."""
        try:
            found = _object(await self._call("GET", f"v1/anchors/{digest.hex()}", most=MAX_ANCHOR_BYTES))
        except ServiceRefused as error:
            if error.status == 404:
                return None
            raise
        headers = found.get("headers")
        return StoredAnchor(
            checkpoint=_str(found, "checkpoint"),
            anchor=b64u_decode(_str(found, "anchor"), "the anchor"),
            headers=None if headers is None else b64u_decode(_str(found, "headers"), "the headers"),
        )

    # The one door for change

    async def post_statement(self, text: str) -> Posted:
        """Post a statement; the same text again gives the same answer."""
        headers = {"Content-Type": "application/jose"}
        status, data = await self._exchange("POST", "v1/statements", body=text.encode(), headers=headers)
        return _posted(_object(data), fresh=status == 201)

    # With a token

    async def me(self) -> Me:
        """Who the service says this is."""
        found = _object(await self._call("GET", "v1/me", signed_in=True))
        return Me(
            member=_str(found, "member"),
            role=_str(found, "role"),
            name=_str(found, "name"),
            cases=tuple(_unhex(each, "a case", 16) for each in _list(found, "cases")),
            panels=tuple(_unhex(each, "a panel", 32) for each in _list(found, "panels")),
        )

    async def case_statements(self, case_id: bytes, after: int = -1) -> tuple[Listed, ...]:
        """All private statements of a case with an index above `after` that the service shows."""
        return await self._listed(f"v1/cases/{case_id.hex()}/statements", after)

    async def member_statements(self, after: int = -1) -> tuple[Listed, ...]:
        """Private statements on members: all of them for a registrar, one's own for others."""
        return await self._listed("v1/members/statements", after)

    async def open_requests(self, panel_id: bytes) -> tuple[OpenRequest, ...]:
        """The open requests of a panel, as the service tells a registrar."""
        found = _object(await self._call("GET", f"v1/panels/{panel_id.hex()}/requests", signed_in=True))
        return tuple(_open_request(each) for each in _list(found, "requests"))

    async def proof(self, digest: bytes) -> Posted:
        """The proof of a statement that this member may read."""
        return _posted(_object(await self._call("GET", f"v1/proofs/{digest.hex()}", signed_in=True)), fresh=False)

    async def deposit(self, deposit_id: bytes) -> StoredDeposit:
        """A deposit's statement, place and manifest."""
        found = _object(await self._call("GET", f"v1/deposits/{deposit_id.hex()}", signed_in=True))
        return StoredDeposit(
            statement=_str(found, "statement"),
            index=_int(found, "index"),
            leaf=_str(found, "leaf"),
            manifest=_str(found, "manifest"),
        )

    async def note(self, sha256: bytes) -> bytes:
        """The age file of a sealed note."""
        return await self._call("GET", f"v1/notes/{sha256.hex()}", most=MAX_NOTE_BYTES, signed_in=True)

    async def put_note(self, sha256: bytes, data: bytes) -> None:
        """Store the age file of a sealed note."""
        await self._call("PUT", f"v1/notes/{sha256.hex()}", body=data, signed_in=True)

    # Depositing

    async def usage(self) -> Usage:
        """How much room this member has."""
        found = _object(await self._call("GET", "v1/usage", signed_in=True))
        return Usage(used=_int(found, "used"), limit=None if found.get("limit", 0) is None else _int(found, "limit"))

    async def begin_upload(self, deposit_id: bytes, case_id: bytes, size: int = 0) -> None:
        """Claim a deposit id for this member, and room for `size` bytes. Raises Refused (`quota_exceeded`, …)."""
        body = {"case_id": case_id.hex(), "bytes": size}
        await self._call("PUT", f"v1/uploads/{deposit_id.hex()}", json_body=body, signed_in=True)

    async def upload(self, deposit_id: bytes) -> UploadState:
        """What is there of an upload."""
        found = _object(await self._call("GET", f"v1/uploads/{deposit_id.hex()}", signed_in=True))
        manifest = found.get("manifest")
        return UploadState(
            case_id=_unhex(found.get("case_id"), "case_id", 16),
            segments=tuple(_segment(each) for each in _list(found, "segments")),
            manifest=None if manifest is None else _unhex(manifest, "manifest", 32),
            boxes=tuple(_unhex(each, "a box", 32) for each in _list(found, "boxes")),
        )

    async def places(self, deposit_id: bytes, segments: tuple[SegmentName, ...]) -> tuple[Place, ...]:
        """Where 1 to 64 segments go."""
        names = [
            {"item": each.item, "segment": each.segment, "size": each.size, "sha256": each.sha256.hex()}
            for each in segments
        ]
        data = await self._call(
            "POST", f"v1/uploads/{deposit_id.hex()}/places", json_body={"segments": names}, signed_in=True
        )
        found = tuple(_place(each) for each in _list(_object(data), "places"))
        if [(each.item, each.segment) for each in found] != [(each.item, each.segment) for each in segments]:
            raise _bad_answer("the places are not those that were asked for")
        return found

    async def put_segment(
        self, place: Place, data: memoryview, sent: Callable[[int], None] = lambda _count: None
    ) -> None:
        """Upload a segment to its place, at the service or wherever the service says. The token stays here.

        `sent` is told how many of its bytes have gone; 0 again when it is sent again.
        Its own headers are all that a place needs, so the token is sent with none of them.
        """
        try:
            url = self.addresses.absolute(place.url)
        except BadInput as error:
            raise _bad_answer(f"a place: {error.message}") from None
        # Its length is sent once, as it is.
        headers = {name: value for name, value in place.headers.items() if name.lower() != "content-length"}
        if url is None:
            await self._exchange("PUT", place.url, body=_Body(data, sent), headers=headers)
            return
        try:
            await self._exchange("PUT", url, body=_Body(data, sent), headers=headers, away=True)
        except ServiceRefused as error:
            raise StoreRefused(_host(url), error.status) from error
        except Unreachable as error:
            raise Unreachable(
                error.message,
                "Check the network and try again; nothing was lost. If the store at that address is not meant to be "
                "reached from here, the registry's operator can have segments pass through the service.",
            ) from error

    async def put_manifest(self, deposit_id: bytes, text: str) -> None:
        """Upload the manifest."""
        headers = {"Content-Type": "application/json"}
        await self._exchange(
            "PUT", f"v1/uploads/{deposit_id.hex()}/manifest", body=text.encode(), headers=headers, signed_in=True
        )

    async def put_box(self, deposit_id: bytes, ct_hash: bytes, box: bytes) -> None:
        """Upload a capsule's box (48 bytes)."""
        await self._call("PUT", f"v1/uploads/{deposit_id.hex()}/boxes/{ct_hash.hex()}", body=box, signed_in=True)

    # Release

    async def certificate(
        self, *, proof: bytes, lang: str, annexes: Sequence[str], record: bytes | None = None
    ) -> bytes:
        """A sealed certificate (PDF) for a proof; the service keeps only its digest."""
        wish: dict[str, Any] = {"lang": lang, "annexes": list(annexes), "proof": proof.decode()}
        wish["record"] = None if record is None else record.decode()
        return await self._call("POST", "v1/certificates", json_body=wish, signed_in=True)

    async def document(self, *, text: bytes, lang: str) -> bytes:
        """A release record, or a store audit's report, as a sealed document (PDF)."""
        return await self._call("POST", "v1/documents", json_body={"lang": lang, "text": text.decode()}, signed_in=True)

    async def longer_certificate(self, pdf: bytes) -> bytes:
        """The same certificate closed, or stamped anew; it begins with the bytes that were sent."""
        return await self._call("POST", "v1/certificates/longer", body=pdf, signed_in=True)

    async def begin_download(self, request: bytes) -> Download:
        """Have the access put on the ledger, and get the boxes."""
        data = await self._call("POST", "v1/downloads", json_body={"request": request.hex()}, signed_in=True)
        found = _object(data)
        return Download(
            access=_unhex(found.get("access"), "access", 32),
            deposit_id=_unhex(found.get("deposit_id"), "deposit_id", 16),
            boxes=tuple(_box(each) for each in _list(found, "boxes")),
        )

    async def segment_into(self, deposit_id: bytes, item: int, segment: int, sink: Sink) -> None:
        """Give a segment's bytes to a sink as they come; each try begins anew."""
        path = f"v1/deposits/{deposit_id.hex()}/segments/{item}/{segment}"
        await self._exchange("GET", path, most=MAX_SEGMENT_BYTES, signed_in=True, sink=sink)

    # How

    async def _listed(self, path: str, after: int) -> tuple[Listed, ...]:
        found: list[Listed] = []
        while True:
            answer = _object(await self._call("GET", f"{path}?after={after}&limit=200", signed_in=True))
            page = [_listed(each) for each in _list(answer, "statements")]
            found.extend(page)
            if not answer.get("more"):
                return tuple(found)
            if not page or page[-1].index <= after:
                raise _bad_answer("a listing does not advance")
            after = page[-1].index

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        json_body: dict[str, Any] | None = None,
        most: int = MAX_JSON_BYTES,
        signed_in: bool = False,
    ) -> bytes:
        headers = {}
        if json_body is not None:
            body, headers = format_json(json_body).encode(), {"Content-Type": "application/json"}
        return (await self._exchange(method, path, body=body, headers=headers, most=most, signed_in=signed_in))[1]

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes | _Body | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MAX_JSON_BYTES,
        signed_in: bool = False,
        away: bool = False,
        sink: Sink | None = None,
    ) -> tuple[int, bytes]:
        """Do a call, again when network or service fail, once more with a new token when the old one is refused.

        `away`: `path` is a whole URL elsewhere, as it was signed. Otherwise each address of the service is asked in
        turn, and a pause is made only when all have failed.
        """
        addresses = 1 if away else len(self.addresses.all)
        fault: Unreachable | None = None
        renewed = False
        tries = 0
        while tries < TRIES * addresses:
            if tries and tries % addresses == 0:
                await self._pause(_PAUSE_SECONDS * 2 ** (tries // addresses))
            full = dict(headers or {})
            if signed_in:
                full["Authorization"] = f"Bearer {await self._signed_in()}"
            address = self.addresses.current
            try:
                url = path if away else urljoin(address, path)
                status, data = await self._once(method, url, body, full, most, as_signed=away, sink=sink)
            except Unreachable as error:
                fault = error
            else:
                if 200 <= status < 300:
                    return status, data
                if status == 401 and signed_in and not renewed:
                    self._token, renewed = None, True
                    continue
                if status == 507:
                    said = refusal_of(status, data)
                    raise Full(
                        f"{_host(path if away else address)} has no room: {said.message}",
                        said.next_step or "Nothing was lost. The operator has to make room; then do the same again.",
                        code="store_full",
                    )
                if status not in (502, 503, 504):
                    raise refusal_of(status, data)
                fault = Unreachable(
                    f"{_host(path if away else address)} answers {status}: {refusal_of(status, data).message}",
                    "Try again later; nothing was lost.",
                )
            tries += 1
            if not away:
                self.addresses.leave(address)
        if fault is None:
            raise AssertionError("an exchange without a try")
        if addresses == 1:
            raise fault
        raise Unreachable(
            f"none of the service's {addresses} addresses answers; the last: {fault.message}", fault.next_step
        ) from fault

    async def _once(
        self,
        method: str,
        url: str,
        body: bytes | _Body | None,
        headers: Mapping[str, str],
        most: int,
        *,
        as_signed: bool,
        sink: Sink | None = None,
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("use `async with`")
        headers = dict(headers)
        data: object = body
        if isinstance(body, _Body):
            headers.setdefault("Content-Length", str(len(body.data)))
            data = body.slices()
        try:
            async with self._session.request(
                method,
                yarl.URL(url, encoded=as_signed),
                data=data,
                headers=headers,
                allow_redirects=False,
                skip_auto_headers=["Content-Type"],
            ) as response:
                found, count = bytearray(), 0
                into = sink if response.status == 200 else None
                if sink is not None:
                    sink.begin()
                async for chunk in response.content.iter_chunked(1 << 18):
                    found += chunk
                    count += len(chunk)
                    if count > most:
                        raise _bad_answer(f"the answer to {method} {urlsplit(url).path} has more than {most} bytes")
                    if into is not None and len(found) >= _SINK_BYTES:
                        await into.take(found)
                        found = bytearray()
                if into is not None and found:
                    await into.take(found)
                    found = bytearray()
                return response.status, bytes(found)
        except aiohttp.ClientPayloadError as error:
            raise Unreachable(
                f"{_host(url)} broke its answer off",
                "Try again; nothing was lost. If it stays, what is stored there may be damaged: tell the operator.",
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"{_host(url)} cannot be reached: {why_unreachable(error)}",
                "Check the address and the network, and try again; nothing was lost.",
            ) from error

    async def _signed_in(self) -> str:
        async with self._token_lock:
            if self._token is not None and self._token[1] - _EARLY_SECONDS > self._clock():
                return self._token[0]
            if self._signer is None:
                raise Refused("this needs a member's key", "Unlock your identity first.", code="not_signed_in")
            asked = _object(await self._call("POST", "v1/challenge", json_body={"kid": self._signer.kid}))
            payload = format_json({"aud": self._origin, "challenge": _str(asked, "challenge")})
            response = self._signer.sign_text(CHALLENGE_TYP, payload)
            given = _object(await self._call("POST", "v1/token", json_body={"response": response}))
            self._token = (_str(given, "token"), _int(given, "expires"))
            return self._token[0]


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _bad_answer(what: str) -> Refused:
    return Refused(
        f"the service does not keep to its interface: {what}", "Tell whoever runs the service.", code="bad_answer"
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _bad_answer("an answer is not JSON") from None
    if not isinstance(value, dict):
        raise _bad_answer("an answer is not an object")
    return value


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad_answer(f"{what} is not UTF-8") from None


def _str(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise _bad_answer(f"{name} is not text")
    return value


def _int(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise _bad_answer(f"{name} is not a number")
    return value


def _list(found: dict[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise _bad_answer(f"{name} is not a list")
    return value


def _unhex(value: object, what: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if len(data) != size or data.hex() != value:
        raise _bad_answer(f"{what} is not {size} bytes of lowercase hex")
    return data


def _unbase64(value: object, what: str, size: int) -> bytes:
    if isinstance(value, str):
        try:
            return b64u_decode(value, what, size)
        except BadInput:
            pass
    raise _bad_answer(f"{what} is not {size} bytes of base64url")


def _each(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad_answer("a list holds something else than objects")
    return value


def _posted(found: dict[str, Any], *, fresh: bool) -> Posted:
    return Posted(
        index=_int(found, "index"),
        digest=_unhex(found.get("digest"), "digest", 32),
        leaf=_str(found, "leaf"),
        size=_int(found, "size"),
        tlog_proof=_str(found, "tlog_proof"),
        fresh=fresh,
    )


def _listed(value: object) -> Listed:
    found = _each(value)
    return Listed(index=_int(found, "index"), leaf=_str(found, "leaf"), statement=_str(found, "statement"))


def _open_request(value: object) -> OpenRequest:
    found = _each(value)
    status = _str(found, "status")
    if status not in ("notice", "waits", "released"):
        raise _bad_answer(f"{status[:40]!r} is no status of a request")
    return OpenRequest(
        request=_unhex(found.get("request"), "a request", 32),
        status=status,
        opens_at=_int(found, "opens_at"),
        expires_at=_int(found, "expires_at"),
    )


def _segment(value: object) -> SegmentName:
    found = _each(value)
    return SegmentName(
        item=_int(found, "item"),
        segment=_int(found, "segment"),
        size=_int(found, "size"),
        sha256=_unhex(found.get("sha256"), "sha256", 32),
    )


def _is_header(name: str, value: object) -> bool:
    return (
        re.fullmatch(r"[A-Za-z0-9-]{1,100}", name, re.ASCII) is not None
        and isinstance(value, str)
        and value.isascii()
        and value.isprintable()
    )


def _place(value: object) -> Place:
    found = _each(value)
    headers = found.get("headers") or {}
    if not isinstance(headers, dict) or not all(_is_header(*each) for each in headers.items()):
        raise _bad_answer("the headers of a place are not headers")
    present = found.get("present") is True
    return Place(
        item=_int(found, "item"),
        segment=_int(found, "segment"),
        present=present,
        url="" if present and found.get("url") is None else _str(found, "url"),
        headers=headers,
    )


def _box(value: object) -> Box:
    found = _each(value)
    return Box(
        panel_id=_unhex(found.get("panel_id"), "panel_id", 32),
        ct_hash=_unhex(found.get("ct_hash"), "ct_hash", 32),
        box=_unbase64(found.get("box"), "the box", 48),
    )
