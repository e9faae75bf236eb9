"""The dossier of the demonstration."""

import hashlib
import zlib
from pathlib import Path

from app.demo.dossier import RECORDING_BYTES, write_dossier


def test_the_dossier_is_the_same_every_time_and_the_scan_is_a_png(tmp_path: Path) -> None:
    first, second = write_dossier(tmp_path / "a"), write_dossier(tmp_path / "b")
    assert [path.name for path in first] == ["scan-of-page-1.png", "contract.txt", "inspection.bin"]
    for one, other in zip(first, second, strict=True):
        with one.open("rb") as a, other.open("rb") as b:
            assert hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()
    assert first[2].stat().st_size == RECORDING_BYTES
    data = first[0].read_bytes()
    at, kinds = 8, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(data[at + 8 + length : at + 12 + length], "big")
        kinds.append(kind)
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
