"""Names of S3 objects: order and prefixes kept, one spelling a key, nothing that a tree would list differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.names import check_key
from storage.s3_names import key_of, object_name

_SEGMENTS = st.one_of(
    st.text(alphabet="-._/0a", max_size=6),
    st.integers(198, 203).flatmap(lambda n: st.text(alphabet="-.0a", max_size=3).map(lambda end: "x" * n + end)),
    st.integers(398, 402).map("x".__mul__),
)
_TEXTS = st.lists(_SEGMENTS, max_size=3).map("/".join).map(lambda text: text[:512])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("cases/17/0001", "cases./17./0001"),
        ("a-b.c_d", "a!b-c_d"),
        ("x" * 200 + "/y", "x" * 200 + "./y"),
        ("x" * 201, "x" * 200 + "0/x"),
        ("x" * 200 + ".y", "x" * 200 + "-/-y"),
        ("x" * 200 + "-y", "x" * 200 + "-/!y"),
        ("x" * 401 + "-", "x" * 200 + "0/" + "x" * 200 + "0/x!"),
    ],
)
def test_spellings(key: str, name: str) -> None:
    assert object_name(key) == name
    assert key_of(name) == key


@given(_TEXTS, _TEXTS)
def test_order_and_prefixes_are_kept(one: str, other: str) -> None:
    assert (object_name(one) < object_name(other)) == (one < other)
    assert object_name(other).startswith(object_name(one)) == other.startswith(one)


@given(_TEXTS, _TEXTS)
def test_a_tree_lists_them_in_the_same_order(one: str, other: str) -> None:
    assert (object_name(one).split("/") < object_name(other).split("/")) == (one < other)


@given(_TEXTS)
def test_every_key_comes_back_and_every_part_is_short(key: str) -> None:
    name = object_name(key)
    assert key_of(name) == key
    assert len(name) <= 770
    assert all(len(part) <= 201 for part in name.split("/"))


@given(st.text(alphabet="-._/!0aA+", max_size=8))
def test_other_names_are_nobodys(name: str) -> None:
    key = key_of(name)
    assert key is None or object_name(key) == name


def test_no_object_is_also_a_folder() -> None:
    check_key("a/b")
    names = [object_name(key) for key in ("a", "a/b", "a/b/c", "a.", "a./b", "a-/b")]
    assert not any(other.startswith(name + "/") for name in names for other in names)
