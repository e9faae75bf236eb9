"""A witness's answers: each status code by the request that earns it, what is stored, what is evidence; the parser."""

import contextlib
import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Ed25519Cosigner, MLDSA44Cosigner, verify_cosignature
from ledger.errors import Malformed
from ledger.note import Note, SignatureLine
from ledger.witness import MAX_REQUEST_BYTES, AddCheckpoint, Decision, decide, read_origin
from tests.ledger.growing import GrowingLog, signer

LOG = GrowingLog(entries=20)
FORK = GrowingLog(entries=20, salt="fork-")
W1 = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
W2 = MLDSA44Cosigner("witness.example/w1", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
NOW = 1_700_000_000


def request(old: int, new: int, log: GrowingLog = LOG) -> bytes:
    return AddCheckpoint(old_size=old, proof=log.consistency(old, new), checkpoint=log.signed(new)).format()


def ask(seen: str | None, body: bytes) -> Decision:
    return decide(seen, body, [LOG.signer.key], [W1, W2], NOW)


def seen_at(size: int) -> str:
    seen = ask(None, request(0, size)).cosigned
    assert seen is not None
    return seen


def test_the_request_of_the_specification_is_read_and_written() -> None:
    text = (
        "old 20852014\n"
        "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
        "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
        "\n" + LOG.signed(9)
    )
    parsed = AddCheckpoint.parse(text.encode())
    assert (parsed.old_size, len(parsed.proof), parsed.checkpoint) == (20852014, 2, LOG.signed(9))
    assert parsed.format() == text.encode()
    assert read_origin(text.encode()) == LOG.origin


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 7), (1, 2), (7, 7), (7, 8), (8, 20), (20, 20)])
def test_a_tree_that_extends_the_last_one_is_cosigned_by_every_key(old: int, new: int) -> None:
    decision = ask(seen_at(old) if old else None, request(old, new))
    assert (decision.status, decision.origin, decision.evidence) == (200, LOG.origin, None)
    lines = [SignatureLine.parse(line) for line in decision.body.splitlines()]
    assert [verify_cosignature(w.key, LOG.checkpoint(new), line) for w, line in zip([W1, W2], lines, strict=True)] == [
        NOW,
        NOW,
    ]
    assert decision.cosigned == LOG.signed(new) + decision.body


def test_the_empty_tree_may_be_cosigned_and_then_extended_without_a_proof() -> None:
    empty = seen_at(0)
    assert Checkpoint.parse_body(Note.parse(empty).text).size == 0
    assert ask(empty, request(0, 5)).status == 200
    assert ask(empty, request(0, 0)).status == 200


def test_lines_of_unknown_keys_are_ignored_and_not_kept() -> None:
    junk = signer("stranger.example", 9).sign(LOG.checkpoint(5).body).text
    body = request(0, 5) + junk.encode()
    decision = ask(None, body)
    assert decision.status == 200
    assert decision.cosigned is not None
    assert "stranger" not in decision.cosigned


