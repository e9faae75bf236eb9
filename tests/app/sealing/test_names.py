"""Hostile names become safe ones, and different ones."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sealing.names import MAX_OUTPUT_DEPTH, safe_output_name, safe_output_paths

HOSTILE = st.text() | st.text("./\\ -~:\0\n\u202e\u2028CONnul1¹é\ud800", max_size=300)


@given(st.lists(HOSTILE, max_size=8))
def test_any_names_are_safe_and_unique(names: list[str]) -> None:
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


PARTS = st.text("aA\u00e9e\u0301.~ \\\0", max_size=3) | st.sampled_from(["..", ".", "", "con", "AUX.txt", "e" * 300])


@given(st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join) | HOSTILE, max_size=12))
def test_any_paths_are_safe_and_lie_beside_each_other_on_every_system(names: list[str]) -> None:
    paths = safe_output_paths(names)
    assert len(paths) == len(names)
    for path in paths:
        assert 1 <= len(path) <= MAX_OUTPUT_DEPTH + 1
        for part in path:
            assert part == safe_output_name(part, 1, ())
    # Where neither case nor Unicode form count: no file is another, none is a folder, and a folder has one spelling.
    folded = [tuple(unicodedata.normalize("NFKC", part).casefold() for part in path) for path in paths]
    assert len(set(folded)) == len(paths)
    above = {path[:depth] for path in folded for depth in range(1, len(path))}
    assert not above & set(folded)
    spelled = {path[:depth] for path in paths for depth in range(1, len(path))}
    assert len(spelled) == len(above)


@given(st.lists(st.tuples(PARTS, PARTS), min_size=1, max_size=8))
def test_items_of_one_folder_stay_together(pairs: list[tuple[str, str]]) -> None:
    paths = safe_output_paths(f"top/{folder}/{name}" for folder, name in pairs)
    seen: dict[str, tuple[str, ...]] = {}
    for (folder, _), path in zip(pairs, paths, strict=True):
        assert seen.setdefault(folder, path[:-1]) == path[:-1]
    assert len(set(seen.values())) == len(seen)


def test_examples_of_paths() -> None:
    names = ["a/b.txt", "/etc/passwd", "../../x", "a/b.txt/c", "A/d", "a/c", "nul/com1.txt", "a//", "x\\y/z"]
    assert safe_output_paths(names) == (
        ("a", "b.txt"),
        ("etc", "passwd"),
        ("_", "_", "x"),
        ("a", "b-4.txt", "c"),
        ("A-5", "d"),
        ("a", "c"),
        ("_nul", "_com1.txt"),
        ("a", "_", "item-8"),
        ("x_y", "z"),
    )
    deep = safe_output_paths(["/".join("abcdefghij" * 6) + ".txt"])
    assert len(deep[0]) == MAX_OUTPUT_DEPTH + 1
    assert deep[0][-1].endswith("_j.txt")


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
