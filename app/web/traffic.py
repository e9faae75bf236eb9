"""Requests counted: by method, route and class of status, and how long each route took.

What an outsider writes never becomes a label: an unknown method is `other`, and whatever has no route is `(no route)`.
"""

from collections import Counter

from app.service import metric_table as table
from app.service.exposition import Histogram, Sample, sample

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. A posted statement waits for its publication, so a second is common; uploads take as long as a line does."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
NO_ROUTE = "(no route)"
NOT_HTTP = "(not HTTP)"


class Traffic:
    """Counts for one server."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._seconds: dict[str, Histogram] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._answers[method if method in METHODS else "other", route, f"{status // 100}xx"] += 1
        self._seconds.setdefault(route, Histogram(BOUNDS)).observe(seconds)

    def samples(self) -> list[Sample]:
        """Return what was counted since the start."""
        return [
            *(sample(table.REQUESTS, count, *of) for of, count in sorted(self._answers.items())),
            *(sample(table.REQUEST_SECONDS, found, route) for route, found in sorted(self._seconds.items())),
        ]
