"""Time-stamp authorities for seals: several, asked in turn; an answer is bounded, its nonce and imprint are checked.

An authority sees a digest and nothing else. What a token is worth is judged later, against roots (`judging`).
"""

import logging
from collections.abc import Sequence

import aiohttp
from asn1crypto import cms, tsp
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError

from app.errors import Unreachable

log = logging.getLogger("muniment.certificates")
MAX_REPLY_BYTES = 65_536
TIMEOUT_SECONDS = 10
_REPLY = "application/timestamp-reply"


class NoTimestamp(Unreachable):
    """No authority gave a token. Nothing was issued: a seal without one could never become a lasting one."""

    code = "no_timestamp"


class Authorities(TimeStamper):
    """pyHanko's time-stamper over several addresses: the first that answers well is used."""

    def __init__(
        self, addresses: Sequence[str], session: aiohttp.ClientSession, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """`timeout` is seconds for each authority."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._addresses, self._session = tuple(addresses), session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Return a token over the digest. Raises NoTimestamp naming what each authority did."""
        failures = []
        for address in self._addresses:
            nonce, query = self.request_cms(message_digest, md_algorithm)  # type: ignore[no-untyped-call]
            try:
                return _token(await self._ask(address, query.dump()), nonce, message_digest, md_algorithm)
            except (aiohttp.ClientError, TimestampRequestError, TimeoutError, OSError, ValueError, TypeError) as error:
                failures.append(f"{address}: {str(error) or type(error).__name__}")
                log.warning("no time-stamp from %s: %s", address, error or type(error).__name__)
        raise NoTimestamp(
            f"no time-stamp authority answered well: {'; '.join(failures) or 'none is configured'}",
            "Nothing was issued and nothing is lost. Ask again later; or name further authorities (tsa in "
            "muniment.toml).",
        )

    async def _ask(self, address: str, query: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": _REPLY}
        async with self._session.post(
            address, data=query, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as answer:
            if answer.status != 200 or answer.content_type != _REPLY:
                raise TimestampRequestError(f"answered {answer.status} {answer.content_type}")
            data = bytearray()
            async for piece in answer.content.iter_any():
                data += piece
                if len(data) > MAX_REPLY_BYTES:
                    raise TimestampRequestError(f"answered more than {MAX_REPLY_BYTES} bytes")
            return bytes(data)


def _token(reply: bytes, nonce: int, digest: bytes, algorithm: str) -> cms.ContentInfo:
    response = tsp.TimeStampResp.load(reply, strict=True)
    if response["status"]["status"].native not in ("granted", "granted_with_mods"):
        raise TimestampRequestError(f"refused: {response['status']['status'].native}")
    token = response["time_stamp_token"]
    info = token["content"]["encap_content_info"]["content"].parsed
    imprint = info["message_imprint"]
    if imprint["hashed_message"].native != digest or imprint["hash_algorithm"]["algorithm"].native != algorithm:
        raise TimestampRequestError("answered with a token over something else")
    if info["nonce"].native != nonce:
        raise TimestampRequestError("answered with another nonce: an old token played again")
    return token
