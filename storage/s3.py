"""Blobs on S3 with Object Lock: COMPLIANCE retention, versions pinned, written on one condition. See decision 0101.

- An object is one PUT with `If-None-Match: *`, its SHA-256 (which the server checks) and its lock, all signed; then a
  look at what really stands there.
- The condition guards the current version, not history: whoever holds the store's keys can hide an object behind a
  delete marker or a newer version, but not its bytes, which (key, version) still reaches. So callers keep the version.
- A lock is the server's: its clock decides. `extend` never shortens; nothing is ever deleted without a version.
- A blob that is put with a time that has passed has no lock, and `stat` then says 0. So does a GOVERNANCE lock, which
  privileged users can take away, and which this room never sets.
"""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Self

from minio.commonconfig import COMPLIANCE
from minio.retention import Retention

from storage.credentials import Credentials
from storage.errors import Damaged, Locked, NotFound, StorageError
from storage.hosts import S3Place
from storage.locks import check_retain_until, refuse_shorter
from storage.names import check_key, check_key_bounds, check_limit, check_range
from storage.ports import BlobStat, SignedRequest
from storage.s3_bucket import ANSWER_SECONDS, NO_VERSIONS, THREADS, Bucket, check_bucket, gate
from storage.s3_errors import Answer, Denied, Refusal, error_for, unavailable
from storage.s3_http import S3Http, iso_time, put_headers
from storage.s3_names import key_of, object_name
from storage.s3_probe import probe
from storage.s3_stat import differences, foreign_headers, stat_of

TRIES = 5
"""How often a change of a lock is asked for until it stands."""


