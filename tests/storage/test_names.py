"""Names: any text is taken or refused by BadName, and what is taken has the documented form."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import BadName
from storage.names import check_id, check_key, check_kind

KEY_CHARACTERS = set(string.ascii_lowercase + string.digits + "._-")


@given(st.one_of(st.text(), st.text(alphabet="az09-A_ ", max_size=40)))
def test_kinds(text: str) -> None:
    good = 1 <= len(text) <= 32 and set(text) <= set(string.ascii_lowercase + string.digits + "-")
    _agree(check_kind, text, good)


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=127), max_size=210)))
def test_ids(text: str) -> None:
    _agree(check_id, text, 1 <= len(text) <= 200 and all(0x21 <= ord(character) <= 0x7E for character in text))


@given(st.one_of(st.text(), st.text(alphabet="az0./-_", max_size=520)))
def test_keys(text: str) -> None:
    good = 1 <= len(text) <= 512 and all(
        segment and segment[0] != "." and set(segment) <= KEY_CHARACTERS for segment in text.split("/")
    )
    _agree(check_key, text, good)


def test_messages_quote_and_cut() -> None:
    with pytest.raises(BadName) as caught:
        check_key("é\n" * 500)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 600
    assert "\n" not in caught.value.message
    assert caught.value.next_step


def _agree(check: object, text: str, good: bool) -> None:
    assert callable(check)
    if good:
        check(text)
    else:
        with pytest.raises(BadName):
            check(text)
