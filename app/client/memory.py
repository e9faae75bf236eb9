"""Memory that holds secrets is never written to a disk by a crash: no core dumps, no reading by other processes.

What the system itself writes out, swap and hibernation, is for the disk's own encryption; Python cannot erase memory.
"""

import contextlib
import ctypes
import sys

_PR_SET_DUMPABLE = 4


def no_dumps() -> None:
    """Forbid core dumps of this process and, on Linux, its memory to other processes of the same user.

    Called before the first secret is in memory. What a system does not offer is left out: nothing fails for it.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on Windows

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            # Also keeps a core from a handler that the system pipes dumps to, which no limit stops.
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
