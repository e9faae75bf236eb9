"""Reading exact layouts (SPEC 2.5): length first, then version and type, then the fields in wire order."""

from typing import Final, final

from app.panels.errors import need
from app.panels.group import Element, Scalar, dec_elem, dec_scalar

VERSION: Final = 1


@final
class Reader:
    """A cursor over one message whose length is checked already."""

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self._offset = offset

    @property
    def offset(self) -> int:
        """How many bytes were read."""
        return self._offset

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start, self._offset = self._offset, self._offset + count
        return self._data[start : self._offset]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def elem(self) -> Element:
        return dec_elem(self.take(32))

    def elems(self, count: int) -> tuple[Element, ...]:
        return tuple([self.elem() for _ in range(count)])

    def scalars(self, count: int) -> tuple[Scalar, ...]:
        """Scalars that may be zero: proof fields and encrypted shares."""
        return tuple([dec_scalar(self.take(32), zero_allowed=True) for _ in range(count)])


def open_typed(data: bytes, kind: int, *, exactly: int = 0, at_least: int = 0) -> Reader:
    """A reader behind version and type byte. Raises `bad_length`, `bad_version`, `bad_type`, in this order."""
    need(len(data) == exactly if exactly else len(data) >= at_least, "bad_length")
    need(data[0] == VERSION, "bad_version")
    need(data[1] == kind, "bad_type")
    return Reader(data, 2)
