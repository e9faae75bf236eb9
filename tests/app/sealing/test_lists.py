"""Segments, manifest and inventory: sizes follow from each other, and a list that lies is refused by name."""

import dataclasses
import functools
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import format_json
from app.errors import AppError, BadInput, Mismatch
from app.sealing import inventory as inventories
from app.sealing import manifest as manifests
from app.sealing.inventory import Inventory, InventoryItem, check_inventory, format_inventory, parse_inventory
from app.sealing.manifest import Manifest, format_manifest, manifest_hash, manifest_item, parse_manifest
from app.sealing.segments import (
    MAX_SEGMENT_BYTES,
    SEGMENT_BYTES,
    SEGMENT_PLAIN_BYTES,
    item_length,
    item_plain_size,
    item_root,
    segment_count,
    segment_sizes,
)
from app.statements.kinds import MAX_ITEMS, ReleaseOpening
from app.statements.statement import parse_statement
from tests.app.rules.world import founded

DEPOSIT, CASE = b"d" * 16, b"c" * 16


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def make_inventory(count: int = 2, **more: str | None) -> Inventory:
    items = tuple(
        InventoryItem(name=f"file {i}.pdf", type="application/pdf", size=i * 40_000_000, sha256=sha(b"%d" % i))
        for i in range(count)
    )
    return inventories.make_inventory(
        deposit_id=DEPOSIT,
        case_id=CASE,
        items=items,
        description=more.get("description", "photographs"),
        origin=more.get("origin"),
        rng=random.Random(7).randbytes,
    )


def test_as_many_items_as_an_opening_has_verdicts_and_not_one_more() -> None:
    items = tuple(InventoryItem(name="a", type="a/b", size=0, sha256=bytes(32)) for _ in range(MAX_ITEMS + 1))
    made = functools.partial(
        inventories.make_inventory,
        deposit_id=DEPOSIT,
        case_id=CASE,
        description=None,
        origin=None,
        rng=random.Random(7).randbytes,
    )
    most = make_manifest(made(items=items[:-1]))
    text = format_manifest(most)
    with pytest.raises(BadInput, match="4097 entries") as caught:
        made(items=items)
    assert caught.value.code == "wrong_length"
    more = Manifest(items=(*most.items, most.items[-1]))
    with pytest.raises(BadInput, match="4098 entries") as caught:
        format_manifest(more)
    assert caught.value.code == "wrong_length"
    assert len(parse_manifest(text).items) == MAX_ITEMS + 1


def test_an_opening_of_the_most_items_fits_into_a_statement() -> None:
    opening = ReleaseOpening(request=bytes(32), outcome="opened", items=("undeclared",) * MAX_ITEMS)
    statement = founded().sign("registrar", opening)
    assert parse_statement(statement.text).claims == opening


def make_manifest(inventory: Inventory) -> Manifest:
    def hashes(length: int) -> tuple[bytes, ...]:
        return tuple(sha(b"%d/%d" % (length, i)) for i in range(segment_count(length)))

    first = item_length(len(format_inventory(inventory)))
    rest = [
        manifest_item(item_length(item.size), hashes(item_length(item.size)), inventory.item_slots(index))
        for index, item in enumerate(inventory.items, 1)
    ]
    return Manifest(items=(manifest_item(first, hashes(first), None), *rest))


GOOD = make_inventory()
MANIFEST = make_manifest(GOOD)


