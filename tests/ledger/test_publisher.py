"""Publication: with what a quorum gave, delayed by nobody, on a cadence, mended later. The loop's clock is faked."""

import asyncio
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint
from ledger.collect import Answer, Feed
from ledger.cosignature import Ed25519Cosigner
from ledger.errors import Stopped, WitnessFailed
from ledger.note import Note, VerifierKey
from ledger.policy import Policy
from ledger.publisher import Published, Publisher, feeds_of
from ledger.witness import decide
from tests.ledger.growing import GrowingLog

NOW = 1_700_000_000


class FastLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer when nothing else is to do, so that no test waits."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def time(self) -> float:
        return super().time() + self._ahead

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._ahead += max(0.0, self._scheduled[0]._when - self.time())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=FastLoop) as made:
        yield made


class Source:
    """A log that grows when the test says so."""

    def __init__(self, log: GrowingLog, size: int) -> None:
        self.log, self.size = log, size
        self.stopped = 0
        self.stands = size
        """What other replicas have appended."""

    @property
    def checkpoint(self) -> str:
        return self.log.signed(self.size)

    async def grow(self, size: int) -> None:
        self.size = size
        self.stands = max(self.stands, size)

    async def catch_up(self) -> int:
        if self.stopped:
            self.stopped -= 1
            raise Stopped("stopped")
        await self.grow(max(self.size, self.stands))
        return self.size


