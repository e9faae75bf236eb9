"""A witness's folder: `witness.toml`, its keys, its memory.

    witness.toml         name = "…", listen = "HOST:PORT", logs = ["<verifier key>", …]
    ed25519.pem          PKCS#8, mode 0600: cosignatures of type 0x04
    mldsa44.pem          PKCS#8, mode 0600: cosignatures of type 0x06, where it is
    memory.sqlite        what it cosigned last; see `app.witness.memory`

A lost key means a new witness with another name. A lost memory, or an older copy put back, would let the key sign a
fork: then the key is retired too. So a folder with keys and without its memory is refused.
"""

import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from app.config import parse_listen
from app.errors import BadInput, Mismatch
from app.service.keyfiles import load_seed, write_new, write_seed
from app.witness.memory import bind, check_bound
from ledger.cosignature import Cosigner, Ed25519Cosigner, MLDSA44Cosigner
from ledger.errors import LedgerError
from ledger.note import KeyType, VerifierKey
from ledger.text import check_key_name
from storage.ports import RecordStore
from storage.sqlite import SqliteRecordStore

CONFIG, ED25519, MLDSA44, MEMORY = "witness.toml", "ed25519.pem", "mldsa44.pem", "memory.sqlite"
DEFAULT_LISTEN = "127.0.0.1:7380"
MAX_CONFIG_BYTES = 1_000_000

_KEYS = ("name", "listen", "logs")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """A witness's name (part of its keys for ever), where it listens, and the logs that it cosigns."""

    name: str
    host: str
    port: int
    logs: tuple[VerifierKey, ...]


async def make_folder(
    folder: Path, name: str, *, listen: str = DEFAULT_LISTEN, logs: Sequence[str] = (), post_quantum: bool = True
) -> tuple[VerifierKey, ...]:
    """Make a new witness in `folder` (made, mode 0700, if absent); return its verifier keys, to be published.

    Raises BadInput (`exists`, `bad_setting`) and leaves what is.
    """
    text = _format(name, listen, logs)
    _parse(tomllib.loads(text))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any((folder / each).exists() for each in (CONFIG, ED25519, MLDSA44, MEMORY)):
        raise BadInput(
            f"{folder} holds a witness already", "Choose another folder; nothing was changed.", code="exists"
        )
    write_seed(folder / ED25519, secrets.token_bytes(32))
    if post_quantum:
        key = MLDSA44PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new(folder / MLDSA44, pem, mode=0o600)
    cosigners = load_cosigners(folder, name)
    records = await SqliteRecordStore.open(folder / MEMORY)
    try:
        await bind(records, cosigners)
    finally:
        await records.close()
    write_new(folder / CONFIG, text.encode(), mode=0o644)
    return tuple(cosigner.key for cosigner in cosigners)


def load_witness_settings(folder: Path, more_logs: Sequence[str] = ()) -> WitnessSettings:
    """Read `witness.toml`; `more_logs` are verifier keys beside those in it. Raises BadInput."""
    file = folder / CONFIG
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_CONFIG_BYTES)
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise BadInput(
            f"{file} cannot be read: {error.strerror}",
            "Make a witness first: muniment witness --dir DIR --init NAME",
            code="no_config",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML: {error}", "Correct that line.", code="no_config") from error
    logs = table.get("logs", [])
    return _parse({**table, "logs": [*logs, *more_logs] if isinstance(logs, list) else logs})


def load_cosigners(folder: Path, name: str) -> tuple[Cosigner, ...]:
    """The witness's keys under its name: Ed25519, then ML-DSA-44 where there is one. Raises BadInput."""
    ed25519 = Ed25519Cosigner(name, Ed25519PrivateKey.from_private_bytes(load_seed(folder / ED25519)))
    path = folder / MLDSA44
    return (ed25519, MLDSA44Cosigner(name, _load_mldsa(path))) if path.exists() else (ed25519,)


async def open_memory(folder: Path, cosigners: Sequence[Cosigner]) -> RecordStore:
    """Open the memory, which must be there and belong to these keys.

    Raises Mismatch (`lost_memory`, `other_memory`).
    """
    path = folder / MEMORY
    if not path.exists():
        raise Mismatch(
            f"the witness's memory {path} is not there",
            "Put it back, but never an older copy. If it is lost, retire this key: make a witness with another name.",
            code="lost_memory",
        )
    records = await SqliteRecordStore.open(path)
    try:
        await check_bound(records, cosigners)
    except BaseException:
        await records.close()
        raise
    return records


def _parse(table: dict[str, object]) -> WitnessSettings:
    for key in table:
        if key not in _KEYS:
            raise _bad(key, "is not a setting", f"The settings are {', '.join(_KEYS)}.")
    name, listen, logs = table.get("name"), table.get("listen", DEFAULT_LISTEN), table.get("logs", [])
    if not isinstance(name, str):
        raise _bad("name", "is missing or no text", 'Add a line name = "witness.example/w1".')
    try:
        check_key_name(name, "the witness's name")
    except LedgerError as error:
        raise _bad("name", f"is {name[:100]!r}", error.message) from error
    if len(name.encode()) > 255:
        raise _bad("name", "is longer than 255 bytes", "Take a shorter name, such as a domain and a path.")
    if not isinstance(listen, str):
        raise _bad("listen", "is no text", "Write it as HOST:PORT.")
    if not isinstance(logs, list) or not all(isinstance(each, str) for each in logs):
        raise _bad("logs", "is no list of texts", 'Write it as ["<verifier key>", …].')
    host, port = parse_listen(listen)
    return WitnessSettings(name=name, host=host, port=port, logs=tuple(_log(each) for each in logs))


def _log(text: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(text)
    except LedgerError as error:
        raise _bad("logs", f"holds {text[:100]!r}", error.message) from error
    if key.type is not KeyType.ED25519:
        raise _bad("logs", f"holds a key of type 0x{key.type:02x}", "A log's own key has type 0x01.")
    return key


def _load_mldsa(path: Path) -> MLDSA44PrivateKey:
    try:
        if os.stat(path).st_mode & 0o077:
            raise _bad_key(path, "is open to others", f"Run: chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _bad_key(path, f"cannot be read: {error.strerror}", "Put it back from the backup.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _bad_key(path, "is not a PKCS#8 PEM key without passphrase", "Put it back from the backup.") from error
    if not isinstance(key, MLDSA44PrivateKey):
        raise _bad_key(path, "is not an ML-DSA-44 key", "Put the right file there.")
    return key


def _format(name: str, listen: str, logs: Sequence[str]) -> str:
    lines = ["# A C2SP witness. The name is part of its keys: another name is another witness."]
    lines += [f"name = {_quoted(name)}", f"listen = {_quoted(listen)}", "logs = ["]
    lines += [f"  {_quoted(each)}," for each in logs]
    return "\n".join([*lines, "]\n"])


def _quoted(text: str) -> str:
    if re.search(r'[\x00-\x1f\x7f"\\]', text):
        raise BadInput(f"{text[:100]!r} has a quote, a backslash or a control character", "Write it without.")
    return f'"{text}"'


def _bad(key: str, problem: str, remedy: str) -> BadInput:
    return BadInput(f"the setting {key[:60]!r} {problem}", remedy, code="bad_setting")


def _bad_key(path: Path, problem: str, remedy: str) -> BadInput:
    return BadInput(f"the key file {path} {problem}", remedy, code="bad_key_file")
