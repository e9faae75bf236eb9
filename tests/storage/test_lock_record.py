"""The lock record: one spelling, and everything else is Damaged."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.lock_record import MAX_BYTES, format_lock_record, parse_lock_record
from storage.locks import MAX_TIME
from storage.ports import BlobStat

STATS = st.builds(
    BlobStat,
    key=st.from_regex(r"[a-z0-9_-][a-z0-9._-]{0,100}(/[a-z0-9_-]{1,100}){0,4}\Z").filter(lambda key: len(key) <= 512),
    version=st.binary(min_size=16, max_size=16).map(bytes.hex),
    size=st.integers(0, MAX_TIME),
    sha256=st.binary(min_size=32, max_size=32),
    retain_until=st.integers(0, MAX_TIME),
    hold=st.booleans(),
)
STAT = BlobStat(key="a/b", version="0" * 32, size=4, sha256=bytes(32), retain_until=1, hold=False)
RAW = format_lock_record(STAT)


def sealed(text: str) -> bytes:
    """A record with a right check, as somebody who knows the format writes it."""
    return f'{text[:-1]},"check":"{hashlib.sha256(text.encode()).hexdigest()}"}}'.encode()


def body_of(raw: bytes) -> str:
    return raw.decode()[: raw.decode().index(',"check"')] + "}"


@given(STATS)
def test_round_trip(stat: BlobStat) -> None:
    raw = format_lock_record(stat)
    assert len(raw) <= MAX_BYTES
    assert parse_lock_record(stat.key, raw) == stat


@given(st.one_of(st.binary(max_size=3000), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_damaged(raw: bytes) -> None:
    with pytest.raises(Damaged):
        parse_lock_record("a/b", raw)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists),
    st.sampled_from(sorted(json.loads(RAW))),
)
def test_any_other_value_of_a_member_is_damaged(value: object, member: str) -> None:
    told = json.loads(RAW)
    if type(value) is type(told[member]) and value == told[member]:
        return
    told[member] = value
    with pytest.raises(Damaged):
        parse_lock_record("a/b", json.dumps(told, separators=(",", ":")).encode())


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_one_changed_byte_is_damaged(at: int, change: int) -> None:
    raw = bytearray(RAW)
    raw[at] ^= change
    with pytest.raises(Damaged):
        parse_lock_record("a/b", bytes(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[" * 100_000,
        b"[" * 1500,
        b"null",
        b"[]",
        b"{}",
        RAW + b"\n",
        b" " + RAW,
        b"\xef\xbb\xbf" + RAW,
        RAW.replace(b'"size":4', b'"size":4,"size":4'),
        RAW.replace(b'"size":4', b'"size": 4'),
        RAW.replace(b'"size":4', b'"size":4.0'),
        RAW.replace(b'"size":4', b'"size":NaN'),
        RAW.replace(b'"hold":false', b'"hold":0'),
        sealed(body_of(RAW).replace('"hold":false', '"hold":0')),
        sealed(body_of(RAW).replace('"size":4', '"size":true')),
        sealed(body_of(RAW).replace('"size":4', '"size":-4')),
        sealed(body_of(RAW).replace('"size":4', '"size":4e0')),
        sealed(body_of(RAW).replace('"size":4', '"size":9007199254740992')),
        sealed(body_of(RAW).replace("0" * 32 + '"', "A" * 32 + '"', 1)),
        sealed(body_of(RAW).replace("a/b", "a\\u002fb")),
        sealed(body_of(RAW).replace("a/b", "a/c")),
        sealed(body_of(RAW).replace("lock/1", "lock/2")),
        sealed(body_of(RAW)[:-1] + ',"more":1}'),
        sealed('{"key":"a/b"}'),
    ],
)
def test_what_an_attacker_writes_is_damaged(raw: bytes) -> None:
    with pytest.raises(Damaged) as caught:
        parse_lock_record("a/b", raw)
    assert "a/b" in caught.value.message
    assert caught.value.next_step


def test_a_sealed_record_of_the_right_form_is_taken() -> None:
    assert parse_lock_record("a/b", sealed(body_of(RAW))) == STAT
