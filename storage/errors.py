"""What a store can answer instead of a result.

    StorageError
    ├── NotFound        nothing under that name
    ├── AlreadyExists   something stands under that name; it was not touched
    ├── Conflict        the record changed since it was read; it was not touched
    ├── Locked          retention or a legal hold forbids it; nothing was touched
    ├── Damaged         the bytes are not those that were declared or stored
    ├── BadName         a key, kind, id or place that this store cannot take
    └── Unavailable     the store did not answer: the outcome is UNKNOWN, so read before any retry
        └── Full        it has no room: making some comes before any retry

Each carries `code` (a stable slug), `message` (what is the case now) and `next_step` (what the reader can do).
"""


class StorageError(Exception):
    """Base of everything that a store raises."""

    code = "storage_error"

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class NotFound(StorageError):
    """Nothing stands under that name."""

    code = "not_found"


class AlreadyExists(StorageError):
    """Something stands under that name already; it was not touched."""

    code = "already_exists"


class Conflict(StorageError):
    """The record is not at the revision that the caller read; it was not touched."""

    code = "conflict"


class Locked(StorageError):
    """A retention date or a legal hold forbids the act; nothing was touched."""

    code = "locked"


class Damaged(StorageError):
    """The bytes are not those that were declared (on writing: nothing was kept) or stored (on reading)."""

    code = "damaged"


class BadName(StorageError):
    """A key, kind, id or place that the store cannot take."""

    code = "bad_name"


class Unavailable(StorageError):
    """The store did not answer. The outcome of a write is unknown: read before any retry."""

    code = "unavailable"


class Full(Unavailable):
    """The store has no room for the write. What stands there is untouched; reading goes on."""

    code = "store_full"
