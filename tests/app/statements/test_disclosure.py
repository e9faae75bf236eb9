"""Hidden slots open with their own disclosure and with nothing else."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import AppError, BadInput, Mismatch
from app.statements.disclosure import check_slot, make_disclosure, open_disclosure, slot_of

SALT = bytes(range(16))


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_known_bytes() -> None:
    disclosure = make_disclosure("a.pdf", SALT)
    assert disclosure == b64u(b'["AAECAwQFBgcICQoLDA0ODw","a.pdf"]')
    assert slot_of(disclosure) == b64u(hashlib.sha256(disclosure.encode()).digest())
    assert check_slot(slot_of(disclosure), "it") == slot_of(disclosure)


@given(st.none() | st.text() | st.integers(0, 2**53 - 1), st.binary(min_size=16, max_size=16))
def test_opens_its_own_slot_only(value: str | int | None, salt: bytes) -> None:
    disclosure = make_disclosure(value, salt)
    assert open_disclosure(disclosure, slot_of(disclosure), "it") == value
    other = make_disclosure(value, bytes(x ^ 1 for x in salt))
    with pytest.raises(Mismatch) as caught:
        open_disclosure(other, slot_of(disclosure), "it")
    assert caught.value.code == "disclosure_mismatch"


@given(st.text(), st.text())
def test_arbitrary_text_gives_only_our_errors(disclosure: str, slot: str) -> None:
    with pytest.raises(AppError):
        open_disclosure(disclosure, slot, "it")


@pytest.mark.parametrize(
    "inner",
    [
        b'["AAECAwQFBgcICQoLDA0ODw"]',
        b'["AAECAwQFBgcICQoLDA0ODw","x","y"]',
        b'["AAECAwQFBgcICQoLDA0O","x"]',
        b'["AAECAwQFBgcICQoLDA0ODw", "x"]',
        b'["AAECAwQFBgcICQoLDA0ODw",true]',
        b'["AAECAwQFBgcICQoLDA0ODw",1.5]',
        b'["AAECAwQFBgcICQoLDA0ODw",["x"]]',
        b'{"AAECAwQFBgcICQoLDA0ODw":"x"}',
        b'[1,"x"]',
    ],
)
def test_malformed_openings_of_their_own_slot(inner: bytes) -> None:
    disclosure = b64u(inner)
    with pytest.raises(BadInput):
        open_disclosure(disclosure, slot_of(disclosure), "it")


def test_limits() -> None:
    with pytest.raises(BadInput):
        make_disclosure("x", b"short")
    with pytest.raises(BadInput):
        make_disclosure("x" * 60_000, SALT)
    with pytest.raises(BadInput):
        make_disclosure(True, SALT)
    with pytest.raises(BadInput):
        open_disclosure("A" * 65_537, "x", "it")
    with pytest.raises(BadInput):
        check_slot("AA", "it")
