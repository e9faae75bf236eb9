"""The day that a person types."""

from argparse import ArgumentTypeError
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.commands.retention import end_of_day


@given(st.dates())
def test_the_term_ends_with_the_day(day: date) -> None:
    end = end_of_day(day.isoformat())
    assert datetime.fromtimestamp(end - 1, UTC).date() == day
    assert end % 86_400 == 0


@pytest.mark.parametrize(
    "text",
    ["", "2050", "20500101", "2050-1-1", "2050-02-30", "0000-01-01", "2050-01-01T00", " 2050-01-01", "2050-01-01\n"],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        end_of_day(text)


@given(st.text(max_size=12))
def test_any_text_is_a_day_or_refused(text: str) -> None:
    try:
        end_of_day(text)
    except ArgumentTypeError:
        return
    assert date.fromisoformat(text).isoformat() == text
