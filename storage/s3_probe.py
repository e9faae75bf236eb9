"""What an S3 server really does, asked at start with a few bytes of no meaning.

Documentation and version numbers do not tell: builds of one server differ. Three requests each need one certain answer,
or the server cannot keep evidence; some more decide whether presigned URLs may be given away.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator

from storage.errors import BadName
from storage.s3_bucket import Bucket
from storage.s3_errors import Answer, Denied, Refusal, error_for
from storage.s3_http import S3Http, put_headers
from storage.s3_names import object_name

_BODY = b"probe"


def unsigned_headers(bucket: str) -> tuple[tuple[str, str], ...]:
    """Return what whoever holds a presigned request could add to it: each must be refused, if he is to be held to it.

    One tells nothing of another: MinIO (2026-02-12) refuses metadata that is not signed, and takes a legal hold, or the
    name of an object to be copied in place of the body. Those two do most, so they come last: a server that takes one
    of the others is not asked for them.
    """
    return (
        ("x-amz-meta-unsigned", "1"),
        ("x-amz-muniment-unknown", "1"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-copy-source", f"/{bucket}/probe-that-is-not-there"),
        ("x-amz-object-lock-legal-hold", "ON"),
    )


async def probe(bucket: Bucket, http: S3Http) -> bool:
    """Return whether the server refuses x-amz-* headers that a presigned URL does not sign.

    Raises BadName when it stores a body whose digest is wrong, overwrites in spite of `If-None-Match: *`, or names no
    version; otherwise nothing stays behind (unless the policy forbids to delete, then one object of 5 bytes).
    """
    place = bucket.place
    name = object_name(f"probe/{secrets.token_hex(8)}")
    what = f"a probe at {place.url}"
    right = _headers(_BODY)
    wrong = _headers(b"other")

    async def put(headers: dict[str, str], unsigned: dict[str, str] | None = None) -> str | Refusal:
        return await http.put(name, _once(), headers=headers, what=what, unsigned=unsigned)

    async def remove(version: str) -> None:
        if version in ("", "null"):
            return
        try:
            await bucket.call(what, bucket.client.remove_object, place.bucket, name, version_id=version)
        except Denied:
            return  # a policy without the right to delete is a good policy

    checked = await put(wrong)
    if isinstance(checked, str):
        await remove(checked)
        raise BadName(f"the S3 server at {place.url} does not check SHA-256 digests", _OTHER)
    _expect(checked, Answer.DAMAGED, what)
    refuses_unsigned = True
    for header, value in unsigned_headers(place.bucket):
        # The digest is wrong, so nothing is stored whatever becomes of the header.
        answer = await put(wrong, {header: value})
        if isinstance(answer, str):
            await remove(answer)
        elif answer.answer is Answer.BUSY:
            raise error_for(answer, what)
        if isinstance(answer, str) or answer.answer is not Answer.DENIED:
            refuses_unsigned = False
            break
    first = await put(right)
    if first in ("", "null"):
        raise BadName(f"the S3 server at {place.url} names no versions", _OTHER)
    if isinstance(first, Refusal):
        raise error_for(first, what)
    second = await put(right)
    await remove(first)
    if isinstance(second, str):
        await remove(second)
        raise BadName(f"the S3 server at {place.url} overwrites in spite of If-None-Match", _OTHER)
    _expect(second, Answer.EXISTS, what)
    return refuses_unsigned


_OTHER = "Use a server or a release that does: any S3 with Object Lock, checksums and conditional writes."


def _headers(body: bytes) -> dict[str, str]:
    return put_headers(size=len(_BODY), sha256=hashlib.sha256(body).digest(), retain_until=None, hold=False)


async def _once() -> AsyncIterator[bytes]:
    yield _BODY


def _expect(answer: Refusal | str, wanted: Answer, what: str) -> None:
    if isinstance(answer, Refusal) and answer.answer is not wanted:
        raise error_for(answer, what)
