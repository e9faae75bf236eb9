"""The SQLite file itself: is it ours, how it is made, and how a connection to it is set.

A file is ours when its application_id is "MUNI" and its user_version is the one this code knows. Anything else is
refused before a byte of it changes. SQLite itself recovers after a kill: the first connection replays what the
write-ahead log holds whole, and ignores a torn end.
"""

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from storage.errors import BadName, Unavailable
from storage.group_commit import translated

APPLICATION_ID = 0x4D554E49  # "MUNI"
USER_VERSION = 1
BUSY_SECONDS = 10.0

# Not WITHOUT ROWID: rows of megabytes would make its tree slow. Binary collation: ids sort by their bytes.
_SCHEMA = """
CREATE TABLE record (
    kind TEXT NOT NULL COLLATE BINARY,
    id TEXT NOT NULL COLLATE BINARY,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    data BLOB NOT NULL CHECK (typeof(data) = 'blob'),
    PRIMARY KEY (kind, id)
)"""


def prepare(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
    """Make the file if it is absent or empty, and check that it is ours. Blocks.

    Raises BadName when it is another program's file or a later version's, Unavailable when the disk does not answer.
    """
    try:
        new = _touch(path)
        size = path.stat().st_size
        # SQLite takes a file shorter than its smallest page for an empty database, and would write over it.
        if 0 < size < 512:
            raise BadName(f"{path} is not an SQLite file", "Name another file; this one was not touched.")
        if not new and size > 0 and _check(path, busy_seconds):
            return
        _create(path, busy_seconds)
        _sync_folder(path.parent)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_NOTADB"):
            raise BadName(f"{path} is not an SQLite file", "Name another file; this one was not touched.") from error
        raise translated(error) from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}", "Look at the folder and its permissions.") from error


def connect(path: Path, *, read_only: bool, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Return a connection in autocommit mode to a prepared file. It may be handed to another thread."""
    connection = _open(path, "rw", busy_seconds)
    try:
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        elif _turn_on_log(connection, busy_seconds) != "wal":
            raise BadName(f"{path} lies where SQLite can keep no write-ahead log", "Use a local disk.")
        # FULL flushes the log at every commit, before any reader can see it. fullfsync matters on macOS only.
        for pragma in ("synchronous = FULL", "fullfsync = ON", "trusted_schema = OFF", "journal_size_limit = 67108864"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _turn_on_log(connection: sqlite3.Connection, busy_seconds: float) -> str:
    """Return the journal mode after asking for WAL. SQLite does not wait for others here, so this does."""
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return str(mode)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def _touch(path: Path) -> bool:
    """Make an empty file readable by its owner only; SQLite gives its log the same mode. Return whether it is new."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Not opened: closing any descriptor of the file would drop this process's SQLite locks on it (POSIX).
        if not path.is_file():
            raise BadName(f"{path} is not a file", "Name a file in an existing folder.") from None
        return False
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadName(f"the folder {path.parent} does not exist", "Make it, or name another.") from error
    return True


def _check(path: Path, busy_seconds: float) -> bool:
    """Return True when the file is ours, False when it holds nothing yet. Raises BadName when it is not ours."""
    connection = _open(path, "ro", busy_seconds)
    try:
        return _is_ours(connection, path)
    finally:
        connection.close()


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application_id, user_version, objects) == (0, 0, 0):
        return False
    if application_id != APPLICATION_ID:
        raise BadName(
            f"{path} is another program's SQLite file (application_id {application_id})",
            "Name another file; this one was not touched.",
        )
    if user_version != USER_VERSION:
        raise BadName(
            f"{path} has the format {user_version}; this release knows {USER_VERSION}",
            "Use the release of Muniment that wrote it.",
        )
    return True


def _create(path: Path, busy_seconds: float) -> None:
    """Write id, version and schema in one transaction: a kill leaves all or nothing."""
    connection = _open(path, "rw", busy_seconds)
    try:
        connection.execute("BEGIN IMMEDIATE")
        if not _is_ours(connection, path):  # another process may have been first
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {USER_VERSION}")
            connection.execute(_SCHEMA)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _open(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
