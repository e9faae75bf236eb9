"""What a long task is doing, and how far it is: one value, told often; faces show it (`app.cli.progress`)."""

from collections.abc import Callable
from dataclasses import dataclass

SYNCING = "syncing"
COMPARING = "comparing"
UPLOADING = "uploading"
FINISHING = "finishing"
DOWNLOADING = "downloading"
OPENING = "opening"
PUBLISHING = "publishing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """`doing` is one of the words above; `done` of `total` (None: not known) in `unit`, `bytes` if nothing is said.

    Bytes are those of the ciphertext, except for `opening`, which counts plaintext. `done` may fall: a segment that a
    lost connection cut off is sent again from its beginning.
    """

    doing: str
    done: int = 0
    total: int | None = None
    unit: str = "bytes"


Progress = Callable[[Activity], None]
"""Called from any thread, often; must return quickly."""


def silent(_activity: Activity) -> None:
    """Tell nobody."""
