"""What an upload needs to be resumed: the deposit's secrets, encrypted for the depositor, until it is accepted.

`uploads/ID.age`           the plan: secret, keys and paths of the items, words; written before anything is sealed
`uploads/ID.inventory.age` the inventory, written before it is sealed
`uploads/ID.final.age`     manifest, boxes and the signed statement, written before the statement is posted
`uploads/ID.journal`       a line a segment: item, number, SHA-256 of its ciphertext; durable before the segment leaves

The journal holds nothing that the service does not see. After acceptance all of it is destroyed.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from app.canonical import format_json, parse_json
from app.client.files import MAX_FILE_BYTES, destroy_file, make_folder, sync_folder, unwritable
from app.client.home import Home, Vault
from app.errors import BadInput
from app.fields import B64, Hex, Int, Many, Parsed, read_record, write_record
from app.statements.kinds import MAX_ITEMS, Capsule, Digest, Id


def _any_text(text: str, _what: str) -> str:
    return text


T = TypeVar("T")

Words = Annotated[str, Parsed(_any_text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """A file to be sealed: where it lies, what it is called, what was seen of it, and the keys for it alone."""

    path: Words
    name: Words
    type: Words
    size: Annotated[int, Int()]
    modified_ns: Words
    """Decimal: nanoseconds do not fit the integers of JSON."""
    keys: Annotated[bytes, Hex(64)] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is decided before the first byte is sealed."""

    format: Literal["muniment-upload/v1"] = "muniment-upload/v1"
    deposit_id: Id
    case_id: Id
    panels: Annotated[tuple[Digest, ...], Many(least=1, most=3)]
    secret: Annotated[bytes, Hex(32)] = field(repr=False)
    items: Annotated[tuple[PlannedItem, ...], Many(least=1, most=MAX_ITEMS)]
    inventory_keys: Annotated[bytes, Hex(64)] = field(repr=False)
    description: Words | None
    origin: Words | None
    words: Words | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBox:
    """A capsule, and the box that goes with it (48 bytes: secret from whoever may be able to open it)."""

    capsule: Capsule
    box: Annotated[bytes, B64(48)] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What is posted in the end. The same bytes are posted again when the outcome is unknown."""

    manifest: Words
    boxes: tuple[SealedBox, ...]
    statement: Words


class UploadStore:
    """The upload states of one person."""

    def __init__(self, home: Home, vault: Vault) -> None:
        self._folder, self._vault = home.path / "uploads", vault

    def ids(self) -> tuple[bytes, ...]:
        """The deposits that are not finished."""
        return tuple(bytes.fromhex(name) for name in self._vault.names("uploads") if "." not in name)

    def plan(self, deposit_id: bytes) -> Plan | None:
        """The plan of a deposit, or None."""
        return self._read(Plan, deposit_id.hex())

    def set_plan(self, plan: Plan) -> None:
        """Keep a plan."""
        self._write(plan.deposit_id.hex(), plan)

    def inventory(self, deposit_id: bytes) -> bytes | None:
        """The text of the inventory, or None."""
        return self._vault.get("uploads", f"{deposit_id.hex()}.inventory")

    def set_inventory(self, deposit_id: bytes, text: bytes) -> None:
        """Keep the inventory."""
        self._vault.put("uploads", f"{deposit_id.hex()}.inventory", text)

    def final(self, deposit_id: bytes) -> Final | None:
        """What is to be posted, or None."""
        return self._read(Final, f"{deposit_id.hex()}.final")

    def set_final(self, deposit_id: bytes, final: Final) -> None:
        """Keep what is to be posted."""
        self._write(f"{deposit_id.hex()}.final", final)

    def signed(self, deposit_id: bytes) -> bool:
        """Whether a statement was signed, so that it may have been posted and accepted."""
        return f"{deposit_id.hex()}.final" in self._vault.names("uploads")

    def journal(self, deposit_id: bytes) -> "Journal":
        """The journal of a deposit."""
        return Journal(self._folder / f"{deposit_id.hex()}.journal")

    def tidy(self) -> None:
        """Destroy what is no upload's: what an interrupted destruction left (the secret had gone first), and plans
        that were being written. Only for whoever holds the home's lock.
        """
        plans = {each.hex() for each in self.ids()}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name.partition(".")[0] not in plans:
                destroy_file(path)

    def destroy(self, deposit_id: bytes) -> None:
        """Destroy everything about an upload; what holds the secret goes first."""
        name = deposit_id.hex()
        for each in (name, f"{name}.final", f"{name}.inventory"):
            self._vault.delete("uploads", each, last=False)
        destroy_file(self._folder / f"{name}.journal", last=False)
        if self._folder.is_dir():
            sync_folder(self._folder)  # once for all four

    def _read(self, record: type[T], name: str) -> T | None:
        data = self._vault.get("uploads", name)
        if data is None:
            return None
        return read_record(record, parse_json(data, what="the upload's state", max_bytes=MAX_FILE_BYTES), "the state")

    def _write(self, name: str, value: object) -> None:
        self._vault.put("uploads", name, format_json(write_record(value)).encode())


class Journal:
    """The hashes of the segments that were sealed, in the order in which they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hashes: dict[int, list[bytes]] = {}
        if path.exists():
            *lines, torn = path.read_bytes().split(b"\n")
            for line in lines:
                self._take(line)
            if torn:
                # A line without its end was cut off by a crash: its segment had not left.
                os.truncate(path, path.stat().st_size - len(torn))

    def recorded(self, item: int) -> tuple[bytes, ...]:
        """The hashes of the first segments of an item."""
        return tuple(self._hashes.get(item, ()))

    def record(self, item: int, segment: int, sha256: bytes) -> None:
        """Record a segment, durably; nothing happens when it stands there already. Raises Full, BadInput (unwritable);
        the segment must not leave then, and what was written of its line is cut off when the journal is read again.
        """
        known = self._hashes.setdefault(item, [])
        if segment < len(known):
            return
        try:
            self._append(f"{item} {segment} {sha256.hex()}\n".encode())
        except OSError as error:
            raise unwritable(self._path, error) from error
        known.append(sha256)

    def _append(self, line: bytes) -> None:
        make_folder(self._path.parent)
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while line:  # a disk that is nearly full takes a part of it
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self._path.parent)

    def _take(self, line: bytes) -> None:
        words = line.split(b" ")
        try:
            item, segment, sha256 = int(words[0]), int(words[1]), bytes.fromhex(words[2].decode("ascii"))
        except (ValueError, IndexError):
            item, segment, sha256 = -1, -1, b""
        known = self._hashes.setdefault(item, [])
        if len(words) != 3 or len(sha256) != 32 or segment != len(known):
            raise BadInput(
                f"the journal {self._path} is damaged",
                "Remove this upload and start the deposit over.",
                code="damaged_home",
            )
        known.append(sha256)
