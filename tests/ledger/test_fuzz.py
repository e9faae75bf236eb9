"""Every parser of foreign bytes in this room, given what was right once and is no longer: its own errors, or the same.

Each parser's own tests send arbitrary bytes; those seldom get past the first check. Here valid messages are cut,
spliced with others, repeated, and changed byte by byte, so that the later checks are reached, too.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.batch import Batch, batch_id, entry_in, next_batch, parse_batch_id
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.collect import Answer, read_cosignatures, read_size
from ledger.cosignature import MLDSA44Cosigner, verify_cosignature
from ledger.errors import LedgerError
from ledger.merkle import EMPTY_FRONTIER, Frontier
from ledger.monitor import SplitView, compare, tiles_to_compare
from ledger.note import Note, SignatureLine, VerifierKey
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.text import decode_base64, decode_decimal, decode_utf8, encode_base64, encode_utf8
from ledger.tiles import Bundle, Tile, decode_bundle, encode_bundle, parse_path, split_tile
from ledger.witness import AddCheckpoint, Status, decide, read_origin
from tests.ledger.growing import GrowingLog
from tests.witness.serving import NOW, cosigner, request

LOG = GrowingLog(entries=9)
W1 = cosigner(1)
PQ = MLDSA44Cosigner("witness.example/pq", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
LINES = [each.cosign(LOG.checkpoint(9), NOW) for each in (W1, PQ)]
POLICY_TEXT = (
    f"# who is believed\nlog {LOG.signer.key.text} https://ledger.example\nwitness a {W1.key.text} https://w.example\n"
    f"witness b {PQ.key.text}\ngroup g any a b\ngroup h all g\nquorum h\n"
)
POLICY = Policy.parse(POLICY_TEXT)
COSIGNED = LOG.signed(9) + "".join(line.text for line in LINES)
PROOF = Proof(index=4, path=LOG.inclusion(4, 9), checkpoint=COSIGNED)
BATCH = next_batch(EMPTY_FRONTIER, LOG.entries)
TILE = b"".join(LOG.leaves(9))


def text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """A parser of texts as one of bytes."""
    return lambda data: read(decode_utf8(data, "the message"))


def round_trip(read: Callable[[str], str]) -> Callable[[bytes], object]:
    """A parser whose value is written again, and must be the same."""

    def both(data: bytes) -> None:
        message = decode_utf8(data, "the message")
        assert read(message) == message

    return both


def exact(read: Callable[[bytes], bytes]) -> Callable[[bytes], object]:
    def both(data: bytes) -> None:
        assert read(data) == data

    return both


def _verify_line(line: str, key: VerifierKey) -> None:
    verify_cosignature(key, LOG.checkpoint(9), SignatureLine.parse(line))


def _decided(data: bytes) -> None:
    decision = decide(LOG.signed(5), data, [LOG.signer.key], [W1], NOW)
    assert decision.status is not Status.COSIGNED or data == request(5, 9, LOG) or _same_tree(data)


def _same_tree(data: bytes) -> bool:
    """What is cosigned is this log's, whatever other lines the request carries."""
    found = Checkpoint.parse_signed(AddCheckpoint.parse(data).checkpoint)
    return found == LOG.checkpoint(found.size)


def _compared(data: bytes) -> None:
    (tile,) = tiles_to_compare(4, 9)
    assert compare(LOG.signed(4), LOG.signed(9), {tile: data}) is None


def _proved(proof: str) -> None:
    found = Proof.parse(proof).verify(POLICY, LOG.leaves(9)[4])
    assert (found.index, found.checkpoint) == (4, LOG.checkpoint(9))


PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "note": (round_trip(lambda message: Note.parse(message).format()), COSIGNED.encode()),
    "signature line": (round_trip(lambda line: SignatureLine.parse(line).text[:-1]), LINES[0].text[:-1].encode()),
    "verifier key": (round_trip(lambda key: VerifierKey.parse(key).text), W1.key.text.encode()),
    "post-quantum key": (round_trip(lambda key: VerifierKey.parse(key).text), PQ.key.text.encode()),
    "checkpoint": (
        round_trip(lambda body: Checkpoint.parse_body(body, allow_extensions=True).body),
        LOG.checkpoint(9).body.encode(),
    ),
    "signed checkpoint": (text(lambda message: verify_checkpoint(message, [LOG.signer.key])), COSIGNED.encode()),
    "policy": (text(Policy.parse), POLICY_TEXT.encode()),
    "checkpoint under a policy": (text(POLICY.verify), COSIGNED.encode()),
    "proof": (round_trip(lambda proof: Proof.parse(proof).format()), PROOF.format().encode()),
    "verified proof": (text(_proved), PROOF.format().encode()),
    "tile path": (round_trip(lambda path: parse_path(path).path), Tile(level=3, index=1234067, width=9).path.encode()),
    "bundle path": (round_trip(lambda path: parse_path(path).path), Bundle(index=1234067, width=9).path.encode()),
    "tile": (exact(lambda data: b"".join(split_tile(data, 9))), TILE),
    "bundle": (exact(lambda data: encode_bundle(decode_bundle(data, 9))), encode_bundle(LOG.entries)),
    "batch": (exact(lambda data: Batch.decode(data).encode()), BATCH.encode()),
    "one entry of a batch": (lambda data: entry_in(data, 5), BATCH.encode()),
    "batch id": (round_trip(lambda id_: batch_id(parse_batch_id(id_))), batch_id(1234).encode()),
    "witness request": (exact(lambda data: AddCheckpoint.parse(data).format()), request(5, 9, LOG)),
    "origin of a witness request": (read_origin, request(5, 9, LOG)),
    "witness decision": (_decided, request(5, 9, LOG)),
    "witness size": (lambda data: read_size(Answer(status=409, content_type="text/x.tlog.size", body=data)), b"1234\n"),
    "witness answer": (
        lambda data: read_cosignatures(
            Answer(status=200, content_type="text/plain", body=data), LOG.checkpoint(9), [W1.key, PQ.key]
        ),
        "".join(line.text for line in LINES).encode(),
    ),
    "cosignature": (text(lambda line: _verify_line(line, W1.key)), LINES[0].text[:-1].encode()),
    "post-quantum cosignature": (text(lambda line: _verify_line(line, PQ.key)), LINES[1].text[:-1].encode()),
    "monitor's tile": (_compared, TILE),
    "monitor's evidence": (
        text(
            lambda note: SplitView(
                smaller=note, larger=LOG.signed(9), root=bytes(32), proof=LOG.consistency(4, 9)
            ).verify(POLICY)
        ),
        LOG.signed(4).encode(),
    ),
    "base64": (
        round_trip(lambda encoded: encode_base64(decode_base64(encoded, "it"))),
        encode_base64(TILE[:40]).encode(),
    ),
    "decimal": (round_trip(lambda number: str(decode_decimal(number, "it"))), str(2**63 - 1).encode()),
    "utf-8": (exact(lambda data: encode_utf8(decode_utf8(data, "it"), "it")), "— grüße\u2028".encode()),
    "frontier": (lambda data: Frontier(size=len(data), hashes=(data[:32], data[32:64])), TILE[:64]),
}

ACCEPTED_AS_IT_IS = {"monitor's evidence", "frontier"}
"""Whose example is refused: the accusation is false, and 64 leaves have one hash."""


@pytest.mark.parametrize("name", sorted(PARSERS.keys() - ACCEPTED_AS_IT_IS))
def test_the_examples_are_valid(name: str) -> None:
    read, example = PARSERS[name]
    read(example)


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(data=st.data())
@settings(max_examples=60)
def test_what_was_right_once_is_read_exactly_or_refused_by_name(name: str, data: st.DataObject) -> None:
    read, example = PARSERS[name]
    with suppress(LedgerError):
        read(data.draw(_damaged(example)))


def _damaged(example: bytes) -> st.SearchStrategy[bytes]:
    places = st.integers(0, len(example))
    bits = st.integers(0, 8 * len(example) - 1)
    return st.one_of(
        bits.map(lambda bit: example[: bit // 8] + bytes([example[bit // 8] ^ 1 << bit % 8]) + example[bit // 8 + 1 :]),
        places.map(lambda end: example[:end]),
        st.tuples(places, places).map(lambda cut: example[: min(cut)] + example[max(cut) :]),
        st.tuples(places, places).map(lambda again: example[: max(again)] + example[min(again) :]),
        st.tuples(places, st.binary(min_size=1, max_size=12)).map(
            lambda put: example[: put[0]] + put[1] + example[put[0] :]
        ),
        st.tuples(
            places,
            st.sampled_from(
                [
                    "\n",
                    "\n\n",
                    "\r\n",
                    " ",
                    "\t",
                    "\0",
                    "+",
                    "=",
                    "0",
                    "_",
                    "-",
                    "٤",
                    "\u2028",
                    "\u00a0",
                    "— ",
                    "\U0001f4dc",
                ]
            ),
        ).map(lambda put: example[: put[0]] + put[1].encode() + example[put[0] :]),
        st.sampled_from(sorted(message for _, message in PARSERS.values())),
    )
