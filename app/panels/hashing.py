"""Hashing with domains (SPEC 2.3): J, H2S, H2G and H32 over one context string."""

import hashlib
from typing import Final

from app.panels.group import Element, Scalar, element_from_uniform, reduce_wide

CTX: Final = b"muniment/panel/v1/ristretto255-SHA512"
_HASH_BYTES: Final = 64
_BLOCK_BYTES: Final = 128

Part = bytes | Element | Scalar
"""What may be hashed: byte strings as they are, elements and scalars as their 32 bytes."""


def u16(number: int) -> bytes:
    """Two bytes, big-endian."""
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    """Four bytes, big-endian."""
    return number.to_bytes(4, "big")


def lp(data: bytes) -> bytes:
    """`data` behind its length as u32."""
    return u32(len(data)) + data


def J(*parts: Part) -> bytes:
    """The parts one behind the other, each with its length: no two lists of parts give the same bytes."""
    return b"".join([lp(bytes(part)) for part in parts])


def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes:
    """RFC 9380, 5.3.1 with SHA-512. `dst` is at most 255 bytes and `length` at most 255·64; both are the code's own."""
    blocks = -(-length // _HASH_BYTES)
    if len(dst) > 255 or blocks > 255:
        raise ValueError(f"expand_message_xmd takes a tag of at most 255 bytes and 16,320 bytes: {len(dst)}, {length}")
    dst_prime = dst + bytes([len(dst)])
    first = hashlib.sha512(bytes(_BLOCK_BYTES) + message + u16(length) + b"\x00" + dst_prime).digest()
    whole, block, out = int.from_bytes(first, "big"), b"", b""
    for number in range(1, blocks + 1):
        mixed = (whole ^ int.from_bytes(block, "big")).to_bytes(_HASH_BYTES, "big")
        block = hashlib.sha512(mixed + bytes([number]) + dst_prime).digest()
        out += block
    return out[:length]


def H2S(tag: str, *parts: Part) -> Scalar:
    """A scalar: HashToScalar of RFC 9497, 4.1, with the context CTX ‖ "-" ‖ tag."""
    return reduce_wide(expand_message_xmd(J(*parts), b"HashToScalar-" + CTX + b"-" + tag.encode("ascii"), 64))


def H2G(tag: str, *parts: Part) -> Element:
    """An element of unknown logarithm: HashToGroup of RFC 9497, 4.1, with the context CTX ‖ "-" ‖ tag."""
    return element_from_uniform(expand_message_xmd(J(*parts), b"HashToGroup-" + CTX + b"-" + tag.encode("ascii"), 64))


def H32(tag: str, *parts: Part) -> bytes:
    """32 bytes: the first half of SHA-512 over context, tag and parts."""
    return hashlib.sha512(lp(CTX) + lp(tag.encode("ascii")) + J(*parts)).digest()[:32]
