"""The manifest: what the service may see of a deposit. Lengths, segment hashes and their roots, and hidden slots.

Item 0 is the inventory, which is sealed too and has no slots; the evidence is items 1 to N. The manifest's hash is the
SHA-256 of its exact canonical text, and capsules and the deposit statement name it.
"""

import hashlib
from dataclasses import dataclass

from app.canonical import format_json, parse_json, take_hex, take_int, take_list, take_object, take_str
from app.errors import BadInput
from app.sealing.segments import SEGMENT_BYTES, item_plain_size, item_root, segment_count
from app.statements.disclosure import check_slot
from app.statements.kinds import MAX_ITEMS

FORMAT = "muniment-manifest/v1"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Room for some 60,000 segments (2 TB), or for the most items and their first segments."""
SLOT_NAMES = ("name", "type", "size", "sha256", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSlots:
    """The hidden slots of one item, each 43 characters of base64url. `parts` is reserved and commits to null."""

    name: str
    type: str
    size: str
    sha256: str
    parts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestItem:
    """One item: ciphertext length in bytes, root and segment hashes (32 bytes each), slots (None for item 0)."""

    length: int
    root: bytes
    segments: tuple[bytes, ...]
    slots: ItemSlots | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All items of a deposit; `items[0]` is the inventory."""

    items: tuple[ManifestItem, ...]

    @property
    def total_bytes(self) -> int:
        """The ciphertext of all items together."""
        return sum(item.length for item in self.items)


def manifest_item(length: int, segments: tuple[bytes, ...], slots: ItemSlots | None) -> ManifestItem:
    """Return an item with its root computed."""
    return ManifestItem(length=length, root=item_root(segments), segments=segments, slots=slots)


def format_manifest(manifest: Manifest) -> str:
    """Return the canonical text. Raises BadInput for a manifest that `parse_manifest` would refuse."""
    text = _format(manifest)
    if parse_manifest(text) != manifest:
        raise BadInput("the manifest does not survive its own form", "Report this.", code="bad_manifest")
    return text


def manifest_hash(text: str) -> bytes:
    """Return the SHA-256 of the exact text, 32 bytes."""
    return hashlib.sha256(text.encode("utf-8")).digest()


def parse_manifest(data: bytes | str) -> Manifest:
    """Read a manifest: canonical, every length agreeing with its segments, every root with its hashes.

    Raises BadInput (the codes of `app.canonical`, impossible_length, wrong_segment_count, wrong_root, bad_manifest).
    """
    value = parse_json(data, what="the manifest", max_bytes=MAX_MANIFEST_BYTES, max_depth=4)
    top = take_object(value, ("format", "segment_bytes", "items"), "the manifest")
    if take_str(top["format"], "the manifest's format", max_bytes=100) != FORMAT:
        raise _bad("bad_manifest", f"the manifest's format is not {FORMAT}")
    take_int(top["segment_bytes"], "segment_bytes", minimum=SEGMENT_BYTES, maximum=SEGMENT_BYTES)
    items = take_list(top["items"], "the manifest's items", min_items=2, max_items=MAX_ITEMS + 1)
    return Manifest(items=tuple(_parse_item(item, index) for index, item in enumerate(items)))


def _parse_item(value: object, index: int) -> ManifestItem:
    what = f"item {index} of the manifest"
    fields = take_object(value, ("length", "root", "segments", "slots"), what)
    length = take_int(fields["length"], f"the length of {what}")
    item_plain_size(length)
    hashes = take_list(fields["segments"], f"the segments of {what}", min_items=1, max_items=MAX_MANIFEST_BYTES)
    if len(hashes) != segment_count(length):
        raise _bad(
            "wrong_segment_count", f"{what} lists {len(hashes)} segments; its length needs {segment_count(length)}"
        )
    segments = tuple(take_hex(each, f"segment {i} of {what}", size=32) for i, each in enumerate(hashes))
    root = take_hex(fields["root"], f"the root of {what}", size=32)
    if root != item_root(segments):
        raise _bad("wrong_root", f"the root of {what} is not that of its segments")
    if (fields["slots"] is None) != (index == 0):
        raise _bad("bad_manifest", f"{what}: item 0 has no slots, and every other item has them")
    slots = None
    if index > 0:
        given = take_object(fields["slots"], SLOT_NAMES, f"the slots of {what}")
        slots = ItemSlots(**{name: check_slot(given[name], f"the slot {name} of {what}") for name in SLOT_NAMES})
    return ManifestItem(length=length, root=root, segments=segments, slots=slots)


def _format(manifest: Manifest) -> str:
    items = [
        {
            "length": item.length,
            "root": item.root.hex(),
            "segments": [each.hex() for each in item.segments],
            "slots": None if item.slots is None else {name: getattr(item.slots, name) for name in SLOT_NAMES},
        }
        for item in manifest.items
    ]
    return format_json({"format": FORMAT, "segment_bytes": SEGMENT_BYTES, "items": items})


def _bad(code: str, message: str) -> BadInput:
    return BadInput(message, "Ask for the original manifest.", code=code)
