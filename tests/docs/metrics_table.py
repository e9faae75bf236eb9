"""The table of docs/operate/metrics.md, from the code and ops/alerts.yaml: `python -m tests.docs.metrics_table`."""

import re
from pathlib import Path
from typing import Any

import yaml

from app.service.metric_table import METRICS

ALERTS = Path(__file__).parent.parent.parent / "ops" / "alerts.yaml"


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    found = yaml.safe_load(ALERTS.read_text())
    assert list(found) == ["groups"]
    return [rule for group in found["groups"] for rule in group["rules"]]


def used(expression: str) -> set[str]:
    """The metrics that an expression names; of a histogram without the endings of its series."""
    names = set(re.findall(r"\bmuniment_[a-z0-9_]+\b", expression))
    histograms = {each.name for each in METRICS if each.type == "histogram"}
    for name in tuple(names):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base in histograms:
            names = names - {name} | {base}
    return names


def render() -> str:
    """Return the table as Markdown."""
    lines = ["| metric | type | labels | meaning | alerts |", "|---|---|---|---|---|"]
    for each in METRICS:
        alerts = ", ".join(rule["alert"] for rule in rules() if each.name in used(rule["expr"])) or "none"
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.name}` | {each.type} | {labels} | {each.help} | {alerts} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
