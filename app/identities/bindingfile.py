"""`muniment-identity-binding/v1`: what a person hands to the registrar so that his certificate is bound to his key.

Canonical JSON. It holds no secret; it is of use for this registry, member and key alone.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from app.canonical import format_json, parse_json
from app.errors import BadInput
from app.fields import B64, Many, Parsed, read_record, write_record
from app.identities.chain import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES
from app.identities.possession import FORM, MAX_SIGNATURE_BYTES, Algorithm
from app.statements.keys import MemberId

MAX_BINDING_BYTES = 131_072


def _as_is(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingFile:
    """A person's certificate with those above it, and the signature of its key; `key` is the identity key meant."""

    format: Literal["muniment-identity-binding/v1"] = "muniment-identity-binding/v1"
    origin: Annotated[str, Parsed(_as_is)]
    member: Annotated[str, MemberId]
    key: Annotated[str, MemberId]
    certificates: Annotated[
        tuple[Annotated[bytes, B64(most=MAX_CERTIFICATE_BYTES)], ...], Many(least=1, most=MAX_CERTIFICATES)
    ]
    """DER, his own first; the root may be left out."""
    algorithm: Algorithm
    signature: Annotated[bytes, B64(most=MAX_SIGNATURE_BYTES)]


def format_binding(binding: BindingFile) -> bytes:
    """Return the file's bytes, which end with LF."""
    return (format_json(write_record(binding)) + "\n").encode()


def parse_binding(data: bytes) -> BindingFile:
    """Read the file. Raises BadInput (the codes of `app.canonical` and `app.fields`, not_a_binding)."""
    text = data.removesuffix(b"\n")
    value = parse_json(text, what="the binding file", max_bytes=MAX_BINDING_BYTES, max_depth=3)
    if not isinstance(value, dict) or value.get("format") != FORM or len(text) == len(data):
        raise BadInput(
            f"the file is not of the format {FORM}",
            "Name the file that `muniment identity bind` wrote.",
            code="not_a_binding",
        )
    return read_record(BindingFile, value, "")
