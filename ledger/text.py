"""Strict readings of the small texts inside notes, checkpoints, proofs and policies.

Each reading has one spelling for one value: Python's own parsers accept more (`b64decode` skips junk and takes non-zero
pad bits, `int` takes " 42", "4_2" and other scripts' digits), so the result is written again and compared.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from ledger.errors import Malformed

MAX_DECIMAL = 2**63 - 1
"""The largest number that these formats carry: sizes, indices and times fit a signed 64-bit integer."""


def encode_base64(raw: bytes) -> str:
    """Standard base64 with padding (RFC 4648 §4)."""
    return b64encode(raw).decode("ascii")


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of canonical base64 (RFC 4648 §4). Raises Malformed, naming `what`."""
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (Base64Error, UnicodeEncodeError) as error:
        raise Malformed(f"{what} is not base64: {_shown(text)}") from error
    if encode_base64(raw) != text:
        raise Malformed(f"{what} is not canonical base64: {_shown(text)}")
    return raw


def decode_decimal(text: str, what: str) -> int:
    """The number 0..2^63-1 in ASCII digits without leading zeros. Raises Malformed, naming `what`."""
    if not (0 < len(text) <= len(str(MAX_DECIMAL)) and text.isascii() and text.isdigit()) or str(int(text)) != text:
        raise Malformed(f"{what} is not a decimal number without leading zeros: {_shown(text)}")
    number = int(text)
    if number > MAX_DECIMAL:
        raise Malformed(f"{what} is above 2^63-1: {text}")
    return number


def decode_utf8(raw: bytes, what: str) -> str:
    """The text of valid UTF-8 bytes. Raises Malformed, naming `what`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8 at byte {error.start}") from error


def encode_utf8(text: str, what: str) -> bytes:
    """The UTF-8 bytes of `text`. Raises Malformed on a lone surrogate, naming `what`."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed(f"{what} has a character that UTF-8 cannot carry at position {error.start}") from error


def check_key_name(name: str, what: str) -> None:
    """Raise Malformed unless `name` is a key name (C2SP signed-note): not empty, no Unicode space, control or '+'."""
    encode_utf8(name, what)
    if not name:
        raise Malformed(f"{what} is empty")
    if "+" in name or any(char.isspace() or char < " " for char in name):
        raise Malformed(f"{what} holds a space, a control character or '+': {_shown(name)}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
