"""What the answers of S3 servers mean, in one table; AWS, MinIO and SeaweedFS name the same thing differently.

| what happened               | AWS                        | SeaweedFS           | MinIO                              |
|-----------------------------|----------------------------|---------------------|------------------------------------|
| `If-None-Match: *` met one  | 412, or 409 Conditional…   | 412                 | 412                                |
| the body has another digest | 400 BadDigest              | 400 BadDigest       | 400 XAmzContentChecksumMismatch    |
| delete of a locked version  | 403 AccessDenied           | 403 AccessDenied    | 400 InvalidRequest, "WORM" in text |
| no such version             | 404, or 400 for its form   | 404 NoSuchVersion   | 404, or 400 InvalidArgument        |

403 also means wrong keys or a wrong clock, so `Answer.DENIED` never decides alone: the caller looks at the lock.
"""

import re
from dataclasses import dataclass
from enum import StrEnum, auto

from storage.errors import AlreadyExists, Damaged, Full, Locked, NotFound, StorageError, Unavailable


class Denied(StorageError):
    """The server denies it: wrong keys, a policy, a wrong clock, or a lock. Only a look at the lock tells."""

    code = "denied"


class Answer(StrEnum):
    """What a refusal says."""

    MISSING = auto()
    EXISTS = auto()
    DAMAGED = auto()
    LOCKED = auto()
    DENIED = auto()
    PAST_END = auto()
    BUSY = auto()
    """The server could not: the outcome of a write is unknown."""
    FULL = auto()
    """The server has no room."""
    REFUSED = auto()
    """The server would not, and says why in its own words."""


_CODES = {
    "NoSuchKey": Answer.MISSING,
    "NoSuchVersion": Answer.MISSING,
    "NoSuchBucket": Answer.REFUSED,
    "PreconditionFailed": Answer.EXISTS,
    "ConditionalRequestConflict": Answer.EXISTS,
    "BadDigest": Answer.DAMAGED,
    "XAmzContentChecksumMismatch": Answer.DAMAGED,
    "XAmzContentSHA256Mismatch": Answer.DAMAGED,
    "ObjectLocked": Answer.LOCKED,
    "AccessDenied": Answer.DENIED,
    "SignatureDoesNotMatch": Answer.DENIED,
    "InvalidAccessKeyId": Answer.DENIED,
    "RequestTimeTooSkewed": Answer.DENIED,
    "InvalidRange": Answer.PAST_END,
    # The sender's bytes were right and did not all arrive: a matter of the line, not of the evidence.
    "IncompleteBody": Answer.BUSY,
    "RequestTimeout": Answer.BUSY,
    "SlowDown": Answer.BUSY,
    "SlowDownWrite": Answer.BUSY,
    "InternalError": Answer.BUSY,
    "ServiceUnavailable": Answer.BUSY,
    "OperationAborted": Answer.BUSY,
    "XMinioStorageFull": Answer.FULL,
    "XMinioAdminBucketQuotaExceeded": Answer.FULL,
    "QuotaExceeded": Answer.FULL,  # Ceph
}
_STATUSES = {
    403: Answer.DENIED,
    404: Answer.MISSING,
    405: Answer.MISSING,  # HEAD or GET of a version that is a delete marker
    408: Answer.BUSY,
    409: Answer.BUSY,
    412: Answer.EXISTS,
    416: Answer.PAST_END,
    429: Answer.BUSY,
    507: Answer.FULL,
}
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,300})</Message>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A server's refusal: the HTTP status, S3's error code ("" where there is no body) and its text."""

    status: int
    code: str = ""
    text: str = ""

    @property
    def answer(self) -> Answer:
        if "WORM" in self.text:
            return Answer.LOCKED
        if self.code in _CODES:
            return _CODES[self.code]
        return _STATUSES.get(self.status, Answer.BUSY if self.status >= 500 else Answer.REFUSED)

    @property
    def said(self) -> str:
        return f"{self.status} {self.code}".strip() + (f": {self.text}" if self.text else "")


def parse_refusal(status: int, body: bytes) -> Refusal:
    """Read S3's XML error as far as it is needed; anything else is a refusal by its status alone."""
    code, text = _CODE.search(body), _MESSAGE.search(body)
    return Refusal(
        status=status,
        code=code.group(1).decode() if code else "",
        text=text.group(1).decode("utf-8", "replace") if text else "",
    )


def error_for(refusal: Refusal, what: str) -> StorageError:
    """Return the room's error for a refusal; `what` names the blob, e.g. "the blob k"."""
    match refusal.answer:
        case Answer.MISSING:
            return NotFound(f"there is no {what.removeprefix('the ')}")
        case Answer.EXISTS:
            return AlreadyExists(f"{what} exists", "Compare its SHA-256 with yours.")
        case Answer.DAMAGED:
            return Damaged(
                f"{what} did not arrive as it was declared ({refusal.said})", "Nothing was kept; send it anew."
            )
        case Answer.LOCKED:
            return Locked(f"{what} is locked by the store ({refusal.said})", "Wait until its time.")
        case Answer.FULL:
            return Full(f"the S3 server has no room for {what} ({refusal.said})", "Add disks, or raise the quota.")
        case Answer.BUSY:
            return unavailable(what, refusal.said)
        case Answer.DENIED:
            return Denied(
                f"the S3 server denies access to {what} ({refusal.said})",
                "Check the access key, its policy and the clocks of both machines.",
            )
        case _:
            return StorageError(
                f"the S3 server refused {what} ({refusal.said})",
                "Look the code up in the server's manual; check the bucket's settings.",
            )


def unavailable(what: str, said: str) -> Unavailable:
    """Return Unavailable: the outcome is unknown."""
    return Unavailable(
        f"the S3 server gave no usable answer for {what}: {said}", "Look at what stands there before any retry."
    )
