"""The audit of anchors: what the ledger names by hash is stored, and is over the checkpoint that the statement names.

Which authorities count is the verifier's business, so chains are not judged here; form, imprint and Merkle root are.
"""

import hashlib

from app.errors import AppError
from app.service.anchor_store import AnchorStore, KeptAnchor
from app.service.findings import Finding
from app.statements.kinds import Anchor
from app.statements.statement import Seen, Statement
from ledger.anchors.errors import UnknownAuthority
from ledger.anchors.headers import locate
from ledger.anchors.ots import parse_complete
from ledger.anchors.stamped import parse_stamped
from ledger.anchors.tsa import verify_token
from ledger.errors import LedgerError
from ledger.note import VerifierKey


async def check_anchor(store: AnchorStore, statement: Statement, index: int, key: VerifierKey) -> Finding | None:
    """Return what is wrong with the anchor that the statement at `index` names; None when nothing is."""
    claims = statement.claims
    if not isinstance(claims, Anchor):
        return None
    place, name = f"anchor {claims.anchor.hex()}", f"named by entry {index}"
    try:
        kept = await store.get(claims.anchor)
        if kept is None:
            return Finding(code="anchor_missing", place=place, message=f"it is not stored, and is {name}")
        if kept.digest != claims.anchor:
            return Finding(code="anchor_damaged", place=place, message=f"other bytes are stored under its name, {name}")
        _check_bytes(kept, claims.form, statement.envelope.seen, key)
    except (AppError, LedgerError, UnicodeError) as error:
        return Finding(code="anchor_damaged", place=place, message=f"{error} ({name})")
    return None


def _check_bytes(kept: KeptAnchor, form: str, seen: Seen, key: VerifierKey) -> None:
    checkpoint = parse_stamped(kept.checkpoint.decode("utf-8"), [key])
    if (checkpoint.size, checkpoint.root) != (seen.size, seen.root):
        raise LedgerError("another checkpoint was stamped than the statement names")
    if form == "rfc3161":
        try:
            verify_token(kept.anchor, kept.checkpoint, ())
        except UnknownAuthority:
            return  # its form and imprint are good; who it is by is not asked here
        return
    attested = parse_complete(kept.anchor, hashlib.sha256(kept.checkpoint).digest())
    locate(attested.height, attested.merkle_root, kept.headers or b"", None, None)
