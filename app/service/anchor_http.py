"""Asking time-stamp authorities, calendars and header sources: bounded in time and size, no redirects, no cookies."""

import aiohttp

from app.errors import Unreachable

ANSWER_SECONDS = 20.0


class AnchorHttp:
    """One HTTP session for all of them. `start` before the first question, `close` after the last."""

    def __init__(self, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the session."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._seconds), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Close the session. Safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, *, media: str, accept: str, most: int) -> bytes:
        """Send bytes; return the answer's body. Raises Unreachable: no answer, not 200, another type, too large."""
        return await self._ask("POST", url, most, body=body, accept=accept, media=media)

    async def get(self, url: str, *, most: int, accept: str = "*/*") -> bytes:
        """Return the answer's body. Raises Unreachable as `post` does; its code is `not_there` for 404."""
        return await self._ask("GET", url, most, accept=accept)

    async def _ask(
        self, method: str, url: str, most: int, *, body: bytes | None = None, accept: str, media: str | None = None
    ) -> bytes:
        assert self._session is not None, "questions are asked only between start and close"  # noqa: S101
        headers = {"Accept": accept} | ({"Content-Type": media} if media is not None else {})
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Unreachable(
                        f"{url} answered {answer.status}", code="not_there" if answer.status == 404 else "unreachable"
                    )
                if accept != "*/*" and answer.content_type not in (accept, "application/octet-stream"):
                    raise Unreachable(f"{url} answered with {answer.content_type[:60]!r}, not {accept}")
                found = bytearray()
                while len(found) <= most and (more := await answer.content.read(most + 1 - len(found))):
                    found += more
                if len(found) > most:
                    raise Unreachable(f"{url} answered more than {most} bytes")
                return bytes(found)
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise Unreachable(f"{url} did not answer: {type(error).__name__} {error}"[:300]) from error
