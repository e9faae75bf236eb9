"""An anchor in a proof file: the statement that names it, what was stamped, and the bytes that vouch for it.

    {"statement":JWS,"leaf":TEXT,"tlog_proof":TEXT,"checkpoint":TEXT,"path":[HEX…] or null,"anchor":B64,
     "headers":B64 or null}

`checkpoint` is what was stamped: the signed checkpoint with the log's line alone. `path` leads from the deposit's leaf
to its root; null for an anchor that was on the ledger before the deposit. `headers` are the header and its six
successors for OpenTimestamps, 560 bytes, and null for a time-stamp token.
"""

from dataclasses import dataclass

from app.canonical import b64u_encode, take_b64u, take_hex, take_list, take_str
from app.errors import BadInput, CannotTell
from app.statements.statement import MAX_STATEMENT_BYTES
from ledger.anchors.headers import SHOWN_BYTES
from ledger.anchors.token import MAX_TOKEN_BYTES
from ledger.proof import MAX_HASHES

MAX_ANCHORS = 64
_KEYS = ("statement", "leaf", "tlog_proof", "checkpoint", "path", "anchor", "headers")
_MAX_CHECKPOINT_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofAnchor:
    """One anchor's parts, none of them checked."""

    statement: str
    leaf: str
    tlog_proof: str
    checkpoint: str
    path: tuple[bytes, ...] | None
    anchor: bytes
    headers: bytes | None


def anchor_json(anchor: ProofAnchor) -> dict[str, object]:
    """The JSON value of an anchor."""
    return {
        "statement": anchor.statement,
        "leaf": anchor.leaf,
        "tlog_proof": anchor.tlog_proof,
        "checkpoint": anchor.checkpoint,
        "path": None if anchor.path is None else [each.hex() for each in anchor.path],
        "anchor": b64u_encode(anchor.anchor),
        "headers": None if anchor.headers is None else b64u_encode(anchor.headers),
    }


def parse_anchor(value: object, what: str) -> ProofAnchor:
    """Read an anchor. Raises CannotTell (`unknown_anchor`) for one of another form, BadInput for a malformed one."""
    if not isinstance(value, dict) or tuple(value) != _KEYS:
        raise CannotTell(
            f"{what} is of a form that this version does not know",
            "Verify with a newer version, or ask for a proof without it.",
            code="unknown_anchor",
        )
    path = value["path"]
    headers = None if value["headers"] is None else take_b64u(value["headers"], f"the headers of {what}")
    if headers is not None and len(headers) != SHOWN_BYTES:
        raise BadInput(f"{what} shows {len(headers)} bytes of headers, not {SHOWN_BYTES}", code="wrong_length")
    anchor = take_b64u(value["anchor"], f"the bytes of {what}")
    if len(anchor) > MAX_TOKEN_BYTES:
        raise BadInput(f"{what} has {len(anchor)} bytes, more than {MAX_TOKEN_BYTES}", code="too_large")
    return ProofAnchor(
        statement=take_str(value["statement"], f"the statement of {what}", max_bytes=MAX_STATEMENT_BYTES),
        leaf=take_str(value["leaf"], f"the leaf of {what}", max_bytes=512),
        tlog_proof=take_str(value["tlog_proof"], f"the tlog_proof of {what}", max_bytes=1_010_000),
        checkpoint=take_str(value["checkpoint"], f"the checkpoint of {what}", max_bytes=_MAX_CHECKPOINT_BYTES),
        path=None
        if path is None
        else tuple(
            take_hex(each, f"a hash of {what}", size=32)
            for each in take_list(path, f"the path of {what}", max_items=MAX_HASHES)
        ),
        anchor=anchor,
        headers=headers,
    )
