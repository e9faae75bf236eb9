"""Hidden slots: a salted commitment in a public place, and the disclosure that opens it.

A disclosure is base64url of the canonical JSON `[salt, value]`, salt being 16 random bytes in base64url (22
characters); the slot is base64url of the SHA-256 of the disclosure's ASCII bytes (43 characters), after RFC 9901 §4.2.
One slot holds exactly one commitment: there are no decoys and no free list, so that nobody commits to many values and
shows the one that suits. The value is text, an integer, or null where there is
nothing (the slot is there all the same). A salt is never used twice: equal salts show equal values.
"""

import hashlib
import hmac
from dataclasses import dataclass

from app.canonical import (
    b64u_decode,
    b64u_encode,
    format_json,
    parse_json,
    take_b64u,
    take_int,
    take_list,
    take_object,
    take_str,
)
from app.errors import BadInput, Mismatch

SALT_BYTES = 16
MAX_DISCLOSURE_CHARS = 64 * 1024
"""A description is the longest value; 64 KiB of base64url hold 48 KiB of it."""


def make_disclosure(value: str | int | None, salt: bytes) -> str:
    """Return the disclosure of `value` under a fresh 16-byte `salt`. Raises BadInput (too_large, wrong_length, …)."""
    if len(salt) != SALT_BYTES:
        raise BadInput(f"a salt has 16 bytes, not {len(salt)}", "Draw 16 random bytes.", code="wrong_length")
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise BadInput("a hidden value is text, an integer or null", "Pass one of these.", code="wrong_type")
    disclosure = b64u_encode(format_json([b64u_encode(salt), value]).encode("utf-8"))
    if len(disclosure) > MAX_DISCLOSURE_CHARS:
        raise BadInput(f"a hidden value of {len(disclosure)} encoded characters", "Shorten it.", code="too_large")
    return disclosure


def slot_of(disclosure: str) -> str:
    """Return the slot that the disclosure opens: 43 characters of base64url."""
    return b64u_encode(hashlib.sha256(disclosure.encode("ascii")).digest())


def check_slot(slot: object, what: str) -> str:
    """Return the slot if it is base64url of 32 bytes. Raises BadInput."""
    return b64u_encode(take_b64u(slot, what, size=32))


def open_disclosure(disclosure: str, slot: str, what: str) -> str | int | None:
    """Return the value that `disclosure` shows, if it opens `slot`; `what` names it in errors.

    Raises Mismatch (disclosure_mismatch) when it opens another slot, BadInput when it is not in the form above.
    """
    if len(disclosure) > MAX_DISCLOSURE_CHARS:
        raise BadInput(
            f"{what}: a disclosure of {len(disclosure)} characters", "At most 65,536 are allowed.", code="too_large"
        )
    raw = b64u_decode(disclosure, what)
    if not hmac.compare_digest(slot_of(disclosure).encode("ascii"), slot.encode("utf-8", "surrogatepass")):
        raise Mismatch(
            f"{what}: the disclosure does not open the slot {slot[:60]!r}",
            "Check that it belongs to this deposit and this item.",
            code="disclosure_mismatch",
        )
    salt, value = take_list(parse_json(raw, what=what, max_bytes=len(raw), max_depth=1), what, min_items=2, max_items=2)
    take_b64u(salt, f"{what}: the salt", size=SALT_BYTES)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise BadInput(
            f"{what}: the value is neither text nor an integer nor null", "Ask who made it.", code="wrong_type"
        )
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDisclosure:
    """A disclosure with the slot that it belongs to: `item` is None for the slots of the deposit as a whole."""

    item: int | None
    slot: str
    disclosure: str

    def to_json(self) -> dict[str, object]:
        """Return the object of inventories and proof files."""
        return {"item": self.item, "slot": self.slot, "disclosure": self.disclosure}


def parse_named_disclosure(value: object, what: str) -> NamedDisclosure:
    """Read `{"item":I or null,"slot":NAME,"disclosure":…}`; the disclosure itself is not opened. Raises BadInput."""
    fields = take_object(value, ("item", "slot", "disclosure"), what)
    return NamedDisclosure(
        item=None if fields["item"] is None else take_int(fields["item"], f"the item of {what}"),
        slot=take_str(fields["slot"], f"the slot of {what}", min_bytes=1, max_bytes=64),
        disclosure=take_str(fields["disclosure"], what, min_bytes=1, max_bytes=MAX_DISCLOSURE_CHARS),
    )
