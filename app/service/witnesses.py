"""How the service reaches its witnesses: one HTTP session, bounded in time and size; and what its operator is told."""

import logging
from types import TracebackType
from typing import Self

import aiohttp

from ledger.collect import MAX_ANSWER_BYTES, Answer, Prove, Submit
from ledger.errors import WitnessFailed
from ledger.policy import Policy
from ledger.publisher import Publisher, Source, feeds_of

log = logging.getLogger("muniment.witnesses")
ANSWER_SECONDS = 10.0


class WitnessedPublication:
    """A publisher and the HTTP session that its feeds use, started and closed together."""

    def __init__(
        self, source: Source, policy: Policy, prove: Prove, *, cadence_seconds: float, timeout_seconds: float
    ) -> None:
        self._session: aiohttp.ClientSession | None = None
        # Longer than a round waits: a slow witness's cosignature is added to what is published meanwhile.
        self._timeout = aiohttp.ClientTimeout(total=max(ANSWER_SECONDS, timeout_seconds))
        self.publisher = Publisher(
            source,
            policy,
            feeds_of(policy, self._submit_to),
            prove,
            cadence_seconds=cadence_seconds,
            timeout_seconds=timeout_seconds,
            report=lambda url, problem: log.warning("witness %s: %s", url, problem),
        )

    async def __aenter__(self) -> Self:
        # No redirects and no cookies: a witness is one URL. Nothing of the answer but status, type and body is used.
        self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            await self.publisher.start()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.publisher.close()
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
