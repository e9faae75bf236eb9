"""The release record, `muniment-release-record/v1`: everything that the ledger says of one request. Its form only.

`{"format":"muniment-release-record/v1","request":HEX,"entries":[ENTRY…],"start":N,"leaves":[TEXT…],"hashes":[HEX…]}`,
canonical JSON without a final newline. ENTRY is `{"statement","leaf","tlog_proof"}`, in ledger order, all under one
checkpoint. `leaves` are the texts of all entries of the ledger from index `start`, that of the request, on; `hashes`
prove that stretch under the same checkpoint (`ledger.stretch`). `app.verify.record` says whether it holds.
"""

from dataclasses import dataclass

from app.canonical import format_json, parse_json, take_hex, take_int, take_list, take_object, take_str
from app.errors import BadInput
from app.statements.prooffile import Proven
from app.statements.statement import MAX_STATEMENT_BYTES

FORMAT = "muniment-release-record/v1"
HEAD = b'{"format":"muniment-release-record/v1"'
"""What such a file begins with."""
MAX_RECORD_BYTES = 256 * 1024 * 1024
MAX_ENTRIES = 65_536
MAX_LEAVES = 200_000
"""Entries of the ledger from the request to its end: some 30 MB of text."""
_KEYS = ("format", "request", "entries", "start", "leaves", "hashes")
_MAX_LEAF_BYTES, _MAX_TLOG_PROOF_BYTES, _MAX_HASHES = 512, 1_010_000, 126


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile:
    """A release record's parts, none of them checked."""

    request: bytes
    """The digest of the release.request statement."""
    entries: tuple[Proven, ...]
    start: int
    leaves: tuple[str, ...]
    hashes: tuple[bytes, ...]


def format_record_file(record: RecordFile) -> bytes:
    """Return the file's bytes. Raises BadInput for parts that `parse_record_file` would refuse."""
    data = format_json(
        {
            "format": FORMAT,
            "request": record.request.hex(),
            "entries": [
                {"statement": each.statement, "leaf": each.leaf, "tlog_proof": each.tlog_proof}
                for each in record.entries
            ],
            "start": record.start,
            "leaves": list(record.leaves),
            "hashes": [each.hex() for each in record.hashes],
        }
    ).encode()
    parse_record_file(data)
    return data


def parse_record_file(data: bytes) -> RecordFile:
    """Read a release record. Raises BadInput (the codes of `app.canonical`, not_a_record)."""
    what = "the release record"
    value = parse_json(data, what=what, max_bytes=MAX_RECORD_BYTES)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{what} is not of the format {FORMAT}", "Name a release record.", code="not_a_record")
    fields = take_object(value, _KEYS, what)
    entries = take_list(fields["entries"], "the entries", min_items=1, max_items=MAX_ENTRIES)
    leaves = take_list(fields["leaves"], "the leaves", min_items=1, max_items=MAX_LEAVES)
    hashes = take_list(fields["hashes"], "the hashes", max_items=_MAX_HASHES)
    return RecordFile(
        request=take_hex(fields["request"], "the request", size=32),
        entries=tuple(_entry(each, f"entry {number}") for number, each in enumerate(entries)),
        start=take_int(fields["start"], "the start"),
        leaves=tuple(take_str(each, f"leaf {i}", max_bytes=_MAX_LEAF_BYTES) for i, each in enumerate(leaves)),
        hashes=tuple(take_hex(each, f"hash {i}", size=32) for i, each in enumerate(hashes)),
    )


def _entry(value: object, what: str) -> Proven:
    fields = take_object(value, ("statement", "leaf", "tlog_proof"), what)
    return Proven(
        statement=take_str(fields["statement"], f"the statement of {what}", max_bytes=MAX_STATEMENT_BYTES),
        leaf=take_str(fields["leaf"], f"the leaf of {what}", max_bytes=_MAX_LEAF_BYTES),
        tlog_proof=take_str(fields["tlog_proof"], f"the tlog_proof of {what}", max_bytes=_MAX_TLOG_PROOF_BYTES),
    )
