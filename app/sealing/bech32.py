"""Bech32 (BIP 173) without its length limit, as age writes keys: a prefix, `1`, data in 5-bit letters, a checksum."""

from app.errors import BadInput

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE = {letter: value for value, letter in enumerate(_LETTERS)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
MAX_CHARS = 8192


def bech32_encode(prefix: str, data: bytes) -> str:
    """Return the lowercase text of `data` under a lowercase ASCII `prefix`."""
    bits = len(data) * 8
    padding = -bits % 5
    number = int.from_bytes(data, "big") << padding
    count = (bits + padding) // 5
    values = [(number >> (5 * (count - 1 - i))) & 31 for i in range(count)]
    check = _polymod([*_expand(prefix), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [(check >> (5 * (5 - i))) & 31 for i in range(6)]
    return prefix + "1" + "".join(_LETTERS[v] for v in values)


def bech32_decode(text: str, prefix: str, what: str, *, upper: bool = False) -> bytes:
    """Return the data of a text under the lowercase `prefix`, written all in lowercase, or with `upper` in capitals.

    The text is not shown in errors, as it may be a secret. Raises BadInput (bad_bech32).
    """
    try:
        return _decode(text, prefix, upper)
    except ValueError as error:
        raise BadInput(f"{what} {error}", "Copy it again, whole.", code="bad_bech32") from None


def _decode(text: str, prefix: str, upper: bool) -> bytes:
    if len(text) > MAX_CHARS or not text.isascii():
        raise ValueError("is too long or not ASCII")
    if text != (text.upper() if upper else text.lower()):
        raise ValueError(f"is not written in {'capital' if upper else 'small'} letters")
    lowered = text.lower()
    if not lowered.startswith(prefix + "1"):
        raise ValueError(f"does not begin with {(prefix.upper() if upper else prefix)!r} and 1")
    letters = lowered[len(prefix) + 1 :]
    if len(letters) < 6 or any(letter not in _VALUE for letter in letters):
        raise ValueError("is cut off or holds a letter that Bech32 does not have")
    values = [_VALUE[letter] for letter in letters]
    if _polymod([*_expand(prefix), *values]) != 1:
        raise ValueError("has a wrong checksum: a letter is mistyped")
    values = values[:-6]
    number = 0
    for value in values:
        number = number << 5 | value
    padding = len(values) * 5 % 8
    if padding >= 5 or number & ((1 << padding) - 1):
        raise ValueError("has bits left over")
    return (number >> padding).to_bytes(len(values) * 5 // 8, "big")


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            if top >> i & 1:
                check ^= generator
    return check
