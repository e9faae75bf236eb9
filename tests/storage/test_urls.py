"""URLs of places: one spelling each, clear refusals, and no secret repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import BadName
from storage.urls import (
    FilesPlace,
    MemoryPlace,
    SqlitePlace,
    parse_blob_place,
    parse_place,
    parse_record_place,
)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("memory:", MemoryPlace()),
        ("file:///srv/muniment/blobs", FilesPlace(path="/srv/muniment/blobs")),
        ("sqlite:///srv/records.sqlite", SqlitePlace(path="/srv/records.sqlite")),
        ("file:///a%20b/%C3%A9%25%3F%23", FilesPlace(path="/a b/é%?#")),
        ("sqlite:///a~b/c+d@e:f=g", SqlitePlace(path="/a~b/c+d@e:f=g")),
    ],
)
def test_places(url: str, place: FilesPlace | SqlitePlace | MemoryPlace) -> None:
    assert parse_place(url) == place
    assert place.url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/blobs",
        "file:",
        "file:/srv",
        "file://srv/blobs",
        "file://localhost/srv",
        "file:///",
        "file:////srv",
        "file:///srv/",
        "file:///srv//a",
        "file:///srv/../a",
        "file:///srv/./a",
        "file:///srv/%2e%2e/a",
        "file:///srv%2Fa",
        "file:///a b",
        "file:///a?b",
        "file:///a#b",
        "file:///a%c3%a9",
        "file:///é",
        "file:///a%61",
        "file:///a%FF",
        "file:///a%",
        "file:///a%0Ab",
        "file:///a%00b",
        "FILE:///a",
        " file:///a",
        "file:///a\n",
        "memory:x",
        "memory://",
        "sqlite::memory:",
        "sqlite://relative.db",
        "sqlite:///a?mode=memory",
    ],
)
def test_other_spellings_are_refused(url: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_place(url)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "url",
    ["mongodb://user:hunter2@db/muniment", "mongodb+motor://hunter2", "s3+https://key:hunter2@host/bucket", "hunter2"],
)
def test_what_this_release_lacks_is_named_and_no_secret_is_repeated(url: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_place(url)
    said = caught.value.message + caught.value.next_step
    assert "hunter2" not in said
    assert all(scheme in said for scheme in ("file:///", "sqlite:///", "memory:"))


def test_each_port_takes_its_own_places() -> None:
    assert parse_blob_place("memory:") == parse_record_place("memory:") == MemoryPlace()
    assert parse_blob_place("file:///a") == FilesPlace(path="/a")
    assert parse_record_place("sqlite:///a") == SqlitePlace(path="/a")
    with pytest.raises(BadName, match="not blobs"):
        parse_blob_place("sqlite:///a")
    with pytest.raises(BadName, match="not records"):
        parse_record_place("file:///a")


@given(
    st.one_of(
        st.text(), st.text().map(lambda text: "file:///" + text), st.text(alphabet="/.%aF0").map("sqlite:///".__add__)
    )
)
def test_any_text_is_refused_or_its_places_own_spelling(url: str) -> None:
    try:
        place = parse_place(url)
    except BadName:
        return
    assert place.url == url


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1), min_size=1)
)
def test_any_plain_path_has_a_url(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    if any(segment in (".", "..") for segment in segments):
        with pytest.raises(BadName):
            parse_place(FilesPlace(path=path).url)
    else:
        assert parse_place(FilesPlace(path=path).url) == FilesPlace(path=path)