class Remote:
    """A real witness behind a network of a given latency; dead when it is None."""

    def __init__(self, number: int, log: GrowingLog, latency: float | None = 0.01) -> None:
        self.cosigner = Ed25519Cosigner(f"w{number}", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
        self.log, self.latency = log, latency
        self.seen: str | None = None
        self.asked = 0

    @property
    def key(self) -> VerifierKey:
        return self.cosigner.key

    async def submit(self, body: bytes) -> Answer:
        self.asked += 1
        await asyncio.sleep(self.latency if self.latency is not None else 10)
        if self.latency is None:
            raise WitnessFailed("no answer")
        decision = decide(self.seen, body, [self.log.signer.key], [self.cosigner], NOW)
        self.seen = decision.cosigned or self.seen
        return Answer(status=decision.status, content_type=decision.content_type, body=decision.body.encode())


class Stage:
    """A log of 40 entries, some witnesses, a quorum, and a publisher of them."""

    def __init__(self, quorum: str, *latencies: float | None, size: int = 3) -> None:
        self.log = GrowingLog(entries=40)
        self.source = Source(self.log, size)
        self.remotes = [Remote(number, self.log, latency) for number, latency in enumerate(latencies, start=1)]
        lines = [f"log {self.log.signer.key.text}"]
        lines += [f"witness {each.key.name} {each.key.text} http://{each.key.name}" for each in self.remotes]
        names = " ".join(each.key.name for each in self.remotes)
        lines += ["quorum none"] if quorum == "none" else [f"group g {quorum} {names}", "quorum g"]
        policy = Policy.parse("\n".join(lines) + "\n")
        by_url = {f"http://{each.key.name}": each.submit for each in self.remotes}
        self.told: list[tuple[str, str]] = []

        async def prove(size1: int, size2: int) -> tuple[bytes, ...]:
            return self.log.consistency(size1, size2)

        self.publisher = Publisher(
            self.source,
            policy,
            feeds_of(policy, lambda url: by_url[url]),
            prove,
            clock=lambda: asyncio.get_running_loop().time(),
            report=lambda url, problem: self.told.append((url, problem)),
        )
        self.policy = policy

    async def __aenter__(self) -> "Stage":
        await self.publisher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.publisher.close()

    async def timed(self, size: int) -> tuple[Published, float]:
        """Grow, and return what is published for that size and how long it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.source.grow(size)
        published = await self.publisher.covering(size)
        return published, loop.time() - began

    def signers(self, published: Published | None = None) -> set[str]:
        text = (published or self.publisher.published).text
        return {cosigned.witness for cosigned in self.policy.verify(text).cosigners}


def test_the_first_publication_has_the_quorum(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("all", 0.01, 0.02) as stage:
            assert (stage.publisher.published.size, stage.publisher.published.quorum_met) == (3, True)
            assert stage.signers() == {"w1", "w2"}
            await asyncio.sleep(5)
            assert [remote.asked for remote in stage.remotes] == [1, 1], "no news, no requests"

    runner.run(run())


async def at(part: float) -> None:
    """Wait until `part` of a second after a full one."""
    now = asyncio.get_running_loop().time()
    await asyncio.sleep((part - now) % 1)


@pytest.mark.parametrize("latencies", [(), (0.01, 0.01)], ids=["no witnesses", "two witnesses"])
def test_news_is_published_at_full_multiples_of_the_cadence(
    runner: asyncio.Runner, latencies: tuple[float, ...]
) -> None:
    async def run() -> None:
        async with Stage("all" if latencies else "none", *latencies) as stage:
            await asyncio.sleep(5)
            for size, part in ((4, 0.25), (5, 0.9), (6, 0.5)):
                await at(part)
                published, took = await stage.timed(size)
                assert (published.size, published.quorum_met) == (size, True)
                assert 0 <= took - (1 - part) < 0.1, "neither at once after a pause nor a whole second after the last"
            await at(0.1)
            for size in range(7, 40):
                await stage.source.grow(size)
                await asyncio.sleep(0.01)
            assert stage.publisher.published.size == 6
            assert (await stage.publisher.covering(7)).size == 39, "a round takes the newest"
            assert all(remote.asked == 5 for remote in stage.remotes)

    runner.run(run())


def test_what_another_replica_appended_is_published_at_the_same_moment(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("none") as stage:
            await at(0.4)
            stage.source.stands = 9
            await asyncio.sleep(0.65)
            assert stage.publisher.published.size == 9

    runner.run(run())


def test_what_was_signed_before_a_stop_is_published(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("none") as stage:
            stage.source.stopped = 100
            published, took = await stage.timed(4)
            assert (published.size, took < 1.1) == (4, True)
            assert stage.told[-1][0] == "this log"

    runner.run(run())


def test_a_quorum_waits_for_no_slow_witness_and_takes_its_line_later(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("1", 0.01, 1.5) as stage:
            assert stage.signers() == {"w1"}
            await asyncio.sleep(5)
            assert stage.signers() == {"w1", "w2"}
            await at(0.95)
            published, took = await stage.timed(7)
            assert took < 0.1
            assert stage.signers(published) == {"w1"}
            await asyncio.sleep(2)
            assert stage.signers() == {"w1", "w2"}

    runner.run(run())


def test_a_dead_witness_costs_its_time_out_once(runner: asyncio.Runner) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with Stage("all", 0.01, None) as stage:
            assert 1.9 < loop.time() - began < 2.2
            assert not stage.publisher.published.quorum_met
            assert stage.signers() == {"w1"}
            await asyncio.sleep(5)
            for size in (4, 5, 6):
                published, took = await stage.timed(size)
                assert took < 1.1, "the cadence, and nothing for the dead"
                assert (stage.signers(published), published.quorum_met) == ({"w1"}, False)
            await asyncio.sleep(5)
            assert ("http://w2", "no answer") in stage.told

    runner.run(run())


def test_a_witness_that_comes_back_completes_what_is_published_and_is_waited_for_again(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("all", 0.01, None) as stage:
            await stage.timed(9)
            stage.remotes[1].latency = 0.05
            await asyncio.sleep(60)
            assert stage.publisher.published.quorum_met, "without any news"
            published, _ = await stage.timed(12)
            assert published.quorum_met

    runner.run(run())


def test_all_dead_delays_nothing_after_the_first_round(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("1", None, None) as stage:
            await asyncio.sleep(5)
            await at(0.95)
            published, took = await stage.timed(9)
            assert took < 0.1
            assert published.text == stage.log.signed(9)

    runner.run(run())


def test_without_a_quorum_all_are_waited_for(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("none", 0.01, 0.5) as stage:
            assert stage.signers() == {"w1", "w2"}
            assert stage.publisher.published.quorum_met

    runner.run(run())


def test_no_witnesses_at_all(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("none") as stage:
            published, _ = await stage.timed(9)
            assert published.text == stage.log.signed(9)

    runner.run(run())


def test_a_witness_that_saw_a_fork_is_reported_and_gives_nothing(runner: asyncio.Runner) -> None:
    async def run() -> None:
        stage = Stage("1", 0.01, 0.01)
        fork = GrowingLog(entries=40, salt="fork-")
        stage.remotes[1].seen = decide(
            None, f"old 0\n\n{fork.signed(3)}".encode(), [fork.signer.key], [stage.remotes[1].cosigner], NOW
        ).cosigned
        async with stage:
            await stage.timed(9)
            await asyncio.sleep(5)
            assert stage.signers() == {"w1"}
            assert any("422" in problem for url, problem in stage.told if url == "http://w2")

    runner.run(run())


def test_publication_outlives_a_stop_of_the_sequencer(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("all", 0.01) as stage:
            await stage.timed(4)
            stage.source.stopped = 3
            await stage.timed(5)
            published, _ = await stage.timed(6)
            assert published.size == 6

    runner.run(run())


def test_it_closes_at_any_time_and_twice(runner: asyncio.Runner) -> None:
    async def run() -> None:
        stage = Stage("all", 0.5, None)
        starting = asyncio.create_task(stage.publisher.start())
        await asyncio.sleep(0.1)
        starting.cancel()
        await stage.publisher.close()
        await stage.publisher.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    runner.run(run())


def test_what_was_cosigned_before_counts_after_a_restart_without_any_witness(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("all", 0.01, 0.02) as before:
            kept = before.publisher.published.text
        after = Stage("all", None, None)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await after.publisher.start(kept)
        try:
            assert loop.time() - began < 1, "nobody is waited for"
            assert (after.publisher.published.quorum_met, after.signers()) == (True, {"w1", "w2"})
            published, _ = await after.timed(7)
            assert (published.size, published.quorum_met) == (7, False), "of another tree it says nothing"
        finally:
            await after.publisher.close()

    runner.run(run())


def test_a_kept_checkpoint_of_another_size_counts_for_nothing(runner: asyncio.Runner) -> None:
    async def run() -> None:
        async with Stage("all", 0.01, size=2) as before:
            kept = before.publisher.published.text
        after = Stage("all", None, size=3)
        await after.publisher.start(kept)
        try:
            assert not after.publisher.published.quorum_met
        finally:
            await after.publisher.close()

    runner.run(run())


def test_keys_of_one_url_are_one_feed() -> None:
    log = GrowingLog()
    one, two = Remote(1, log), Remote(2, log)
    policy = Policy.parse(
        f"log {log.signer.key.text}\nwitness a {one.key.text} http://w\nwitness b {two.key.text} http://w\n"
        f"witness c {Remote(3, log).key.text}\nquorum none\n"
    )
    (feed,) = feeds_of(policy, lambda _url: one.submit)
    assert (feed.url, feed.keys) == ("http://w", (one.key, two.key))


async def another_replica(stage: Stage, size: int) -> None:
    """Another process of the same log appends up to `size`, and has every witness cosign that."""
    stage.source.stands = size
    signed = stage.log.signed(size)

    async def prove(size1: int, size2: int) -> tuple[bytes, ...]:
        return stage.log.consistency(size1, size2)

    for remote in stage.remotes:
        feed = Feed("http://other", [remote.key], remote.submit)
        await feed.cosign(signed, Checkpoint.parse_body(Note.parse(signed).text), prove)


def test_a_replica_that_another_one_overtook_catches_up_and_publishes_nothing_without_the_quorum(
    runner: asyncio.Runner,
) -> None:
    async def run() -> None:
        stage = Stage("all", 0.01, 0.02)
        await another_replica(stage, 9)
        async with stage:
            assert (stage.publisher.published.size, stage.publisher.published.quorum_met) == (9, True)
            await another_replica(stage, 12)
            published, took = await stage.timed(10)
            assert (published.size, published.quorum_met) == (12, True)
            assert took < 1.1, "the cadence, and no pause for a witness that is well"
            # The other replica is gone: the witnesses, ahead of us until now, are asked at once.
            published, took = await stage.timed(13)
            assert (published.quorum_met, took < 1.1) == (True, True)

    runner.run(run())


def test_a_witness_that_only_says_that_it_is_ahead_holds_nothing_up(runner: asyncio.Runner) -> None:
    """As after a rollback: then the checkpoint is shown as it is, without the quorum, for everybody to see."""

    async def run() -> None:
        stage = Stage("all", 0.01, 0.02)
        await another_replica(stage, 9)
        stage.source.stands = 3
        async with stage:
            assert (stage.publisher.published.size, stage.publisher.published.quorum_met) == (3, False)
            stage.source.stopped = 1
            published, took = await stage.timed(4)
            assert (published.size, published.quorum_met, took < 2.2) == (4, False, True)
            published, _ = await stage.timed(11)
            assert published.quorum_met

    runner.run(run())
