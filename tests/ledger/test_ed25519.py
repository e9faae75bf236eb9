"""Every bad class of Ed25519 public key is refused by name, and no good key is."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.ed25519 import check_public_key, is_good_public_key
from ledger.errors import BadKey

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/ed25519/public_keys.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["what"])
def test_bad_keys_are_refused_by_name(case: dict[str, str]) -> None:
    raw = bytes.fromhex(case["key"])
    with pytest.raises(BadKey) as refused:
        check_public_key(raw, "the key of w1")
    assert refused.value.message.startswith("the key of w1 ")
    assert case["fault"] in refused.value.message
    assert case["key"] in refused.value.message
    assert not is_good_public_key(raw)


@pytest.mark.parametrize("key", VECTORS["good"])
def test_good_keys_pass(key: str) -> None:
    check_public_key(bytes.fromhex(key))
    assert is_good_public_key(bytes.fromhex(key))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(BadKey, match=f"has {size} bytes"):
        check_public_key(b"\x01" * size)


@given(st.binary(min_size=32, max_size=32))
def test_the_key_of_every_seed_is_good_and_its_shift_by_order_two_is_not(seed: bytes) -> None:
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert is_good_public_key(raw)
    # Adding the point (0, -1) of order 2 negates both coordinates.
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    shifted = ((2**255 - 19 - y) | ((1 - sign) << 255)).to_bytes(32, "little")
    assert not is_good_public_key(shifted)


@given(st.binary(max_size=40))
def test_arbitrary_bytes_meet_only_bad_key(raw: bytes) -> None:
    if is_good_public_key(raw):
        check_public_key(raw)
    else:
        with pytest.raises(BadKey):
            check_public_key(raw)
