"""Hostile names become safe ones, and different ones."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sealing.names import safe_output_name, safe_output_names

HOSTILE = st.text() | st.text("./\\ -~:\0\n\u202e\u2028CONnul1¹é\ud800", max_size=300)


@given(st.lists(HOSTILE, max_size=8))
def test_any_names_are_safe_and_unique(names: list[str]) -> None:
    assert len(safe_output_names(names)) == len(names)
    taken: list[str] = []
    for index, name in enumerate(names, 1):
        safe = safe_output_name(name, index, taken)
        assert 0 < len(safe.encode()) <= 200
        assert not set(safe) & set('/\\:*?"<>|\0')
        assert os.path.basename(safe) == safe
        assert not safe.startswith((".", "-", "~", " "))
        assert not safe.endswith((".", " "))
        assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in safe)
        assert safe.split(".")[0].strip().lower() not in ("con", "nul", "aux", "prn", "com1", "lpt9")
        assert safe.casefold() not in {each.casefold() for each in taken}
        taken.append(safe)
    assert safe_output_names(names) == tuple(taken)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("..", "item-3"),
        ("", "item-3"),
        (".bashrc", "bashrc"),
        ("-rf", "_-rf"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM¹.log", "_COM¹.log"),
        ("a\u202efdp.exe", "a_fdp.exe"),
        ("C:\\x", "C__x"),
        ("a" * 300 + ".pdf", "a" * 196 + ".pdf"),
        ("名前.pdf", "名前.pdf"),
        ("e\u0301.txt", "é.txt"),
    ],
)
def test_examples(name: str, safe: str) -> None:
    assert safe_output_name(name, 3, ()) == safe


def test_equal_names_get_the_index() -> None:
    assert safe_output_name("A.pdf", 2, ["a.pdf"]) == "A-2.pdf"
    assert safe_output_name("a.pdf", 2, ["a.pdf", "A-2.PDF"]) == "a-2-2.pdf"


@given(HOSTILE)
def test_the_file_can_be_made_in_its_folder(name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / safe_output_name(name, 1, ())
        path.touch(exist_ok=False)
        assert path.resolve().parent == Path(folder).resolve()
