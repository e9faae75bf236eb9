"""The age testkit of C2SP/CCTV, all vectors without armour, those of the hybrid recipient too."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.errors import AppError, BadInput
from app.sealing.age import decrypt_bytes
from app.sealing.header import AnyIdentity
from app.sealing.hybrid import PqIdentity
from app.sealing.scrypt import Passphrase
from app.sealing.x25519 import Identity

FOLDER = Path(__file__).parents[2] / "vectors" / "age" / "testkit"
NAMES = sorted(path.name for path in FOLDER.iterdir())
CODES = {
    "header failure": "bad_age_header",
    "no match": "no_matching_key",
    "HMAC failure": "bad_header_mac",
    "payload failure": "bad_payload",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    expect: str
    payload: str | None
    identities: tuple[AnyIdentity, ...]
    file: bytes


def load(name: str) -> Vector:
    text, file = (FOLDER / name).read_bytes().split(b"\n\n", 1)
    identities: list[AnyIdentity] = []
    fields: dict[str, str] = {}
    for line in text.decode().split("\n"):
        key, value = line.split(": ", 1)
        assert key in ("expect", "compressed", "payload", "identity", "passphrase", "file key", "comment")
        if key == "identity":
            is_hybrid = value.startswith("AGE-SECRET-KEY-PQ-")
            identities.append(PqIdentity.parse(value) if is_hybrid else Identity.parse(value))
            assert identities[-1].format() == value  # type: ignore[attr-defined]
        elif key == "passphrase":
            identities.append(Passphrase(value))
        else:
            fields[key] = value
    if fields.get("compressed"):
        assert fields["compressed"] == "zlib"
        file = zlib.decompress(file)
    return Vector(expect=fields["expect"], payload=fields.get("payload"), identities=tuple(identities), file=file)


def test_the_set_is_whole() -> None:
    assert len(NAMES) == 110
    assert {load(name).expect for name in NAMES} == {"success", *CODES}


@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str) -> None:
    vector = load(name)
    if vector.expect == "success":
        assert hashlib.sha256(decrypt_bytes(vector.file, vector.identities)).hexdigest() == vector.payload
        return
    with pytest.raises(AppError) as caught:
        decrypt_bytes(vector.file, vector.identities)
    assert caught.value.code == CODES[vector.expect]
    assert isinstance(caught.value, BadInput) == (vector.expect == "header failure")
