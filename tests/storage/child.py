"""Child processes that write to a store, acknowledge over a pipe, and are killed from outside.

Run as `python -m tests.storage.child records PATH SEED`, or `… blobs PATH SEED [named]`. Each acknowledged write is one
line on stdout: its name and the SHA-256 of its bytes, both known to the parent only by this line.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator

WRITERS = 4


def acknowledge(name: str, body: bytes) -> None:
    # One write(2) below PIPE_BUF: never torn, and gone to the parent before the next step.
    os.write(1, f"{name} {hashlib.sha256(body).hexdigest()}\n".encode())


async def write_records(path: str, seed: str) -> None:
    from storage.sqlite import SqliteRecordStore

    store = await SqliteRecordStore.open(path)

    async def writer(index: int) -> None:
        for count in range(10**6):
            name = f"{seed}-{index}-{count}"
            body = hashlib.shake_256(name.encode()).digest(3000)
            await store.insert("killed", name, body)
            acknowledge(name, body)

    await asyncio.gather(*(writer(index) for index in range(WRITERS)))


async def write_blobs(path: str, seed: str, anonymous: bool | None) -> None:
    from storage.files import FileBlobStore

    store = await FileBlobStore.open(path, anonymous=anonymous)

    async def writer(index: int) -> None:
        for count in range(10**6):
            name = f"{seed}/{index}-{count}"
            body = hashlib.shake_256(name.encode()).digest(300_000)

            async def source(body: bytes = body) -> AsyncIterator[bytes]:
                for at in range(0, len(body), 30_000):
                    yield body[at : at + 30_000]

            digest = hashlib.sha256(body).digest()
            version = await store.put_new(name, source(), size=len(body), sha256=digest, retain_until=0)
            acknowledge(name, body)
            if count % 3 == 0:
                await store.extend(name, version, 2_000_000_000 + count)

    await asyncio.gather(*(writer(index) for index in range(WRITERS)))


if __name__ == "__main__":
    kind, path, seed, *rest = sys.argv[1:]
    os.write(1, b"ready\n")
    if kind == "records":
        asyncio.run(write_records(path, seed))
    else:
        asyncio.run(write_blobs(path, seed, False if rest else None))
