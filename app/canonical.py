"""Canonical JSON and text encodings: one text for one value, so that digests and signatures can be compared.

Source: docs/protocol.md, "Encodings". The text is UTF-8 without BOM, without insignificant space, object keys in the
order that the format gives, only those escapes that JSON requires (RFC 8259 §7: quote, backslash, U+0000 to U+001F; the
two-character form where there is one, else \\u00xx in lowercase), and integers only, |n| < 2^53. A parser serialises
again what it read and compares: any other spelling of the same value is refused by name.

`parse_json` looks at the size first, then at the depth, and only then hands the text to a recursive parser.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import NoReturn

from app.errors import BadInput

MAX_INTEGER = 2**53 - 1
"""The largest integer, and the negative of the smallest, that every JSON implementation reads exactly (RFC 7493)."""

MAX_DEPTH = 16
"""How deep arrays and objects may stand in each other, unless a format says less."""

_AGAIN = "Ask whoever made it for the original, or make it again with an unmodified client."


def format_json(value: object) -> str:
    """Return the canonical text of `None`, bool, int, str, list or tuple, and dict with str keys (order kept).

    Raises BadInput: integer_out_of_range, not_utf8 (a lone surrogate), too_deep, not_json (a float or another type).
    """
    _check_value(value, MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"a text holds a lone surrogate at character {error.start}", "Remove the character.", code="not_utf8"
        ) from None
    return text


def parse_json(data: bytes | str, *, what: str, max_bytes: int, max_depth: int = MAX_DEPTH) -> object:
    """Read the canonical text of at most `max_bytes` bytes; `what` names it in errors.

    Returns None, bool, int, str, list or dict. Raises BadInput with one of: too_large, not_utf8, too_deep, not_json,
    duplicate_key, integer_out_of_range, not_canonical.
    """
    if len(data) > max_bytes:
        raise _bad("too_large", f"{what} is {len(data)} long, more than {max_bytes} bytes")
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        text = raw.decode("utf-8")
    except UnicodeError:
        raise _bad("not_utf8", f"{what} is not UTF-8") from None
    if len(raw) > max_bytes:
        raise _bad("too_large", f"{what} is {len(raw)} bytes, more than {max_bytes}")
    _check_depth(raw, what, max_depth)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1) if len(names) < 1000 else "…"
            raise _bad("duplicate_key", f"{what} has the key {twice[:80]!r} twice in one object")
        return found

    def integer(digits: str) -> int:
        # 17 characters are a sign and 16 digits: int() never meets a text that takes long.
        if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
            raise _bad("integer_out_of_range", f"{what} has the number {digits[:40]}, which is not below 2^53")
        return int(digits)

    def no_float(digits: str) -> NoReturn:
        raise _bad("not_json", f"{what} has the number {digits[:40]}; only integers without exponent are allowed")

    try:
        value: object = json.loads(
            text, object_pairs_hook=pairs, parse_int=integer, parse_float=no_float, parse_constant=no_float
        )
    except json.JSONDecodeError as error:
        raise _bad("not_json", f"{what} is not JSON: {error.msg} at character {error.pos}") from None
    again = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if again != text:
        at = next((i for i, (a, b) in enumerate(zip(again, text, strict=False)) if a != b), min(len(again), len(text)))
        raise _bad("not_canonical", f"{what} is not in canonical form at character {at}")
    return value


def b64u_encode(data: bytes) -> str:
    """Return unpadded base64url (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64u_decode(text: str, what: str, size: int | None = None) -> bytes:
    """Read unpadded base64url, `size` bytes if given. Raises BadInput: not_base64url, wrong_length."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        data = None
    # Python takes '+', '/' and non-zero pad bits here and there: the encoding of the result decides.
    if data is None or b64u_encode(data) != text:
        raise _bad("not_base64url", f"{what} is not unpadded base64url: {text[:60]!r}")
    if size is not None and len(data) != size:
        raise _bad("wrong_length", f"{what} is {len(data)} bytes, not {size}")
    return data


def hex_decode(text: str, what: str, size: int) -> bytes:
    """Read `size` bytes of lowercase hex. Raises BadInput: not_hex, wrong_length."""
    if not re.fullmatch(r"(?:[0-9a-f]{2})*", text, re.ASCII):
        raise _bad("not_hex", f"{what} is not lowercase hex: {text[:80]!r}")
    if len(text) != 2 * size:
        raise _bad("wrong_length", f"{what} is {len(text) // 2} bytes, not {size}")
    return bytes.fromhex(text)


# Typed fields, for codecs: each takes a value that parse_json returned and gives it back with its type.


def take_object(value: object, keys: Sequence[str], what: str, *, optional: Sequence[str] = ()) -> dict[str, object]:
    """Return the object whose keys are exactly `keys`, in this order, then any of `optional`, in that order.

    Raises BadInput: wrong_type, wrong_keys.
    """
    if not isinstance(value, dict):
        raise _bad("wrong_type", f"{what} is not an object")
    found = list(value)
    if found != list(keys) + [key for key in optional if key in value]:
        expected = ", ".join(keys) + (f", and if wanted {', '.join(optional)}" if optional else "")
        shown = ", ".join(key[:40] for key in found[:40])
        raise _bad("wrong_keys", f"{what} has the keys {shown!r}; it must have, in this order: {expected}")
    return value


def take_str(value: object, what: str, *, max_bytes: int, min_bytes: int = 0) -> str:
    """Return a string of `min_bytes` to `max_bytes` bytes of UTF-8. Raises BadInput: wrong_type, wrong_length."""
    if not isinstance(value, str):
        raise _bad("wrong_type", f"{what} is not a string")
    size = len(value.encode("utf-8", "surrogatepass"))
    if not min_bytes <= size <= max_bytes:
        raise _bad("wrong_length", f"{what} is {size} bytes; it must have {min_bytes} to {max_bytes}")
    return value


def take_choice(value: object, what: str, choices: Sequence[str]) -> str:
    """Return one of the given strings. Raises BadInput: wrong_type, unknown_value."""
    text = take_str(value, what, max_bytes=1000)
    if text not in choices:
        raise _bad("unknown_value", f"{what} is {text[:80]!r}; known are: {', '.join(choices)}")
    return text


def take_int(value: object, what: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
    """Return an integer within both bounds (inclusive). Raises BadInput: wrong_type, integer_out_of_range."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _bad("wrong_type", f"{what} is not an integer")
    if not minimum <= value <= maximum:
        raise _bad("integer_out_of_range", f"{what} is {value}; it must be {minimum} to {maximum}")
    return value


def take_bool(value: object, what: str) -> bool:
    """Return true or false. Raises BadInput: wrong_type."""
    if not isinstance(value, bool):
        raise _bad("wrong_type", f"{what} is neither true nor false")
    return value


def take_list(value: object, what: str, *, max_items: int, min_items: int = 0) -> list[object]:
    """Return an array of `min_items` to `max_items` values. Raises BadInput: wrong_type, wrong_length."""
    if not isinstance(value, list):
        raise _bad("wrong_type", f"{what} is not an array")
    if not min_items <= len(value) <= max_items:
        raise _bad("wrong_length", f"{what} has {len(value)} entries; it must have {min_items} to {max_items}")
    return value


def take_hex(value: object, what: str, *, size: int) -> bytes:
    """Return the `size` bytes of a lowercase hex string. Raises BadInput: wrong_type, not_hex, wrong_length."""
    if not isinstance(value, str):
        raise _bad("wrong_type", f"{what} is not a string")
    return hex_decode(value, what, size)


def take_b64u(value: object, what: str, *, size: int | None = None) -> bytes:
    """Return the bytes of an unpadded base64url string. Raises BadInput: wrong_type, not_base64url, wrong_length."""
    if not isinstance(value, str):
        raise _bad("wrong_type", f"{what} is not a string")
    return b64u_decode(value, what, size)


# A JSON string, also one that is never closed: possessive, so that a hostile text costs linear time.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def _check_depth(raw: bytes, what: str, max_depth: int) -> None:
    brackets = _STRING.sub(b"", raw).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level
    if b"[]" in brackets or brackets.count(b"[") > max_depth:
        raise _bad("too_deep", f"{what} is nested deeper than {max_depth} levels")
    if brackets:
        raise _bad("not_json", f"{what} is not JSON: its brackets do not match")


def _check_value(value: object, levels: int) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise BadInput(f"the number {value} is not below 2^53", "Use a smaller one.", code="integer_out_of_range")
        return
    if not isinstance(value, dict | list | tuple):
        raise BadInput(
            f"a {type(value).__name__} has no canonical JSON form", "Use integers and text.", code="not_json"
        )
    if levels == 0:
        raise BadInput(f"the value is nested deeper than {MAX_DEPTH} levels", "Flatten it.", code="too_deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise BadInput(f"the key {key!r} is not a string", "Use text as keys.", code="not_json")
            _check_value(item, levels - 1)
    else:
        for item in value:
            _check_value(item, levels - 1)


def _bad(code: str, message: str) -> BadInput:
    return BadInput(message, _AGAIN, code=code)
