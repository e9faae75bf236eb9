"""What may be called what: kinds and ids of records, keys of blobs, and the bounds that a page is asked with.

Each `check_…` returns nothing and raises `BadName` that quotes the value (cut, so that no message is long). The rules
are those of `storage.ports`; every adapter applies them before it touches its engine, so that all refuse the same.
"""

import re

from storage.errors import BadName
from storage.ports import MAX_RECORD_BYTES

MAX_KEY_CHARACTERS = 512
MAX_ID_CHARACTERS = 200
MAX_PAGE = 1000

# `\Z` and not `$`: the latter lets a trailing newline pass. Classes are spelled out: `\w` and `\d` take non-ASCII.
_KIND = re.compile(r"[a-z0-9-]{1,32}\Z")
_ID_TEXT = re.compile(r"[\x21-\x7e]{0,200}\Z")
_KEY_TEXT = re.compile(r"[a-z0-9._/-]{0,512}\Z")
_SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]*\Z")


def check_kind(kind: str) -> None:
    """Refuse a kind that is not 1 to 32 characters of a-z, 0-9 and '-'."""
    if not _KIND.match(kind):
        raise BadName(f"{_quoted(kind)} is not a kind", "Use 1 to 32 characters of a-z, 0-9 and '-'.")


def check_id(id: str) -> None:
    """Refuse an id that is not 1 to 200 printable ASCII characters without space."""
    if not id or not _ID_TEXT.match(id):
        raise BadName(f"{_quoted(id)} is not a record's id", "Use 1 to 200 printable ASCII characters without space.")


def check_id_bounds(prefix: str, after: str, before: str) -> None:
    """Refuse a prefix or bound that is no beginning of an id ("" is none)."""
    for bound in (prefix, after, before):
        if not _ID_TEXT.match(bound):
            raise BadName(
                f"{_quoted(bound)} is not a bound for ids", "Use up to 200 printable ASCII characters without space."
            )


def check_record_size(kind: str, id: str, data: bytes) -> None:
    """Refuse more bytes than every engine can keep in one record."""
    if len(data) > MAX_RECORD_BYTES:
        raise BadName(
            f"the record {kind}/{id} has {len(data)} bytes, more than {MAX_RECORD_BYTES}",
            "Split it, or keep the bytes as a blob and their digest in the record.",
        )


def check_key(key: str) -> None:
    """Refuse a blob's key that is not segments of [a-z0-9._-] joined by single '/', none starting with a dot."""
    if not key or not _KEY_TEXT.match(key) or not all(_SEGMENT.match(segment) for segment in key.split("/")):
        raise BadName(
            f"{_quoted(key)} is not a blob's key",
            "Use 1 to 512 characters: segments of a-z, 0-9, '.', '_', '-' joined by '/', none starting with '.'.",
        )


def check_key_bounds(prefix: str, after: str) -> None:
    """Refuse a prefix or bound with characters that no key has ("" is none)."""
    for bound in (prefix, after):
        if not _KEY_TEXT.match(bound):
            raise BadName(
                f"{_quoted(bound)} is not a bound for keys", "Use up to 512 characters of a-z, 0-9, '.', '_', '-', '/'."
            )


def check_limit(limit: int) -> None:
    """Refuse a page size outside 1 to 1,000: a caller's mistake, hence ValueError."""
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit is {limit}, not 1 to {MAX_PAGE}")


def check_range(start: int, end: int | None) -> None:
    """Refuse a byte range that runs backwards: a caller's mistake, hence ValueError."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"[{start}, {end}) is not a range of bytes")


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