MALFORMED = {
    "empty": b"",
    "not utf-8": b"\xff" + request(0, 5),
    "no blank line": b"old 0\n" + LOG.signed(5).encode().replace(b"\n\n", b"\n"),
    "no old line": b"\n" + LOG.signed(5).encode(),
    "old with a sign": b"old +0\n\n" + LOG.signed(5).encode(),
    "old with a leading zero": b"old 00\n\n" + LOG.signed(5).encode(),
    "old with two spaces": b"old  0\n\n" + LOG.signed(5).encode(),
    "old above 2^63-1": b"old 9223372036854775808\n\n" + LOG.signed(5).encode(),
    "old in other digits": "old ٣\n\n".encode() + LOG.signed(5).encode(),
    "crlf": request(0, 5).replace(b"\n", b"\r\n"),
    "a short hash": b"old 1\nAAAA\n\n" + LOG.signed(5).encode(),
    "a hash with bad padding bits": b"old 1\n" + b"A" * 42 + b"B=\n\n" + LOG.signed(5).encode(),
    "64 hashes": b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + LOG.signed(5).encode(),
    "no checkpoint": b"old 0\n\n",
    "an unsigned checkpoint": b"old 0\n\n" + LOG.checkpoint(5).body.encode(),
    "a checkpoint of two lines": b"old 0\n\n" + LOG.signer.sign_note("ledger.example/notary\n5\n").encode(),
    "too large": request(0, 5) + b"x" * MAX_REQUEST_BYTES,
    "old above the checkpoint's size": b"old 6\n\n" + LOG.signed(5).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_400(body: bytes) -> None:
    decision = ask(None, body)
    assert (decision.status, decision.cosigned, decision.evidence) == (400, None, None)


def test_63_hashes_are_read() -> None:
    hashes = tuple(bytes([number]) * 32 for number in range(63))
    body = AddCheckpoint(old_size=1, proof=hashes, checkpoint=LOG.signed(5)).format()
    assert AddCheckpoint.parse(body).proof == hashes


def test_403_without_a_trusted_signature_or_with_a_false_one() -> None:
    impostor = sign_checkpoint(LOG.checkpoint(5), signer(LOG.origin, 7))
    assert ask(None, b"old 0\n\n" + impostor.encode()).status == 403
    line = LOG.signer.sign(LOG.checkpoint(6).body)
    assert ask(None, f"old 0\n\n{LOG.checkpoint(5).body}\n{line.text}".encode()).status == 403
    both = LOG.signed(5) + line.text
    assert ask(None, f"old 0\n\n{both}".encode()).status == 403, "a known key with one bad line refuses the note"


def test_404_for_an_origin_that_is_not_known() -> None:
    decision = ask(None, request(0, 5, GrowingLog("other.example", 5)))
    assert (decision.status, decision.origin) == (404, None)


@pytest.mark.parametrize(("seen", "old", "new"), [(None, 3, 5), (7, 0, 9), (7, 3, 9), (7, 8, 9), (7, 0, 5), (7, 5, 7)])
def test_409_tells_the_size_that_was_cosigned_last(seen: int | None, old: int, new: int) -> None:
    decision = ask(seen_at(seen) if seen else None, request(old, new))
    assert (decision.status, decision.content_type) == (409, "text/x.tlog.size")
    assert decision.body == f"{seen or 0}\n"
    assert decision.cosigned is None
    assert decision.evidence is None


def test_422_for_a_fork_and_it_is_evidence() -> None:
    decision = ask(seen_at(7), request(7, 9, FORK))
    assert (decision.status, decision.cosigned) == (422, None)
    assert decision.evidence is not None
    assert not decision.conclusive, "anyone can send a good checkpoint with a bad proof"


def test_422_for_one_size_with_two_roots_and_it_is_evidence() -> None:
    decision = ask(seen_at(7), request(7, 7, FORK))
    assert (decision.status, decision.evidence) == (422, "two different roots of size 7")
    assert decision.conclusive


def test_a_fork_of_the_same_size_is_evidence_even_with_another_old_size() -> None:
    decision = ask(seen_at(7), request(3, 7, FORK))
    assert (decision.status, decision.evidence) == (409, "two different roots of size 7")
    assert decision.conclusive


def test_422_for_proofs_that_should_be_empty_or_are_incomplete() -> None:
    stray = AddCheckpoint(old_size=0, proof=(bytes(32),), checkpoint=LOG.signed(5)).format()
    assert ask(None, stray).status == 422
    same = AddCheckpoint(old_size=7, proof=(bytes(32),), checkpoint=LOG.signed(7)).format()
    assert ask(seen_at(7), same).status == 422
    short = AddCheckpoint(old_size=7, proof=LOG.consistency(7, 9)[:-1], checkpoint=LOG.signed(9)).format()
    assert ask(seen_at(7), short).status == 422


@given(st.binary(max_size=400) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_exactly_or_refused(body: bytes) -> None:
    try:
        parsed = AddCheckpoint.parse(body)
    except Malformed:
        assert ask(None, body).status == 400
    else:
        assert parsed.format() == body


@given(st.data())
def test_one_changed_byte_never_gets_a_cosignature_for_another_tree(data: st.DataObject) -> None:
    body = bytearray(request(7, 20))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Malformed):
        assert AddCheckpoint.parse(bytes(body)).format() == bytes(body)
    decision = ask(seen_at(7), bytes(body))
    assert decision.status in (400, 403, 404, 409, 422)
    assert decision.cosigned is None


@given(st.lists(st.sampled_from(["old 0\n", "old 3\n", "A" * 43 + "=\n", "\n", LOG.signed(5), "— a b\n", "x"])))
def test_pieces_of_requests_are_read_exactly_or_refused(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    try:
        assert AddCheckpoint.parse(body).format() == body
    except Malformed:
        assert ask(None, body).status == 400


@given(st.lists(st.tuples(st.sampled_from([LOG, FORK]), st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_no_sequence_of_requests_gets_two_inconsistent_trees_cosigned(
    asked: list[tuple[GrowingLog, int, int]],
) -> None:
    seen: str | None = None
    cosigned: list[Checkpoint] = []
    for log, old, new in asked:
        decision = ask(seen, request(min(old, new), new, log))
        if decision.cosigned is not None:
            seen = decision.cosigned
            cosigned.append(Checkpoint.parse_body(Note.parse(seen).text))
    assert [c.size for c in cosigned] == sorted(c.size for c in cosigned)
    views = [{log for log in (LOG, FORK) if log.checkpoint(c.size) == c} for c in cosigned if c.size]
    assert not views or set.intersection(*views)


def test_a_request_cannot_be_built_out_of_range() -> None:
    good = AddCheckpoint(old_size=0, proof=(), checkpoint=LOG.signed(5))
    for change in ({"old_size": -1}, {"old_size": 2**63}, {"proof": (b"",)}, {"checkpoint": "x"}):
        with pytest.raises(Malformed):
            dataclasses.replace(good, **change)  # type: ignore[arg-type]
