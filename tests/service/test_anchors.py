"""The scheduler of anchors, against real authorities, a real calendar and header sources: rounds, faults, deaths."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.canonical import b64u_decode
from app.demo.calendar import LoopbackCalendar, serving_calendar
from app.demo.pki import LoopbackPki, Profile, Token, make_token, respond, serving_pki
from app.errors import BadInput
from app.service.anchor_http import AnchorHttp
from app.service.anchor_round import FIRST_PAUSE, LAST_PAUSE, LEASE_SECONDS, pause_after
from app.service.anchor_settings import AnchorTerms, CalendarPlace, TsaPlace, parse_anchor_terms
from app.service.anchors import Anchoring
from app.service.registry import Registry
from app.statements.kinds import Anchor, CaseOpen
from app.statements.statement import Signer, parse_leaf, parse_statement
from app.statements.trust_time import make_authority
from ledger.anchors.headers import Place, locate
from ledger.anchors.ots import parse_complete
from ledger.anchors.token import TokenParts
from ledger.anchors.tsa import verify_token
from storage.memory import MemoryRecordStore
from storage.ports import RecordStore
from tests.app.rules.world import ORIGIN, fresh, seed
from tests.service.house import House, court, open_house

EVERY = 3600
SHORT = 4
"""Seconds that a test waits for an answer that never comes."""


@dataclass
class Yard:
    """A running registry, and everybody who can anchor it."""

    house: House
    pki: LoopbackPki
    calendar: LoopbackCalendar
    terms: AnchorTerms
    anchoring: Anchoring
    posted: int = 0

    @property
    def registry(self) -> Registry:
        return self.house.registry

    async def later(self, seconds: int = LAST_PAUSE) -> None:
        """Let time pass, then do what is due."""
        self.house.clock[0] += seconds
        await self.anchoring.step()

    async def news(self) -> None:
        """Somebody does something: it must be admitted, whatever else fails."""
        world = self.house.world
        world.now = self.house.clock[0]
        self.posted += 1
        statement = world.sign("clerk", CaseOpen(case_id=fresh(f"news {self.posted}"), note=None))
        assert (await self.house.post(statement)).status == 201

    async def anchors(self) -> list[tuple[Anchor, int]]:
        """The anchors that the ledger names, with the size of what was stamped."""
        found = []
        for index in range(self.registry.sequencer.size):
            leaf = parse_leaf(await self.registry.history.leaf(index))
            if leaf.kind == "anchor":
                text = await self.registry.statements.read(leaf.digest)
                assert text is not None
                statement = parse_statement(text)
                assert isinstance(statement.claims, Anchor)
                found.append((statement.claims, statement.envelope.seen.size))
        return found

    async def forms(self) -> list[str]:
        return sorted(each.form for each, _ in await self.anchors())

    async def problems(self) -> dict[str, str]:
        """Who fails, as anybody can see it."""
        answer = await self.house.call("GET", "/v1/anchors")
        assert answer.status == 200
        return {each["source"]: each["problem"] for each in answer.json.get("failures", ())}

    def another(self, records: RecordStore | None = None) -> Anchoring:
        """A second process's scheduler over the same stores."""
        return make_anchoring(self.registry, self.terms, self.house.clock, records)


def make_anchoring(
    registry: Registry,
    terms: AnchorTerms,
    clock: list[int],
    records: RecordStore | None = None,
    *,
    answer_seconds: float = 60,
) -> Anchoring:
    return Anchoring(
        terms,
        records or registry.records,
        origin=ORIGIN,
        log_key=registry.log_key,
        signer=Signer(seed("service")),
        door=registry.door,
        publication=registry.publication,
        history=registry.history,
        clock=lambda: clock[0],
        http=AnchorHttp(answer_seconds=answer_seconds),
    )


