"""Key files of the service: one Ed25519 key, PKCS#8 PEM without passphrase, mode 0600.

The service must start unattended, so its two keys (log, service) lie on its disk readable by its own user alone; a file
that others may read is refused. Losing them: docs/operate. They are no identity of a person.
"""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.errors import BadInput

MAX_BYTES = 4096


def load_seed(path: Path) -> bytes:
    """Return the 32-byte seed of an Ed25519 key file. Raises BadInput (`bad_key_file`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_BYTES)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}", "Put it back from the backup.") from error
    if mode & 0o077:
        raise _bad(path, f"is open to others (mode {mode:04o})", f"Run: chmod 600 {path}")
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _bad(path, "is not a PKCS#8 PEM key without passphrase", "Put it back from the backup.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad(path, "is not an Ed25519 key", "Put the right file there.")
    return key.private_bytes_raw()


def write_seed(path: Path, seed: bytes) -> None:
    """Write a 32-byte seed as a new key file of mode 0600, durable. Raises BadInput (`exists`) and leaves what is."""
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, pem, mode=0o600)


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a new file, durable; never over another. Raises BadInput (`exists`)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise BadInput(
            f"{path} exists already", "Choose another folder; nothing was changed.", code="exists"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bad(path: Path, problem: str, remedy: str) -> BadInput:
    return BadInput(f"the key file {path} {problem}", remedy, code="bad_key_file")
