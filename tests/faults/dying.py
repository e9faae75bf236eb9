"""The real service with a trap: `python -m tests.faults.dying DIR` kills itself with SIGKILL at a named write.

It is the ordinary service until a line `MOMENT OPERATION COUNT` arrives on standard input; then the COUNT-th write of
that name from there on is the last thing that the process does. MOMENT is `before`, `after` (the write is durable, and
nobody has been told) or `amid` (half of a blob's bytes were received). OPERATION is `insert KIND`, `replace KIND`,
`delete KIND`, `put segment`, `extend segment` or `sidecar segment` (the lock record beside a blob).
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from app import wiring
from app.cli.commands.serve import serve_until_stopped
from app.config import FILE_NAME, Settings, load_settings
from storage.file_tree import FileTree

T = TypeVar("T")


class Trap:
    """Counts writes by name."""

    def __init__(self) -> None:
        self.armed: tuple[str, str, int] | None = None
        self.count = 0

    def listen(self) -> None:
        """Take lines from standard input, in a thread."""
        for line in sys.stdin:
            moment, verb, noun, count = line.split()
            self.count, self.armed = 0, (moment, f"{verb} {noun}", int(count))
            print("armed", flush=True)

    def due(self, operation: str) -> str | None:
        """Count a write; return at which moment of it to die."""
        if self.armed is None or self.armed[1] != operation:
            return None
        self.count += 1
        return self.armed[0] if self.count == self.armed[2] else None

    async def around(self, operation: str, write: Callable[[], Awaitable[T]]) -> T:
        moment = self.due(operation)
        if moment == "before":
            die()
        result = await write()
        if moment == "after":
            die()
        return result


def die() -> None:
    """No handler, no flush, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


class Records:
    """A record store, each write of which may be the last."""

    def __init__(self, inner: Any, trap: Trap) -> None:
        self._inner, self._trap = inner, trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def insert(self, kind: str, id: str, data: bytes) -> None:
        await self._trap.around(f"insert {kind}", lambda: self._inner.insert(kind, id, data))

    async def replace(self, kind: str, id: str, data: bytes, *, revision: int) -> int:
        made: int = await self._trap.around(
            f"replace {kind}", lambda: self._inner.replace(kind, id, data, revision=revision)
        )
        return made

    async def delete(self, kind: str, id: str, *, revision: int) -> None:
        await self._trap.around(f"delete {kind}", lambda: self._inner.delete(kind, id, revision=revision))


class Blobs:
    """A blob store of the same kind."""

    def __init__(self, inner: Any, trap: Trap) -> None:
        self._inner, self._trap = inner, trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def put_new(self, key: str, source: AsyncIterable[bytes], *, size: int, **rest: Any) -> str:
        moment = self._trap.due("put segment")
        if moment == "before":
            die()

        async def half() -> AsyncIterator[bytes]:
            count = 0
            async for piece in source:
                count += len(piece)
                if moment == "amid" and 2 * count >= size:
                    yield piece[: len(piece) // 2]
                    die()
                yield piece

        version: str = await self._inner.put_new(key, half(), size=size, **rest)
        if moment == "after":
            die()
        return version

    async def extend(self, key: str, version: str, retain_until: int) -> None:
        await self._trap.around("extend segment", lambda: self._inner.extend(key, version, retain_until))


def trapped(trap: Trap) -> None:
    """Put the trap around what `app.wiring` builds."""
    opened, record = wiring.open_stores, FileTree._record

    @asynccontextmanager
    async def open_stores(settings: Settings, *, must_exist: bool = False) -> AsyncIterator[wiring.Stores]:
        async with opened(settings, must_exist=must_exist) as stores:
            yield wiring.Stores(records=Records(stores.records, trap), blobs=Blobs(stores.blobs, trap))

    def sidecar(tree: FileTree, *rest: Any) -> None:
        moment = trap.due("sidecar segment")
        if moment == "before":
            die()
        record(tree, *rest)
        if moment == "after":
            die()

    vars(wiring)["open_stores"] = open_stores
    setattr(FileTree, "_record", sidecar)  # noqa: B010 - a method is not assigned to


def main() -> None:
    """Serve."""
    trap = Trap()
    trapped(trap)
    threading.Thread(target=trap.listen, daemon=True).start()
    settings = replace(load_settings(Path(sys.argv[1]) / FILE_NAME, {}), host="127.0.0.1", port=0)
    asyncio.run(serve_until_stopped(settings))


if __name__ == "__main__":
    main()
