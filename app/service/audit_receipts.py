"""Receipts that somebody holds, against what is stored: a file that verifies by itself and not here is evidence.

A receipt is a proof file (`muniment-proof/v1`), or a C2SP tlog-proof, which says nothing of the entry but its index.
"""

from collections.abc import Iterator

from app.errors import AppError
from app.service.findings import Finding
from app.statements.prooffile import parse_proof_file
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import BadSignature, LedgerError
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import Note, VerifierKey
from ledger.proof import HEADER, Proof
from ledger.tree import Tree


async def check_receipt(tree: Tree, size: int, key: VerifierKey, name: str, data: bytes) -> Finding | None:
    """Check one receipt file against the stored ledger of `size` entries; `key` is the log's, `name` names the file."""
    try:
        pairs = list(_proofs(data))
    except (AppError, LedgerError, UnicodeDecodeError) as error:
        return Finding(code="bad_receipt", place=name, message=str(error))
    for proof, leaf in pairs:
        try:
            claimed = Checkpoint.parse_body(Note.parse(proof.checkpoint).text)
            if claimed.origin != key.name:
                return _other(name, f"it is of the ledger {claimed.origin}, not {key.name}")
            checkpoint = verify_checkpoint(proof.checkpoint, [key])
            if leaf is not None:
                verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.path, checkpoint.root)
        except BadSignature as error:
            return _other(name, error.message)
        except LedgerError as error:
            return Finding(code="bad_receipt", place=name, message=error.message)
        found = await _against(tree, size, proof, checkpoint, leaf)
        if found is not None:
            return Finding(code="receipt_contradicts", place=name, message=found)
    return None


async def _against(tree: Tree, size: int, proof: Proof, checkpoint: Checkpoint, leaf: bytes | None) -> str | None:
    if checkpoint.size > size:
        return f"its checkpoint has the size {checkpoint.size}, and {size} entries can be read"
    try:
        entry = await tree.entry(proof.index)
        if leaf is not None and entry != leaf:
            return f"the entry {proof.index} that it proves is not the one that is stored"
        verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry), proof.path, checkpoint.root)
        if await tree.root_at(checkpoint.size) != checkpoint.root:
            return f"the stored tree of size {checkpoint.size} has another root than the signed one"
    except LedgerError as error:
        return f"what is stored does not bear it out: {error.message}"
    return None


def _proofs(data: bytes) -> Iterator[tuple[Proof, bytes | None]]:
    if data.startswith(HEADER.encode()):
        yield Proof.parse(data.decode("utf-8")), None
        return
    file = parse_proof_file(data)
    for each in (*file.signers, file.deposit):
        yield Proof.parse(each.tlog_proof), each.leaf.encode("utf-8")


def _other(name: str, message: str) -> Finding:
    return Finding(code="other_ledger", place=name, message=message)
