"""Metrics as text: Prometheus' exposition format 0.0.4, written and nothing else.

Source: prometheus.io, "Exposition formats", section "Text-based format". Pure; values are floats,
labels are text that is escaped here. A mistake in a name, in the number of labels or a sample that stands twice is
ours, and raises ValueError.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Type(StrEnum):
    """What a metric is."""

    COUNTER = "counter"
    """Only grows while the process lives; its name ends in `_total`."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: its name, what its labels are called, and what it means, in a sentence."""

    name: str
    type: Type
    labels: tuple[str, ...] = ()
    help: str

    def __post_init__(self) -> None:
        if not all(_NAME.match(each) for each in (self.name, *self.labels)) or "le" in self.labels:
            raise ValueError(f"not the names of a metric: {self.name!a} {self.labels!a}")
        if self.name.endswith("_total") != (self.type is Type.COUNTER):
            raise ValueError(f"{self.name} is a {self.type}")


@dataclass(slots=True)
class Histogram:
    """How many observations were at most each bound; `bounds` ascend, in seconds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    """One for each bound, not added up, and one for what is above all."""
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A metric's value under the values of its labels, in their order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Histogram


def sample(metric: Metric, value: float | Histogram, *labels: str) -> Sample:
    """Shorter."""
    return Sample(metric=metric, labels=labels, value=value)


def format_exposition(samples: Iterable[Sample]) -> str:
    """Return the page: each metric once, with its help and type, its samples together."""
    families: dict[Metric, dict[tuple[str, ...], float | Histogram]] = {}
    for each in samples:
        found = families.setdefault(each.metric, {})
        if each.labels in found or len(each.labels) != len(each.metric.labels):
            raise ValueError(f"{each.metric.name}: labels {each.labels!a}")
        found[each.labels] = each.value
    if len({each.name for each in families}) != len(families):
        raise ValueError("two metrics have one name")
    lines: list[str] = []
    for metric, values in families.items():
        lines += [f"# HELP {metric.name} {_help(metric.help)}", f"# TYPE {metric.name} {metric.type}"]
        for labels, value in values.items():
            lines += _lines(metric, tuple(zip(metric.labels, labels, strict=True)), value)
    return "".join(f"{line}\n" for line in lines)


def _lines(metric: Metric, labels: tuple[tuple[str, str], ...], value: float | Histogram) -> list[str]:
    if isinstance(value, Histogram) != (metric.type is Type.HISTOGRAM):
        raise ValueError(f"{metric.name} is a {metric.type}")
    if not isinstance(value, Histogram):
        return [f"{metric.name}{_labels(labels)} {_number(value)}"]
    lines, total = [], 0
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        total += count
        lines.append(f"{metric.name}_bucket{_labels((*labels, ('le', _number(bound))))} {total}")
    return [
        *lines,
        f"{metric.name}_sum{_labels(labels)} {_number(value.sum)}",
        f"{metric.name}_count{_labels(labels)} {total}",
    ]


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    escaped = ((name, text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")) for name, text in labels)
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped) + "}"


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1 << 53 else repr(float(value))
