"""The metrics of a running service: true, on a port of their own, there while stores are down, and about nobody."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.service.anchor_measures import measure_anchors
from app.service.anchor_round import LAST_PAUSE, Obtained, Round, new_round
from app.service.anchor_settings import AnchorTerms
from app.service.exposition import MEDIA, Sample, format_exposition
from app.service.metric_table import METRICS
from app.service.metrics import Metrics
from app.web.metrics import serve_metrics
from storage.errors import Unavailable
from storage.memory import MemoryRecordStore
from storage.ports import Record
from tests.app.rules.world import World, founded, peopled
from tests.service.house import House, RealDeposit, court, open_house
from tests.service.test_anchors import Yard, yard
from tests.service.test_exposition import read
from tests.service.test_witnesses import DEAD, KEY
from tests.service.test_witnesses import watched as with_witnesses
from tests.witness.serving import cosigner, serving

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[str]:
    runner, host, port = await serve_metrics(house.application, "127.0.0.1", 0)
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def page_of(house: House, url: str) -> tuple[str, Page]:
    async with house.session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == MEDIA
        text = await answer.text()
    return text, read(text)


def value(page: Page, name: str, **labels: str) -> float:
    return page[f"muniment_{name}", tuple(labels.items())]


class Failing(MemoryRecordStore):
    """A record store that is down when told, or never answers."""

    down = hangs = False

    async def get(self, kind: str, id: str) -> Record | None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise Unavailable("down")
        return await super().get(kind, id)

    async def page(
        self, kind: str, *, prefix: str = "", after: str = "", before: str = "", limit: int = 100, reverse: bool = False
    ) -> tuple[Record, ...]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise Unavailable("down")
        return await super().page(kind, prefix=prefix, after=after, before=before, limit=limit, reverse=reverse)


async def test_what_a_deposit_does_is_counted_and_names_nobody() -> None:
    release = court()
    deposit = release.deposit
    assert isinstance(deposit, RealDeposit)
    world = release.world
    async with open_house(world) as house, watched(house) as url:
        await house.push()
        assert value((await page_of(house, url))[1], "statements_accepted_total", kind="deposit") == 0
        await house.upload(deposit)
        world.do("lawyer1", deposit.claims)
        await house.push()
        assert (await house.call("GET", f"/v1/deposits/{deposit.claims.deposit_id.hex()}", by="lawyer1")).status == 200
        assert (await house.call("PROPFIND", "/teapot")).status == 404
        assert (await house.call("BREW", "/teapot")).status == 400
        text, page = await page_of(house, url)
        assert value(page, "statements_accepted_total", kind="deposit") == 1
        assert value(page, "uploads_begun_total") == 1
        assert value(page, "ledger_entries") == value(page, "published_entries") == len(world.entries)
        assert value(page, "published_quorum_met") == 1
        assert value(page, "clock_seconds") == house.clock[0]
        assert value(page, "store_up", store="records") == value(page, "store_up", store="blobs") == 1
        assert value(page, "locks_late") == value(page, "sequencer_stopped") == 0
        assert value(page, "requests_total", method="POST", route="/v1/statements", status="2xx") == len(world.entries)
        assert value(page, "requests_total", method="other", route="(no route)", status="4xx") == 1
        assert value(page, "requests_total", method="other", route="(not HTTP)", status="4xx") == 1
        assert value(page, "request_seconds_count", route="/v1/statements") == len(world.entries)
        assert not re.search("BREW|PROPFIND|teapot", text)
        # The same statement again is answered, and not counted again.
        assert (await house.post(world.entries[-1].statement)).status == 200
        assert value((await page_of(house, url))[1], "statements_accepted_total", kind="deposit") == 1
        assert not personal(text, release.world, deposit)


def personal(text: str, world: World, deposit: RealDeposit) -> list[str]:
    """What of people, cases and deposits stands in the labels of a page; any long hex or base64url is some id."""
    labels = " ".join(re.findall(r'="([^"]*)"', text))
    people = [name for name in world.signers if name not in ("log", "service")]
    ids = [
        deposit.claims.deposit_id.hex(),
        deposit.claims.case_id.hex(),
        *(each.kid for each in world.signers.values()),
    ]
    long = re.findall(r"[0-9a-f]{16,}|[A-Za-z0-9_-]{40,}", labels)
    return [*long, *(each for each in (*ids, *people) if re.search(rf"\b{re.escape(each)}\b", labels))]


def test_the_search_for_personal_data_finds_some() -> None:
    release = court()
    assert isinstance(release.deposit, RealDeposit)
    for text in (release.case_id.hex(), release.world.signer("lawyer1").kid, "lawyer1"):
        assert personal(f'x{{y="{text}"}} 1', release.world, release.deposit)


async def test_nothing_but_the_metrics_is_served_there_and_no_metrics_elsewhere() -> None:
    async with open_house(peopled()) as house, watched(house) as url:
        assert (await house.call("GET", "/metrics")).status == 404
        for path in ("/", "/checkpoint", "/v1/registry", "/metrics/x"):
            async with house.session.get(url + path) as answer:
                assert answer.status == 404
        async with house.session.post(f"{url}/metrics", data=b"x" * 100) as answer:
            assert answer.status == 405


async def test_the_page_is_served_while_a_store_is_down() -> None:
    records = Failing()
    async with open_house(peopled(), records) as house, watched(house) as url:
        await house.push()
        records.down = True
        _, page = await page_of(house, url)
        assert value(page, "store_up", store="records") == 0
        assert value(page, "store_up", store="blobs") == 1
        assert value(page, "metrics_incomplete", part="locks") == value(page, "metrics_incomplete", part="scrub") == 1
        assert value(page, "metrics_incomplete", part="publication") == 0
        assert value(page, "ledger_entries") == len(house.world.entries)
        assert ("muniment_locks_late", ()) not in page
        records.down = False
        assert value((await page_of(house, url))[1], "store_up", store="records") == 1


async def test_a_store_that_never_answers_does_not_hold_the_page() -> None:
    records = Failing()
    async with open_house(peopled(), records) as house:
        await house.push()
        records.hangs = True
        try:
            async with asyncio.timeout(60):
                samples = await Metrics(house.registry, part_seconds=0.2).read()
        finally:
            records.hangs = False
    page = read(format_exposition(samples))
    assert value(page, "store_up", store="records") == 0
    assert value(page, "store_up", store="blobs") == 1
    assert value(page, "metrics_incomplete", part="locks") == 1


async def test_open_uploads_are_counted_by_the_sweep() -> None:
    release = court()
    deposit = release.deposit
    assert isinstance(deposit, RealDeposit)
    async with open_house(release.world) as house, watched(house) as url:
        await house.push()
        assert ("muniment_uploads_open", ()) not in (await page_of(house, url))[1]
        await house.upload(deposit)
        await house.registry.upload_sweep.run(house.clock[0])
        assert value((await page_of(house, url))[1], "uploads_open") == 1
        release.world.do("lawyer1", deposit.claims)
        await house.push()
        await house.registry.upload_sweep.run(house.clock[0])
        assert value((await page_of(house, url))[1], "uploads_open") == 0


async def test_each_failure_of_an_anchor_is_counted_and_success_ends_the_row() -> None:
    async with yard() as it:
        tsa, calendar = it.terms.tsas[0].name, it.terms.calendars[0].url
        it.pki.faults.add("/tsa/1")
        it.calendar.faults.add("/digest")
        await it.anchoring.step()
        await it.later()
        page = await measured(it)
        for source in (tsa, calendar):
            counted = [count for (name, labels), count in page.items() if counts(name, labels, source)]
            assert sum(counted) == value(page, "anchor_failing", source=source) == 2
            assert ("muniment_anchor_source_age_seconds", (("source", source),)) not in page
        assert value(page, "anchor_rounds_open") == 1
        for form in ("rfc3161", "opentimestamps"):
            assert value(page, "unanchored_age_seconds", form=form) == LAST_PAUSE
        assert await it.forms() == ["rfc3161"]
        it.pki.faults.clear()
        it.calendar.faults.clear()
        await it.later()
        assert it.calendar.confirm() is not None
        await it.later()
        page = await measured(it)
        for source in (tsa, calendar):
            assert value(page, "anchor_failing", source=source) == 0
            assert value(page, "anchor_source_age_seconds", source=source) == 3 * LAST_PAUSE
            assert sum(count for (name, labels), count in page.items() if counts(name, labels, source)) == 2
        assert value(page, "anchor_source_age_seconds", source="bitcoin") == 3 * LAST_PAUSE
        assert value(page, "unanchored_age_seconds", form="rfc3161") == 0
        assert value(page, "unanchored_age_seconds", form="opentimestamps") == 0
        assert value(page, "anchor_rounds_open") == 0


async def test_a_block_that_cannot_be_checked_is_counted_under_bitcoin() -> None:
    async with yard() as it:
        await it.anchoring.step()
        it.calendar.confirm()
        it.calendar.faults.update({"/source-1", "/source-2"})
        await it.later()
        page = await measured(it)
        assert value(page, "anchor_failing", source="bitcoin") == 1
        assert sum(count for (name, labels), count in page.items() if counts(name, labels, "bitcoin")) == 1


def counts(name: str, labels: tuple[tuple[str, str], ...], source: str) -> bool:
    return name == "muniment_anchor_failures_total" and labels[0] == ("source", source)


async def test_who_cosigned_is_shown_and_who_did_not() -> None:
    async with serving([KEY], [cosigner(1)]) as one, with_witnesses(founded(), "1", one, DEAD) as house:
        await house.push()
        for _ in range(1000):  # a cosignature that came late is added
            page = read(format_exposition(await Metrics(house.registry).read()))
            if value(page, "witness_cosigned", witness="w1"):
                break
            await house.call("GET", "/healthz")
        assert value(page, "published_quorum_met") == 1
        assert value(page, "witness_cosigned", witness="w1") == 1
        assert value(page, "witness_cosigned", witness="w2") == 0
        assert value(page, "witness_age_seconds", witness="w1") >= 0
        assert ("muniment_witness_age_seconds", (("witness", "w2"),)) not in page


async def test_a_quorum_that_is_missing_is_shown() -> None:
    async with with_witnesses(founded(), "all", DEAD) as house:
        page = read(format_exposition(await Metrics(house.registry).read()))
        assert value(page, "published_quorum_met") == value(page, "witness_cosigned", witness="w1") == 0


async def measured(found: Yard) -> Page:
    return read(format_exposition(await Metrics(found.registry).read()))


def test_rounds_say_who_fails_since_when_and_what_is_not_covered(terms: AnchorTerms) -> None:
    tsa, calendar = terms.tsas[0].name, terms.calendars[0].url
    first = round_of(10, 1000)
    failing = replace(round_of(20, 2000).failed(tsa, "x", 2001).failed(tsa, "x", 2002), asked=(calendar,))
    page = measures(terms, [first, failing], 5000)
    assert value(page, "unanchored_age_seconds", form="rfc3161") == 4000
    assert value(page, "unanchored_age_seconds", form="opentimestamps") == 4000
    assert value(page, "anchor_failing", source=tsa) == 2
    assert value(page, "anchor_failing", source=calendar) == 0
    assert value(page, "anchor_source_age_seconds", source=calendar) == 3000
    assert ("muniment_anchor_source_age_seconds", (("source", tsa),)) not in page
    assert value(page, "anchor_round_age_seconds") == 3000
    # What covers the later checkpoint covers the earlier one; what the ledger does not name yet covers nothing.
    bitcoin = Obtained(source="Bitcoin block 7", form="opentimestamps", digest=bytes(32), entered=True)
    named = measures(terms, [first, replace(failing, obtained=(bitcoin,))], 5000)
    assert value(named, "unanchored_age_seconds", form="opentimestamps") == 0
    assert value(named, "anchor_source_age_seconds", source="bitcoin") == 3000
    kept = measures(terms, [first, replace(failing, obtained=(replace(bitcoin, entered=False),))], 5000)
    assert value(kept, "unanchored_age_seconds", form="opentimestamps") == 4000
    blocks = measures(terms, [first.failed("Bitcoin block 8", "no work", 1).failed("https://liar", "x", 2)], 5000)
    assert value(blocks, "anchor_failing", source="bitcoin") == 1
    assert "liar" not in str(blocks)


@pytest.fixture
async def terms() -> AsyncIterator[AnchorTerms]:
    async with yard() as found:
        yield found.terms


def round_of(size: int, begun: int) -> Round:
    return new_round(size=size, root=bytes(32), checkpoint="c", now=begun)


def measures(terms: AnchorTerms, rounds: list[Round], now: int) -> Page:
    samples: list[Sample] = measure_anchors(terms, rounds, {}, now=now)
    return read(format_exposition(samples))


def test_every_metric_is_measured_somewhere() -> None:
    """A metric in the table that nothing samples would be an alert that never rings."""
    code = "".join(
        (Path(__file__).parent.parent.parent / each).read_text()
        for each in ("app/service/metrics.py", "app/service/anchor_measures.py", "app/web/traffic.py")
    )
    from app.service import metric_table

    names = {
        name for name, each in vars(metric_table).items() if each in METRICS and name.isupper() and name != "METRICS"
    }
    assert len(names) == len(METRICS)
    assert not [name for name in names if f"sample(table.{name}," not in code]
