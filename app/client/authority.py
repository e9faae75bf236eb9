"""The authority's office keys: each an age file under a passphrase, kept offline. They sign approvals alone."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.client.files import read_file, write_file
from app.errors import BadInput, Mismatch
from app.fields import Hex, read_record, write_record
from app.sealing.age import decrypt_bytes, encrypt_bytes
from app.sealing.header import Rng
from app.sealing.scrypt import LOG_N, Passphrase

MAX_KEY_FILE_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyFile:
    format: Literal["muniment-authority-key/v1"] = "muniment-authority-key/v1"
    seed: Annotated[bytes, Hex(32)] = field(repr=False)


def write_authority_key(path: Path, seed: bytes, passphrase: str, *, rng: Rng = os.urandom, log_n: int = LOG_N) -> None:
    """Write a key (its 32-byte seed) to a new file. Raises BadInput (already_there)."""
    if path.exists():
        raise BadInput(f"{path} exists already", "Choose another file.", code="already_there")
    text = format_json(write_record(_KeyFile(seed=seed)))
    write_file(path, encrypt_bytes(text.encode(), [Passphrase(passphrase, log_n=log_n)], rng))


def load_authority_key(path: Path, passphrase: str) -> bytes:
    """Return the 32-byte seed of a key file. Raises BadInput, Mismatch (wrong_passphrase)."""
    data = read_file(path, "the authority's key", most=MAX_KEY_FILE_BYTES)
    try:
        text = decrypt_bytes(data, [Passphrase(passphrase)])
    except Mismatch as error:
        if error.code != "no_matching_key":
            raise
        raise Mismatch(f"the passphrase does not open {path}", "Type it again.", code="wrong_passphrase") from None
    return read_record(_KeyFile, parse_json(text, what="the key file", max_bytes=MAX_KEY_FILE_BYTES), "the key").seed
