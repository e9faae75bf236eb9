"""A bar for work whose size is known only once it has begun."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from app.cli.output import progress


class Meter:
    """Takes (bytes done, bytes in all); a context manager. Silent away from a terminal."""

    def __init__(self, label: str, *, quiet: bool) -> None:
        self._label, self._quiet, self._stack = label, quiet, ExitStack()
        self._tell = None if not quiet else (lambda _done: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(self, done: int, total: int) -> None:
        if self._tell is None:
            self._tell = self._stack.enter_context(progress(self._label, total, quiet=self._quiet))
        self._tell(done)
