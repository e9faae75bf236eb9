"""How far long work is: a bar on a terminal, lines of JSON for programs, silence elsewhere. docs/progress.md.

Both say what is being done, how much of it is done, at which rate (of the last ten seconds) and how long the rest will
take at that rate. All of it goes to standard error; standard output has the result alone.
"""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from app.cli.output import human_size

if TYPE_CHECKING:
    from app.client.activity import Activity

WINDOW_SECONDS = 10.0
EVERY_SECONDS = 0.5
"""Between two lines for programs, or two changes of a bar, while the same is being done."""
_LEAST_SECONDS = 0.5
"""A rate over less says nothing."""


class Pace:
    """The rate of one activity over the last ten seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, done: int) -> float | None:
        """Take in where it is (seconds of a steady clock); return the rate a second, None where too little is known."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        began, before = self._seen[0]
        if now - began < _LEAST_SECONDS:
            return None
        return max(0.0, (done - before) / (now - began))


def remaining(done: int, total: int | None, rate: float | None) -> int | None:
    """Seconds until all is done at that rate, rounded up; None where nobody can tell."""
    if total is None or not rate:
        return None
    return max(0, -int(-(total - done) // rate))


class Teller:
    """Takes activities, from any thread; a context manager."""

    def __init__(
        self, *, as_json: bool, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._as_json, self._clock = as_json, clock
        self._stack, self._lock = ExitStack(), threading.Lock()
        self._doing, self._pace, self._told = "", Pace(), (0.0, False)
        self._terminal = not as_json and self._stream.isatty()
        self._bar: Callable[[str, int, int | None, str], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the bar away, before the person is asked something; the next activity brings it back."""
        with self._lock:
            self._stack.close()
            self._bar = None

    def counting(self, unit: str) -> Callable[[str, int, int], None]:
        """Return a function of (what is being done, how many are done, how many in all)."""
        from app.client.activity import Activity  # noqa: PLC0415 - `--help` starts without it

        return lambda doing, done, total: self(Activity(doing=doing, done=done, total=total, unit=unit))

    def __call__(self, activity: "Activity") -> None:
        """Tell it, if it is time: when something else begins, when all of it is done, and every half second."""
        if not self._as_json and not self._terminal:
            return
        with self._lock:
            now, new = self._clock(), activity.doing != self._doing
            if new:
                self._doing, self._pace = activity.doing, Pace()
            rate = self._pace.at(now, activity.done)
            at, ended = self._told
            whole = activity.done == activity.total
            if not new and now - at < EVERY_SECONDS and (ended or not whole):
                return
            self._told = now, whole
            if self._as_json:
                print(json.dumps(line_of(activity, rate)), file=self._stream, flush=True)
            else:
                self._bar = self._bar or _bar(self._stack)
                self._bar(activity.doing, activity.done, activity.total, text_of(activity, rate))


def line_of(activity: "Activity", rate: float | None) -> dict[str, Any]:
    """The object of one line; the keys and their order are stable."""
    return {
        "event": "progress",
        "doing": activity.doing,
        "done": activity.done,
        "total": activity.total,
        "unit": activity.unit,
        "rate": None if rate is None else round(rate, 3),
        "remaining_seconds": remaining(activity.done, activity.total, rate),
    }


def text_of(activity: "Activity", rate: float | None) -> str:
    """What stands beside the bar."""
    if activity.total is None:
        return ""

    def amount(count: float) -> str:
        return human_size(int(count)) if activity.unit == "bytes" else f"{int(count):,} {activity.unit}"

    words = [f"{amount(activity.done)} of {amount(activity.total)}"]
    if rate is not None:
        words.append(f"{amount(rate)}/s")
    left = remaining(activity.done, activity.total, rate)
    if left is not None:
        words.append(f"{human_time(left)} left")
    elif rate == 0:
        words.append("waiting")
    return " · ".join(words)


def human_time(seconds: int) -> str:
    """A span for people."""
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} days {seconds % 86_400 // 3600} h"


def _bar(stack: ExitStack) -> Callable[[str, int, int | None, str], None]:
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = shown.add_task("", total=None, text="")

    def show(doing: str, done: int, total: int | None, text: str) -> None:
        shown.update(task, description=doing, completed=done, total=total, text=text)

    return show
