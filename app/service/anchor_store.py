"""Anchors as they are kept and served: what was stamped, the bytes that vouch for it, and for Bitcoin the headers.

Kept under the SHA-256 of the bytes, before the ledger names it: so a name on the ledger always leads to bytes.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from app.canonical import format_json, parse_json
from app.fields import B64, read_record, write_record
from storage.errors import AlreadyExists
from storage.ports import RecordStore

KIND = "anchor"
MAX_BYTES = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnchor:
    """One anchor in strict form. `checkpoint` is the text that was stamped, in bytes; `headers` are 560 bytes."""

    checkpoint: Annotated[bytes, B64(most=4096)]
    anchor: Annotated[bytes, B64(most=65_536)]
    headers: Annotated[bytes, B64(560)] | None

    @property
    def digest(self) -> bytes:
        """What the ledger names: the SHA-256 of the anchor's bytes."""
        return hashlib.sha256(self.anchor).digest()


class AnchorStore:
    """Anchors over a record store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    async def put(self, anchor: KeptAnchor) -> None:
        """Keep an anchor, durable when it returns; again changes nothing."""
        with suppress(AlreadyExists):
            await self._records.insert(KIND, anchor.digest.hex(), format_json(write_record(anchor)).encode())

    async def get(self, digest: bytes) -> KeptAnchor | None:
        """Return the anchor whose bytes have this SHA-256, or None. Raises BadInput for a damaged record."""
        found = await self._records.get(KIND, digest.hex())
        if found is None:
            return None
        return read_record(KeptAnchor, parse_json(found.data, what="the anchor", max_bytes=MAX_BYTES), "the anchor")
