"""What anchors in a proof file say of themselves, for the pages: who, and when. `app.verify` judges them."""

from dataclasses import dataclass

from app.statements.proofanchor import parse_anchor
from app.statements.prooffile import ProofFile
from ledger.anchors.headers import HEADER_BYTES, parse_header
from ledger.anchors.ots import parse_complete
from ledger.anchors.token import TokenParts
from ledger.anchors.tsa_chain import common_name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One anchor: the authority's name (its certificate's), or a Bitcoin block's height; the time that it states."""

    authority: str | None
    height: int | None
    time: int
    """Unix seconds: a token's genTime, or the block header's time, which may be off by two hours."""
    covers: bool
    """The deposit is in the stamped checkpoint; else the anchor was there before."""


def read_stamps(proof: ProofFile) -> tuple[Stamp, ...]:
    """Read all anchors of a proof file. Raises what their parsers raise."""
    found = []
    for number, value in enumerate(proof.anchors):
        anchor = parse_anchor(value, f"anchor {number}")
        covers = anchor.path is not None
        if anchor.headers is None:
            parts = TokenParts.read(anchor.anchor)
            found.append(
                Stamp(authority=_signer(parts), height=None, time=int(parts.gen_time.timestamp()), covers=covers)
            )
        else:
            attested = parse_complete(anchor.anchor)
            header = parse_header(anchor.headers[:HEADER_BYTES])
            found.append(Stamp(authority=None, height=attested.height, time=header.time, covers=covers))
    return tuple(found)


def _signer(parts: TokenParts) -> str:
    """The name of the certificate that signed; one that carries a single certificate was signed by that."""
    sid = parts.signer["sid"]
    serial = sid.chosen["serial_number"].native if sid.name == "issuer_and_serial_number" else None
    for each in parts.certificates:
        if serial is None or each.serial_number == serial:
            return common_name_of(each)
    return "?"
