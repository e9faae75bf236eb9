"""The tables of claims in docs/protocol.md, made from the records: `python -m tests.docs.claims_table` prints them."""

import types
import typing
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal

from app.fields import B64, Hex, Int, Many, Text
from app.statements.keys import Jwk, MemberId
from app.statements.kinds import KINDS, Notes, Origin, Role, Slot, is_public
from app.statements.statement import Envelope

_NAMED: list[tuple[Any, str]] = [
    (typing.get_args(Notes)[1], "notes recipient"),
    (typing.get_args(Origin)[1], "origin"),
    (typing.get_args(Slot)[1], "slot"),
    (MemberId, "member id"),
]


def _mark(mark: Any) -> str:
    for named, text in _NAMED:
        if mark == named:
            return text
    if isinstance(mark, Hex):
        return f"{mark.size} bytes, hex"
    if isinstance(mark, B64):
        return f"{mark.size} bytes, b64" if mark.size is not None else f"at most {mark.most:,} bytes, b64"
    if isinstance(mark, Int):
        return f"{mark.least:,} to {mark.most:,}" if mark.most < 2**53 - 1 else f"integer from {mark.least:,}"
    if isinstance(mark, Text):
        return f"text, {mark.least} to {mark.most} characters"
    if isinstance(mark, Jwk):
        return "key"
    raise TypeError(f"no words for {mark!r}")


def form(hint: Any) -> str:
    """Say what a claim's JSON looks like."""
    many = None
    if typing.get_origin(hint) is Annotated:
        hint, *marks = typing.get_args(hint)
        for mark in marks:
            if not isinstance(mark, Many):
                return _mark(mark)
            many = mark
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint == Role:
        return "role"
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not types.NoneType]
        return f"{form(inner)}, or null"
    if origin is tuple and many is not None:
        inner = form(arguments[0])
        return f"list of {many.least:,} to {many.most:,}: {inner}"
    if isinstance(hint, type) and is_dataclass(hint):
        return hint.__name__
    raise TypeError(f"no words for {hint!r}")


def _claims(record: Any) -> str:
    hints = typing.get_type_hints(record, include_extras=True)
    return "; ".join(f"`{field.name}` ({form(hints[field.name])})" for field in fields(record))


def _parts(records: list[Any]) -> list[Any]:
    found: list[Any] = []

    def walk(hint: Any) -> None:
        for each in typing.get_args(hint):
            walk(each)
        if isinstance(hint, type) and is_dataclass(hint) and hint not in found:
            found.append(hint)
            for inner in typing.get_type_hints(hint, include_extras=True).values():
                walk(inner)

    for record in records:
        for hint in typing.get_type_hints(record, include_extras=True).values():
            walk(hint)
    return found


def _visibility(kind: str) -> str:
    if kind.startswith("member."):
        return "by role"
    return "public" if is_public(kind, typing.cast("Any", None)) else "private"


def render() -> str:
    """Return both tables as Markdown."""
    lines = ["| kind | leaf | claims, in this order |", "|---|---|---|"]
    lines += [f"| `{kind}` | {_visibility(kind)} | {_claims(record)} |" for kind, record in KINDS.items()]
    lines += ["", "| object | keys, in this order |", "|---|---|"]
    lines += [f"| {part.__name__} | {_claims(part)} |" for part in _parts([Envelope, *KINDS.values()])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
