"""The two rules of a blob's lock, the same in every adapter that keeps locks itself.

These locks bind this software only: whoever owns the disk can still remove a file. See decision 0002.
"""

from storage.errors import Locked
from storage.ports import BlobStat

MAX_TIME = 2**53 - 1
"""The last Unix second that every engine and every JSON reader takes."""


def check_retain_until(retain_until: int) -> None:
    """Refuse what is no Unix second: a caller's mistake, hence ValueError."""
    if not 0 <= retain_until <= MAX_TIME:
        raise ValueError(f"retain_until is {retain_until}, not 0 to {MAX_TIME}")


def refuse_locked(stat: BlobStat, now: int) -> None:
    """Raise Locked when a hold or the retention forbids to remove this blob at `now` (Unix seconds)."""
    if stat.hold:
        raise Locked(f"the blob {stat.key} is under a legal hold", "Lift the hold first, if the law allows it.")
    if now < stat.retain_until:
        raise Locked(f"the blob {stat.key} is locked until {stat.retain_until} (now {now})", "Wait until then.")


def refuse_shorter(stat: BlobStat, retain_until: int) -> None:
    """Raise Locked when `retain_until` (Unix seconds) is before the lock that stands."""
    if retain_until < stat.retain_until:
        raise Locked(
            f"the lock of {stat.key} stands until {stat.retain_until} and cannot be shortened to {retain_until}",
            "Name the same time or a later one.",
        )
