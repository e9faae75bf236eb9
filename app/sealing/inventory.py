"""The inventory: item 0 of a deposit, sealed like the rest. What the items are, and the openings of all hidden slots.

Names in it come from the depositor's machine and are hostile to the one who opens it: `names.safe_output_name` makes
file names of them. The list of disclosures is closed: name, type, size, sha256 and parts (null) of each item in order,
then description and origin of the deposit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.canonical import format_json, parse_json, take_hex, take_int, take_list, take_object, take_str
from app.errors import BadInput, Mismatch
from app.sealing.header import Rng
from app.sealing.manifest import SLOT_NAMES, ItemSlots, Manifest
from app.sealing.segments import item_length
from app.statements.disclosure import (
    SALT_BYTES,
    NamedDisclosure,
    make_disclosure,
    open_disclosure,
    parse_named_disclosure,
    slot_of,
)
from app.statements.kinds import MAX_ITEMS

FORMAT = "muniment-inventory/v1"
DEPOSIT_SLOT_NAMES = ("description", "origin")
MAX_INVENTORY_BYTES = 32 * 1024 * 1024
MAX_NAME_BYTES = 1024
MAX_TYPE_BYTES = 255
MAX_WORDS_BYTES = 32 * 1024
"""The description, and the origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryItem:
    """One file: its name and media type as declared, plaintext size in bytes, plaintext SHA-256 (32 bytes)."""

    name: str
    type: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a deposit holds. `items[i]` is item i + 1 of the manifest."""

    deposit_id: bytes
    case_id: bytes
    items: tuple[InventoryItem, ...]
    description: str | None
    origin: str | None
    disclosures: tuple[NamedDisclosure, ...]

    def item_slots(self, index: int) -> ItemSlots:
        """Return the slots of manifest item `index`, from 1, as they stand in the manifest."""
        own = self.disclosures[(index - 1) * len(SLOT_NAMES) : index * len(SLOT_NAMES)]
        return ItemSlots(**{each.slot: slot_of(each.disclosure) for each in own})

    def deposit_slots(self) -> dict[str, str]:
        """Return the slots `description` and `origin` as they stand in the deposit statement."""
        return {each.slot: slot_of(each.disclosure) for each in self.disclosures[-len(DEPOSIT_SLOT_NAMES) :]}


def make_inventory(
    *,
    deposit_id: bytes,
    case_id: bytes,
    items: tuple[InventoryItem, ...],
    description: str | None,
    origin: str | None,
    rng: Rng,
) -> Inventory:
    """Draw a salt for every slot and return the inventory. Raises BadInput for values out of bounds."""
    bare = Inventory(
        deposit_id=deposit_id, case_id=case_id, items=items, description=description, origin=origin, disclosures=()
    )
    disclosures = tuple(
        NamedDisclosure(item=item, slot=slot, disclosure=make_disclosure(value, rng(SALT_BYTES)))
        for item, slot, value in _claims(bare)
    )
    return parse_inventory(
        _format(
            Inventory(
                deposit_id=deposit_id,
                case_id=case_id,
                items=items,
                description=description,
                origin=origin,
                disclosures=disclosures,
            )
        )
    )


def format_inventory(inventory: Inventory) -> str:
    """Return the canonical text."""
    return _format(inventory)


def parse_inventory(data: bytes | str) -> Inventory:
    """Read an inventory whose disclosures are complete, in order, and say what its items say.

    Raises BadInput (the codes of `app.canonical`, bad_inventory).
    """
    value = parse_json(data, what="the inventory", max_bytes=MAX_INVENTORY_BYTES, max_depth=3)
    keys = ("format", "deposit_id", "case_id", "items", "description", "origin", "disclosures")
    top = take_object(value, keys, "the inventory")
    if take_str(top["format"], "the inventory's format", max_bytes=100) != FORMAT:
        raise _bad(f"the inventory's format is not {FORMAT}")
    items = take_list(top["items"], "the inventory's items", min_items=1, max_items=MAX_ITEMS)
    count = len(SLOT_NAMES) * len(items) + len(DEPOSIT_SLOT_NAMES)
    given = take_list(top["disclosures"], "the inventory's disclosures", min_items=count, max_items=count)
    inventory = Inventory(
        deposit_id=take_hex(top["deposit_id"], "the inventory's deposit_id", size=16),
        case_id=take_hex(top["case_id"], "the inventory's case_id", size=16),
        items=tuple(_parse_item(item, f"item {index} of the inventory") for index, item in enumerate(items, 1)),
        description=_words(top["description"], "the description"),
        origin=_words(top["origin"], "the origin"),
        disclosures=tuple(parse_named_disclosure(each, "a disclosure of the inventory") for each in given),
    )
    for (item, slot, claimed), each in zip(_claims(inventory), inventory.disclosures, strict=True):
        what = f"the disclosure of {slot} of {'the deposit' if item is None else f'item {item}'}"
        if (each.item, each.slot) != (item, slot):
            raise _bad(f"{what} is not where it must stand")
        shown = open_disclosure(each.disclosure, slot_of(each.disclosure), what)
        if shown != claimed or type(shown) is not type(claimed):
            raise _bad(f"{what} shows another value than the inventory")
    return inventory


def check_inventory(
    inventory: Inventory, manifest: Manifest, *, deposit_id: bytes, case_id: bytes, deposit_slots: dict[str, str]
) -> None:
    """Raise Mismatch (inventory_mismatch) unless the inventory opens exactly what the deposit committed to.

    `deposit_slots` are `description` and `origin` of the deposit statement.
    """
    if (inventory.deposit_id, inventory.case_id) != (deposit_id, case_id):
        raise _mismatch("the inventory names another deposit or another case")
    if len(inventory.items) != len(manifest.items) - 1:
        raise _mismatch(f"the inventory has {len(inventory.items)} items, the manifest {len(manifest.items) - 1}")
    for index, (item, listed) in enumerate(zip(inventory.items, manifest.items[1:], strict=True), 1):
        if item_length(item.size) != listed.length:
            raise _mismatch(f"item {index} of {item.size} bytes cannot have a ciphertext of {listed.length}")
        if inventory.item_slots(index) != listed.slots:
            raise _mismatch(f"the inventory does not open the slots of item {index}")
    if inventory.deposit_slots() != deposit_slots:
        raise _mismatch("the inventory does not open the slots of the deposit statement")


def _claims(inventory: Inventory) -> Iterator[tuple[int | None, str, str | int | None]]:
    """Every slot and the value that it commits to, in the order of the disclosures."""
    for index, item in enumerate(inventory.items, 1):
        values = (item.name, item.type, item.size, item.sha256.hex(), None)
        for slot, value in zip(SLOT_NAMES, values, strict=True):
            yield index, slot, value
    yield None, "description", inventory.description
    yield None, "origin", inventory.origin


def _parse_item(value: object, what: str) -> InventoryItem:
    fields = take_object(value, ("name", "type", "size", "sha256"), what)
    return InventoryItem(
        name=take_str(fields["name"], f"the name of {what}", min_bytes=1, max_bytes=MAX_NAME_BYTES),
        type=take_str(fields["type"], f"the type of {what}", min_bytes=1, max_bytes=MAX_TYPE_BYTES),
        size=take_int(fields["size"], f"the size of {what}"),
        sha256=take_hex(fields["sha256"], f"the sha256 of {what}", size=32),
    )


def _format(inventory: Inventory) -> str:
    items = [
        {"name": item.name, "type": item.type, "size": item.size, "sha256": item.sha256.hex()}
        for item in inventory.items
    ]
    return format_json(
        {
            "format": FORMAT,
            "deposit_id": inventory.deposit_id.hex(),
            "case_id": inventory.case_id.hex(),
            "items": items,
            "description": inventory.description,
            "origin": inventory.origin,
            "disclosures": [each.to_json() for each in inventory.disclosures],
        }
    )


def _words(value: object, what: str) -> str | None:
    return None if value is None else take_str(value, what, min_bytes=1, max_bytes=MAX_WORDS_BYTES)


def _bad(message: str) -> BadInput:
    return BadInput(message, "The depositor's client wrote a wrong inventory; keep it.", code="bad_inventory")


def _mismatch(message: str) -> Mismatch:
    return Mismatch(message, "Keep everything as it is and tell the registrar.", code="inventory_mismatch")
