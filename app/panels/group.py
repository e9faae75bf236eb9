"""The group ristretto255 (RFC 9496): elements and scalars, and the only module that touches `rbcl`.

Hazards of rbcl 1.1.2 (SPEC 2.2) and what stands against each here:
1. add and sub give the identity for an invalid point: an `Element` is made by `dec_elem` or by this module only;
2. multiplication drops bit 255 of a scalar and takes values ≥ L: a `Scalar` is canonical by construction;
3. the `*_allow_scalar_zero` functions give the identity for an invalid point: they are not used;
4. `is_valid_point` is true for the identity: `dec_elem` refuses it first;
5. bit 255 of an element is ignored by decoding: `dec_elem` refuses integers ≥ 2^255 − 19 first.

Scalars stay in libsodium's constant-time functions; only public numbers (indices, weights) are Python integers.
"""

from collections.abc import Iterable, Sequence
from typing import Final, final

import rbcl

from app.panels.errors import need

L: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of the group."""
_FIELD: Final = 2**255 - 19
_ZERO: Final = bytes(32)


@final
class Scalar:
    """An integer modulo L, 32 bytes little-endian. Its text shows no digit of it: most are secrets."""

    __slots__ = ("_encoded",)

    def __init__(self, canonical: bytes) -> None:
        """For this module: `canonical` is below L already. Others use `dec_scalar` or `scalar`."""
        self._encoded = canonical

    def __bytes__(self) -> bytes:
        return self._encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scalar) and self._encoded == other._encoded

    def __hash__(self) -> int:
        return hash(self._encoded)

    def __repr__(self) -> str:
        return "Scalar(…)"

    def __add__(self, other: "Scalar") -> "Scalar":
        return Scalar(rbcl.crypto_core_ristretto255_scalar_add(self._encoded, other._encoded))

    def __sub__(self, other: "Scalar") -> "Scalar":
        return Scalar(rbcl.crypto_core_ristretto255_scalar_sub(self._encoded, other._encoded))

    def __mul__(self, other: "Scalar") -> "Scalar":
        if not isinstance(other, Scalar):
            return NotImplemented  # then Element.__rmul__ answers
        return Scalar(rbcl.crypto_core_ristretto255_scalar_mul(self._encoded, other._encoded))

    def is_zero(self) -> bool:
        return self._encoded == _ZERO


@final
class Element:
    """An element of the group, held as its one valid encoding of 32 bytes; the identity is 32 zero bytes."""

    __slots__ = ("_encoded",)

    def __init__(self, encoded: bytes) -> None:
        """For this module: `encoded` is valid already. Others use `dec_elem`."""
        self._encoded = encoded

    def __bytes__(self) -> bytes:
        return self._encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Element) and self._encoded == other._encoded

    def __hash__(self) -> int:
        return hash(self._encoded)

    def __repr__(self) -> str:
        return f"Element({self._encoded.hex()})"

    def __add__(self, other: "Element") -> "Element":
        if self._encoded == _ZERO:
            return other
        if other._encoded == _ZERO:
            return self
        return Element(rbcl.crypto_core_ristretto255_add(self._encoded, other._encoded))

    def __sub__(self, other: "Element") -> "Element":
        if other._encoded == _ZERO:
            return self
        return Element(rbcl.crypto_core_ristretto255_sub(self._encoded, other._encoded))

    def __rmul__(self, factor: Scalar) -> "Element":
        # libsodium reports the identity as a failure; in a group of prime order it comes from these two only.
        if factor.is_zero() or self._encoded == _ZERO:
            return IDENTITY
        if self is G or self._encoded == G._encoded:
            return Element(rbcl.crypto_scalarmult_ristretto255_base(factor._encoded))
        return Element(rbcl.crypto_scalarmult_ristretto255(factor._encoded, self._encoded))

    def is_identity(self) -> bool:
        return self._encoded == _ZERO


IDENTITY: Final = Element(_ZERO)
G: Final = Element(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))
"""The generator (RFC 9496, 4)."""


def dec_elem(encoded: bytes) -> Element:
    """An element from outside, 32 bytes. Raises `elem_length`, `elem_identity`, `elem_invalid` (SPEC 2.1)."""
    need(len(encoded) == 32, "elem_length")
    need(encoded != _ZERO, "elem_identity")
    need(int.from_bytes(encoded, "little") < _FIELD, "elem_invalid")
    need(bool(rbcl.crypto_core_ristretto255_is_valid_point(encoded)), "elem_invalid")
    return Element(encoded)


def dec_scalar(encoded: bytes, *, zero_allowed: bool = False) -> Scalar:
    """A scalar from outside, 32 bytes little-endian. Raises `scalar_length`, `scalar_noncanonical`, `scalar_zero`."""
    need(len(encoded) == 32, "scalar_length")
    need(int.from_bytes(encoded, "little") < L, "scalar_noncanonical")
    need(zero_allowed or encoded != _ZERO, "scalar_zero")
    return Scalar(encoded)


def scalar(number: int) -> Scalar:
    """A public integer modulo L."""
    return Scalar((number % L).to_bytes(32, "little"))


def reduce_wide(uniform: bytes) -> Scalar:
    """64 uniform bytes, little-endian, modulo L (RFC 9497, 4.1)."""
    return Scalar(rbcl.crypto_core_ristretto255_scalar_reduce(uniform))


def element_from_uniform(uniform: bytes) -> Element:
    """The one-way map of RFC 9496, 4.3.4, of 64 uniform bytes."""
    return Element(rbcl.crypto_core_ristretto255_from_hash(uniform))


def lagrange0(indices: Iterable[int], i: int) -> Scalar:
    """λ_i at 0 over the set `indices`, which contains i: Π j/(j−i) for j ≠ i (SPEC 2.1)."""
    above = below = 1
    for j in indices:
        if j != i:
            above, below = above * j % L, below * (j - i) % L
    return scalar(above * pow(below, -1, L))


def times(number: int, element: Element) -> Element:
    """A public integer times an element: by doubling and adding where that takes at most three additions, each of
    which costs about 0.28 of a multiplication."""
    if number <= 0 or number.bit_length() + number.bit_count() > 5:
        return scalar(number) * element
    total = element
    for bit in bin(number)[3:]:
        total = total + total
        if bit == "1":
            total = total + element
    return total


def sum_at_0(indices: Sequence[int], elements: Sequence[Element]) -> Element:
    """Σ λ_i·P_i, P_i standing for the index at its place; `indices` are ascending and distinct.

    The weights of judges with low, neighbouring indices are small integers of either sign: 3, −3, 1 for 1, 2, 3.
    """
    total = IDENTITY
    for i, element in zip(indices, elements, strict=True):
        weight = int.from_bytes(bytes(lagrange0(indices, i)), "little")
        if weight <= L // 2 or total.is_identity():
            total = total + times(weight, element)
        else:
            total = total - times(L - weight, element)
    return total


def evaluate(commitments: Sequence[Element], j: int) -> Element:
    """Σ_t j^t·C_t by Horner's rule, for a public index j."""
    total = IDENTITY
    for commitment in reversed(commitments):
        total = times(j, total) + commitment
    return total


def evaluate_first(commitments: Sequence[Element], n: int) -> list[Element]:
    """`evaluate` at 1..n, by forward differences: an addition is about a quarter of a multiplication.

    Σ_t C_t·j^t has the m-th difference Σ_t C_t·m!·S(t, m) at 0, with Stirling numbers of the second kind; from there
    each further value costs k − 1 additions instead of k − 1 multiplications and as many additions.
    """
    k = len(commitments)
    differences = []
    for m in range(k):
        total = IDENTITY
        for t in range(m, k):
            total = total + times(_surjections(t, m), commitments[t])
        differences.append(total)
    values = []
    for _ in range(n):
        for m in range(k - 1):
            differences[m] = differences[m] + differences[m + 1]
        values.append(differences[0])
    return values


def _surjections(t: int, m: int) -> int:
    """m!·S(t, m): the number of maps of t things onto m things."""
    row = [1] + [0] * m
    for _ in range(t):
        row = [0] + [i * (row[i] + row[i - 1]) for i in range(1, m + 1)]
    return row[m]
