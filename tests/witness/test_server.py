"""The witness over HTTP: status codes, content types, monitoring, limits."""

import asyncio

from app.witness.memory import origin_hash
from ledger.cosignature import verify_cosignature
from ledger.note import SignatureLine
from ledger.witness import MAX_REQUEST_BYTES
from storage.errors import Unavailable
from storage.memory import MemoryRecordStore, Moment
from tests.ledger.growing import GrowingLog, signer
from tests.witness.serving import NOW, cosigner, get, post, request, serving

LOG = GrowingLog(entries=12)
FORK = GrowingLog(entries=12, salt="fork-")
PLAIN = "text/plain; charset=utf-8"


async def test_every_status_code() -> None:
    async with serving([LOG.signer.key], [cosigner(1)]) as url:
        status, type_, text = await post(url, request(0, 5, LOG))
        assert (status, type_) == (200, PLAIN)
        line = SignatureLine.parse(text.removesuffix("\n"))
        assert verify_cosignature(cosigner(1).key, LOG.checkpoint(5), line) == NOW
        assert await post(url, request(0, 7, LOG)) == (409, "text/x.tlog.size", "5\n")
        assert (await post(url, b"old x"))[0] == 400
        assert (await post(url, request(0, 5, GrowingLog("other.example", 5))))[0] == 404
        unsigned = signer(LOG.origin, 3).sign_note(LOG.checkpoint(7).body)
        assert (await post(url, f"old 5\n\n{unsigned}".encode()))[0] == 403
        assert (await post(url, request(5, 7, FORK)))[0] == 422
        assert (await post(url, b"x" * (MAX_REQUEST_BYTES + 1)))[0] == 413
        assert (await get(url + "/add-checkpoint"))[0] == 405
        assert await get(url + "/healthz") == (200, PLAIN, "ok\n")


async def test_monitoring_shows_the_last_cosigned_checkpoint() -> None:
    async with serving([LOG.signer.key], [cosigner(1)]) as url:
        place = f"{url}/{origin_hash(LOG.origin)}/checkpoint"
        assert (await get(place))[0] == 404
        _, _, line = await post(url, request(0, 5, LOG))
        assert await get(place) == (200, PLAIN, LOG.signed(5) + line)
        await post(url, request(5, 7, FORK))
        assert await get(place) == (200, PLAIN, LOG.signed(5) + line)
        for other in (origin_hash("other.example"), origin_hash(LOG.origin).upper(), "x"):
            assert (await get(f"{url}/{other}/checkpoint"))[0] == 404


async def test_a_memory_that_does_not_answer_gives_503_and_no_cosignature() -> None:
    records = MemoryRecordStore()

    def fault(when: Moment, _operation: str, _name: str) -> None:
        if when is Moment.AFTER:
            raise Unavailable("no answer")

    records.fault = fault
    async with serving([LOG.signer.key], [cosigner(1)], records) as url:
        status, _, text = await post(url, request(0, 5, LOG))
        assert status == 503
        assert "—" not in text


async def test_requests_at_once_from_both_sides_of_a_fork() -> None:
    async with serving([LOG.signer.key], [cosigner(1)]) as url:
        answers = await asyncio.gather(*(post(url, request(0, 5, log)) for log in (LOG, FORK) * 5))
        lines = [SignatureLine.parse(text.removesuffix("\n")) for status, _, text in answers if status == 200]
        assert len(lines) == 1, "the second of the same tree names the wrong old size"
        assert {status for status, _, _ in answers} == {200, 409}
