"""What a depositor keeps of a deposit: its inventory with every disclosure, and its manifest. Never a key to it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.client.files import MAX_FILE_BYTES
from app.client.home import Vault
from app.errors import BadInput
from app.fields import Parsed, read_record, write_record
from app.sealing.inventory import Inventory, parse_inventory
from app.statements.kinds import Id


def _any_text(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    format: Literal["muniment-kept/v1"] = "muniment-kept/v1"
    deposit_id: Id
    inventory: Annotated[str, Parsed(_any_text)]
    manifest: Annotated[str, Parsed(_any_text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A deposit as its depositor remembers it."""

    inventory: Inventory
    manifest: str


def keep(vault: Vault, deposit_id: bytes, inventory: str, manifest: str) -> None:
    """Keep a deposit's disclosures, encrypted."""
    kept = _Kept(deposit_id=deposit_id, inventory=inventory, manifest=manifest)
    vault.put("kept", deposit_id.hex(), format_json(write_record(kept)).encode())


def forget(vault: Vault, deposit_id: bytes) -> None:
    """Destroy what was kept: for a deposit that never came to be."""
    vault.delete("kept", deposit_id.hex())


def kept_ids(vault: Vault) -> tuple[bytes, ...]:
    """The deposits that something was kept of."""
    return tuple(bytes.fromhex(each) for each in vault.names("kept"))


def kept(vault: Vault, deposit_id: bytes) -> Kept:
    """Read what was kept. Raises BadInput (not_kept)."""
    data = vault.get("kept", deposit_id.hex())
    if data is None:
        raise BadInput(
            f"nothing was kept of the deposit {deposit_id.hex()} in this folder",
            "Only the depositor's own MUNIMENT_HOME holds its disclosures.",
            code="not_kept",
        )
    value = parse_json(data, what="the kept disclosures", max_bytes=MAX_FILE_BYTES)
    found = read_record(_Kept, value, "the kept disclosures")
    return Kept(inventory=parse_inventory(found.inventory), manifest=found.manifest)
