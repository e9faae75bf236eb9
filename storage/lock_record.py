"""The small file that stands beside each local blob and says what it is and until when it is locked.

    {"format":"muniment-lock/1","key":…,"version":…,"size":…,"sha256":HEX,"retain_until":…,"hold":…,"check":HEX}

UTF-8 JSON without space, exactly these members in this order; `check` is the SHA-256 of the text without that member.
It finds rot and torn writes, not forgery: whoever can write the file can compute it. Every other text is Damaged.
"""

import hashlib
import json
import re

from storage.errors import Damaged
from storage.locks import MAX_TIME
from storage.ports import BlobStat

FORMAT = "muniment-lock/1"
MAX_BYTES = 2048

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_VERSION = re.compile(r"[0-9a-f]{32}\Z")
_REMEDY = "Compare the blob with its recorded digest elsewhere and restore the record from a backup."


def format_lock_record(stat: BlobStat) -> bytes:
    """Return the record's exact bytes."""
    text = json.dumps(_members(stat), separators=(",", ":"))
    check = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-1]},"check":"{check}"}}'.encode()


def parse_lock_record(key: str, raw: bytes) -> BlobStat:
    """Return what the record of `key` says. Raises Damaged unless the bytes are exactly what would be written."""
    try:
        stat = _read(key, raw)
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise Damaged(f"the lock record of {key} cannot be read", _REMEDY) from error
    if format_lock_record(stat) != raw:
        raise Damaged(f"the lock record of {key} is not as it was written", _REMEDY)
    return stat


def _members(stat: BlobStat) -> dict[str, str | int | bool]:
    return {
        "format": FORMAT,
        "key": stat.key,
        "version": stat.version,
        "size": stat.size,
        "sha256": stat.sha256.hex(),
        "retain_until": stat.retain_until,
        "hold": stat.hold,
    }


def _read(key: str, raw: bytes) -> BlobStat:
    if len(raw) > MAX_BYTES:
        raise ValueError("too long")
    told = json.loads(raw.decode("ascii"))
    version, sha256, hold = told["version"], told["sha256"], told["hold"]
    size, retain_until = told["size"], told["retain_until"]
    # `bool` is an `int`, and `1 == True`: types are compared exactly, values by the re-encoding.
    if not (type(size) is int and type(retain_until) is int and type(hold) is bool):
        raise TypeError("members of other types")
    if not (_VERSION.match(version) and _HEX.match(sha256) and 0 <= size <= MAX_TIME and 0 <= retain_until <= MAX_TIME):
        raise ValueError("values out of range")
    return BlobStat(
        key=key, version=version, size=size, sha256=bytes.fromhex(sha256), retain_until=retain_until, hold=hold
    )
