"""OpenTimestamps proofs: the vectors, the form that is kept, and hostile bytes."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, LitecoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpRIPEMD160, OpSHA256
from opentimestamps.core.timestamp import Timestamp

from app.demo.calendar import RULES, BlockChain, LoopbackCalendar
from ledger.anchors.errors import BadAnchor
from ledger.anchors.headers import Checkpoint, Place, check_chain, locate, parse_header
from ledger.anchors.ots import (
    MAX_OPERATIONS,
    complete_paths,
    format_proof,
    new_stamp,
    parse_complete,
    parse_proof,
    parse_reply,
    pending_of,
)

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "timestamps"
MESSAGE = (VECTORS / "message.txt").read_bytes()
DIGEST = hashlib.sha256(MESSAGE).digest()
HEADERS = (VECTORS / "headers.bin").read_bytes()
CHECKPOINT = Checkpoint(height=0, hash=parse_header(HEADERS[:80]).hash, rules=RULES)


def refused(data: bytes, digest: bytes | None = DIGEST) -> str:
    with pytest.raises(BadAnchor) as caught:
        parse_complete(data, digest)
    return caught.value.code


def test_pending_is_not_proven_and_its_address_is_only_told() -> None:
    for name, uri in (
        ("pending.ots", "https://calendar.example"),
        ("pending-ssrf.ots", "http://169.254.169.254/latest"),
    ):
        data = (VECTORS / name).read_bytes()
        stamp = parse_proof(data)
        assert [each.uri for each in pending_of(stamp)] == [uri]
        assert complete_paths(stamp) == ()
        assert refused(data) == "anchor_form"


def test_the_complete_proof_is_proven_by_the_headers() -> None:
    data = (VECTORS / "complete.ots").read_bytes()
    stamp = parse_proof(data)
    assert stamp.msg == DIGEST
    assert refused(data) == "anchor_form"  # it still has its pending branch
    ((attested, kept),) = complete_paths(stamp)
    assert (attested.height, attested.digest) == (4, DIGEST)
    assert parse_complete(kept, DIGEST) == attested
    assert len(kept) < len(data)
    chain = check_chain(HEADERS, CHECKPOINT)
    found = locate(4, attested.merkle_root, HEADERS[4 * 80 : 11 * 80], CHECKPOINT, chain)
    assert found.place is Place.LOCATED


def test_the_forged_attestation_is_not_proven() -> None:
    ((attested, _),) = complete_paths(parse_proof((VECTORS / "forged.ots").read_bytes()))
    assert attested.height == 4
    for checkpoint, chain in ((None, None), (CHECKPOINT, None), (CHECKPOINT, check_chain(HEADERS, CHECKPOINT))):
        with pytest.raises(BadAnchor) as caught:
            locate(4, attested.merkle_root, HEADERS[4 * 80 : 11 * 80], checkpoint, chain)
        assert caught.value.code == "wrong_merkle_root"


def test_the_truncated_proof_is_refused() -> None:
    assert refused((VECTORS / "truncated.ots").read_bytes()) == "anchor_form"


def test_another_digest_is_a_wrong_imprint() -> None:
    ((_, kept),) = complete_paths(parse_proof((VECTORS / "complete.ots").read_bytes()))
    assert refused(kept, bytes(32)) == "wrong_imprint"
    assert refused(kept + b"\x00") == "anchor_form"


def test_only_one_path_of_plain_operations_is_kept() -> None:
    def attested(node: Timestamp, height: int = 4) -> bytes:
        node.attestations.add(BitcoinBlockHeaderAttestation(height))
        return format_proof(stamp)

    stamp = new_stamp(DIGEST)
    assert parse_complete(attested(stamp.ops.add(OpAppend(b"x")).ops.add(OpSHA256())), DIGEST).height == 4
    assert refused(attested(stamp.ops.add(OpAppend(b"y")).ops.add(OpSHA256()))) == "anchor_form"  # a second branch
    assert len(complete_paths(stamp)) == 2
    for build in (
        lambda s: s.ops.add(OpRIPEMD160()).ops.add(OpSHA256()),  # a weak hash on the way
        lambda s: s.ops.add(OpAppend(b"z")),  # 33 bytes are no Merkle root
    ):
        stamp = new_stamp(DIGEST)
        assert refused(attested(build(stamp))) == "anchor_form"
        assert complete_paths(stamp) == ()
    for other in (LitecoinBlockHeaderAttestation(4), PendingAttestation("https://calendar.example")):
        stamp = new_stamp(DIGEST)
        stamp.attestations.add(other)
        assert refused(format_proof(stamp)) == "anchor_form"
    stamp = new_stamp(DIGEST)
    assert refused(attested(stamp, 1 << 40)) == "anchor_form"


def test_length_is_bounded() -> None:
    stamp = node = new_stamp(DIGEST)
    for _ in range(MAX_OPERATIONS + 2):
        node = node.ops.add(OpSHA256())
    node.attestations.add(BitcoinBlockHeaderAttestation(4))
    assert refused(format_proof(stamp)) == "anchor_form"
    assert refused(bytes(70_000)) == "anchor_form"


def test_a_reply_is_bounded_and_whole() -> None:
    calendar = LoopbackCalendar("http://calendar.example", BlockChain(clock=lambda: 1_700_000_000))
    reply = calendar.submit(DIGEST)
    found = parse_reply(reply, DIGEST)
    ((pending,),) = [pending_of(found)]
    assert pending.uri == calendar.uri
    for bad in (reply + b"\x00", reply[:-1], b"", bytes(10_001), b"<html>"):
        with pytest.raises(BadAnchor):
            parse_reply(bad, DIGEST)


def test_what_a_calendar_confirmed_is_a_complete_proof() -> None:
    chain = BlockChain(clock=lambda: 1_700_000_000)
    calendar = LoopbackCalendar("http://calendar.example", chain)
    others = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
    replies = {each: calendar.submit(each) for each in (DIGEST, *others)}
    height = calendar.confirm()
    assert height is not None
    for digest, reply in replies.items():
        stamp = new_stamp(digest)
        stamp.merge(parse_reply(reply, digest))
        (pending,) = pending_of(stamp)
        for message, upgraded in calendar._complete.items():
            if message == pending.message:
                node = stamp
                while node.msg != message:
                    ((_, node),) = node.ops.items()
                node.merge(upgraded)
        ((attested, _),) = complete_paths(stamp)
        assert (attested.height, attested.merkle_root) == (height, chain.headers[height].merkle_root)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    for read in (parse_proof, parse_complete, lambda each: parse_reply(each, DIGEST)):
        try:
            read(data)
        except BadAnchor:
            continue


def test_a_flipped_byte_anywhere_says_something_else_or_is_refused() -> None:
    ((attested, kept),) = complete_paths(parse_proof((VECTORS / "complete.ots").read_bytes()))
    for at in range(len(kept)):
        for bit in range(8):
            flipped = bytearray(kept)
            flipped[at] ^= 1 << bit
            try:
                found = parse_complete(bytes(flipped), DIGEST)
            except BadAnchor:
                continue
            assert (found.height, found.merkle_root) != (attested.height, attested.merkle_root)
