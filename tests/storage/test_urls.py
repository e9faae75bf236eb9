"""URLs of places: one spelling each, clear refusals, and no secret repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.credentials import Credentials, mongodb_credentials, s3_credentials
from storage.errors import BadName
from storage.hosts import MONGO_OPTIONS, MongoPlace, S3Place
from storage.urls import (
    FilesPlace,
    MemoryPlace,
    Place,
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
        (
            "s3+https://s3.court.example/evidence",
            S3Place(host="s3.court.example", port=443, tls=True, bucket="evidence"),
        ),
        ("s3+http://127.0.0.1:9000/a.b-c", S3Place(host="127.0.0.1", port=9000, tls=False, bucket="a.b-c")),
        (
            "s3+https://[::1]:80/evidence?region=eu-central-1",
            S3Place(host="[::1]", port=80, tls=True, bucket="evidence", region="eu-central-1"),
        ),
        ("mongodb://db/muniment", MongoPlace(hosts=(("db", 27017),), database="muniment")),
        (
            "mongodb+motor://a:27018,[::1],c:1/muniment?replicaSet=rs%2F0&tls=true",
            MongoPlace(
                hosts=(("a", 27018), ("[::1]", 27017), ("c", 1)),
                database="muniment",
                options=(("replicaSet", "rs/0"), ("tls", "true")),
                motor=True,
            ),
        ),
    ],
)
def test_places(url: str, place: Place) -> None:
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
        "s3://bucket/key",
        "s3+https://host",
        "s3+https://host/",
        "s3+https:///bucket",
        "s3+https://host/ab",
        "s3+https://host/" + "b" * 64,
        "s3+https://host/Bucket",
        "s3+https://host/b_cket",
        "s3+https://host/-bucket",
        "s3+https://host/bucket-",
        "s3+https://host/bucket/prefix",
        "s3+https://host/bucket?",
        "s3+https://host/bucket?region=",
        "s3+https://host/bucket?region=us-east-1",
        "s3+https://host/bucket?region=a&region=b",
        "s3+https://host/bucket?versioning=off",
        "s3+https://host/bucket#x",
        "s3+https://Host/bucket",
        "s3+https://host:443/bucket",
        "s3+http://host:80/bucket",
        "s3+http://host:0/bucket",
        "s3+http://host:65536/bucket",
        "s3+http://host:٣/bucket",
        "s3+http://host:/bucket",
        "s3+http://host/bucket\n",
        "mongodb://db",
        "mongodb://db/",
        "mongodb:///muniment",
        "mongodb://db,/muniment",
        "mongodb://db:27017/muniment",
        "mongodb://db/mun iment",
        "mongodb://db/a.b",
        "mongodb://db/muniment?",
        "mongodb://db/muniment?w=0",
        "mongodb://db/muniment?journal=false",
        "mongodb://db/muniment?retryWrites=false",
        "mongodb://db/muniment?readPreference=secondary",
        "mongodb://db/muniment?replicaSet=a&replicaSet=b",
        "mongodb://db/muniment?tls=true&replicaSet=a",
        "mongodb://db/muniment?replicaSet=",
        "mongodb://db/muniment?replicaSet=%61",
        "mongodb://db/muniment?replicaSet=%FF",
        "mongodb://db/muniment?replicaSet=a%00",
        "mongodb://db/muniment?replicaSet=é",
        "mongodb+srv://db/muniment",
    ],
)
def test_other_spellings_are_refused(url: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_place(url)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://user:hunter2@db/muniment",
        "mongodb+motor://hunter2@db/muniment",
        "mongodb+motor://hunter2",
        "mongodb://db/muniment?hunter2",
        "mongodb://db/hunter2@muniment",
        "s3+https://key:hunter2@host/bucket",
        "s3+https://hunter2:x/bucket",
        "s3+https://host/bucket?secret=hunter2",
        "ftp://user:hunter2@host/",
        "hunter2",
    ],
)
def test_no_secret_is_repeated(url: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_place(url)
    assert "hunter2" not in caught.value.message + caught.value.next_step


@pytest.mark.parametrize("url", ["mongodb://user:hunter2@db/muniment", "s3+https://key:hunter2@host/bucket"])
def test_credentials_in_a_url_are_sent_to_the_environment(url: str) -> None:
    with pytest.raises(BadName, match="no credentials") as caught:
        parse_place(url)
    assert "MUNIMENT_" in caught.value.next_step


def test_what_this_release_lacks_is_answered_with_what_it_has() -> None:
    with pytest.raises(BadName, match="ftp:") as caught:
        parse_place("ftp://host/")
    assert all(scheme in caught.value.next_step for scheme in ("file:", "s3+https:", "sqlite:", "mongodb:", "memory:"))


def test_credentials_come_in_pairs_from_the_environment() -> None:
    both = {"MUNIMENT_S3_ACCESS_KEY": "clerk", "MUNIMENT_S3_SECRET_KEY": "hunter2"}
    assert s3_credentials(both) == Credentials(name="clerk", secret="hunter2")
    assert "hunter2" not in repr(s3_credentials(both))
    with pytest.raises(BadName, match="needs credentials"):
        s3_credentials({})
    assert mongodb_credentials({}) is None
    mongo = {"MUNIMENT_MONGODB_USER": "clerk", "MUNIMENT_MONGODB_PASSWORD": "hunter2"}
    assert mongodb_credentials(mongo) == Credentials(name="clerk", secret="hunter2")
    for missing, value in (("MUNIMENT_MONGODB_USER", ""), ("MUNIMENT_MONGODB_PASSWORD", "a\n")):
        with pytest.raises(BadName, match=missing) as caught:
            mongodb_credentials({**mongo, missing: value})
        assert "hunter2" not in caught.value.message + caught.value.next_step


def test_each_port_takes_its_own_places() -> None:
    assert parse_blob_place("memory:") == parse_record_place("memory:") == MemoryPlace()
    assert parse_blob_place("file:///a") == FilesPlace(path="/a")
    assert parse_record_place("sqlite:///a") == SqlitePlace(path="/a")
    with pytest.raises(BadName, match="not blobs"):
        parse_blob_place("sqlite:///a")
    with pytest.raises(BadName, match="not records"):
        parse_record_place("file:///a")
    bucket, database = parse_place("s3+https://host/bucket"), parse_place("mongodb://db/muniment")
    assert parse_blob_place("s3+https://host/bucket") == bucket
    assert parse_record_place("mongodb://db/muniment") == database
    with pytest.raises(BadName, match="not blobs"):
        parse_blob_place("mongodb://db/muniment")
    with pytest.raises(BadName, match="not records"):
        parse_record_place("s3+https://host/bucket")


_NETWORK = st.text(alphabet="ab:/,.@?=&%-[]1é\n").map


@given(
    st.one_of(
        st.text(),
        st.text().map(lambda text: "file:///" + text),
        st.text(alphabet="/.%aF0").map("sqlite:///".__add__),
        _NETWORK("s3+https://".__add__),
        _NETWORK("s3+http://a/bucket".__add__),
        _NETWORK("mongodb://".__add__),
        st.tuples(st.sampled_from(MONGO_OPTIONS), st.text()).map(lambda pair: f"mongodb://a/b?{pair[0]}={pair[1]}"),
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