@asynccontextmanager
async def yard(*, answer_seconds: float = 60, **changes: Any) -> AsyncIterator[Yard]:
    world = court().world
    async with open_house(world) as house:
        now = house.clock
        async with serving_pki(clock=lambda: now[0]) as pki, serving_calendar(clock=lambda: now[0]) as calendar:
            terms = replace(
                AnchorTerms(
                    tsas=tuple(
                        TsaPlace(url=each.url, authority=make_authority(each.name, [pki.root_der], each.name))
                        for each in pki.tsas
                    ),
                    tsa_quorum=2,
                    calendars=(CalendarPlace(url=calendar.uri, addresses=frozenset({calendar.uri})),),
                    header_sources=calendar.sources,
                    header_quorum=2,
                    bitcoin=calendar.chain.checkpoint,
                    every_seconds=EVERY,
                    upgrade_seconds=60,
                ),
                **changes,
            )
            await house.push()
            anchoring = make_anchoring(house.registry, terms, now, answer_seconds=answer_seconds)
            house.registry.anchoring = anchoring  # what the status page looks at; the test does the steps
            await anchoring.start()
            try:
                yield Yard(house=house, pki=pki, calendar=calendar, terms=terms, anchoring=anchoring)
            finally:
                await anchoring.close()


async def test_a_round_stamps_the_published_checkpoint_and_names_it_on_the_ledger() -> None:
    async with yard() as it:
        size = it.registry.sequencer.size
        await it.anchoring.step()
        assert await it.forms() == ["rfc3161", "rfc3161"]
        assert {stamped for _, stamped in await it.anchors()} == {size}
        height = it.calendar.confirm()
        assert height is not None
        await it.later()
        assert await it.forms() == ["opentimestamps", "rfc3161", "rfc3161"]
        assert await it.problems() == {}
        status = (await it.house.call("GET", "/v1/anchors")).json
        assert (status["status"], status["open"]) == ("working", 0)
        assert (status["timestamped_size"], status["anchored_size"]) == (size, size)
        authorities = set()
        for claims, _ in await it.anchors():
            answer = await it.house.call("GET", f"/v1/anchors/{claims.anchor.hex()}")
            assert answer.status == 200
            stamped, data = answer.json["checkpoint"].encode(), b64u_decode(answer.json["anchor"], "it")
            assert hashlib.sha256(data).digest() == claims.anchor
            if claims.form == "rfc3161":
                token = verify_token(data, stamped, it.terms.authorities)
                authorities.add(token.authority)
                assert len(TokenParts.read(data).certificates) == 1
                assert token.accuracy_us == 500_000
            else:
                attested = parse_complete(data, hashlib.sha256(stamped).digest())
                headers = b64u_decode(answer.json["headers"], "it")
                found = locate(height, attested.merkle_root, headers, it.calendar.chain.checkpoint, None)
                assert found.place is Place.WORK_SHOWN
        assert authorities == {each.name for each in it.pki.tsas}
        missing = await it.house.call("GET", f"/v1/anchors/{'00' * 32}")
        assert missing.status == 404


async def test_anchors_of_anchors_are_no_news() -> None:
    async with yard(calendars=(), header_sources=()) as it:
        await it.anchoring.step()
        size = it.registry.sequencer.size
        for _ in range(3):
            await it.later(EVERY)
        assert it.registry.sequencer.size == size
        await it.news()
        await it.later(1)
        assert {stamped for _, stamped in await it.anchors()} == {size - 2, size + 1}
        await it.news()
        await it.later(EVERY - 1)
        assert len(await it.anchors()) == 4  # too soon
        await it.later(1)
        assert {stamped for _, stamped in await it.anchors()} == {size - 2, size + 1, size + 4}


# Time-stamp authorities that fail


def _huge(_token: Token) -> bytes:
    return b"\x30\x84\x00\x10\x00\x00" + bytes(1 << 20)


def _lying(pki: LoopbackPki, **changes: Any) -> Callable[[Token], bytes]:
    return lambda token: respond(make_token(replace(token, **changes), pki.tsas[0].issued))


