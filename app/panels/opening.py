"""The public opening of one deposit, 96 bytes: K ‖ proof (SPEC 5.5). It publishes the file key of this one deposit.

Opening for oneself, and making an opening, stand in `making.opening`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.panels.capsule import check_box, unbox
from app.panels.contribution import Aggregate, aggregate
from app.panels.errors import need
from app.panels.group import Element, G
from app.panels.hashing import Part
from app.panels.request import Release
from app.panels.sigma import Statement, check_proof, read_proof
from app.panels.wire import Reader

OPENING_BYTES: Final = 96


class Verdict(StrEnum):
    """What a valid opening shows. Both are results, not errors."""

    FILE_KEY = "file_key"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The verdict of a valid opening; `file_key` is 32 bytes, or empty when the box is malformed."""

    verdict: Verdict
    file_key: bytes


def verify_opening(release: Release, contributions: Sequence[bytes], opening: bytes, box: bytes) -> Opened:
    """The verdict on the deposit, from public values alone.

    `contributions` are those that the opening was made from: another subset has other sums. Raises, in this order:
    `bad_length`, element and scalar errors, what `aggregate` does, `opening_proof`, `bad_length`, `box_mismatch`.
    """
    need(len(opening) == OPENING_BYTES, "bad_length")
    reader = Reader(opening)
    K = reader.elem()
    proof = read_proof(reader, 1)
    sums = aggregate(release, contributions)
    check_proof(opening_statement(release, K, sums), proof, "opening_proof")
    check_box(release.public, box)
    file_key = unbox(release.public, K, box)
    if file_key is None:
        return Opened(verdict=Verdict.MALFORMED, file_key=b"")
    return Opened(verdict=Verdict.FILE_KEY, file_key=file_key)


def opening_statement(release: Release, K: Element, sums: Aggregate) -> Statement:
    """Proof `opening`: ΣE − K = sk·ΣR with the sk of PK_R."""
    request = release.request
    context: list[Part] = [release.record.epoch_id, release.public.ct_hash, request.req_hash, K, sums.R, sums.E]
    return Statement("opening", [[G], [sums.R]], [request.PK_R, sums.E - K], context)
