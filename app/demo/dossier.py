"""A small dossier for those who bring no files: a page that looks scanned, a contract, a recording."""

import hashlib
import struct
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

RECORDING_BYTES = 256 * 1024 * 1024
_PAGE = (1240, 1754)
"""A4 at 150 dots per inch."""
_BLOCK = 1 << 20

CONTRACT = """\
CONTRACT OF SALE

between Anna Lindqvist, seller, and Borealis Timber AB, buyer.

1. The seller sells to the buyer the standing timber on the parcel Norrskog 4:17, as marked on the annexed map.
2. The price is 1,240,000 kronor, payable on the day of signature.
3. The buyer fells and removes the timber before the end of the second winter after signature.
4. The seller has shown the buyer the recording of the inspection of 3 March; it is part of this contract.
5. Disputes are decided by the district court of the parcel.

Signed in two copies.
"""


def write_dossier(folder: Path) -> tuple[Path, ...]:
    """Write the three files into `folder` and return their paths. The same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    scan, contract, recording = folder / "scan-of-page-1.png", folder / "contract.txt", folder / "inspection.bin"
    scan.write_bytes(_scan())
    contract.write_text(CONTRACT, encoding="utf-8")
    _write_recording(recording)
    return scan, contract, recording


def _keystream(name: str) -> Cipher[None]:
    key = hashlib.sha256(f"muniment demo {name}".encode()).digest()
    return Cipher(ChaCha20(key, bytes(16)), mode=None)


def _write_recording(path: Path) -> None:
    """Write bytes that do not compress, as a recording's do not."""
    stream, zeros = _keystream("recording").encryptor(), bytes(_BLOCK)
    with path.open("wb") as file:
        for _ in range(RECORDING_BYTES // _BLOCK):
            file.write(stream.update(zeros))


def _scan() -> bytes:
    """Return a grey PNG: paper noise, and dark strokes where lines of writing would be."""
    width, height = _PAGE
    noise = _keystream("paper").encryptor().update(bytes(width * height))
    rows = []
    for y in range(height):
        row = bytearray(233 + (byte & 15) for byte in noise[y * width : (y + 1) * width])
        line, within = divmod(y - 140, 40)
        if 0 <= line < 36 and 0 <= within < 14:
            _write_line(row, line, within)
        rows.append(b"\x00" + bytes(row))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"".join(rows), 6))
        + _chunk(b"IEND", b"")
    )


def _write_line(row: bytearray, line: int, within: int) -> None:
    strokes = hashlib.sha512(f"line {line}".encode()).digest()
    x, end = 150, 1090 - 7 * (strokes[0] % 60 if line % 6 == 5 else 0)
    index = 0
    while x < end:
        shape = strokes[index % 64] ^ (index * 37 & 255)
        index += 1
        if shape % 6 == 0:
            x += 14  # between words
            continue
        upright, bar = shape >> 3 & 3, (within + shape) % 7 == 0
        for offset in range(9):
            if bar or offset // 3 == upright:
                row[x + offset] = 40 + (row[x + offset] & 31)
        x += 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
