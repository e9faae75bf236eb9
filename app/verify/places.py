"""Where entries stand: under which signed checkpoint, as a trust file asks for it. For files that show many entries."""

from app.errors import CannotTell, Mismatch
from app.statements.kinds import leaf_kind
from app.statements.prooffile import Proven
from app.statements.statement import Leaf, Statement, parse_leaf
from app.statements.trust import Trust
from ledger.merkle import leaf_hash
from ledger.note import Note
from ledger.proof import Proof, VerifiedProof

KEEP = "Ask whoever made the file, or the registry, for the original; keep this one."


class Places:
    """Entries of one ledger under its trust file; two roots of one size in a file are a fork."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._roots: dict[int, bytes] = {}

    def place(self, proven: Proven, statement: Statement, what: str) -> tuple[VerifiedProof, Leaf]:
        """Check an entry's leaf and place.

        Raises Mismatch (leaf_mismatch, forked), CannotTell (other_ledger, unknown_signature_line, quorum_missing),
        LedgerError.
        """
        leaf = parse_leaf(proven.leaf)
        if leaf.digest != statement.digest or leaf.kind != leaf_kind(statement.kind, statement.claims):
            raise Mismatch(
                f"{what}: the leaf is of the {leaf.kind} statement {leaf.digest.hex()}, not of "
                f"{statement.digest.hex()}",
                KEEP,
                code="leaf_mismatch",
            )
        proof = Proof.parse(proven.tlog_proof)
        lines = Note.parse(proof.checkpoint).signatures
        if not any(line.names(log.key) for line in lines for log in self._trust.policy.logs):
            raise CannotTell(
                f"{what}: no line of the checkpoint is of the log of the trust file",
                "Verify with the trust file of the registry that holds the deposit.",
                code="other_ledger",
            )
        place = proof.verify(self._trust.policy, leaf_hash(proven.leaf.encode()))
        at = place.checkpoint
        if self._roots.setdefault(at.size, at.root) != at.root:
            raise Mismatch(
                f"{what}: two roots of size {at.size}, both signed by the log",
                "This proves a fork. Keep the file; tell the authority and the witnesses.",
                code="forked",
            )
        if place.unknown_lines:
            raise CannotTell(
                f"{what}: the checkpoint has signature lines of keys that the trust file does not know",
                "Ask for a file made for your trust file.",
                code="unknown_signature_line",
            )
        if not place.quorum_met:
            raise CannotTell(
                f"{what}: the checkpoint of size {at.size} has fewer cosignatures than the trust file asks for",
                "Ask for a file with more cosignatures.",
                code="quorum_missing",
            )
        return place, leaf
