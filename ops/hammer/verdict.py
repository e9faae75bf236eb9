"""What must be true when the noise is over; each breach is a sentence.

1. Every receipt verifies: its proof under its own checkpoint, with the witnesses that the policy demands, and its leaf
   is the one of the statement.
2. It is in the final tree at the same index (inclusion), and its checkpoint is a prefix of the final one (consistency).
3. Every leaf stands once; every acknowledged statement stands, at the index of its receipt.
4. What a writer wrote stands in the order of writing; no more than the unanswered last one stands without a receipt.
"""

from collections.abc import Sequence

from app.client.leaves import Leaves
from app.statements.statement import parse_leaf
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.policy import Policy
from ledger.tree import Tree
from ops.hammer.writers import Receipt, Written


async def breaches(
    tree: Tree, final: str, policy: Policy, seen: Sequence[str], writers: Sequence[Written]
) -> list[str]:
    """Return all breaches. `final` is the last published checkpoint, `seen` all others that a writer was shown."""
    found: list[str] = []
    last = verify_checkpoint(final, [policy.log])
    leaves = Leaves(entry.decode() for entry in await tree.entries(0, last.size))
    if leaves.root(last.size) != last.root:
        found.append(f"the final checkpoint of size {last.size} is not over the stored entries")
    for text in sorted(set(seen)):
        try:
            checkpoint = verify_checkpoint(text, [policy.log])
            await _check_prefix(tree, checkpoint, last)
        except LedgerError as error:
            found.append(f"a checkpoint that was seen is no prefix of the final one: {error.message}")
    places: dict[bytes, int] = {}
    for index, leaf in enumerate(leaves.parsed):
        if leaf.digest in places:
            found.append(f"the statement {leaf.digest.hex()} stands twice, at {places[leaf.digest]} and {index}")
        places[leaf.digest] = index
    for number, written in enumerate(writers):
        for receipt in written.receipts:
            try:
                _check_receipt(receipt, policy, leaves, last)
            except LedgerError as error:
                found.append(f"writer {number}: the receipt of {receipt.digest.hex()} does not verify: {error.message}")
            if places.get(receipt.digest) != receipt.index:
                there = places.get(receipt.digest)
                found.append(f"writer {number}: {receipt.digest.hex()} is at {there}, acknowledged at {receipt.index}")
        standing = [places[digest] for digest in written.offered if digest in places]
        if standing != sorted(standing):
            found.append(f"writer {number}: the entries stand in another order than they were written")
        if len(standing) - len(written.receipts) not in (0, 1):
            found.append(f"writer {number}: {len(standing)} entries stand, {len(written.receipts)} were acknowledged")
    return found


def _check_receipt(receipt: Receipt, policy: Policy, leaves: Leaves, last: Checkpoint) -> None:
    hash_ = leaf_hash(receipt.leaf.encode())
    verified = receipt.proof.verify(policy, hash_)
    if verified.index != receipt.index or parse_leaf(receipt.leaf).digest != receipt.digest:
        raise LedgerError("it proves another entry")
    if not verified.quorum_met:
        raise LedgerError(f"the policy demands more than {[each.witness for each in verified.cosigners]}")
    verify_inclusion(receipt.index, last.size, hash_, leaves.path(receipt.index, last.size), last.root)


async def _check_prefix(tree: Tree, checkpoint: Checkpoint, last: Checkpoint) -> None:
    if checkpoint.size > last.size:
        raise LedgerError(f"its size is {checkpoint.size}, and the final one's {last.size}")
    if checkpoint.size:
        path = await tree.consistency(checkpoint.size, last.size)
        verify_consistency(checkpoint.size, checkpoint.root, last.size, last.root, path)
