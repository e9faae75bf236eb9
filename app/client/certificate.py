"""Asking for certificates. What was asked for and could not be issued now is remembered, encrypted, and asked again.

A certificate comes from a service that is believed in nothing: it is verified like any other before it is kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.client.files import write_file
from app.client.home import Vault
from app.errors import BadInput
from app.fields import Int, Many, Parsed, Text, read_record, write_record
from app.statements.kinds import Id

MAX_WISH_BYTES = 65_536


def _as_is(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate that a holder asked for: of which deposit, what it discloses, and where it goes."""

    format: Literal["muniment-wanted/v1"] = "muniment-wanted/v1"
    deposit_id: Id
    disclose: Annotated[tuple[Annotated[str, Text(20)], ...], Many(most=16)]
    items: Annotated[tuple[Annotated[int, Int(1, 100_000)], ...], Many(most=4096)]
    lang: Literal["en", "zh", "en+zh"]
    annexes: Annotated[tuple[Literal["cn", "eu", "us"], ...], Many(most=3)]
    record: Annotated[str, Parsed(_as_is)] | None
    """The absolute path of a release record that shows an opening."""
    output: Annotated[str, Parsed(_as_is)]
    """The absolute path of the file."""


def remember(vault: Vault, wanted: Wanted) -> None:
    """Queue what could not be issued now: one certificate a deposit, the newest wish."""
    vault.put("certificates", wanted.deposit_id.hex(), format_json(write_record(wanted)).encode())


def waiting(vault: Vault) -> tuple[Wanted, ...]:
    """Everything that is queued. Raises BadInput where a remembered wish cannot be read."""
    found = []
    for name in vault.names("certificates"):
        data = vault.get("certificates", name)
        if data is None:
            continue
        value = parse_json(data, what="a queued certificate", max_bytes=MAX_WISH_BYTES)
        found.append(read_record(Wanted, value, "a queued certificate"))
    return tuple(found)


def done(vault: Vault, wanted: Wanted) -> None:
    """Forget a wish that was fulfilled."""
    vault.delete("certificates", wanted.deposit_id.hex())


def replace_file(path: Path, pdf: bytes) -> None:
    """Put a longer version of a certificate in the place of the one that it begins with; whole or not at all.

    Raises BadInput (not_longer) where it does not begin with what stands there.
    """
    if not pdf.startswith(path.read_bytes()):
        raise BadInput(
            f"what the service gave back does not begin with {path}",
            "Nothing was written. Keep your file; tell the registry.",
            code="not_longer",
        )
    write_file(path, pdf, mode=0o644)
