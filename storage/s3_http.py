"""Bytes to and from an S3 server: signed requests over aiohttp, streamed, and the answers read.

The SDK's PUT cuts what it sends into parts and hashes it twice; here an object is one request, its body goes from the
source to the socket, and the server checks the SHA-256. What is pinned for a segment is signed in the same way whether
this process sends it or somebody else does.
"""

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

import aiohttp
import yarl

from storage.credentials import Credentials
from storage.errors import Damaged, StorageError, Unavailable
from storage.hosts import S3Place
from storage.ports import SignedRequest
from storage.s3_errors import Refusal, parse_refusal, unavailable
from storage.sigv4 import presign

PIECE_BYTES = 1024 * 1024
CONNECT_SECONDS = 10
SILENCE_SECONDS = 60.0
"""How long a server may take no byte and send none while it is its turn."""
OWN_REQUEST_SECONDS = 900
"""How long a request that this process sends at once stays valid: the time that clocks may differ."""
_MAX_REFUSAL_BYTES = 64 * 1024


def put_headers(*, size: int, sha256: bytes, retain_until: int | None, hold: bool) -> dict[str, str]:
    """Return the headers that pin what is put: its size, digest, novelty and lock (`retain_until` None: no lock)."""
    headers = {
        "content-length": str(size),
        "if-none-match": "*",
        "x-amz-checksum-sha256": base64.b64encode(sha256).decode(),
    }
    if retain_until is not None:
        headers["x-amz-object-lock-mode"] = "COMPLIANCE"
        headers["x-amz-object-lock-retain-until-date"] = iso_time(retain_until)
    if hold:
        headers["x-amz-object-lock-legal-hold"] = "ON"
    return headers


def iso_time(seconds: int) -> str:
    """Return Unix seconds as S3 writes a lock's end. Raises ValueError beyond the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} is no time that S3 can write") from error


class S3Http:
    """Signed requests to one bucket. Make it in the event loop that uses it."""

    def __init__(
        self,
        place: S3Place,
        credentials: Credentials,
        *,
        tls: ssl.SSLContext | None,
        silence_seconds: float = SILENCE_SECONDS,
        clock: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._silence = silence_seconds
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, ssl=tls if tls is not None else True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=["Content-Type", "Accept-Encoding", "User-Agent"],
        )

    def sign(
        self,
        method: str,
        name: str,
        *,
        headers: Mapping[str, str],
        version: str | None = None,
        expires_in: int = OWN_REQUEST_SECONDS,
    ) -> SignedRequest:
        """Sign a request for the object `name`, every given header with it."""
        now = self._clock()
        url = presign(
            method,
            self._place.origin,
            f"/{self._place.bucket}/{name}",
            headers=headers,
            query={} if version is None else {"versionId": version},
            credentials=self._credentials,
            region=self._place.region,
            now=now,
            expires_in=expires_in,
        )
        return SignedRequest(method=method, url=url, headers=tuple(headers.items()), expires_at=now + expires_in)

    async def put(
        self,
        name: str,
        source: AsyncIterable[bytes],
        *,
        headers: Mapping[str, str],
        what: str,
        unsigned: Mapping[str, str] | None = None,
    ) -> str | Refusal:
        """Send exactly `content-length` bytes; return the version ("" if the server names none) or its refusal.

        Raises Damaged when the source has another length (the request is broken off, so nothing is kept), what the
        source raises, and Unavailable when no answer came. `unsigned` headers go along outside the signature.
        """
        request = self.sign("PUT", name, headers=headers)
        body = _Body(source, int(headers["content-length"]), what, self._silence)
        sent = {**headers, **(unsigned or {})}
        try:
            async with asyncio.timeout(None) as patience:
                pieces = body.pieces(patience)
                async with self._session.put(
                    yarl.URL(request.url, encoded=True), data=pieces, headers=sent, allow_redirects=False
                ) as response:
                    if response.status == 200:
                        return response.headers.get("x-amz-version-id", "")
                    return parse_refusal(response.status, await _start_of(response))
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            if body.failure is not None:
                raise body.failure from None
            raise _no_answer(what, error) from error

    async def get(
        self, name: str, *, version: str | None, start: int, end: int | None, what: str
    ) -> AsyncGenerator[bytes | Refusal, None]:
        """Yield the object's bytes [start, end) in pieces of at most 1 MiB, or one refusal. Raises Unavailable."""
        ranged = start > 0 or end is not None
        headers = {"range": f"bytes={start}-{'' if end is None else end - 1}"} if ranged else {}
        request = self.sign("GET", name, headers=headers, version=version)
        try:
            async with self._session.get(
                yarl.URL(request.url, encoded=True), headers=headers, allow_redirects=False
            ) as response:
                if response.status == (206 if ranged else 200):
                    async for piece in response.content.iter_chunked(PIECE_BYTES):
                        yield piece
                elif response.status < 300:
                    raise unavailable(what, f"status {response.status} instead of a range")
                else:
                    yield parse_refusal(response.status, await _start_of(response))
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            raise _no_answer(what, error) from error

    async def close(self) -> None:
        await self._session.close()


class _Body:
    """A request's body, measured: the last piece leaves only when the source has ended at the declared length."""

    def __init__(self, source: AsyncIterable[bytes], size: int, what: str, silence: float) -> None:
        self.failure: Exception | None = None
        self._source = source
        self._size = size
        self._what = what
        self._silence = silence

    async def pieces(self, patience: asyncio.Timeout) -> AsyncIterator[bytes]:
        # The source may take its time; the server may not. So the clock runs only while a piece is on its way.
        now = asyncio.get_running_loop().time
        try:
            count, held = 0, b""
            async for piece in self._source:
                count += len(piece)
                if count > self._size:
                    break
                if held:
                    patience.reschedule(now() + self._silence)
                    yield held
                    patience.reschedule(None)
                held = bytes(piece)
            if count != self._size:
                longer = "longer" if count > self._size else "shorter"
                raise Damaged(
                    f"{self._what} is {longer} than the declared {self._size} bytes", "Nothing was kept; send it anew."
                )
            patience.reschedule(now() + self._silence)
            yield held
        except Exception as error:
            self.failure = error
            raise


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    return await response.content.read(_MAX_REFUSAL_BYTES)


def _no_answer(what: str, error: Exception) -> StorageError:
    if isinstance(error, RuntimeError):
        if str(error) != "Session is closed":
            raise error
        return Unavailable("the store is closed", "Open it again.")
    return unavailable(what, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
