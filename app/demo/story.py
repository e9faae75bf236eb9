"""What the person at the terminal sees: numbered steps with their times, and the facts that they brought to light."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.cli.output import printable


@dataclass
class Story:
    """Tells the demonstration to standard output, and keeps the seconds of each step for the summary."""

    seconds: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """One step: its title before, its time after."""
        self._count += 1
        self._bold(f"\n{self._count:2}  {title}")
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 3)
        self.say(f"({self.seconds[name]:.1f} s)")

    def say(self, text: str) -> None:
        """A fact."""
        for line in text.split("\n"):
            print(printable(f"    {line}"), flush=True)

    def head(self, text: str) -> None:
        """A heading of its own."""
        self._bold(f"\n{text}")

    def _bold(self, text: str) -> None:
        shown = printable(text)
        print(f"\x1b[1m{shown}\x1b[0m" if sys.stdout.isatty() else shown, flush=True)
