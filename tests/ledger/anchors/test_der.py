"""One value, one encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.anchors.der import check_der, parts_of
from ledger.anchors.errors import BadAnchor


@pytest.mark.parametrize(
    "good",
    ["3000", "020100", "0202ff7f", "020200ff", "0101ff", "0500", "030100", "03020780", "3106020101020102", "a000"],
)
def test_der(good: str) -> None:
    check_der(bytes.fromhex(good), "it")


@pytest.mark.parametrize(
    "bad",
    [
        "",  # nothing
        "30",  # no length
        "300000",  # bytes after it
        "3080",  # indefinite length
        "308000000000",
        "30810100",  # long form for a short length
        "3082000100",
        "30850000000000",
        "3001",  # cut off
        "0200",  # an integer of no bytes
        "02020001",
        "0202ff80",
        "010101",  # true is FF
        "050100",
        "0300",
        "030108",
        "030101",
        "030207ff",  # pad bits set
        "3106020102020101",  # a set out of order
        "2403040100",  # a string in pieces
        "1000",  # a primitive sequence
        "1f8100",  # a tag of several bytes
        "30" * 40,
    ],
)
def test_not_der(bad: str) -> None:
    with pytest.raises(BadAnchor) as caught:
        check_der(bytes.fromhex(bad), "it")
    assert caught.value.code == "anchor_form"


def test_depth_is_bounded() -> None:
    deep = b""
    for _ in range(60):
        deep = b"\x30" + bytes([len(deep)]) + deep
    with pytest.raises(BadAnchor, match="deeper"):
        check_der(deep, "it")


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_parts(parts: list[bytes]) -> None:
    elements = [b"\x04" + bytes([len(each)]) + each for each in parts]
    body = b"".join(elements)
    length = (
        bytes([len(body)])
        if len(body) < 128
        else (b"\x81" + bytes([len(body)]) if len(body) < 256 else b"\x82" + len(body).to_bytes(2, "big"))
    )
    assert parts_of(b"\x30" + length + body, "it") == elements


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    try:
        check_der(data, "it")
    except BadAnchor:
        return
    assert len(data) >= 2
