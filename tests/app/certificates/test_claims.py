"""The office's own text: one form, and only its parser's errors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.certificates.annexes import KINDS
from app.certificates.claims import format_certificate, parse_certificate
from app.errors import AppError, BadInput
from tests.app.certificates.made import certificate

TEXT = format_certificate(certificate(annexes=KINDS)).encode()


def test_round_trip() -> None:
    assert parse_certificate(TEXT) == certificate(annexes=KINDS)
    assert format_certificate(parse_certificate(TEXT)).encode() == TEXT


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(AppError):
        parse_certificate(data)


@given(st.integers(0, len(TEXT) * 8 - 1))
def test_a_flipped_bit_is_another_text_or_refused(bit: int) -> None:
    changed = TEXT[: bit // 8] + bytes([TEXT[bit // 8] ^ 1 << bit % 8]) + TEXT[bit // 8 + 1 :]
    try:
        found = parse_certificate(changed)
    except AppError:
        return
    assert format_certificate(found).encode() == changed


def test_what_is_refused() -> None:
    value = json.loads(TEXT)

    def refused(**changes: object) -> str:
        text = json.dumps({**value, **changes}, ensure_ascii=False, separators=(",", ":"))
        with pytest.raises(BadInput) as caught:
            parse_certificate(text.encode())
        return caught.value.code

    assert refused(format="muniment-certificate/v2") == "not_a_certificate"
    assert refused(annexes=value["annexes"][::-1]) == "bad_field"
    assert refused(annexes=[value["annexes"][0]] * 2) == "bad_field"
    assert refused(level="certain") == "unknown_value"
    assert refused(zone=900) == "integer_out_of_range"
    assert refused(more=1) == "bad_field"
    assert refused(number="") == "bad_field"
    assert refused(panels=[]) == "wrong_length"