def _signed_by(issued: Any) -> Callable[[Token], bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = (issued.der, *(each.public_bytes(Encoding.DER) for each in issued.chain))
    return lambda token: respond(make_token(replace(token, certificates=chain), issued))


TSA_FAULTS: dict[str, Callable[[LoopbackPki], Any]] = {
    "down": lambda pki: pki.faults.add("/tsa/1"),
    "slow": lambda pki: pki.stalled.add("/tsa/1"),
    "garbage": lambda _pki: lambda _token: b"<html>nonsense</html>",
    "empty": lambda _pki: lambda _token: b"",
    "huge": lambda _pki: _huge,
    "rejects": lambda _pki: lambda _token: bytes.fromhex("30053003020102"),
    "another imprint": lambda pki: _lying(pki, imprint=bytes(32)),
    "another nonce": lambda pki: _lying(pki, nonce=1),
    "no nonce": lambda pki: _lying(pki, nonce=None),
    "another time": lambda pki: _lying(pki, gen_time=pki.now() - timedelta(hours=1)),
    "another authority": lambda pki: _signed_by(pki.tsas[1].issued),
    "no certificate for it": lambda pki: _signed_by(pki.issue(pki.tsas[0].name)),
    "ended": lambda pki: _signed_by(
        pki.issue(pki.tsas[0].name, profile=Profile.TSA, days=5, begin=pki.now() - timedelta(days=30))
    ),
    "forged root": lambda pki: _signed_by(LoopbackPki(pki.base, clock=lambda: pki.now().timestamp()).tsas[0].issued),
}


@pytest.mark.parametrize("fault", TSA_FAULTS)
async def test_a_time_stamp_authority_fails_deposits_go_on_and_it_is_asked_again(fault: str) -> None:
    async with yard(calendars=(), header_sources=(), answer_seconds=SHORT if fault == "slow" else 60) as it:
        made = TSA_FAULTS[fault](it.pki)
        good = it.pki.tsas[0].behaviour
        if callable(made):
            it.pki.tsas[0].behaviour = made
        await it.anchoring.step()
        assert await it.forms() == ["rfc3161"]  # the other one's
        assert set(await it.problems()) == {it.pki.tsas[0].name}
        await it.news()
        await it.later(FIRST_PAUSE - 1)
        assert await it.forms() == ["rfc3161"]
        it.pki.faults.clear()
        it.pki.stalled.clear()
        it.pki.tsas[0].behaviour = good
        await it.later(LAST_PAUSE - EVERY + 60)
        assert await it.forms() == ["rfc3161", "rfc3161"]
        assert await it.problems() == {}


def test_pauses_grow_and_end_somewhere() -> None:
    pauses = [pause_after(tries) for tries in range(40)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PAUSE


async def test_a_redirect_is_not_followed() -> None:
    from aiohttp import web

    async with yard(calendars=(), header_sources=()) as it:

        async def away(_request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(it.pki.tsas[0].url)

        application = web.Application()
        application.router.add_post("/tsa", away)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        first, second = it.terms.tsas
        it.anchoring.terms = replace(it.terms, tsas=(replace(first, url=f"http://127.0.0.1:{port}/tsa"), second))
        await it.anchoring.step()
        await runner.cleanup()
        assert "307" in (await it.problems())[first.name]
        assert "/tsa/1" not in it.pki.asked


# Calendars and header sources that fail


def _instead(path: str, data: bytes) -> Callable[[str, bytes], bytes]:
    return lambda asked, answer: data if path in asked else answer


def _pending_elsewhere(uri: str) -> Callable[[str, bytes], bytes]:
    from opentimestamps.core.notary import PendingAttestation
    from opentimestamps.core.serialize import BytesSerializationContext

    def tamper(asked: str, answer: bytes) -> bytes:
        if not asked.endswith("/digest"):
            return answer
        from opentimestamps.core.op import OpSHA256
        from opentimestamps.core.timestamp import Timestamp

        stamp = Timestamp(bytes(32))
        stamp.ops.add(OpSHA256()).attestations.add(PendingAttestation(uri))
        context = BytesSerializationContext()
        stamp.serialize(context)
        return bytes(context.getbytes())

    return tamper


CALENDAR_FAULTS: dict[str, Callable[[LoopbackCalendar], Any]] = {
    "down": lambda calendar: calendar.faults.add("/digest"),
    "slow": lambda calendar: calendar.stalled.add("/digest"),
    "garbage": lambda _calendar: _instead("/digest", b"<html>"),
    "empty": lambda _calendar: _instead("/digest", b""),
    "huge": lambda _calendar: _instead("/digest", bytes(20_000)),
    "promises elsewhere": lambda _calendar: _pending_elsewhere("http://169.254.169.254/latest"),
    "promises from a file": lambda _calendar: _pending_elsewhere("file:///etc/passwd"),
}


@pytest.mark.parametrize("fault", CALENDAR_FAULTS)
async def test_a_calendar_fails_time_stamps_and_deposits_go_on(fault: str) -> None:
    async with yard(answer_seconds=SHORT if fault == "slow" else 60) as it:
        made = CALENDAR_FAULTS[fault](it.calendar)
        good = it.calendar.tamper
        if callable(made):
            it.calendar.tamper = made
        await it.anchoring.step()
        assert await it.forms() == ["rfc3161", "rfc3161"]
        assert set(await it.problems()) == {it.calendar.uri}
        await it.news()
        it.calendar.faults.clear()
        it.calendar.stalled.clear()
        it.calendar.tamper = good
        await it.later(120)
        assert it.calendar.confirm() is not None
        await it.later(120)
        assert await it.forms() == ["opentimestamps", "rfc3161", "rfc3161"]
        assert await it.problems() == {}


async def test_an_address_that_a_reply_names_is_asked_only_if_it_is_listed() -> None:
    """A calendar promises under its own address, and beside it under one that it would have asked for it."""
    from opentimestamps.core.notary import PendingAttestation
    from opentimestamps.core.serialize import BytesSerializationContext

    from ledger.anchors.ots import parse_reply

    async with yard() as it:
        digest = b""

        def tamper(asked: str, answer: bytes) -> bytes:
            if not asked.endswith("/digest"):
                return answer
            stamp = parse_reply(answer, digest)
            stamp.attestations.add(PendingAttestation(f"{it.pki.base}/evil"))
            context = BytesSerializationContext()
            stamp.serialize(context)
            return bytes(context.getbytes())

        from ledger.anchors.stamped import stamped_text

        text = stamped_text(it.registry.publication.published.text, [it.registry.log_key])
        digest = hashlib.sha256(text.encode()).digest()
        it.calendar.tamper = tamper
        await it.anchoring.step()
        it.calendar.confirm()
        await it.later(120)
        assert await it.forms() == ["opentimestamps", "rfc3161", "rfc3161"]
        assert not [each for each in it.pki.asked if "evil" in each]


async def test_one_calendar_that_lies_does_not_keep_another_from_being_heard() -> None:
    """The first attests a block at once, wrongly; the second tells the truth later."""
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
    from opentimestamps.core.serialize import BytesSerializationContext

    from ledger.anchors.ots import parse_reply

    async with serving_calendar() as liar, yard() as it:
        checkpoint: list[bytes] = []

        def tamper(asked: str, answer: bytes) -> bytes:
            if not asked.endswith("/digest"):
                return answer
            stamp = parse_reply(answer, checkpoint[0])
            stamp.attestations.add(BitcoinBlockHeaderAttestation(0))
            context = BytesSerializationContext()
            stamp.serialize(context)
            return bytes(context.getbytes())

        from ledger.anchors.stamped import stamped_text

        text = stamped_text(it.registry.publication.published.text, [it.registry.log_key])
        checkpoint.append(hashlib.sha256(text.encode()).digest())
        liar.tamper = tamper
        it.calendar.chain.extend(8)
        both = tuple(CalendarPlace(url=each.uri, addresses=frozenset({each.uri})) for each in (liar, it.calendar))
        it.anchoring.terms = replace(it.terms, calendars=both)
        await it.anchoring.step()
        assert "opentimestamps" not in await it.forms()
        assert "Merkle root" in (await it.problems())["Bitcoin block 0"]
        it.calendar.confirm()
        await it.later(600)
        assert "opentimestamps" in await it.forms()


def _forged_block(calendar: LoopbackCalendar, _height: int) -> Any:
    """The calendar says that what was promised is the Merkle root of a block that exists."""
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
    from opentimestamps.core.serialize import BytesSerializationContext
    from opentimestamps.core.timestamp import Timestamp

    def tamper(asked: str, answer: bytes) -> bytes:
        if "/timestamp/" not in asked:
            return answer
        stamp = Timestamp(bytes.fromhex(asked.rpartition("/")[2]))
        stamp.attestations.add(BitcoinBlockHeaderAttestation(0))
        context = BytesSerializationContext()
        stamp.serialize(context)
        return bytes(context.getbytes())

    calendar.chain.extend(8)
    calendar.tamper = tamper


def _two_sources_lie(kind: str) -> Callable[[LoopbackCalendar, int], Any]:
    def arrange(calendar: LoopbackCalendar, height: int) -> Any:
        other = calendar.chain.headers[height + 1].raw.hex().encode()

        def tamper(asked: str, answer: bytes) -> bytes:
            lies = asked.startswith(("/source-1", "/source-2"))
            if lies and asked.endswith("/header"):
                return {"garbage": b"zz" * 80, "huge": b"0" * 100_000, "another": other}[kind]
            return answer

        calendar.tamper = tamper

    return arrange


HEADER_FAULTS: dict[str, Callable[[LoopbackCalendar, int], Any]] = {
    "no confirmation from the calendar": lambda calendar, _: calendar.faults.add("/timestamp"),
    "garbage from the calendar": lambda calendar, _: setattr(calendar, "tamper", _instead("/timestamp/", b"\x00")),
    "huge from the calendar": lambda calendar, _: setattr(calendar, "tamper", _instead("/timestamp/", bytes(20_000))),
    "a forged attestation": _forged_block,
    "two sources are down": lambda calendar, _: calendar.faults.update({"/source-1", "/source-2"}),
    "two sources give garbage": _two_sources_lie("garbage"),
    "two sources give too much": _two_sources_lie("huge"),
    "two sources give another header": _two_sources_lie("another"),
}


@pytest.mark.parametrize("fault", HEADER_FAULTS)
async def test_a_confirmation_that_cannot_be_checked_stays_pending(fault: str) -> None:
    async with yard() as it:
        await it.anchoring.step()
        height = it.calendar.confirm()
        assert height is not None
        good = it.calendar.tamper
        HEADER_FAULTS[fault](it.calendar, height)
        await it.later(120)
        assert "opentimestamps" not in await it.forms()
        assert len(await it.problems()) == 1
        await it.news()
        it.calendar.faults.clear()
        it.calendar.tamper = good
        await it.later(600)
        assert "opentimestamps" in await it.forms()


async def test_six_blocks_must_follow() -> None:
    async with yard() as it:
        await it.anchoring.step()
        assert it.calendar.confirm() is not None
        cut = it.calendar.chain.headers[-3:]
        del it.calendar.chain.headers[-3:]
        await it.later(120)
        assert "opentimestamps" not in await it.forms()
        assert await it.problems() == {}
        it.calendar.chain.headers.extend(cut)
        await it.later(120)
        assert "opentimestamps" in await it.forms()


async def test_a_block_without_the_work_of_the_floor_is_not_kept() -> None:
    """Sources and calendar agree on a chain of next to no work, and the registry follows Bitcoin's own."""
    from ledger.anchors.mainnet import CHECKPOINT

    async with yard(bitcoin=CHECKPOINT) as it:
        await it.anchoring.step()
        it.calendar.confirm()
        await it.later(120)
        assert "opentimestamps" not in await it.forms()
        (problem,) = (await it.problems()).values()
        assert "less work" in problem


# Processes that die, and several of them


class Killed(BaseException):
    """As kill -9: nothing after it is done."""


class Mortal:
    """A record store under a process that dies at its n-th write, before or after it."""

    def __init__(self, records: RecordStore, at: int, *, after: bool) -> None:
        self._records, self._left, self._after = records, at, after
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._records, name)
        if name not in ("insert", "replace", "delete"):
            return found

        async def write(*args: Any, **named: Any) -> Any:
            if self.dead:
                raise Killed
            self._left -= 1
            if self._left < 0:
                self.dead = True
                if self._after:
                    await found(*args, **named)
                raise Killed
            return await found(*args, **named)

        return write


@pytest.mark.parametrize("after", [False, True])
async def test_a_death_at_any_write_is_survived(after: bool) -> None:
    writes = 0
    while True:
        async with yard() as it:
            mortal = Mortal(it.registry.records, writes, after=after)
            first = it.another(mortal)  # type: ignore[arg-type]
            await first.start()
            try:
                await first.step()
                it.calendar.confirm()
                it.house.clock[0] += 120
                await first.step()
            except (Killed, BaseExceptionGroup):
                pass
            finally:
                await first.close()
            await it.news()
            await it.later(LEASE_SECONDS + 60)
            it.calendar.confirm()
            await it.later(LEASE_SECONDS + 60)
            await it.later(LEASE_SECONDS + 60)
            forms = await it.forms()
            assert forms.count("rfc3161") >= 2, writes
            assert forms.count("opentimestamps") >= 1, writes
            assert len(forms) <= 8
            if not mortal.dead:
                assert writes > 8
                return
        writes += 1


async def test_two_processes_work_on_one_round_in_turn() -> None:
    async with yard() as it:
        other = it.another()
        await other.start()
        try:
            await asyncio.gather(it.anchoring.step(), other.step())
            it.calendar.confirm()
            it.house.clock[0] += 120
            await asyncio.gather(it.anchoring.step(), other.step())
        finally:
            await other.close()
        assert await it.forms() == ["opentimestamps", "rfc3161", "rfc3161"]


async def test_the_registry_runs_it_by_itself_and_ends_it() -> None:
    world = court().world
    async with serving_pki(clock=lambda: world.now) as pki:  # the house's clock stands still, and so does theirs
        from tests.service.house import terms_of

        terms = AnchorTerms(
            tsas=tuple(
                TsaPlace(url=each.url, authority=make_authority(each.name, [pki.root_der], each.name))
                for each in pki.tsas
            ),
            tsa_quorum=2,
            calendars=(),
            header_sources=(),
            header_quorum=1,
            bitcoin=(await _checkpoint()),
            every_seconds=1,
            upgrade_seconds=1,
        )
        records = MemoryRecordStore()
        async with open_house(world, records) as quiet:
            await quiet.push()
        # Not before the world's entries stand: the first anchor would come between them.
        begun = open_house(world, records, terms=replace(terms_of(world), anchors=terms), pushed=len(world.entries))
        async with begun as house, asyncio.timeout(60):
            await house.registry.sequencer.wait_for(len(world.entries) + 2)


async def _checkpoint() -> Any:
    from app.demo.calendar import BlockChain

    return BlockChain().checkpoint


# Settings


def table(pki: LoopbackPki, folder: Path) -> dict[str, Any]:
    (folder / "root.der").write_bytes(pki.root_der)
    return {
        "tsa": [{"name": each.name, "url": each.url, "roots": ["root.der"], "subject": each.name} for each in pki.tsas],
        "calendar": [{"url": "https://a.example/", "pending": ["https://b.example"]}],
        "header_sources": ["https://one.example/api", "https://two.example/api"],
    }


def test_settings_are_read(tmp_path: Path) -> None:
    pki = LoopbackPki("http://pki.example")
    terms = parse_anchor_terms(table(pki, tmp_path), folder=tmp_path)
    assert (terms.tsa_quorum, terms.every_seconds) == (2, 3600)
    assert terms.addresses == {"https://a.example", "https://b.example"}
    assert terms.bitcoin.height == 703_584
    from ledger.anchors.headers import Checkpoint

    chain = {"height": 0, "hash": "00" * 32, "limit": "207fffff", "floor": "207fffff", "retarget": False}
    own = parse_anchor_terms({**table(pki, tmp_path), "bitcoin": chain}, folder=tmp_path)
    assert own.bitcoin == Checkpoint(height=0, hash=bytes(32), rules=own.bitcoin.rules)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": 1}, "colour"),
        ({"tsa": [], "calendar": []}, "neither"),
        ({"tsa": {"name": "x"}}, "list"),
        ({"tsa": [{"name": "x", "url": "ftp://x", "roots": ["root.der"]}]}, "ftp"),
        ({"tsa": [{"name": "x", "url": "https://x", "roots": ["no.der"]}]}, "no.der"),
        ({"tsa": [{"name": "x", "url": "https://x", "roots": []}]}, "roots"),
        ({"tsa": [{"name": "x", "url": "https://x", "roots": ["root.der"], "more": 1}]}, "more"),
        ({"tsa": [{"name": n, "url": "https://x", "roots": ["root.der"]} for n in "xy"]}, "told apart"),
        ({"tsa_quorum": 3}, "3 of 2"),
        ({"tsa_quorum": True}, "tsa_quorum"),
        ({"header_sources": ["https://one.example"]}, "must agree"),
        ({"header_sources": ["https://one.example"] * 2}, "different"),
        ({"every_minutes": 0}, "every_minutes"),
        ({"bitcoin": {"height": 1}}, "checkpoint"),
        ({"bitcoin": 3}, "table"),
        ({"calendar": [{"url": "file:///etc/passwd"}]}, "file"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    pki = LoopbackPki("http://pki.example")
    with pytest.raises(BadInput, match=said) as caught:
        parse_anchor_terms({**table(pki, tmp_path), **changes}, folder=tmp_path)
    assert caught.value.code == "bad_setting"
    assert caught.value.next_step


# The audit


async def findings(it: Yard) -> list[str]:
    from app.service.audit import Audit

    registry = it.registry
    audit = Audit(registry.records, registry.blobs, origin=ORIGIN, genesis=registry.terms.genesis)
    try:
        return [f"{each.code} {each.place}" async for each in audit.findings()]
    finally:
        audit.close()


async def test_the_audit_finds_an_anchor_that_is_gone_or_changed() -> None:
    async with yard() as it:
        await it.anchoring.step()
        it.calendar.confirm()
        await it.later(120)
        await it.registry.maintain()
        assert await findings(it) == []
        records = it.registry.records
        for claims, _ in await it.anchors():
            place = f"anchor {claims.anchor.hex()}"
            record = await records.get("anchor", claims.anchor.hex())
            assert record is not None
            other = next(each for each, _ in await it.anchors() if each.anchor != claims.anchor)
            swapped = await records.get("anchor", other.anchor.hex())
            assert swapped is not None
            revision = await records.replace("anchor", record.id, swapped.data, revision=record.revision)
            assert await findings(it) == [f"anchor_damaged {place}"]
            stamped = record.data.replace(b'"checkpoint":"', b'"checkpoint":"AAAA')
            revision = await records.replace("anchor", record.id, stamped, revision=revision)
            assert await findings(it) == [f"anchor_damaged {place}"]
            await records.delete("anchor", record.id, revision=revision)
            assert await findings(it) == [f"anchor_missing {place}"]
            await records.insert("anchor", record.id, record.data)
        assert await findings(it) == []
