"""The page of metrics, the alert rules and the code name the same things."""

import re
from pathlib import Path

import pytest

from app.service.metric_table import METRICS
from tests.docs.metrics_table import ALERTS, render, rules, used

PAGE = (Path(__file__).parent.parent.parent / "docs" / "operate" / "metrics.md").read_text()
BY_NAME = {each.name: each for each in METRICS}
PERSONAL = re.compile(r"member|person|kid|case|deposit|judge|panel|address|token|name|digest")


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    made = re.search(r"<!-- generated: metrics -->\n(.*?)<!-- end -->", PAGE, flags=re.DOTALL)
    assert made is not None
    assert made[1] == render(), "python -m tests.docs.metrics_table prints it anew"
    assert len(BY_NAME) == len(METRICS)


def test_no_label_is_made_for_personal_data() -> None:
    labels = {label for each in METRICS for label in each.labels}
    assert labels == {
        "version",
        "part",
        "store",
        "witness",
        "form",
        "source",
        "code",
        "kind",
        "method",
        "route",
        "status",
    }
    assert not [label for label in labels if PERSONAL.search(label)]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_names_metrics_that_exist_with_labels_that_they_have(rule: dict[str, object]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    expression, annotations = str(rule["expr"]), rule["annotations"]
    assert re.fullmatch(r"Muniment[A-Za-z]+", str(rule["alert"]))
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert isinstance(annotations, dict)
    assert set(annotations) == {"summary", "action"}
    names = used(expression)
    assert names or "up{" in expression
    assert not names - set(BY_NAME)
    for opened, closed in ("()", "{}", "[]"):
        assert expression.count(opened) == expression.count(closed)
    for name, matchers in re.findall(r"\b(muniment_[a-z0-9_]+)\{([^}]*)\}", expression):
        (metric,) = used(name)
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers)) <= {*BY_NAME[metric].labels, "le"}
    labels = {label for name in names for label in BY_NAME[name].labels}
    assert set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values()))) <= labels
    assert re.fullmatch(r"[1-9][0-9]*[mhd]", str(rule.get("for", "1m")))


def test_every_alert_has_its_own_name() -> None:
    names = [str(rule["alert"]) for rule in rules()]
    assert len(set(names)) == len(names)
    assert ALERTS.read_text().count("- alert: ") == len(names)
