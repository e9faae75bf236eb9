"""A bucket's own matters through the `minio` SDK: the calls, in threads, and what must be true of a bucket at start.

The SDK is synchronous; its calls here are small. A lost connection is tried again: looking, listing, extending a lock
and setting a hold are the same when done twice, and so is removing one version.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from storage.credentials import Credentials
from storage.errors import BadName, NotFound, StorageError, Unavailable
from storage.hosts import S3Place
from storage.s3_errors import Refusal, error_for, unavailable

THREADS = 16
NO_VERSIONS = ("", "null")
"""What pins nothing: the SDK takes "" for no version at all, and "null" is an object from before versioning."""
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30.0

_Result = TypeVar("_Result")
_MAKE = "Make a new one with it: `mc mb --with-lock ALIAS/{bucket}`, or `aws s3api create-bucket --bucket {bucket} \
--object-lock-enabled-for-bucket`; a bucket that was made without cannot be trusted with evidence."


class Bucket:
    """The SDK's client for one place, called in threads of its own."""

    def __init__(
        self,
        place: S3Place,
        credentials: Credentials,
        *,
        tls: ssl.SSLContext | None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.place = place
        self._closed = False
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="s3-bucket")
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, answer_seconds), read=answer_seconds),
            maxsize=THREADS,
            ssl_context=tls,
            retries=urllib3.Retry(total=2, backoff_factor=0.1, redirect=0, allowed_methods=None),
        )
        self.client = Minio(
            place.endpoint,
            access_key=credentials.name,
            secret_key=credentials.secret,
            secure=place.tls,
            region=place.region,
            http_client=self._pool,
        )

    async def call(self, what: str, function: Callable[..., _Result], *values: Any, **named: Any) -> _Result:
        """Call one of the client's functions in a thread. Raises the room's errors; `what` names the thing."""
        self.refuse_closed()
        work = partial(function, *values, **named)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except S3Error as error:
            refusal = Refusal(status=error.response.status, code=error.code or "", text=error.message or "")
            raise error_for(refusal, what) from error
        except ServerError as error:
            raise error_for(Refusal(status=error.status_code), what) from error
        except InvalidResponseError as error:
            raise unavailable(what, str(error)[:200]) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unavailable(what, f"{type(error).__name__}: {error}"[:300]) from error

    async def head(self, name: str, version: str | None, what: str) -> Mapping[str, str] | None:
        """Return what the server says of an object, by lower-case header name, or None where there is none."""
        client = self.client

        def look() -> Mapping[str, str] | None:
            try:
                found = client.stat_object(
                    self.place.bucket, name, version_id=version, extra_headers={"x-amz-checksum-mode": "ENABLED"}
                )
            except S3Error as error:
                # 400: MinIO and AWS, to a text that has not the form of their versions. A HEAD has no body to tell.
                if error.response.status == 400 and version is not None:
                    return None
                raise
            return {header.lower(): value for header, value in (found.metadata or {}).items()}

        if version in NO_VERSIONS:
            return None
        try:
            return await self.call(what, look)
        except NotFound:
            return None

    def refuse_closed(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed", "Open it again.")

    async def close(self) -> None:
        """End the threads and connections. Safe to call twice."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        self._pool.clear()


_gates: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = WeakValueDictionary()


def gate(place: S3Place, key: str) -> asyncio.Lock:
    """Return the lock that orders the changes of one blob's lock in this process, whatever handle makes them."""
    where = (place.url, key, id(asyncio.get_running_loop()))
    found = _gates.get(where)
    if found is None:
        _gates[where] = found = asyncio.Lock()
    return found


async def check_bucket(bucket: Bucket, *, create: bool) -> None:
    """Refuse a bucket that is not there (or make it, with a lock), or has no versions or no object lock.

    Raises BadName with the remedy, Unavailable when no server answers.
    """
    name, what = bucket.place.bucket, f"the bucket {bucket.place.url}"
    if not await bucket.call(what, bucket.client.bucket_exists, name):
        if not create:
            raise BadName(f"there is no bucket {bucket.place.url}", _MAKE.format(bucket=name))
        try:
            await bucket.call(what, bucket.client.make_bucket, name, object_lock=True)
        except StorageError:  # another replica made it in the meantime, or it cannot be made
            if not await bucket.call(what, bucket.client.bucket_exists, name):
                raise
    try:
        await bucket.call(what, bucket.client.get_object_lock_config, name)
    except NotFound as error:
        raise BadName(f"{what} has no object lock", _MAKE.format(bucket=name)) from error
    except StorageError as error:
        if isinstance(error, Unavailable):
            raise
        # MinIO and AWS: 404 ObjectLockConfigurationNotFoundError; others have no such call at all.
        raise BadName(f"{what} has no object lock: {error.message}", _MAKE.format(bucket=name)) from error
    versioning = await bucket.call(what, bucket.client.get_bucket_versioning, name)
    if versioning.status != "Enabled":
        raise BadName(
            f"{what} does not keep versions (versioning is {(versioning.status or 'off').lower()})",
            f"Switch it on: `mc version enable ALIAS/{name}`.",
        )
