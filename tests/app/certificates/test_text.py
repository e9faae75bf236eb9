"""People's text on a page: whatever it is, it is drawn, hides nothing and moves nothing else."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.certificates.text import MOST_CHARACTERS, drawable, paragraphs, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Vertrag § 1 – é.txt", "Vertrag § 1 – é.txt"),
        ("合同 第一条　附件", "合同 第一条　附件"),
        ("invoice\u202efdp.exe", "invoice‹U+202E›fdp.exe"),
        ("a\x00b\x1bc\x7f", "a‹U+0000›b‹U+001B›c‹U+007F›"),
        ("zero\u200bwidth\ufeff", "zero‹U+200B›width‹U+FEFF›"),
        ("שלום", "‹U+05E9›‹U+05DC›‹U+05D5›‹U+05DD›"),
        ("🎉 𠮷", "‹U+1F389› ‹U+20BB7›"),
        ("e\u0301", "é"),
        ("x\u0336", "x‹U+0336›"),
        ("\ud800", "‹U+D800›"),
        ("a\u2003b\u00a0c", "a‹U+2003›b‹U+00A0›c"),
        ("‹U+202E›", "‹U+2039›U+202E›"),
        ("", ""),
    ],
)
def test_what_is_printed(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_becomes_text_that_the_fonts_draw(text: str) -> None:
    known = drawable()
    for character in printable(text):
        assert ord(character) in known
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in {"R", "AL"}


def test_what_is_left_out_is_counted() -> None:
    assert printable("x" * (MOST_CHARACTERS + 7)) == "x" * MOST_CHARACTERS + " ‹+7›"


def test_lines_become_paragraphs() -> None:
    assert paragraphs("one\n\n  \ntwo\r") == ("one", "two‹U+000D›")
    assert paragraphs("\n") == ("‹U+000A›",)
