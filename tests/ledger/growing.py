"""A log in a list, for tests of those who watch a log: any size of it, signed, with proofs by the RFC's recursion."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.merkle import EMPTY_ROOT, leaf_hash, node_hash
from ledger.note import NoteSigner


def signer(origin: str, seed: int = 0) -> NoteSigner:
    """A log's key; another seed, another key."""
    return NoteSigner(origin, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def root_by_recursion(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1 as it is written there; `leaves` are leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(root_by_recursion(leaves[:k]), root_by_recursion(leaves[k:]))


def path_by_recursion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*path_by_recursion(index, leaves[:k]), root_by_recursion(leaves[k:])]
    return [*path_by_recursion(index - k, leaves[k:]), root_by_recursion(leaves[:k])]


def proof_by_recursion(size1: int, leaves: Sequence[bytes], complete: bool = True) -> list[bytes]:
    """PROOF and SUBPROOF of RFC 6962 §2.1.2; none from size 0."""
    if size1 == 0:
        return []
    if size1 == len(leaves):
        return [] if complete else [root_by_recursion(leaves)]
    k = _split(len(leaves))
    if size1 <= k:
        return [*proof_by_recursion(size1, leaves[:k], complete), root_by_recursion(leaves[k:])]
    return [*proof_by_recursion(size1 - k, leaves[k:], False), root_by_recursion(leaves[:k])]


class GrowingLog:
    """`entries` may be changed by a test, as an operator may."""

    def __init__(self, origin: str = "ledger.example/notary", entries: int = 0, *, salt: str = "", seed: int = 0):
        self.signer = signer(origin, seed)
        self.entries = [f"{salt}{number}".encode() for number in range(entries)]

    @property
    def origin(self) -> str:
        return self.signer.name

    def leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(entry) for entry in self.entries[:size]]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(origin=self.origin, size=size, root=root_by_recursion(self.leaves(size)))

    def signed(self, size: int) -> str:
        return sign_checkpoint(self.checkpoint(size), self.signer)

    def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        return tuple(proof_by_recursion(size1, self.leaves(size2)))

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        return tuple(path_by_recursion(index, self.leaves(size)))


def _split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k
