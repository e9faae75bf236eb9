"""A log's side of the witness protocol: sizes are learned, lines verified before use, a lost memory is noticed."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint
from ledger.collect import Answer, Cosignatures, Feed, read_cosignatures, read_size, with_cosignatures
from ledger.cosignature import Ed25519Cosigner, MLDSA44Cosigner, verify_cosignature
from ledger.errors import WitnessFailed
from ledger.note import Note
from ledger.witness import SIZE_TYPE, decide
from tests.ledger.growing import GrowingLog

LOG = GrowingLog(entries=30)
W1 = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
W1PQ = MLDSA44Cosigner("witness.example/w1", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
OTHER = Ed25519Cosigner("witness.example/w2", Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32))
NOW = 1_700_000_000


class Remote:
    """A real witness, without the network. `asked` counts its requests."""

    def __init__(self, *cosigners: Ed25519Cosigner | MLDSA44Cosigner) -> None:
        self.seen: str | None = None
        self.cosigners = cosigners
        self.asked: list[bytes] = []
        self.before: Callable[[], None] = lambda: None

    async def submit(self, body: bytes) -> Answer:
        self.asked.append(body)
        self.before()
        decision = decide(self.seen, body, [LOG.signer.key], self.cosigners, NOW)
        self.seen = decision.cosigned or self.seen
        return Answer(status=decision.status, content_type=decision.content_type, body=decision.body.encode())

    def feed(self) -> Feed:
        return Feed("http://w1.example", [W1.key, W1PQ.key], self.submit)


async def prove(size1: int, size2: int) -> tuple[bytes, ...]:
    return LOG.consistency(size1, size2)


async def ask(feed: Feed, size: int) -> Cosignatures:
    return await feed.cosign(LOG.signed(size), LOG.checkpoint(size), prove)


async def test_a_growing_log_is_cosigned_with_one_request_each() -> None:
    remote = Remote(W1, W1PQ)
    feed = remote.feed()
    for count, size in enumerate((0, 1, 5, 5, 17, 30), start=1):
        found = await ask(feed, size)
        assert found.dropped == ()
        for cosigner, line in zip((W1, W1PQ), found.lines, strict=True):
            assert verify_cosignature(cosigner.key, LOG.checkpoint(size), line) == NOW
        assert len(remote.asked) == count
        assert feed.cosigned_size == size


async def test_the_size_of_a_witness_is_learned_from_its_409() -> None:
    remote = Remote(W1)
    await ask(remote.feed(), 9)
    restarted = remote.feed()
    assert (await ask(restarted, 20)).lines
    assert [body.split(b"\n")[0] for body in remote.asked] == [b"old 0", b"old 0", b"old 9"]
    assert (await ask(remote.feed(), 20)).lines, "the same checkpoint again needs no proof"


async def test_another_replica_may_be_first() -> None:
    remote = Remote(W1)
    feed, replica = remote.feed(), Remote(W1)
    await ask(feed, 3)

    def overtake() -> None:
        if len(remote.asked) == 2:
            replica.seen = remote.seen
            decision = decide(remote.seen, _request(3, 7), [LOG.signer.key], [W1], NOW)
            remote.seen = decision.cosigned

    remote.before = overtake
    assert (await ask(feed, 12)).lines
    assert remote.asked[-1].startswith(b"old 7\n")


async def test_a_witness_that_is_ahead_gives_nothing_and_is_asked_again() -> None:
    remote = Remote(W1)
    await ask(remote.feed(), 20)
    behind = remote.feed()
    with pytest.raises(WitnessFailed, match="beyond 12"):
        await ask(behind, 12)
    assert (await ask(behind, 20)).lines


async def test_a_witness_that_lost_its_memory_is_not_used_again() -> None:
    remote = Remote(W1)
    feed = remote.feed()
    await ask(feed, 9)
    remote.seen = None
    for _ in range(2):
        with pytest.raises(WitnessFailed, match="cosigned size 9 before") as refused:
            await ask(feed, 12)
        assert "lost its memory" in refused.value.next_step


async def test_a_witness_that_names_another_size_each_time_is_given_up() -> None:
    sizes = iter(range(1, 100))

    async def submit(_body: bytes) -> Answer:
        return Answer(status=409, content_type=SIZE_TYPE, body=f"{next(sizes)}\n".encode())

    with pytest.raises(WitnessFailed, match="4 times"):
        await ask(Feed("u", [W1.key], submit), 20)


@pytest.mark.parametrize("status", [400, 403, 404, 422, 500, 503, 301, 204])
async def test_other_answers_are_failures(status: int) -> None:
    async def submit(_body: bytes) -> Answer:
        return Answer(status=status, content_type="text/plain", body=b"no \xff\x1b[2J\n")

    with pytest.raises(WitnessFailed) as refused:
        await ask(Feed("u", [W1.key], submit), 20)
    assert refused.value.message.isprintable()


def test_lines_of_wrong_keys_sizes_and_signatures_are_dropped_and_told() -> None:
    good = W1.cosign(LOG.checkpoint(9), NOW)
    wrong_size = W1PQ.cosign(LOG.checkpoint(8), NOW)
    stranger = OTHER.cosign(LOG.checkpoint(9), NOW)
    body = "".join(line.text for line in (stranger, wrong_size, good, good)).encode()
    answer = Answer(status=200, content_type="text/plain", body=body)
    found = read_cosignatures(answer, LOG.checkpoint(9), [W1.key, W1PQ.key])
    assert found.lines == (good,)
    assert [("no key of this witness" in text, "does not verify" in text) for text in found.dropped] == [
        (True, False),
        (False, True),
    ]
    for none in (stranger, wrong_size):
        with pytest.raises(WitnessFailed, match="no cosignature"):
            read_cosignatures(
                Answer(status=200, content_type="", body=none.text.encode()), LOG.checkpoint(9), [W1.key, W1PQ.key]
            )


@given(st.binary(max_size=300) | st.lists(st.sampled_from(["— a b\n", "\n", W1.cosign(LOG.checkpoint(9), NOW).text])))
def test_any_answer_is_read_or_refused(body: bytes | list[str]) -> None:
    raw = body if isinstance(body, bytes) else "".join(body).encode()
    for status, type_ in ((200, "text/plain"), (409, SIZE_TYPE)):
        answer = Answer(status=status, content_type=type_, body=raw)
        try:
            if status == 409:
                assert f"{read_size(answer)}\n".encode() == raw
            else:
                assert read_cosignatures(answer, LOG.checkpoint(9), [W1.key]).lines
        except WitnessFailed:
            pass


@pytest.mark.parametrize(("type_", "body"), [("text/plain", b"5\n"), (SIZE_TYPE, b"5"), (SIZE_TYPE, b"05\n")])
def test_a_409_must_have_its_form(type_: str, body: bytes) -> None:
    with pytest.raises(WitnessFailed):
        read_size(Answer(status=409, content_type=type_, body=body))


def test_a_checkpoint_takes_cosignatures_once() -> None:
    line = W1.cosign(LOG.checkpoint(9), NOW)
    text = with_cosignatures(LOG.signed(9), [line, line])
    assert text == LOG.signed(9) + line.text == with_cosignatures(text, [line])
    assert Checkpoint.parse_body(Note.parse(text).text) == LOG.checkpoint(9)


def _request(old: int, new: int) -> bytes:
    from ledger.witness import AddCheckpoint

    return AddCheckpoint(old_size=old, proof=LOG.consistency(old, new), checkpoint=LOG.signed(new)).format()
