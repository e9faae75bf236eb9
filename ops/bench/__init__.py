"""Measurements, as ratios within one run: absolute figures say little on a shared machine.

Each module of this package is one bench: `TITLE`, and `run() -> tuple[Row, ...]`. A new file is found by its name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was measured, what it was, and what it is compared with."""

    what: str
    figure: str
    ratio: str = ""
    against: str = ""
