"""Times for people."""

from datetime import UTC, datetime


def time_text(seconds: int) -> str:
    """Unix seconds as people write them; as they are where no calendar goes."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} seconds after 1970"
