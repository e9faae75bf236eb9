"""Progress: lines for programs with stable keys, a bar on a terminal, silence elsewhere."""

import io
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.progress import EVERY_SECONDS, Pace, Teller, human_time, remaining, text_of
from app.client.activity import UPLOADING, Activity

KEYS = ["event", "doing", "done", "total", "unit", "rate", "remaining_seconds"]
PAGE = Path(__file__).parents[3] / "docs" / "progress.md"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(steps: list[tuple[float, Activity]], stream: io.StringIO, *, as_json: bool) -> str:
    times = iter([at for at, _ in steps])
    with Teller(as_json=as_json, stream=stream, clock=lambda: next(times)) as teller:
        for _, activity in steps:
            teller(activity)
    return stream.getvalue()


def up(done: int) -> Activity:
    return Activity(doing=UPLOADING, done=done, total=1000)


def test_lines_for_programs() -> None:
    steps = [
        (0.0, Activity(doing="syncing")),
        (1.0, up(0)),
        (1.1, up(10)),  # too soon
        (2.0, up(100)),
        (3.0, up(50)),  # sent again
        (4.0, up(1000)),
        (4.1, up(1000)),  # told already
        (4.2, Activity(doing="opening", done=1, total=2, unit="files")),
    ]
    lines = [json.loads(line) for line in told(steps, io.StringIO(), as_json=True).splitlines()]
    assert all(list(line) == KEYS for line in lines)
    assert [(line["doing"], line["done"], line["rate"], line["remaining_seconds"]) for line in lines] == [
        ("syncing", 0, None, None),
        ("uploading", 0, None, None),
        ("uploading", 100, 100.0, 9),
        ("uploading", 50, 25.0, 38),
        ("uploading", 1000, 333.333, 0),
        ("opening", 1, None, None),
    ]
    assert lines[-1]["unit"] == "files"


def test_the_page_shows_the_keys_and_every_word() -> None:
    page = PAGE.read_text()
    (example,) = re.findall(r"^    (\{.*\})$", page, re.MULTILINE)
    assert list(json.loads(example)) == KEYS
    import app.client.activity as words

    for name, word in vars(words).items():
        if name.isupper():
            assert f"| `{word}` |" in page


def test_no_terminal_and_no_json_is_silence() -> None:
    assert told([(0.0, up(0)), (9.0, up(1000))], io.StringIO(), as_json=False) == ""


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(-1000, 1000)), max_size=50))
def test_lines_are_never_nearer_than_half_a_second_except_the_last(gaps: list[tuple[float, int]]) -> None:
    at = itertools.accumulate(gap for gap, _ in gaps)
    done = itertools.accumulate((count for _, count in gaps), initial=10_000)
    steps = [(now, Activity(doing="x", done=n, total=10**6)) for now, n in zip(at, done, strict=False)]
    lines = told(steps, io.StringIO(), as_json=True).splitlines()
    spans = (steps[-1][0] - steps[0][0]) / EVERY_SECONDS if steps else -1
    assert len(lines) <= spans + 1
    assert all(json.loads(line)["rate"] is None or json.loads(line)["rate"] >= 0 for line in lines)


def test_a_rate_is_of_the_last_ten_seconds() -> None:
    pace = Pace()
    assert pace.at(0.0, 0) is None
    assert pace.at(0.1, 1000) is None
    for second in range(1, 31):
        rate = pace.at(float(second), 1000 + 10 * second)
    assert rate == pytest.approx(10.0)
    assert remaining(900, 1000, 10.0) == 10
    assert remaining(901, 1000, 10.0) == 10
    assert remaining(1000, 1000, 10.0) == 0
    assert remaining(0, 1000, 0.0) is None
    assert remaining(0, None, 10.0) is None


def test_what_a_person_reads() -> None:
    assert text_of(Activity(doing=UPLOADING, done=5 << 30, total=50 << 30), 20 << 20) == (
        "5.0 GiB of 50.0 GiB · 20.0 MiB/s · 38 min 24 s left"
    )
    assert text_of(Activity(doing="x", done=5, total=50, unit="entries"), None) == "5 entries of 50 entries"
    assert text_of(Activity(doing=UPLOADING, done=0, total=50), 0.0).endswith("waiting")
    assert text_of(Activity(doing="syncing"), None) == ""
    assert [human_time(each) for each in (59, 61, 3700, 90_000)] == ["59 s", "1 min 1 s", "1 h 1 min", "1 days 1 h"]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    told([(0.0, up(0)), (9.0, up(1000))], shown, as_json=False)
    assert "uploading" in shown.getvalue()
    assert "1000 bytes of 1000 bytes" in shown.getvalue()
