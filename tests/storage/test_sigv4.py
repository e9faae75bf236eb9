"""Signature Version 4 against the examples that AWS publishes, and what a presigned URL must bind."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from storage.credentials import Credentials
from storage.sigv4 import canonical_request, presign, sign

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "sigv4" / "examples.json").read_text())
WHO = Credentials(**EXAMPLES["credentials"])


@pytest.mark.parametrize("example", EXAMPLES["requests"], ids=lambda example: example["name"])
def test_published_signatures(example: dict[str, Any]) -> None:
    request = canonical_request(*(example[part] for part in ("method", "path", "query", "headers", "payload")))
    made = sign(request, credentials=WHO, time=EXAMPLES["time"], region=EXAMPLES["region"])
    assert made == example["signature"]


def test_the_published_url() -> None:
    example = EXAMPLES["presigned"]
    made = presign(
        example["method"],
        example["origin"],
        example["path"],
        headers={},
        credentials=WHO,
        region=EXAMPLES["region"],
        now=EXAMPLES["now"],
        expires_in=example["expires_in"],
    )
    assert made == example["url"]


def url(**changed: Any) -> str:
    values: dict[str, Any] = {
        "method": "PUT",
        "origin": "http://host:9000",
        "path": "/bucket/cases./0001",
        "headers": {"content-length": "5", "if-none-match": "*"},
        "query": {},
        "credentials": WHO,
        "region": "us-east-1",
        "now": 1_800_000_000,
        "expires_in": 60,
        **changed,
    }
    return presign(values.pop("method"), values.pop("origin"), values.pop("path"), **values)


def signature(text: str) -> str:
    return parse_qs(urlsplit(text).query)["X-Amz-Signature"][0]


def test_everything_is_bound() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"method": "GET"},
        {"origin": "http://host:9001"},
        {"path": "/bucket/cases./0002"},
        {"headers": {"content-length": "6", "if-none-match": "*"}},
        {"headers": {"content-length": "5"}},
        {"headers": {"content-length": "5", "if-none-match": "*", "x-amz-meta-a": "1"}},
        {"query": {"versionId": "1"}},
        {"credentials": Credentials(name=WHO.name, secret=WHO.secret + "x")},
        {"credentials": Credentials(name=WHO.name + "X", secret=WHO.secret)},
        {"region": "eu-central-1"},
        {"now": 1_800_000_001},
        {"expires_in": 61},
    ]
    assert len({signature(url(**change)) for change in changes}) == len(changes)
    assert WHO.secret not in url()


def test_every_header_is_named_as_signed() -> None:
    named = parse_qs(urlsplit(url()).query)["X-Amz-SignedHeaders"]
    assert named == ["content-length;host;if-none-match"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "x"), ("x-a", "a\nb:c"), ("x-a", " a"), ("x-a", "a  b"), ("x-a", "é"), ("x-é", "a"), ("x-a", "a\r")],
)
def test_headers_that_two_sides_read_differently_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        url(headers={name: value})


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
def test_lifetimes(seconds: int) -> None:
    with pytest.raises(ValueError, match="expires_in"):
        url(expires_in=seconds)
