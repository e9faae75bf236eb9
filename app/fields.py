"""Frozen records as JSON objects: one codec, derived from the types of their fields.

A record is a frozen dataclass whose fields are annotated with what their JSON looks like: `Annotated[bytes, Hex(16)]`.
Its JSON object has exactly those keys in that order. Statements' claims, trust and proof files and the rules'
aggregates are all such records, so syntax is decided in one place and the domain never doubts its input. Wire names are
the fields' names.
"""

import types
import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast

from app.canonical import (
    MAX_INTEGER,
    b64u_encode,
    take_b64u,
    take_bool,
    take_choice,
    take_hex,
    take_int,
    take_list,
)
from app.errors import BadInput

T = TypeVar("T")


def bad_field(what: str, problem: str) -> BadInput:
    """Make the error that names a field and what is wrong with it."""
    return BadInput(f"{what}: {problem}", "Correct that field and send the text again.", code="bad_field")


@dataclass(frozen=True, slots=True)
class Hex:
    """`size` bytes as lowercase hex."""

    size: int

    def read(self, value: object, what: str) -> bytes:
        return take_hex(value, what, size=self.size)

    def write(self, value: bytes) -> str:
        return value.hex()


@dataclass(frozen=True, slots=True)
class B64:
    """Bytes as unpadded base64url; `size` is exact, `most` a limit."""

    size: int | None = None
    most: int = 98_304

    def read(self, value: object, what: str) -> bytes:
        data = take_b64u(value, what, size=self.size)
        if len(data) > self.most:
            raise bad_field(what, f"is {len(data)} bytes, and at most {self.most} are taken")
        return data

    def write(self, value: bytes) -> str:
        return b64u_encode(value)


@dataclass(frozen=True, slots=True)
class Int:
    """An integer from `least` to `most`."""

    least: int = 0
    most: int = MAX_INTEGER

    def read(self, value: object, what: str) -> int:
        return take_int(value, what, minimum=self.least, maximum=self.most)

    def write(self, value: int) -> int:
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `least` to `most` characters; without control characters unless `lines` (which allows LF)."""

    most: int = 200
    least: int = 1
    lines: bool = False

    def read(self, value: object, what: str) -> str:
        if not isinstance(value, str):
            raise bad_field(what, "must be a string")
        if not self.least <= len(value) <= self.most:
            raise bad_field(what, f"has {len(value)} characters; it must have {self.least} to {self.most}")
        for character in value:
            if not character.isprintable() and not (self.lines and character == "\n"):
                raise bad_field(what, f"holds the unprintable character U+{ord(character):04X}")
        return value

    def write(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Parsed:
    """A string that has a form of its own: `read` checks it (and raises BadInput), `write` is the identity."""

    check: Callable[[str, str], str]

    def read(self, value: object, what: str) -> str:
        if not isinstance(value, str):
            raise bad_field(what, "must be a string")
        return self.check(value, what)

    def write(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Many:
    """Annotates a tuple: how many elements it may have."""

    most: int
    least: int = 0


class Yes:
    """true or false."""

    def read(self, value: object, what: str) -> bool:
        return take_bool(value, what)

    def write(self, value: bool) -> bool:
        return value


class _Choice:
    def __init__(self, values: tuple[str, ...]) -> None:
        self._values = values

    def read(self, value: object, what: str) -> str:
        return take_choice(value, what, self._values)

    def write(self, value: str) -> str:
        return value


class _Optional:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, value: object, what: str) -> object:
        return None if value is None else self._inner.read(value, what)

    def write(self, value: object) -> object:
        return None if value is None else self._inner.write(value)


class _Tuple:
    def __init__(self, inner: Any, limit: Many) -> None:
        self._inner, self._limit = inner, limit

    def read(self, value: object, what: str) -> tuple[object, ...]:
        found = take_list(value, what, min_items=self._limit.least, max_items=self._limit.most)
        return tuple(self._inner.read(each, f"{what}[{index}]") for index, each in enumerate(found))

    def write(self, value: tuple[object, ...]) -> list[object]:
        return [self._inner.write(each) for each in value]


class _Row:
    """A tuple of fixed length with a codec for each place, as a JSON list."""

    def __init__(self, inner: tuple[Any, ...]) -> None:
        self._inner = inner

    def read(self, value: object, what: str) -> tuple[object, ...]:
        if not isinstance(value, list) or len(value) != len(self._inner):
            raise bad_field(what, f"must be a list of {len(self._inner)}")
        return tuple(c.read(each, f"{what}[{i}]") for i, (c, each) in enumerate(zip(self._inner, value, strict=True)))

    def write(self, value: tuple[object, ...]) -> list[object]:
        return [c.write(each) for c, each in zip(self._inner, value, strict=True)]


class _Object:
    def __init__(self, record: type[Any]) -> None:
        hints = typing.get_type_hints(record, include_extras=True)
        self._record = record
        self._codecs = {field.name: _codec(hints[field.name]) for field in fields(record)}

    def read(self, value: object, what: str) -> object:
        if not isinstance(value, dict):
            raise bad_field(what, "must be an object")
        for name in self._codecs:
            if name not in value:
                raise bad_field(what, f"lacks the key {name!r}")
        for name in value:
            if name not in self._codecs:
                raise bad_field(what, f"has the unknown key {str(name)[:40]!r}")
        if list(value) != list(self._codecs):
            raise bad_field(what, f"must have its keys in the order {', '.join(self._codecs)}")
        return self._record(**{n: c.read(value[n], f"{what}.{n}" if what else n) for n, c in self._codecs.items()})

    def write(self, value: object) -> dict[str, object]:
        return {name: codec.write(getattr(value, name)) for name, codec in self._codecs.items()}


def _codec(hint: Any) -> Any:
    limit = Many(most=MAX_INTEGER)
    if typing.get_origin(hint) is Annotated:
        hint, *marks = typing.get_args(hint)
        for mark in marks:
            if isinstance(mark, Many):
                limit = mark
            else:
                return mark
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _Choice(arguments)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not types.NoneType]
        return _Optional(_codec(inner))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _Tuple(_codec(arguments[0]), limit)
    if origin is tuple:
        return _Row(tuple(_codec(each) for each in arguments))
    if hint is bool:
        return Yes()
    if isinstance(hint, type) and is_dataclass(hint):
        return _object(hint)
    raise TypeError(f"no JSON form is declared for {hint!r}")


@cache
def _object(record: Hashable) -> _Object:
    return _Object(cast("type[Any]", record))


def read_record(record: type[T], value: object, what: str = "") -> T:
    """Return the record that a parsed JSON value spells. Raises BadInput naming the field."""
    return cast("T", _object(cast("Hashable", record)).read(value, what))


def write_record(value: object) -> dict[str, Any]:
    """Return a record as a JSON object with its keys in the order of its fields."""
    return _object(cast("Hashable", type(value))).write(value)
