"""Where a store lies, as a URL and as a typed place.

    file:///abs/path                             a folder of write-once files (blobs)
    s3+https://host[:port]/bucket[?region=R]     a bucket with object lock; s3+http:// without TLS (blobs)
    sqlite:///abs/path                           one SQLite file (records)
    mongodb://host[:port][,…]/database[?…]       a replica set; mongodb+motor:// through Motor (records)
    memory:                                      nothing on disk; gone with the process (both, for tests)

A place has exactly one spelling: a text is parsed, written again, and refused when the two differ (RFC 3986: path
characters outside the unreserved set and "!$&'()*+,;=:@" are percent-encoded UTF-8, in upper-case hex). No place holds
a password: credentials come from the environment (`storage.credentials`), and messages never repeat the text of a
URL that may hold one.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from storage.errors import BadName
from storage.hosts import MongoPlace, S3Place, parse_mongo_place, parse_s3_place

SUPPORTED = (
    "file:///abs/path or s3+https://host/bucket (blobs), sqlite:///abs/path or mongodb://host/database (records),"
    " memory: (both, for tests)"
)

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,31}):")
_PATH_SAFE = "/!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPlace:
    """A folder of write-once files, by its absolute path."""

    path: str

    @property
    def url(self) -> str:
        return "file://" + quote(self.path, safe=_PATH_SAFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlitePlace:
    """One SQLite file, by its absolute path."""

    path: str

    @property
    def url(self) -> str:
        return "sqlite://" + quote(self.path, safe=_PATH_SAFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlace:
    """The memory of this process."""

    @property
    def url(self) -> str:
        return "memory:"


BlobPlace = FilesPlace | S3Place | MemoryPlace
RecordPlace = SqlitePlace | MongoPlace | MemoryPlace
Place = BlobPlace | RecordPlace


def parse_place(url: str) -> Place:
    """Return the place that a URL names. Raises BadName, saying what is supported."""
    if url == "memory:":
        return MemoryPlace()
    match = _SCHEME.match(url)
    scheme = match.group(1) if match else None
    if scheme == "memory":
        raise BadName("a memory place has no path", "Write it as memory:")
    if scheme == "file":
        return FilesPlace(path=_parse_path(url, scheme))
    if scheme == "sqlite":
        return SqlitePlace(path=_parse_path(url, scheme))
    if scheme in ("s3+http", "s3+https"):
        return parse_s3_place(url)
    if scheme in ("mongodb", "mongodb+motor"):
        return parse_mongo_place(url)
    what = f"this release has no store for {scheme}:" if scheme else "this is not the URL of a store"
    raise BadName(what, f"Supported are {SUPPORTED}.")


def parse_blob_place(url: str) -> BlobPlace:
    """Like `parse_place`, for a store of blobs."""
    place = parse_place(url)
    if isinstance(place, SqlitePlace):
        raise BadName("sqlite: keeps records, not blobs", "Name a folder: file:///abs/path")
    if isinstance(place, MongoPlace):
        raise BadName("mongodb: keeps records, not blobs", "Name a bucket: s3+https://host/bucket")
    return place


def parse_record_place(url: str) -> RecordPlace:
    """Like `parse_place`, for a store of records."""
    place = parse_place(url)
    if isinstance(place, FilesPlace):
        raise BadName("file: keeps blobs, not records", "Name a file: sqlite:///abs/path")
    if isinstance(place, S3Place):
        raise BadName("s3: keeps blobs, not records", "Name a database: mongodb://host/database")
    return place


def _parse_path(url: str, scheme: str) -> str:
    remedy = f"Write it as {scheme}:///abs/path"
    if not url.startswith(scheme + ":///"):
        raise BadName(f"a {scheme}: place needs an absolute path on this machine and no host", remedy)
    raw = url[len(scheme) + 3 :]
    try:
        path = unquote_to_bytes(raw.encode("ascii")).decode("utf-8")
    except UnicodeError as error:
        raise BadName(f"the path of this {scheme}: place is not percent-encoded UTF-8", remedy) from error
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise BadName(f"the path of this {scheme}: place holds a control character", remedy)
    if any(segment in ("", ".", "..") for segment in path[1:].split("/")):
        raise BadName(
            f"the path {path!r} is empty or not in its plain form", f"{remedy}, without '//', '.', '..' or a final '/'"
        )
    if quote(path, safe=_PATH_SAFE) != raw:
        raise BadName(
            f"the path {path!r} has another spelling here", f"Write it as {scheme}://{quote(path, safe=_PATH_SAFE)}"
        )
    return path
