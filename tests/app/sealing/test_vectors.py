"""The bytes of version 1 stay what they are: one whole deposit, made again from its keys, and opened by stock `age`."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.sealing.inventory import check_inventory, format_inventory, parse_inventory
from app.sealing.keys import ItemKeys
from app.sealing.manifest import format_manifest, manifest_hash, parse_manifest
from app.sealing.pipeline import ItemSealer
from app.sealing.segments import item_root
from app.sealing.sources import Source
from app.sealing.x25519 import Identity
from app.statements.disclosure import open_disclosure

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "sealing" / "deposit.json").read_text())
ITEMS: list[dict[str, Any]] = VECTORS["items"]
ME = Identity.parse(VECTORS["identity"])


def plaintext(index: int) -> bytes:
    if index == 0:
        return str(VECTORS["inventory"]).encode()
    size = ITEMS[index]["plain_bytes"]
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def seal(index: int) -> tuple[bytes, dict[str, Any]]:
    item = ITEMS[index]
    keys = ItemKeys(**{name: bytes.fromhex(item[name]) for name in ("file_key", "ephemeral", "nonce")})
    with Source(plaintext(index)) as source:
        sealer = ItemSealer(source, keys=keys, recipient=ME.recipient)
        file = b"".join(bytes(segment.data) for segment in sealer.segments())
    return file, {
        "file_key": keys.file_key.hex(),
        "ephemeral": keys.ephemeral.hex(),
        "nonce": keys.nonce.hex(),
        "plain_bytes": sealer.result.size,
        "plain_sha256": sealer.result.sha256.hex(),
        "length": sealer.result.length,
        "segments": [each.hex() for each in sealer.result.segments],
        "root": item_root(sealer.result.segments).hex(),
    }


@pytest.mark.parametrize("index", range(len(ITEMS)))
def test_items_are_made_again(index: int) -> None:
    file, item = seal(index)
    assert item == ITEMS[index]
    assert len(file) == item["length"]


@pytest.mark.foreign("age")
@pytest.mark.parametrize("index", range(len(ITEMS)))
def test_stock_age_opens_the_items(index: int, tmp_path: Path) -> None:
    (tmp_path / "identity").write_text(VECTORS["identity"])
    file, item = seal(index)
    done = subprocess.run(["age", "-d", "-i", tmp_path / "identity"], input=file, capture_output=True, check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == item["plain_sha256"]


def test_lists() -> None:
    inventory = parse_inventory(VECTORS["inventory"])
    manifest = parse_manifest(VECTORS["manifest"])
    assert format_inventory(inventory) == VECTORS["inventory"]
    assert format_manifest(manifest) == VECTORS["manifest"]
    assert manifest_hash(VECTORS["manifest"]).hex() == VECTORS["manifest_hash"]
    assert ME.recipient.format() == VECTORS["recipient"]
    assert [(each.length, each.root.hex()) for each in manifest.items] == [
        (each["length"], each["root"]) for each in ITEMS
    ]
    check_inventory(
        inventory,
        manifest,
        deposit_id=inventory.deposit_id,
        case_id=inventory.case_id,
        deposit_slots=VECTORS["deposit_slots"],
    )
    first = VECTORS["disclosure"]
    assert open_disclosure(first["text"], first["slot"], "the name") == first["value"] == inventory.items[0].name
    assert manifest.items[1].slots is not None
    assert manifest.items[1].slots.name == first["slot"]
