"""Headers from a node's REST interface. Nothing of them is believed: `app.client.headers` checks all."""

import aiohttp

from app.client.headers import Ask
from app.errors import Mismatch, Unreachable
from ledger.anchors.headers import HEADER_BYTES

_ANSWER_SECONDS = 60


def node_source(session: aiohttp.ClientSession, url: str) -> Ask:
    """Ask a node's REST interface; bounded, without redirects."""

    async def ask(hash_: bytes, count: int) -> bytes | None:
        place = f"{url.rstrip('/')}/rest/headers/{count}/{hash_[::-1].hex()}.bin"
        most = count * HEADER_BYTES
        try:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
            async with session.get(place, allow_redirects=False, timeout=timeout) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise Unreachable(f"{url} answered {answer.status}", "Is its REST interface on (rest=1)?")
                found = bytearray()
                while len(found) <= most and (more := await answer.content.read(most + 1 - len(found))):
                    found += more
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"{url} did not answer: {type(error).__name__} {error}"[:300], "Try again.") from error
        if len(found) > most or len(found) % HEADER_BYTES:
            raise Mismatch(
                f"{url} answered {len(found)} bytes, which are no headers", "Take another source.", code="bad_headers"
            )
        return bytes(found)

    return ask