@given(st.integers(0, 3 * SEGMENT_PLAIN_BYTES) | st.integers(0, 2**50))
def test_sizes_follow_from_each_other(size: int) -> None:
    length = item_length(size)
    assert item_plain_size(length) == size
    assert segment_count(length) == max(1, -(-size // SEGMENT_PLAIN_BYTES))


@pytest.mark.parametrize("size", [0, 1, SEGMENT_PLAIN_BYTES, SEGMENT_PLAIN_BYTES + 1, 3 * SEGMENT_PLAIN_BYTES])
def test_segment_sizes(size: int) -> None:
    sizes = segment_sizes(item_length(size))
    assert sum(sizes) == item_length(size)
    assert sizes[0] <= MAX_SEGMENT_BYTES
    assert all(0 < each <= SEGMENT_BYTES for each in sizes[1:])
    assert all((each - (184 if i == 0 else 0)) % 65552 == 0 for i, each in enumerate(sizes[:-1]))


def test_lengths_that_no_item_has() -> None:
    for length in (0, 183, 199, 184 + 65553, 184 + 65568, -5):
        with pytest.raises(BadInput) as caught:
            item_plain_size(length)
        assert caught.value.code == "impossible_length"


def test_root_is_rfc_6962() -> None:
    a, b, c = sha(b"a"), sha(b"b"), sha(b"c")
    left = sha(b"\1", sha(b"\0", a), sha(b"\0", b))
    assert item_root([a]) == sha(b"\0", a)
    assert item_root([a, b, c]) == sha(b"\1", left, sha(b"\0", c))


def test_manifest_round_trip() -> None:
    text = format_manifest(MANIFEST)
    assert parse_manifest(text) == MANIFEST
    assert parse_manifest(text.encode()) == MANIFEST
    assert manifest_hash(text) == hashlib.sha256(text.encode()).digest()
    assert text.startswith('{"format":"muniment-manifest/v1","segment_bytes":33562624,"items":[{"length":')
    assert MANIFEST.total_bytes == sum(item.length for item in MANIFEST.items)


def altered(index: int, **changes: object) -> Manifest:
    items = list(MANIFEST.items)
    items[index] = dataclasses.replace(items[index], **changes)
    return Manifest(items=tuple(items))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (altered(1, length=MANIFEST.items[1].length + 10**9), "wrong_segment_count"),
        (altered(1, length=199), "impossible_length"),
        (altered(1, root=bytes(32)), "wrong_root"),
        (altered(1, segments=()), "wrong_length"),
        (altered(1, segments=(bytes(31),)), "wrong_length"),
        (altered(1, slots=None), "bad_manifest"),
        (altered(0, slots=MANIFEST.items[1].slots), "bad_manifest"),
        (altered(1, slots=dataclasses.replace(MANIFEST.items[1].slots or None, name="AA")), "wrong_length"),
        (Manifest(items=MANIFEST.items[:1]), "wrong_length"),
        (Manifest(items=()), "wrong_length"),
    ],
)
def test_a_manifest_that_lies_is_refused(bad: Manifest, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        format_manifest(bad)
    assert caught.value.code == code


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_neither_list(data: bytes) -> None:
    for parse in (parse_manifest, parse_inventory):
        with pytest.raises(BadInput):
            parse(data)


@given(st.data())
def test_a_flipped_bit_in_either_list_is_refused(data: st.DataObject) -> None:
    raw = bytearray(format_manifest(MANIFEST).encode())
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    try:  # a flip in a slot gives another slot, and in a segment's hash another hash: then the text's hash differs
        parse_manifest(bytes(raw))
    except AppError:
        pass
    else:
        assert manifest_hash(raw.decode()) != manifest_hash(format_manifest(MANIFEST))
    raw = bytearray(format_inventory(GOOD).encode())
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    with pytest.raises(AppError):
        check(parse_inventory(bytes(raw)))


def check(inventory: Inventory, manifest: Manifest = MANIFEST) -> None:
    check_inventory(inventory, manifest, deposit_id=DEPOSIT, case_id=CASE, deposit_slots=GOOD.deposit_slots())


def test_inventory_round_trip_and_check() -> None:
    assert parse_inventory(format_inventory(GOOD)) == GOOD
    assert len(GOOD.disclosures) == 5 * 2 + 2
    assert len({each.disclosure for each in GOOD.disclosures}) == 12
    check(GOOD)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(GOOD, deposit_id=b"x" * 16),
        dataclasses.replace(GOOD, case_id=b"x" * 16),
        make_inventory(3),
        make_inventory(1),
        make_inventory(description="other words"),
        make_inventory(origin="a phone"),
    ],
)
def test_an_inventory_of_something_else_does_not_match(other: Inventory) -> None:
    with pytest.raises(Mismatch) as caught:
        check(other)
    assert caught.value.code == "inventory_mismatch"


def test_equal_items_under_other_salts_do_not_match() -> None:
    items = GOOD.items
    other = inventories.make_inventory(
        deposit_id=DEPOSIT, case_id=CASE, items=items, description="x", origin=None, rng=random.Random(8).randbytes
    )
    mixed = dataclasses.replace(GOOD, disclosures=(*other.disclosures[:5], *GOOD.disclosures[5:]))
    assert parse_inventory(format_inventory(mixed)) == mixed
    with pytest.raises(Mismatch, match="slots of item 1"):
        check(mixed)


def test_a_size_that_contradicts_the_ciphertext_does_not_match() -> None:
    items = list(MANIFEST.items)
    items[1] = manifest_item(item_length(5), (sha(b"x"),), MANIFEST.items[1].slots)
    with pytest.raises(Mismatch):
        check(GOOD, Manifest(items=tuple(items)))


def test_an_inventory_that_contradicts_its_disclosures_is_refused() -> None:
    first, second, *rest = GOOD.disclosures
    renamed = dataclasses.replace(GOOD.items[0], name="harmless.pdf")
    for bad in (
        dataclasses.replace(GOOD, items=(renamed, GOOD.items[1])),
        dataclasses.replace(GOOD, description="other"),
        dataclasses.replace(GOOD, origin="other"),
        dataclasses.replace(GOOD, disclosures=(second, first, *rest)),
        dataclasses.replace(GOOD, disclosures=GOOD.disclosures[:-1]),
        dataclasses.replace(GOOD, disclosures=(*GOOD.disclosures, first)),
        dataclasses.replace(GOOD, items=(), disclosures=GOOD.disclosures[-2:]),
    ):
        with pytest.raises(BadInput):
            parse_inventory(format_inventory(bad))


def test_foreign_formats_are_refused() -> None:
    for text, parse in (
        (format_manifest(MANIFEST).replace("manifest/v1", "manifest/v2"), parse_manifest),
        (format_manifest(MANIFEST).replace("33562624", "33554432"), parse_manifest),
        (format_inventory(GOOD).replace("inventory/v1", "inventory/v2"), parse_inventory),
        (format_json([]), parse_manifest),
        (format_json({}), parse_inventory),
        (" " * (manifests.MAX_MANIFEST_BYTES + 1), parse_manifest),
    ):
        with pytest.raises(BadInput):
            parse(text)
