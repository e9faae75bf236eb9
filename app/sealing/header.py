"""The header of an age file: stanzas, each with the file key wrapped for someone, and a MAC over them (age v1).

The header is text: the version line, the stanzas, and `--- ` with the MAC. Base64 is standard, unpadded and canonical;
a stanza's body is wrapped at 64 columns and ends with a shorter line, which may be empty. A reader refuses any other
form, so that the MAC covers one spelling only.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import BadInput, Mismatch

Rng = Callable[[int], bytes]
"""n -> n random bytes."""

FILE_KEY_BYTES = 16
MAX_STANZAS = 256
MAX_HEADER_BYTES = 1024 * 1024
_MAX_LINE_BYTES = 8192
_VERSION = b"age-encryption.org/v1\n"
_ARGUMENT = re.compile(r"[\x21-\x7e]+")
_COLUMNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One wrapped file key: its type, its arguments (printable ASCII without space) and its body."""

    type: str
    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The stanzas of a file and the MAC (32 bytes) under the file key."""

    stanzas: tuple[Stanza, ...]
    mac: bytes


class AnyRecipient(Protocol):
    """Someone for whom a file key is wrapped. `family` tells which recipients may stand in one file."""

    @property
    def family(self) -> str: ...

    def wrap(self, file_key: bytes, rng: Rng) -> Stanza: ...


class AnyIdentity(Protocol):
    """Someone who may unwrap: returns the file key, or None if the stanza is not for him.

    Raises BadInput (bad_age_header) when a stanza of his type is malformed.
    """

    def unwrap(self, stanza: Stanza) -> bytes | None: ...


def seal_header(file_key: bytes, stanzas: tuple[Stanza, ...]) -> bytes:
    """Return the bytes of the header with its MAC."""
    text = _VERSION + b"".join(_format_stanza(stanza) for stanza in stanzas) + b"---"
    return text + b" " + b64_encode(_mac(file_key, text)) + b"\n"


def read_header(source: BinaryIO) -> Header:
    """Read a header and leave `source` at the payload. Raises BadInput (bad_age_header)."""
    read = bytearray()

    def line() -> bytes:
        raw = source.readline(_MAX_LINE_BYTES)
        read.extend(raw)
        if not raw.endswith(b"\n"):
            raise _bad("a line is cut off or too long")
        if len(read) > MAX_HEADER_BYTES:
            raise _bad(f"it is longer than {MAX_HEADER_BYTES} bytes")
        return raw[:-1]

    if line() + b"\n" != _VERSION:
        raise _bad("the first line is not age-encryption.org/v1")
    stanzas: list[Stanza] = []
    while not (first := line()).startswith(b"---"):
        if len(stanzas) == MAX_STANZAS:
            raise _bad(f"it has more than {MAX_STANZAS} stanzas")
        stanzas.append(_parse_stanza(first, line))
    if not stanzas:
        raise _bad("it has no stanza")
    if not first.startswith(b"--- "):
        raise _bad("the MAC line is malformed")
    return Header(stanzas=tuple(stanzas), mac=b64_decode(first[4:], 32))


def find_file_key(header: Header, identities: tuple[AnyIdentity, ...]) -> bytes:
    """Return the file key that one of the identities unwraps, after checking the MAC.

    Raises BadInput (bad_age_header), Mismatch (no_matching_key, bad_header_mac).
    """
    if len(header.stanzas) > 1 and any(stanza.type == "scrypt" for stanza in header.stanzas):
        raise _bad("a passphrase stanza must stand alone")
    for identity in identities:
        for stanza in header.stanzas:
            file_key = identity.unwrap(stanza)
            if file_key is None:
                continue
            text = _VERSION + b"".join(_format_stanza(each) for each in header.stanzas) + b"---"
            if not hmac.compare_digest(_mac(file_key, text), header.mac):
                raise Mismatch("the header was altered: its MAC is wrong", "Fetch it again.", code="bad_header_mac")
            return file_key
    raise Mismatch(
        "no key or passphrase given here opens this file",
        "Check which key it was sealed for, or type the passphrase again.",
        code="no_matching_key",
    )


def b64_encode(data: bytes) -> bytes:
    """Return unpadded standard base64."""
    return base64.b64encode(data).rstrip(b"=")


def b64_decode(text: bytes, size: int | None = None) -> bytes:
    """Read canonical unpadded base64, `size` bytes if given. Raises BadInput (bad_age_header)."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise _bad("it holds malformed base64") from None
    if b64_encode(data) != text:
        raise _bad("it holds base64 that is not canonical")
    if size is not None and len(data) != size:
        raise _bad(f"a value has {len(data)} bytes, not {size}")
    return data


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869), 32 bytes."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def bad_header(why: str) -> BadInput:
    """The error for a malformed header or stanza."""
    return _bad(why)


def _mac(file_key: bytes, text: bytes) -> bytes:
    return hmac.digest(hkdf(file_key, b"", b"header"), text, "sha256")


def _format_stanza(stanza: Stanza) -> bytes:
    body = b64_encode(stanza.body)
    lines = [body[i : i + _COLUMNS] for i in range(0, len(body), _COLUMNS)]
    if len(body) % _COLUMNS == 0:
        lines.append(b"")
    return b"\n".join([" ".join(("->", stanza.type, *stanza.arguments)).encode("ascii"), *lines]) + b"\n"


def _parse_stanza(first: bytes, line: Callable[[], bytes]) -> Stanza:
    try:
        arrow, *words = first.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise _bad("a stanza is not ASCII") from None
    if arrow != "->" or not words or not all(_ARGUMENT.fullmatch(word) for word in words):
        raise _bad("a stanza's first line is malformed")
    body = bytearray()
    while True:
        text = line()
        if len(text) > _COLUMNS:
            raise _bad("a stanza's line is longer than 64 columns")
        body += b64_decode(text)
        if len(text) < _COLUMNS:
            return Stanza(type=words[0], arguments=tuple(words[1:]), body=bytes(body))


def _bad(why: str) -> BadInput:
    return BadInput(f"the age header is malformed: {why}", "Fetch the file again.", code="bad_age_header")
