"""The text format of metrics: read back by an independent reader, whatever labels and values are."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.service.exposition import Histogram, Metric, Type, format_exposition, sample

GAUGE = Metric(name="a_gauge", type=Type.GAUGE, labels=("one", "two"), help="What\nit \\ means.")
COUNTER = Metric(name="some_total", type=Type.COUNTER, help="How often.")
SECONDS = Metric(name="took_seconds", type=Type.HISTOGRAM, labels=("route",), help="How long.")
SERIES = re.compile(r'([a-z0-9_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The series of a page, by the format's rules; lines are ended by LF alone."""
    assert text == "" or text.endswith("\n")
    found = {}
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            assert re.fullmatch(r"# HELP [a-z_]+ .*|# TYPE [a-z_]+ (counter|gauge|histogram)", line)
            continue
        series = SERIES.fullmatch(line)
        assert series, line
        labels = tuple(
            (name, re.sub(r"\\(.)", lambda hit: {"n": "\n"}.get(hit[1], hit[1]), value))
            for name, value in re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', series[2] or "")
        )
        assert (series[1], labels) not in found
        found[series[1], labels] = float(series[3])
    return found


def test_a_page_is_as_the_format_says() -> None:
    held = Histogram((0.1, 2.5))
    for value in (0.1, 0.2, 2.6):
        held.observe(value)
    text = format_exposition(
        [
            sample(COUNTER, 3),
            sample(GAUGE, 0.25, 'a"b\\c\nd', "é"),
            sample(SECONDS, held, "/x"),
            sample(GAUGE, True, "", ""),
        ]
    )
    assert text == (
        "# HELP some_total How often.\n# TYPE some_total counter\nsome_total 3\n"
        "# HELP a_gauge What\\nit \\\\ means.\n# TYPE a_gauge gauge\n"
        'a_gauge{one="a\\"b\\\\c\\nd",two="é"} 0.25\na_gauge{one="",two=""} 1\n'
        "# HELP took_seconds How long.\n# TYPE took_seconds histogram\n"
        'took_seconds_bucket{route="/x",le="0.1"} 1\n'
        'took_seconds_bucket{route="/x",le="2.5"} 2\n'
        'took_seconds_bucket{route="/x",le="+Inf"} 3\n'
        f'took_seconds_sum{{route="/x"}} {held.sum!r}\ntook_seconds_count{{route="/x"}} 3\n'
    )


@given(
    st.dictionaries(
        st.tuples(st.text(), st.text()),
        st.floats(allow_nan=False, allow_infinity=False) | st.just(math.inf),
        max_size=5,
    )
)
def test_any_labels_and_values_are_read_back(values: dict[tuple[str, str], float]) -> None:
    text = format_exposition([sample(GAUGE, value, *labels) for labels, value in values.items()])
    assert read(text) == {("a_gauge", (("one", one), ("two", two))): value for (one, two), value in values.items()}


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_a_histogram_counts_each_observation_once_and_adds_up(values: list[float]) -> None:
    held = Histogram((0.5, 1.0, 10.0))
    for value in values:
        held.observe(value)
    found = read(format_exposition([sample(SECONDS, held, "r")]))
    for bound, text in ((0.5, "0.5"), (1.0, "1"), (10.0, "10"), (math.inf, "+Inf")):
        counted = found["took_seconds_bucket", (("route", "r"), ("le", text))]
        assert counted == sum(value <= bound for value in values)
    assert found["took_seconds_count", (("route", "r"),)] == len(values)


@pytest.mark.parametrize(
    "samples",
    [
        [sample(GAUGE, 1, "a")],
        [sample(GAUGE, 1, "a", "b"), sample(GAUGE, 2, "a", "b")],
        [sample(COUNTER, Histogram((1.0,)))],
        [sample(SECONDS, 1.0, "r")],
        [sample(COUNTER, 1), sample(Metric(name="some_total", type=Type.COUNTER, help="Another."), 1)],
    ],
)
def test_a_mistake_of_ours_is_not_served(samples: list[object]) -> None:
    with pytest.raises(ValueError, match=r"_|two metrics"):
        format_exposition(samples)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "type", "labels"),
    [
        ("Upper", Type.GAUGE, ()),
        ("a_total", Type.GAUGE, ()),
        ("a", Type.COUNTER, ()),
        ("a", Type.GAUGE, ("le",)),
        ("a b", Type.GAUGE, ()),
    ],
)
def test_a_bad_name_is_refused(name: str, type: Type, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=name):
        Metric(name=name, type=type, labels=labels, help="")
