"""A log's files over HTTP: bounded in size and time, no redirects, no cookies. Nothing here is believed."""

from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import aiohttp

from app.errors import BadInput, CannotTell

ANSWER_SECONDS = 30.0


class Source(Protocol):
    """Where a log's files come from."""

    async def get(self, path: str, most: int) -> bytes | None:
        """The file under `path` (no leading slash), None when there is none. Raises CannotTell (unreachable)."""
        ...


class HttpSource:
    """The log under one URL prefix. Async context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise BadInput(f"{url!r} is not the URL of a log", "Give http(s)://host[:port][/prefix].", code="bad_url")
        self._prefix = url.rstrip("/") + "/"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, most: int) -> bytes | None:
        """The file under `path`, None on 404 or 410. Raises CannotTell for anything but an answer of at most `most`."""
        assert self._session is not None, "the source was not entered"  # noqa: S101 - a mistake in the wiring
        url = self._prefix + path
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status in (404, 410):
                    return None
                if answer.status != 200:
                    raise _unreachable(url, f"answered with status {answer.status}")
                data = bytearray()
                async for piece in answer.content.iter_chunked(1 << 16):
                    data += piece
                    if len(data) > most:
                        raise _unreachable(url, f"has more than {most} bytes")
                return bytes(data)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _unreachable(url, f"cannot be read: {error or type(error).__name__}") from error


def _unreachable(url: str, problem: str) -> CannotTell:
    return CannotTell(f"{url} {problem}", "Try again later; nothing that was learnt is lost.", code="unreachable")
