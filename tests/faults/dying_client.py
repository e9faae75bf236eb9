"""`muniment` with a trap: `python -m tests.faults.dying_client "MOMENT VERB NOUN COUNT" ARGS…` kills itself at a step.

MOMENT is `before`, `amid` or `after` the COUNT-th step of that name. Steps: `put X` and `delete X` for the files of an
upload (X: plan, inventory, final, kept; amid: written aside and not yet renamed, overwritten and not yet removed),
`note segment` and `delete journal`, `send segment`, `send manifest`, `send box`, `post statement` (amid: the service
has answered, and nothing of the answer was read), `sync ledger`.
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from app.cli.main import main
from app.client import uploadstate
from app.client.api import Api
from app.client.home import Vault
from app.client.session import Client
from app.client.uploadstate import Journal

_FILE = re.compile(r"[0-9a-f]{32}(?:\.([a-z]+))?")


class Trap:
    """Counts steps by name, and dies at the one that was named."""

    def __init__(self, words: str) -> None:
        self.moment, verb, noun, count = words.split()
        self.operation, self.left = f"{verb} {noun}", int(count)
        self.amid = False

    def at(self, operation: str) -> "Step":
        return Step(self, operation)


class Step(AbstractContextManager[None]):
    """One step."""

    def __init__(self, trap: Trap, operation: str) -> None:
        self._trap, self._mine = trap, operation == trap.operation

    def __enter__(self) -> None:
        if self._mine:
            self._trap.left -= 1
            self._mine = self._trap.left == 0
        if self._mine and self._trap.moment == "before":
            die()
        self._trap.amid = self._mine and self._trap.moment == "amid"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._mine:
            die()


def die() -> None:
    """No handler, no flush, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


def spring(trap: Trap) -> None:
    """Put the trap around the steps of a deposit."""

    def around(owner: type, name: str, operation: str) -> None:
        inner = getattr(owner, name)

        async def stepped(*args: Any, **rest: Any) -> Any:
            with trap.at(operation):
                return await inner(*args, **rest)

        setattr(owner, name, stepped)

    around(Api, "put_segment", "send segment")
    around(Api, "put_manifest", "send manifest")
    around(Api, "put_box", "send box")
    around(Api, "post_statement", "post statement")
    around(Client, "sync", "sync ledger")

    def kept_file(name: str, verb: str) -> None:
        inner = getattr(Vault, name)

        def stepped(vault: Vault, area: str, file: str, *rest: Any, **named: Any) -> None:
            match = _FILE.fullmatch(file)
            noun = "kept" if area == "kept" else (match and match[1]) or "plan"
            with trap.at(f"{verb} {noun}" if match else "other file"):
                inner(vault, area, file, *rest, **named)

        setattr(Vault, name, stepped)

    kept_file("put", "put")
    kept_file("delete", "delete")
    record, destroy = Journal.record, uploadstate.destroy_file

    def noted(journal: Journal, *rest: Any) -> None:
        with trap.at("note segment"):
            record(journal, *rest)

    def destroyed(path: Path, **named: Any) -> None:
        with trap.at("delete journal" if path.suffix == ".journal" else "other file"):
            destroy(path, **named)

    setattr(Journal, "record", noted)  # noqa: B010 - a method is not assigned to
    vars(uploadstate)["destroy_file"] = destroyed
    for name in ("replace", "unlink"):
        setattr(Path, name, dying(trap, getattr(Path, name)))
    written = os.write

    def half(descriptor: int, data: bytes) -> int:
        if trap.amid and trap.operation == "note segment":
            written(descriptor, data[: len(data) // 2])
            die()
        return written(descriptor, data)

    vars(os)["write"] = half


def dying(trap: Trap, inner: Callable[..., Any]) -> Callable[..., Any]:
    """A rename or a removal before which the process dies, if it is in the midst of the named step."""

    def stepped(path: Path, *args: Any, **rest: Any) -> Any:
        if trap.amid:
            die()
        return inner(path, *args, **rest)

    return stepped


if __name__ == "__main__":
    spring(Trap(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
