"""Canonical JSON: what is written is read back, every other spelling is refused by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import canonical
from app.errors import BadInput

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


def parse(data: bytes | str, **more: int) -> object:
    return canonical.parse_json(data, what="the test", max_bytes=more.pop("max_bytes", 10_000), **more)


@given(values)
def test_round_trip(value: object) -> None:
    text = canonical.format_json(value)
    back = parse(text.encode(), max_bytes=10**7)
    assert back == value
    assert canonical.format_json(back) == text


@given(st.binary(max_size=200) | st.text('[]{}",:\\ue1.-0123456789 antrfls', max_size=60).map(str.encode))
def test_arbitrary_bytes_give_only_bad_input(data: bytes) -> None:
    try:
        value = parse(data)
    except BadInput:
        pass
    else:
        assert canonical.format_json(value).encode() == data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b" " * 10_001, "too_large"),
        ("é" * 6_000, "too_large"),
        (b"\xff", "not_utf8"),
        ("\ud800", "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"]", "not_json"),
        (b"][", "not_json"),
        (b'"', "not_json"),
        (b'"\\', "not_json"),
        (b"[" * 17 + b"]" * 17, "too_deep"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "too_deep"),
        (b"[" * 5_000, "too_deep"),
        (b"[" * 4_000 + b"]", "too_deep"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'[{"a":{"b":1,"b":2}}]', "duplicate_key"),
        (b"NaN", "not_json"),
        (b"-Infinity", "not_json"),
        (b"1.0", "not_json"),
        (b"1e3", "not_json"),
        (b"9007199254740992", "integer_out_of_range"),
        (b"-9007199254740992", "integer_out_of_range"),
        (b"1" * 9_000, "integer_out_of_range"),
        (b"-0", "not_canonical"),
        (b"01", "not_json"),
        (b"{} ", "not_canonical"),
        (b"[1, 2]", "not_canonical"),
        (b'"\\u0041"', "not_canonical"),
        (b'"\\/"', "not_canonical"),
        (b'"\\u001F"', "not_canonical"),
        (b'"\\u000a"', "not_canonical"),
        (b'"\\ud83d\\ude00"', "not_canonical"),
        (b'"\\ud800"', "not_canonical"),
        (b'"\x01"', "not_json"),
    ],
)
def test_refused_by_name(data: bytes | str, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(data)
    assert caught.value.code == code


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    value = ["[" * 100 + '"\\{' * 50]
    assert parse(canonical.format_json(value)) == value


def test_sixteen_levels_are_allowed() -> None:
    text = "[" * 16 + "]" * 16
    assert canonical.format_json(parse(text)) == text


def test_escapes_are_those_that_json_requires() -> None:
    assert canonical.format_json('"\\/\x00\x1f\n\x7f\u2028é😀') == '"\\"\\\\/\\u0000\\u001f\\n\x7f\u2028é😀"'


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (2**53, "integer_out_of_range"),
        ([1.0], "not_json"),
        ({1: 2}, "not_json"),
        ({"a": b""}, "not_json"),
        ("\udc00", "not_utf8"),
        ({"\udc00": 1}, "not_utf8"),
        (json.loads("[" * 17 + "]" * 17), "too_deep"),
    ],
)
def test_values_without_a_canonical_form(value: object, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        canonical.format_json(value)
    assert caught.value.code == code


@pytest.mark.parametrize("data", [b'"' + b'\\"' * 400_000, b'"' * 800_001, b"[]," * 300_000, b'"\\' * 400_000])
def test_hostile_text_costs_linear_time(data: bytes) -> None:
    # A quadratic scan would take hours here and meet the suite's own timeout.
    with pytest.raises(BadInput):
        parse(data, max_bytes=10**6)


@given(st.binary(max_size=70))
def test_base64url_round_trip(data: bytes) -> None:
    text = canonical.b64u_encode(data)
    assert canonical.b64u_decode(text, "it", len(data)) == data


@given(st.text(max_size=12) | st.text("AQgw-_+/= \n", max_size=8))
def test_base64url_has_one_spelling(text: str) -> None:
    try:
        data = canonical.b64u_decode(text, "it")
    except BadInput:
        pass
    else:
        assert canonical.b64u_encode(data) == text


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "+/8", "QQ\n", " QQ", "QQé", "٤٢"])
def test_base64url_refusals(text: str) -> None:
    with pytest.raises(BadInput):
        canonical.b64u_decode(text, "it")


@pytest.mark.parametrize(
    ("text", "code"),
    [("AB", "not_hex"), ("a", "not_hex"), ("ab\n", "not_hex"), ("٤٢", "not_hex"), ("abab", "wrong_length")],
)
def test_hex_refusals(text: str, code: str) -> None:
    assert canonical.hex_decode("0aff", "it", 2) == b"\x0a\xff"
    with pytest.raises(BadInput) as caught:
        canonical.hex_decode(text, "it", 1)
    assert caught.value.code == code


def test_typed_fields() -> None:
    value = {"a": 1, "b": "é"}
    assert canonical.take_object(value, ("a", "b"), "it") == value
    assert canonical.take_object(value, ("a",), "it", optional=("x", "b", "c")) == value
    assert canonical.take_int(5, "it", minimum=5, maximum=5) == 5
    assert canonical.take_str("é", "it", max_bytes=2) == "é"
    assert canonical.take_bool(False, "it") is False
    assert canonical.take_list([1], "it", max_items=1) == [1]
    assert canonical.take_hex("00", "it", size=1) == b"\0"
    assert canonical.take_b64u("AA", "it", size=1) == b"\0"
    assert canonical.take_choice("x", "it", ("x", "y")) == "x"
    refused = [
        lambda: canonical.take_object({"b": 1, "a": 1}, ("a", "b"), "it"),
        lambda: canonical.take_object({"a": 1}, ("a", "b"), "it"),
        lambda: canonical.take_object({"a": 1, "c": 2, "b": 1}, ("a",), "it", optional=("b", "c")),
        lambda: canonical.take_object([], (), "it"),
        lambda: canonical.take_int(True, "it"),
        lambda: canonical.take_int("1", "it"),
        lambda: canonical.take_int(6, "it", maximum=5),
        lambda: canonical.take_str("é", "it", max_bytes=1),
        lambda: canonical.take_str("", "it", max_bytes=1, min_bytes=1),
        lambda: canonical.take_str(None, "it", max_bytes=1),
        lambda: canonical.take_bool(0, "it"),
        lambda: canonical.take_list({}, "it", max_items=1),
        lambda: canonical.take_list([1, 2], "it", max_items=1),
        lambda: canonical.take_hex(0, "it", size=1),
        lambda: canonical.take_b64u(b"AA", "it"),
        lambda: canonical.take_choice("z", "it", ("x", "y")),
    ]
    for call in refused:
        with pytest.raises(BadInput):
            call()
