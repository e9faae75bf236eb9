"""The publication file, `muniment-publication/v1`: what one capsule held, for somebody outside the case. Its form only.

`{"format":"muniment-publication/v1","founding":[ENTRY…],"deposit":ENTRY,"request":ENTRY,"contributions":[ENTRY…],
"publication":ENTRY,"manifest":TEXT,"inventory":b64 or null}`, canonical JSON without a final newline. ENTRY is
`{"statement","leaf","tlog_proof"}`. `founding` holds, in ledger order, what makes the signers and the panel: genesis,
members, the panel's ceremonies, with their approvals. `inventory` is the sealed item 0, when it is at most 8 MiB.
"""

from dataclasses import dataclass

from app.canonical import b64u_encode, format_json, parse_json, take_b64u, take_list, take_object, take_str
from app.errors import BadInput
from app.statements.prooffile import Proven
from app.statements.statement import MAX_STATEMENT_BYTES

FORMAT = "muniment-publication/v1"
HEAD = b'{"format":"muniment-publication/v1"'
"""What such a file begins with."""
MAX_PUBLICATION_BYTES = 256 * 1024 * 1024
MAX_INVENTORY_BYTES = 8 * 1024 * 1024
MAX_FOUNDING = 65_536
_KEYS = ("format", "founding", "deposit", "request", "contributions", "publication", "manifest", "inventory")
_MAX_LEAF_BYTES, _MAX_TLOG_PROOF_BYTES, _MAX_MANIFEST_BYTES = 512, 1_010_000, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFile:
    """A publication file's parts, none of them checked."""

    founding: tuple[Proven, ...]
    deposit: Proven
    request: Proven
    contributions: tuple[Proven, ...]
    """In the order of the opening's indices."""
    publication: Proven
    manifest: str
    inventory: bytes | None


def format_publication_file(file: PublicationFile) -> bytes:
    """Return the file's bytes. Raises BadInput for parts that `parse_publication_file` would refuse."""
    data = format_json(
        {
            "format": FORMAT,
            "founding": [_entry(each) for each in file.founding],
            "deposit": _entry(file.deposit),
            "request": _entry(file.request),
            "contributions": [_entry(each) for each in file.contributions],
            "publication": _entry(file.publication),
            "manifest": file.manifest,
            "inventory": b64u_encode(file.inventory) if file.inventory is not None else None,
        }
    ).encode()
    parse_publication_file(data)
    return data


def parse_publication_file(data: bytes) -> PublicationFile:
    """Read a publication file. Raises BadInput (the codes of `app.canonical`, not_a_publication)."""
    what = "the publication file"
    value = parse_json(data, what=what, max_bytes=MAX_PUBLICATION_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name the recipient's file.", code="not_a_publication")
    fields = take_object(value, _KEYS, what)
    inventory = fields["inventory"]
    sealed = None if inventory is None else take_b64u(inventory, "the sealed inventory")
    if sealed is not None and len(sealed) > MAX_INVENTORY_BYTES:
        raise BadInput(f"the sealed inventory has {len(sealed)} bytes", "Leave it out.", code="too_large")
    return PublicationFile(
        founding=_entries(fields["founding"], "founding statement", MAX_FOUNDING),
        deposit=_read(fields["deposit"], "the deposit"),
        request=_read(fields["request"], "the request"),
        contributions=_entries(fields["contributions"], "contribution", 255),
        publication=_read(fields["publication"], "the publication"),
        manifest=take_str(fields["manifest"], "the manifest", max_bytes=_MAX_MANIFEST_BYTES),
        inventory=sealed,
    )


def _entry(proven: Proven) -> dict[str, str]:
    return {"statement": proven.statement, "leaf": proven.leaf, "tlog_proof": proven.tlog_proof}


def _entries(value: object, what: str, most: int) -> tuple[Proven, ...]:
    listed = take_list(value, f"the list of each {what}", min_items=1, max_items=most)
    return tuple(_read(each, f"{what} {number}") for number, each in enumerate(listed))


def _read(value: object, what: str) -> Proven:
    fields = take_object(value, ("statement", "leaf", "tlog_proof"), what)
    return Proven(
        statement=take_str(fields["statement"], f"the statement of {what}", max_bytes=MAX_STATEMENT_BYTES),
        leaf=take_str(fields["leaf"], f"the leaf of {what}", max_bytes=_MAX_LEAF_BYTES),
        tlog_proof=take_str(fields["tlog_proof"], f"the tlog_proof of {what}", max_bytes=_MAX_TLOG_PROOF_BYTES),
    )
