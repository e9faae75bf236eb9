"""A judge's contribution, 162 bytes (SPEC 5.2), and the sum of k of them, 64 bytes (SPEC 5.3).

i (u16) ‖ R_i = r_i·G ‖ E_i = x_i·U + r_i·PK_R ‖ proof. Making one stands in `making.contribution`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.panels.errors import need
from app.panels.group import Element, G, sum_at_0
from app.panels.hashing import u16
from app.panels.request import Release
from app.panels.sigma import Proof, Statement, check_proof, read_proof
from app.panels.wire import Reader

CONTRIBUTION_BYTES: Final = 162
AGGREGATE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One judge's part for one request."""

    index: int
    R: Element
    E: Element
    proof: Proof
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """ΣR and ΣE of exactly k verified contributions; alone it proves nothing."""

    R: Element
    E: Element

    @property
    def encoded(self) -> bytes:
        """64 bytes."""
        return bytes(self.R) + bytes(self.E)


def parse_contribution(release: Release, encoded: bytes) -> Contribution:
    """Raises `bad_length`, `bad_index`, element and scalar errors, in this order."""
    need(len(encoded) == CONTRIBUTION_BYTES, "bad_length")
    reader = Reader(encoded)
    index = reader.u16()
    need(1 <= index <= release.record.n, "bad_index")
    R, E = reader.elems(2)
    return Contribution(index=index, R=R, E=E, proof=read_proof(reader, 2), encoded=encoded)


def verify_contribution(release: Release, encoded: bytes) -> Contribution:
    """Anyone may: what `parse_contribution` raises, then `contribution_proof` with the judge's index."""
    contribution = parse_contribution(release, encoded)
    _check(release, contribution)
    return contribution


def contribution_statement(release: Release, index: int, R: Element, E: Element) -> Statement:
    """Proof `contribution`: E hides x_i·U under PK_R, with the x_i of Y_i and the r_i of R."""
    request = release.request
    return Statement(
        "contribution",
        [[G, None], [None, G], [release.public.U, request.PK_R]],
        [release.record.shares[index - 1], R, E],
        [release.record.epoch_id, release.public.ct_hash, request.req_hash, request.PK_R, u16(index)],
    )


def aggregate(release: Release, contributions: Sequence[bytes]) -> Aggregate:
    """The sums over exactly k contributions in ascending order of index, each verified here.

    Raises, in this order: `below_threshold`, `too_many`, what `parse_contribution` does, `duplicate_index`,
    `index_order`, `contribution_proof`, `identity_result`.
    """
    k = release.record.k
    need(len(contributions) >= k, "below_threshold")
    need(len(contributions) == k, "too_many")
    parsed = [parse_contribution(release, encoded) for encoded in contributions]
    indices = [contribution.index for contribution in parsed]
    need(len(set(indices)) == k, "duplicate_index")
    need(indices == sorted(indices), "index_order")
    for contribution in parsed:
        _check(release, contribution)
    sum_R = sum_at_0(indices, [contribution.R for contribution in parsed])
    sum_E = sum_at_0(indices, [contribution.E for contribution in parsed])
    need(not sum_R.is_identity() and not sum_E.is_identity(), "identity_result")
    return Aggregate(R=sum_R, E=sum_E)


def _check(release: Release, contribution: Contribution) -> None:
    statement = contribution_statement(release, contribution.index, contribution.R, contribution.E)
    check_proof(statement, contribution.proof, "contribution_proof", contribution.index)
