"""Times for people."""

import pytest

from app.times import time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01 00:00:00 UTC"),
        (1795625970, "2026-11-25 16:59:30 UTC"),
        (2**53 - 1, "9007199254740991 seconds after 1970"),
    ],
)
def test_times_as_people_write_them(seconds: int, text: str) -> None:
    assert time_text(seconds) == text
