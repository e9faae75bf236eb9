"""The one proof (SPEC 3): knowledge of scalars x_b with P_a = Σ_b x_b·M[a][b] for every row a (Maurer 2009).

Strong Fiat–Shamir: the hash covers all cells, all points and the context. Making a proof stands in `making.proof`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.panels.errors import need
from app.panels.group import IDENTITY, Element, Scalar
from app.panels.hashing import H2S, Part, u16
from app.panels.wire import Reader

Rows = Sequence[Sequence[Element | None]]
"""m rows of s cells; None is an absent cell."""


class Proof(NamedTuple):
    """c ‖ z_1 ‖ … ‖ z_s, 32·(1 + s) bytes."""

    challenge: Scalar
    answers: tuple[Scalar, ...]


class Statement(NamedTuple):
    """What is proven: the tag of SPEC 3's table, the rows, their points and the context parts."""

    tag: str
    rows: Rows
    points: Sequence[Element]
    context: Sequence[Part]


def proof_bytes(secrets: int) -> int:
    """The size of a proof about that many secrets."""
    return 32 * (1 + secrets)


def read_proof(reader: Reader, secrets: int) -> Proof:
    """The proof at the reader's place; its scalars may be zero. Raises `scalar_noncanonical`."""
    challenge, *answers = reader.scalars(1 + secrets)
    return Proof(challenge, tuple(answers))


def decode_proof(data: bytes, secrets: int) -> Proof:
    """A proof standing alone. Raises `bad_length`, `scalar_noncanonical`."""
    need(len(data) == proof_bytes(secrets), "bad_length")
    return read_proof(Reader(data), secrets)


def prefix(statement: Statement) -> list[Part]:
    """What every hash of a proof begins with."""
    rows = statement.rows
    cells: list[Part] = [b"" if cell is None else cell for row in rows for cell in row]
    sizes = u16(len(rows)) + u16(len(rows[0]))
    return [sizes, *cells, *statement.points, u16(len(statement.context)), *statement.context]


def combine(row: Sequence[Element | None], factors: Sequence[Scalar]) -> Element:
    """Σ_b factor_b·M[b] over the present cells."""
    total = IDENTITY
    for cell, factor in zip(row, factors, strict=True):
        if cell is not None:
            total = total + factor * cell
    return total


def challenge(statement: Statement, nonces: Sequence[Element]) -> Scalar:
    """c of the proof, from the statement and T_1..T_m."""
    return H2S("sigma/" + statement.tag, *prefix(statement), *nonces)


def proof_holds(statement: Statement, proof: Proof) -> bool:
    """Whether the decoded proof shows the statement; false when a point, a cell or a T_a is the identity."""
    present = [cell for row in statement.rows for cell in row if cell is not None]
    if any(element.is_identity() for element in [*present, *statement.points]):
        return False
    nonces = [
        combine(row, proof.answers) - proof.challenge * point
        for row, point in zip(statement.rows, statement.points, strict=True)
    ]
    if any(nonce.is_identity() for nonce in nonces):
        return False
    return challenge(statement, nonces) == proof.challenge


def check_proof(statement: Statement, proof: Proof, error: str = "proof_invalid", detail: int | None = None) -> None:
    """Raise the named error unless the proof holds."""
    need(proof_holds(statement, proof), error, detail)
