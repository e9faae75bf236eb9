"""Distinguished encoding: whether bytes are the one DER encoding of what they say (ITU-T X.690, section 10 and 11).

A walk over tags and lengths that knows no schema. It refuses what lets one value have many encodings: indefinite and
overlong lengths, integers with superfluous leading bytes, booleans other than 00 and FF, bit strings with set pad bits,
sets out of order, bytes after the end. The order of implicitly tagged sets cannot be seen without a schema.
"""

from ledger.anchors.errors import BadAnchor

MAX_DEPTH = 32
_BOOLEAN, _INTEGER, _BIT_STRING, _NULL, _ENUMERATED, _SET = 0x01, 0x02, 0x03, 0x05, 0x0A, 0x31
_CONSTRUCTED = 0x20
_ALWAYS_CONSTRUCTED = (0x10, 0x11)  # SEQUENCE and SET
_STRINGS = frozenset({0x03, 0x04, 0x0C, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1A, 0x1B, 0x1C, 0x1E})


def check_der(data: bytes, what: str) -> None:
    """Check that `data` is exactly one DER element. Raises BadAnchor (anchor_form)."""
    if _element(memoryview(data), 0, len(data), what, 0) != len(data):
        raise _bad(what, "bytes follow its end")


def parts_of(data: bytes, what: str) -> list[bytes]:
    """Return the elements inside the constructed element `data`, which `check_der` accepts. Raises BadAnchor."""
    check_der(data, what)
    view = memoryview(data)
    tag, place, end = _head(view, 0, len(data), what)
    if not tag & _CONSTRUCTED:
        raise _bad(what, "it is not a sequence")
    found = []
    while place < end:
        _, _, after = _head(view, place, end, what)
        found.append(data[place:after])
        place = after
    return found


def _element(data: memoryview, start: int, end: int, what: str, depth: int) -> int:
    """Check the element at `start`; return where it ends."""
    if depth > MAX_DEPTH:
        raise _bad(what, f"it is nested deeper than {MAX_DEPTH} levels")
    tag, content, after = _head(data, start, end, what)
    body = data[content:after]
    if tag & _CONSTRUCTED:
        if tag & 0xC0 == 0 and tag & 0x1F in _STRINGS:
            raise _bad(what, "a string is cut in pieces")
        children = []
        place = content
        while place < after:
            last, place = place, _element(data, place, after, what, depth + 1)
            children.append(bytes(data[last:place]))
        if tag == _SET and children != sorted(children):
            raise _bad(what, "a set is out of order")
        return after
    if tag & 0xC0 == 0 and tag & 0x1F in _ALWAYS_CONSTRUCTED:
        raise _bad(what, "a sequence or set is primitive")
    if tag in (_INTEGER, _ENUMERATED) and (
        not body or (len(body) > 1 and body[0] == (0xFF if body[1] & 0x80 else 0x00))
    ):
        raise _bad(what, "an integer is empty or has superfluous bytes")
    if tag == _BOOLEAN and bytes(body) not in (b"\x00", b"\xff"):
        raise _bad(what, "a boolean is neither 00 nor FF")
    if tag == _NULL and len(body):
        raise _bad(what, "a null has content")
    if tag == _BIT_STRING:
        _bits(bytes(body), what)
    return after


def _head(data: memoryview, start: int, end: int, what: str) -> tuple[int, int, int]:
    """Return tag, where the content begins and where it ends."""
    if end - start < 2:
        raise _bad(what, "it is cut off")
    tag, first = data[start], data[start + 1]
    if tag & 0x1F == 0x1F:
        raise _bad(what, "it has a tag of several bytes")
    place = start + 2
    length = first
    if first & 0x80:
        count = first & 0x7F
        if not 1 <= count <= 4 or end - place < count:
            raise _bad(what, "a length is indefinite, too long or cut off")
        length = int.from_bytes(data[place : place + count], "big")
        if length < 0x80 or length >> 8 * (count - 1) == 0:
            raise _bad(what, "a length is not in its shortest form")
        place += count
    if length > end - place:
        raise _bad(what, "it is cut off")
    return tag, place, place + length


def _bits(body: bytes, what: str) -> None:
    if not body or body[0] > 7 or (len(body) == 1 and body[0]):
        raise _bad(what, "a bit string is malformed")
    if body[0] and body[-1] & ((1 << body[0]) - 1):
        raise _bad(what, "a bit string has pad bits set")


def _bad(what: str, problem: str) -> BadAnchor:
    return BadAnchor("anchor_form", f"{what} is not in DER: {problem}")
