"""What a HEAD's headers say of an object, and whether that is what was asked for. Pure."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from storage.ports import BlobStat

# What somebody who sends a presigned request may try to add; none of it belongs to a segment.
_FOREIGN = ("content-encoding", "content-language", "content-disposition", "cache-control", "expires")
_FOREIGN_AMZ = ("x-amz-meta-", "x-amz-website-", "x-amz-tagging-", "x-amz-server-side-encryption-customer-")


def stat_of(key: str, headers: Mapping[str, str]) -> BlobStat:
    """Read a HEAD's headers (lower-case names).

    The digest is b"" where the server keeps none of the whole object: then somebody else put it. Only a COMPLIANCE
    lock counts, since privileged users can take a GOVERNANCE lock away.
    """
    length = headers.get("content-length", "")
    return BlobStat(
        key=key,
        version=headers.get("x-amz-version-id", "null"),
        size=int(length) if length.isascii() and length.isdigit() else -1,
        sha256=_digest(headers.get("x-amz-checksum-sha256", "")),
        retain_until=_lock_end(headers),
        hold=headers.get("x-amz-object-lock-legal-hold") == "ON",
    )


def differences(stat: BlobStat, *, size: int, sha256: bytes, retain_until: int, hold: bool) -> list[str]:
    """Name what is not as asked. A later lock, or a hold that nobody asked for, does no harm."""
    checks = {
        "size": stat.size == size,
        "digest": stat.sha256 == sha256,
        "lock": stat.retain_until >= retain_until,
        "hold": stat.hold or not hold,
    }
    return [name for name, right in checks.items() if not right]


def foreign_headers(headers: Mapping[str, str]) -> list[str]:
    """Name the headers that whoever sent the object added to what was signed."""
    return sorted(name for name in headers if name in _FOREIGN or name.startswith(_FOREIGN_AMZ))


def _digest(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return digest if len(digest) == 32 else b""  # a multipart object has a digest of digests, "…-2"


def _lock_end(headers: Mapping[str, str]) -> int:
    if headers.get("x-amz-object-lock-mode") != "COMPLIANCE":
        return 0
    try:
        end = datetime.fromisoformat(headers.get("x-amz-object-lock-retain-until-date", ""))
    except ValueError:
        return 0
    return int(end.timestamp()) if end.tzinfo is not None else 0
