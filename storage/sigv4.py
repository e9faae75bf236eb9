"""AWS Signature Version 4 for S3, in the query string, with every header signed. Pure; standard library only.

The SDK's own presigner signs the header `host` alone: whoever holds such a URL may add or leave out the lock, the
condition and the checksum. Here each header that the holder must send is part of the signature; the body is not
(`UNSIGNED-PAYLOAD`), its digest is bound by the signed `x-amz-checksum-sha256`.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", S3 API reference.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from storage.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_EXPIRES = 604_800
"""Seconds: S3 takes no URL that lives longer than a week."""


def presign(
    method: str,
    origin: str,
    path: str,
    *,
    headers: Mapping[str, str],
    query: Mapping[str, str] | None = None,
    credentials: Credentials,
    region: str,
    now: int,
    expires_in: int,
) -> str:
    """Return a URL that lets its holder send this one request with exactly these headers.

    `origin` is scheme://host[:port] as the Host header will have it, `path` the unescaped path (one '/' first), `now`
    Unix seconds, `expires_in` 1 to 604,800 seconds. Header names are written in lower case. Raises ValueError.
    """
    if not 1 <= expires_in <= MAX_EXPIRES:
        raise ValueError(f"expires_in is {expires_in}, not 1 to {MAX_EXPIRES} seconds")
    _, _, host = origin.partition("://")
    signed = {"host": host, **headers}
    time = amz_time(now)
    asked = {
        **(query or {}),
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.name}/{scope(time, region)}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(expires_in),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    request = canonical_request(method, path, asked, signed, UNSIGNED_PAYLOAD)
    signature = sign(request, credentials=credentials, time=time, region=region)
    return f"{origin}{_escape_path(path)}?{canonical_query(asked)}&X-Amz-Signature={signature}"


def canonical_request(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], payload: str
) -> str:
    """Return what is hashed: `headers` by lower-case name, `payload` the body's SHA-256 in hex or UNSIGNED-PAYLOAD.

    Raises ValueError for a header that would be read differently on the two sides: a name not in lower case, a value
    with line breaks, space at its ends or a run of spaces (which the rules fold).
    """
    for name, value in headers.items():
        if name != name.lower() or not name.isascii() or not value.isascii() or not value.isprintable():
            raise ValueError(f"the header {name!r} is not one that can be signed")
        if " ".join(value.split()) != value:
            raise ValueError(f"the value of the header {name!r} has space that a signature folds")
    lines = [f"{name}:{headers[name]}\n" for name in sorted(headers)]
    return "\n".join(
        [method, _escape_path(path), canonical_query(query), "".join(lines), ";".join(sorted(headers)), payload]
    )


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query, escaped and ordered by its escaped names."""
    return "&".join(f"{name}={value}" for name, value in sorted((_escape(n), _escape(v)) for n, v in query.items()))


def sign(request: str, *, credentials: Credentials, time: str, region: str) -> str:
    """Return the signature of a canonical request, 64 hex digits."""
    text = f"{ALGORITHM}\n{time}\n{scope(time, region)}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + credentials.secret.encode()
    for part in (time[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def scope(time: str, region: str) -> str:
    """Return the credential scope: day, region, service."""
    return f"{time[:8]}/{region}/s3/aws4_request"


def amz_time(now: int) -> str:
    """Return Unix seconds as X-Amz-Date has them, e.g. 20130524T000000Z."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def _escape(text: str) -> str:
    return quote(text, safe="-_.~")


def _escape_path(path: str) -> str:
    # S3 escapes each segment once and neither normalises nor escapes twice, unlike the other services.
    return quote(path, safe="/-_.~")
