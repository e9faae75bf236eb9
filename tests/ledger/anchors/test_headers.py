"""Block headers: the vectors, Bitcoin Core's retarget vectors, real work, and forgeries."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.calendar import EASY, RULES, BlockChain, mine
from ledger.anchors.errors import BadAnchor
from ledger.anchors.headers import (
    HEADER_BYTES,
    PERIOD,
    TIMESPAN,
    Chain,
    Checkpoint,
    Header,
    Place,
    Rules,
    check_chain,
    check_shown,
    compact,
    locate,
    parse_header,
    retargeted,
    split_headers,
    target,
)
from ledger.anchors.mainnet import CHECKPOINT, CHECKPOINT_HEADER

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "timestamps"
HEADERS = (VECTORS / "headers.bin").read_bytes()
FIRST = parse_header(HEADERS[:HEADER_BYTES])
START = Checkpoint(height=0, hash=FIRST.hash, rules=RULES)
MAINNET_LIMIT = 0x1D00FFFF


def code_of(data: bytes, checkpoint: Checkpoint = START) -> str:
    with pytest.raises(BadAnchor) as caught:
        check_chain(data, checkpoint)
    return caught.value.code


def test_the_vectors() -> None:
    chain = check_chain(HEADERS, START)
    assert (chain.tip, chain.at(4)) == (10, (VECTORS / "header-single.bin").read_bytes())
    assert chain.at(11) is None
    found = parse_header((VECTORS / "header-single.bin").read_bytes())
    assert found.text == "53d0e3eeac55db26b685e39d08abd69eee1923230934abb154942510cbf54179"
    assert code_of((VECTORS / "headers-bad-root.bin").read_bytes()) in ("header_without_work", "broken_linkage")
    assert code_of((VECTORS / "headers-broken-link.bin").read_bytes()) == "broken_linkage"


def test_a_fake_chain_fails_the_limit_of_bitcoin() -> None:
    real = Checkpoint(height=0, hash=FIRST.hash, rules=Rules(limit=MAINNET_LIMIT, floor=MAINNET_LIMIT))
    assert code_of(HEADERS, real) == "header_without_work"


def test_another_first_header_is_another_chain() -> None:
    assert code_of(HEADERS[HEADER_BYTES:]) == "wrong_chain"
    assert code_of(HEADERS[:-1]) == "anchor_form"


@pytest.mark.parametrize(
    ("bits", "span", "expected"),
    [  # Bitcoin Core, src/test/pow_tests.cpp
        (0x1D00FFFF, 1262152739 - 1261130161, 0x1D00D86A),
        (0x1D00FFFF, 1233061996 - 1231006505, 0x1D00FFFF),
        (0x1C05A3F4, 1279297671 - 1279008237, 0x1C0168FD),
        (0x1C387F6F, 1269211443 - 1263163443, 0x1D00E1FD),
    ],
)
def test_retarget(bits: int, span: int, expected: int) -> None:
    assert retargeted(bits, span, MAINNET_LIMIT) == expected


def test_bitcoins_genesis_and_the_built_in_checkpoint_have_their_work() -> None:
    genesis = parse_header(
        struct.pack(
            "<I32s32sIII",
            1,
            bytes(32),
            bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")[::-1],
            1231006505,
            MAINNET_LIMIT,
            2083236893,
        )
    )
    assert genesis.text == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    rules = Rules(limit=MAINNET_LIMIT, floor=MAINNET_LIMIT)
    assert check_chain(genesis.raw, Checkpoint(height=0, hash=genesis.hash, rules=rules)).tip == 0
    assert CHECKPOINT.height % PERIOD == 0
    assert check_chain(CHECKPOINT_HEADER, CHECKPOINT).tip == CHECKPOINT.height
    assert target(CHECKPOINT.rules.floor) <= 4 * target(parse_header(CHECKPOINT_HEADER).bits)


def _period(bits: int, seconds: int, last_bits: int) -> bytes:
    """A whole period from height 0 in `seconds`, and the first block of the next with `last_bits`."""
    headers: list[Header] = []
    for height in range(PERIOD):
        when = 1_600_000_000 + (0 if height == 0 else seconds * height // (PERIOD - 1))
        headers.append(mine(headers[-1].hash if headers else bytes(32), bytes(32), when, bits))
    headers.append(mine(headers[-1].hash, bytes(32), headers[-1].time + 1, last_bits))
    return b"".join(each.raw for each in headers)


def test_a_retarget_is_demanded_and_no_other_bits_are_taken() -> None:
    bits, half = 0x207FFFFF, TIMESPAN // 2
    expected = retargeted(bits, half, EASY)
    assert target(expected) < target(bits)
    good = _period(bits, half, expected)
    rules = Rules(limit=EASY, floor=EASY)
    start = Checkpoint(height=0, hash=parse_header(good[:80]).hash, rules=rules)
    assert check_chain(good, start).tip == PERIOD
    body = good[: PERIOD * HEADER_BYTES]
    last = parse_header(body[-HEADER_BYTES:])
    assert code_of(body + mine(last.hash, bytes(32), last.time, bits).raw, start) == "wrong_retarget"
    early = parse_header(good[: 2 * HEADER_BYTES][-HEADER_BYTES:])
    changed = good[: 2 * HEADER_BYTES] + mine(early.hash, bytes(32), early.time, expected).raw
    assert code_of(changed, start) == "wrong_retarget"


def test_a_checkpoint_off_the_boundary_could_check_no_retarget() -> None:
    with pytest.raises(BadAnchor):
        Checkpoint(height=1, hash=bytes(32), rules=Rules(limit=EASY, floor=EASY))
    assert Checkpoint(height=1, hash=bytes(32), rules=RULES).height == 1


def _shown(chain: BlockChain, height: int) -> bytes:
    return b"".join(each.raw for each in chain.headers[height : height + 7])


@pytest.fixture(scope="module")
def chain() -> BlockChain:
    found = BlockChain(clock=lambda: 1_700_000_000)
    found.extend(19)
    return found


def test_the_three_cases_are_told_apart(chain: BlockChain) -> None:
    root, shown = chain.headers[5].merkle_root, _shown(chain, 5)
    checked = check_chain(chain.raw, chain.checkpoint)
    assert locate(5, root, shown, None, None).place is Place.UNKNOWN
    assert locate(5, root, shown, chain.checkpoint, None).place is Place.WORK_SHOWN
    found = locate(5, root, shown, chain.checkpoint, checked)
    assert (found.place, found.hash, found.latest) == (Place.LOCATED, chain.headers[5].text, 1_700_007_200)
    # The chain ends before the block, at it, or among its successors.
    for tip, place in ((3, Place.WORK_SHOWN), (4, Place.WORK_SHOWN), (5, Place.LOCATED), (8, Place.LOCATED)):
        part = check_chain(chain.raw[: (tip + 1) * HEADER_BYTES], chain.checkpoint)
        assert locate(5, root, shown, chain.checkpoint, part).place is place


def _faults(chain: BlockChain) -> list[tuple[str, int, bytes, bytes]]:
    root, shown = chain.headers[5].merkle_root, _shown(chain, 5)
    fork = BlockChain(clock=lambda: 1_700_000_001)
    fork.headers = chain.headers[:5]
    fork.add(root)
    fork.extend(6)
    no_work = bytearray(shown)
    for nonce in range(256):
        no_work[-4] = nonce
        last = parse_header(bytes(no_work[-HEADER_BYTES:]))
        if int.from_bytes(last.hash, "little") > target(EASY):
            break
    other = shown[:-HEADER_BYTES] + mine(chain.headers[10].hash, bytes(32), 1, EASY).raw
    return [
        ("wrong_merkle_root", 5, chain.headers[6].merkle_root, shown),
        ("anchor_form", 5, root, shown[:-HEADER_BYTES]),
        ("anchor_form", 5, root, shown + shown[-HEADER_BYTES:]),
        ("broken_linkage", 5, root, shown[:HEADER_BYTES] + _shown(chain, 7)[:-HEADER_BYTES]),
        ("header_without_work", 5, root, bytes(no_work)),
        ("wrong_chain", 5, root, _shown(fork, 5)),
        ("wrong_chain", 5, root, other),  # a successor that is not on the chain
        ("wrong_chain", 6, root, shown),  # the block stands at another height
    ]


def test_forgeries(chain: BlockChain) -> None:
    checked = check_chain(chain.raw, chain.checkpoint)
    for code, height, root, shown in _faults(chain):
        with pytest.raises(BadAnchor) as caught:
            locate(height, root, shown, chain.checkpoint, checked)
        assert caught.value.code == code


def test_a_block_that_would_come_next_must_follow_the_tip(chain: BlockChain) -> None:
    fork = BlockChain(clock=lambda: 1_700_000_002)
    fork.extend(20)
    part = check_chain(chain.raw[: 5 * HEADER_BYTES], chain.checkpoint)
    with pytest.raises(BadAnchor) as caught:
        locate(5, fork.headers[5].merkle_root, _shown(fork, 5), chain.checkpoint, part)
    assert caught.value.code == "wrong_chain"


def test_an_easy_header_is_below_the_floor(chain: BlockChain) -> None:
    with pytest.raises(BadAnchor) as caught:
        check_shown(_shown(chain, 5), 5, Rules(limit=EASY, floor=MAINNET_LIMIT, retarget=False))
    assert caught.value.code == "header_without_work"
    with pytest.raises(BadAnchor):
        Rules(limit=MAINNET_LIMIT, floor=EASY)


@pytest.mark.parametrize("bits", [0, 0x01003456 & 0x00FFFFFF, 0x04800000, 0x2100FFFF << 8, 0x23000001, -1, 1 << 32])
def test_bits_that_stand_for_no_target(bits: int) -> None:
    with pytest.raises(BadAnchor):
        target(bits)


@given(st.integers(3, 32), st.integers(0x8000, 0x7FFFFF))
def test_compact_is_the_inverse_of_target(exponent: int, mantissa: int) -> None:
    bits = exponent << 24 | mantissa
    assert compact(target(bits)) == bits


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    try:
        chain = check_chain(data, START)
    except BadAnchor:
        return
    assert chain == Chain(height=0, headers=data)
    assert data == HEADERS[: len(data)]


@given(st.integers(0, len(HEADERS) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_refused(at: int, bit: int) -> None:
    flipped = bytearray(HEADERS)
    flipped[at] ^= 1 << bit
    if at >= len(HEADERS) - HEADER_BYTES:
        # Nothing follows the last header: a change of it may meet the easy target once more, but is another block.
        assert list(split_headers(bytes(flipped)))[-1].hash != list(split_headers(HEADERS))[-1].hash
        return
    with pytest.raises(BadAnchor):
        check_chain(bytes(flipped), START)
