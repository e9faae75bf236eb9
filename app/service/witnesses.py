"""Publication as the service does it: on its cadence, with the cosignatures of its witnesses, asked over HTTP."""

import asyncio
import logging

import aiohttp

from app.errors import Unreachable
from ledger.collect import MAX_ANSWER_BYTES, Answer, Prove, Submit
from ledger.errors import WitnessFailed
from ledger.policy import Policy
from ledger.publisher import Published, Publisher, Source, feeds_of

log = logging.getLogger("muniment.witnesses")
ANSWER_SECONDS = 10.0
"""How long one witness may take at most. A publication waits less; what comes later is added to it."""


class Publication:
    """A publisher, and the HTTP session of its feeds, if it has any; bounded in time and size."""

    def __init__(
        self, source: Source, policy: Policy, prove: Prove, *, cadence_seconds: float, timeout_seconds: float
    ) -> None:
        self._session: aiohttp.ClientSession | None = None
        self.policy = policy
        self._patience = 2 * (cadence_seconds + timeout_seconds) + 1
        self._publisher = Publisher(
            source,
            policy,
            feeds_of(policy, self._submit_to),
            prove,
            cadence_seconds=cadence_seconds,
            timeout_seconds=timeout_seconds,
            report=lambda url, problem: log.warning("witness %s: %s", url, problem),
        )

    @property
    def published(self) -> Published:
        """The newest published checkpoint."""
        return self._publisher.published

    @property
    def age_seconds(self) -> float:
        """Since something larger was published."""
        return self._publisher.age_seconds

    async def covering(self, size: int) -> Published:
        """What is published, as soon as its size is at least `size`. Raises Unreachable when no round comes."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._publisher.covering(size)
        except TimeoutError as error:
            raise Unreachable(
                f"the entry {size - 1} stands, but no checkpoint that covers it was published in time",
                "Send the same again: it is admitted once, and its receipt comes then.",
                code="unavailable",
            ) from error

    async def start(self, kept: str | None = None) -> None:
        """Publish what is signed, with what the witnesses give in time or gave before, and go on."""
        # Neither cookies nor redirects: a witness is one URL.
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            await self._publisher.start(kept)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End; what is published stays readable."""
        await self._publisher.close()
        if self._session is not None:
            await self._session.close()

    def _submit_to(self, url: str) -> Submit:
        place = url.rstrip("/") + "/add-checkpoint"

        async def submit(body: bytes) -> Answer:
            assert self._session is not None, "feeds run only between start and close"  # noqa: S101
            headers = {"Content-Type": "text/plain; charset=utf-8"}
            try:
                async with self._session.post(place, data=body, headers=headers, allow_redirects=False) as answer:
                    found = await answer.content.read(MAX_ANSWER_BYTES + 1)
                    while len(found) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                        found += more
                    if len(found) > MAX_ANSWER_BYTES:
                        raise WitnessFailed(f"the witness at {url} answered more than {MAX_ANSWER_BYTES} bytes")
                    return Answer(status=answer.status, content_type=answer.headers.get("Content-Type", ""), body=found)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise WitnessFailed(
                    f"the witness at {url} did not answer: {type(error).__name__} {error}"[:300],
                    "It is asked again later; cosignatures of the others are used meanwhile.",
                ) from error

        return submit