class S3BlobStore:
    """`BlobStore` in one bucket. Made by `open`."""

    def __init__(self, bucket: Bucket, http: S3Http, *, clock: Callable[[], int], refuses_unsigned: bool) -> None:
        self._bucket = bucket
        self._http = http
        self._clock = clock
        self._name = bucket.place.bucket
        self.refuses_unsigned_headers = refuses_unsigned
        """Whether the server refuses x-amz-* headers beside those that a presigned URL signs, as seen at start.

        Where it does not, a presigned PUT must not be given to anyone: bytes go through the service instead.
        """

    @classmethod
    async def open(
        cls,
        place: S3Place,
        credentials: Credentials,
        *,
        create: bool = False,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], int] = lambda: int(time.time()),
    ) -> Self:
        """Check the bucket (versions, object lock) and the server; with `create` make an absent bucket.

        Raises BadName with a remedy, Denied for credentials, Unavailable when no server answers.
        """
        tls = ssl.create_default_context() if place.tls else None
        bucket = Bucket(place, credentials, tls=tls, answer_seconds=answer_seconds)
        http = S3Http(place, credentials, tls=tls, silence_seconds=answer_seconds * 2)
        try:
            await check_bucket(bucket, create=create)
            return cls(bucket, http, clock=clock, refuses_unsigned=await probe(bucket, http))
        except BaseException:
            await http.close()
            await bucket.close()
            raise

    async def put_new(
        self,
        key: str,
        source: AsyncIterable[bytes],
        *,
        size: int,
        sha256: bytes,
        retain_until: int,
        hold: bool = False,
    ) -> str:
        what = self._check(key)
        headers = self._put_headers(what, size=size, sha256=sha256, retain_until=retain_until, hold=hold)
        answer = await self._http.put(object_name(key), source, headers=headers, what=what)
        if isinstance(answer, Refusal):
            if answer.answer is Answer.EXISTS and await self.stat(key) is None:
                raise unavailable(what, f"{answer.said}, and nothing stands there")
            raise error_for(answer, what)
        await self._confirm(key, answer, size=size, sha256=sha256, retain_until=retain_until, hold=hold)
        return answer

    async def stat(self, key: str, version: str | None = None) -> BlobStat | None:
        found = await self._look(key, version)
        return None if found is None else stat_of(key, found)

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None, version: str | None = None
    ) -> AsyncIterator[bytes]:
        what = self._check(key)
        check_range(start, end)
        if start == end:
            await self._found(key, version)
            return
        async with aclosing(
            self._http.get(object_name(key), version=version, start=start, end=end, what=what)
        ) as pieces:
            async for piece in pieces:
                if not isinstance(piece, Refusal):
                    yield piece
                elif piece.status == 400 and version is not None:  # MinIO, AWS: not the form of a version
                    raise NotFound(f"there is no blob {key} of version {version}")
                elif piece.answer is not Answer.PAST_END:
                    raise error_for(piece, what)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[BlobStat, ...]:
        check_key_bounds(prefix, after)
        check_limit(limit)
        self._bucket.refuse_closed()
        found: list[BlobStat] = []
        few = asyncio.Semaphore(THREADS)

        async def look(key: str) -> BlobStat | None:
            async with few:
                return await self.stat(key)

        def names() -> list[str]:
            listing = self._bucket.client.list_objects(
                self._name, prefix=object_name(prefix), recursive=True, start_after=object_name(after)
            )
            keys = (key_of(each.object_name or "") for each in listing)
            # SeaweedFS begins too early when `after` lies in a folder that is not there.
            return list(itertools.islice((key for key in keys if key and key > after), limit - len(found)))

        while len(found) < limit:
            keys = await self._bucket.call(f"the blobs below {prefix!r}", names)
            # What was removed between the listing and the look is left out, and the page filled from behind.
            found += [stat for stat in await asyncio.gather(*(look(key) for key in keys)) if stat is not None]
            if not keys:
                break
            after = keys[-1]
        return tuple(found)

    async def extend(self, key: str, version: str, retain_until: int) -> None:
        what = self._check(key)
        check_retain_until(retain_until)
        iso_time(retain_until)

        async def act() -> None:
            lock = Retention(COMPLIANCE, datetime.fromtimestamp(retain_until, UTC))
            client = self._bucket.client
            try:
                await self._bucket.call(
                    what, client.set_object_retention, self._name, object_name(key), lock, version_id=version
                )
            except (Locked, Denied):
                refuse_shorter(await self._found(key, version), retain_until)
                raise

        def stands(stat: BlobStat) -> bool:
            refuse_shorter(stat, retain_until)
            # A time that has passed by now is no lock, and S3 takes none.
            return stat.retain_until == retain_until or retain_until <= self._clock()

        async with gate(self._bucket.place, key):
            if not stands(await self._found(key, version)):
                await self._until(lambda stat: stat.retain_until >= retain_until, act, key, version)

    async def set_hold(self, key: str, version: str, on: bool) -> None:
        what = self._check(key)
        client = self._bucket.client
        change = client.enable_object_legal_hold if on else client.disable_object_legal_hold

        async def act() -> None:
            await self._bucket.call(what, change, self._name, object_name(key), version_id=version)

        async with gate(self._bucket.place, key):
            if (await self._found(key, version)).hold != on:
                await self._until(lambda stat: stat.hold == on, act, key, version)

    async def delete(self, key: str, version: str) -> None:
        what = self._check(key)
        stat = await self._found(key, version)
        try:
            # The SDK takes an empty version for none, and none makes a delete marker: `_found` has excluded both.
            await self._bucket.call(
                what, self._bucket.client.remove_object, self._name, object_name(key), version_id=stat.version
            )
        except (Locked, Denied) as error:
            if stat.hold:
                raise Locked(f"{what} is under a legal hold", "Lift the hold first, if the law allows it.") from error
            if stat.retain_until:
                raise Locked(f"{what} is locked until {stat.retain_until}", "Wait until then.") from error
            raise

    async def close(self) -> None:
        await self._http.close()
        await self._bucket.close()

    def presign_put(
        self, key: str, *, size: int, sha256: bytes, retain_until: int, hold: bool = False, expires_in: int
    ) -> SignedRequest:
        """Return a request that puts exactly this blob, once, locked, within `expires_in` seconds (at most a week).

        Every header is signed. Give it away only where `refuses_unsigned_headers`, and call `arrived` afterwards.
        """
        what = self._check(key)
        headers = self._put_headers(what, size=size, sha256=sha256, retain_until=retain_until, hold=hold)
        return self._http.sign("PUT", object_name(key), headers=headers, expires_in=expires_in)

    def presign_get(self, key: str, version: str, *, expires_in: int) -> SignedRequest:
        """Return a request that reads this one version, as a whole or by an (unsigned) Range header."""
        self._check(key)
        return self._http.sign("GET", object_name(key), headers={}, version=version, expires_in=expires_in)

    async def arrived(
        self, key: str, *, size: int, sha256: bytes, retain_until: int, hold: bool = False, version: str | None = None
    ) -> BlobStat:
        """Look at what somebody else put under `key`; return it if it is exactly what was asked for.

        Raises NotFound, or Damaged that names what differs: size, digest, lock, hold or a header that nobody signed.
        """
        found = await self._look(key, version)
        if found is None:
            raise NotFound(f"there is no blob {key}")
        stat = stat_of(key, found)
        differs = differences(stat, size=size, sha256=sha256, retain_until=retain_until, hold=hold)
        differs += foreign_headers(found)
        if differs:
            raise Damaged(
                f"the blob {key} is not what was asked for: {', '.join(differs)}",
                "It stays under its lock; upload under another key.",
            )
        return stat

    def _check(self, key: str) -> str:
        check_key(key)
        self._bucket.refuse_closed()
        return f"the blob {key}"

    def _put_headers(self, what: str, *, size: int, sha256: bytes, retain_until: int, hold: bool) -> dict[str, str]:
        check_retain_until(retain_until)
        if size < 0 or len(sha256) != 32:
            raise Damaged(f"{what} was declared with {size} bytes and a digest of {len(sha256)}", "Declare it anew.")
        lock = retain_until if retain_until > self._clock() else None
        return put_headers(size=size, sha256=sha256, retain_until=lock, hold=hold)

    async def _confirm(
        self, key: str, version: str, *, size: int, sha256: bytes, retain_until: int, hold: bool
    ) -> None:
        """Look at what was just written: a server may take a lock header and not keep the lock."""
        if version in NO_VERSIONS:
            raise StorageError(f"the S3 server gave {key} no version", "Switch the bucket's versioning on again.")
        stat = await self.stat(key, version)
        if stat is None:
            raise unavailable(f"the blob {key}", "it was confirmed, and is not there")
        lock = retain_until if retain_until > self._clock() else 0
        differs = differences(stat, size=size, sha256=sha256, retain_until=lock, hold=hold)
        if differs:
            raise Damaged(
                f"the S3 server confirmed the blob {key}, and what stands there has another {', '.join(differs)}",
                "Do not use this server for evidence; compare it with the list of servers that were tested.",
            )

    async def _until(
        self, stands: Callable[[BlobStat], bool], act: Callable[[], Awaitable[None]], key: str, version: str
    ) -> None:
        """Act and look, and again if need be.

        SeaweedFS writes lock and hold back together, so that of two changes at the same moment one can undo the other.
        """
        for _ in range(TRIES):
            await act()
            if stands(await self._found(key, version)):
                return
        raise unavailable(f"the blob {key}", "the change was confirmed, and does not stand")

    async def _look(self, key: str, version: str | None) -> Mapping[str, str] | None:
        return await self._bucket.head(object_name(key), version, self._check(key))

    async def _found(self, key: str, version: str | None) -> BlobStat:
        stat = await self.stat(key, version)
        if stat is None:
            raise NotFound(f"there is no blob {key}" + (f" of version {version}" if version else ""))
        return stat
