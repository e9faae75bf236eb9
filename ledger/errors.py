"""What the ledger refuses, by name.

    LedgerError
    ├── Malformed       foreign bytes that are not in the form that the specification gives
    ├── BadKey          an Ed25519 public key that is non-canonical, of small or of mixed order
    ├── BadProof        an inclusion or consistency proof that does not hold
    ├── BadSignature    a known key whose signature does not verify, or no known key at all
    ├── QuorumMissing   the verifier's own policy is not met
    ├── Forked          two signed views that cannot both be prefixes of one log
    ├── WitnessFailed   a witness gave no cosignature that can be used
    │   └── WitnessAhead     because it cosigned a larger tree of this log already
    ├── DamagedLog      stored bytes that do not re-derive what was signed
    └── Stopped         the sequencer stopped after a failed write and waits for a verified reload

Each carries `code` (a stable slug), `message` (what is the case) and `next_step` (what the reader can do).
"""


class LedgerError(Exception):
    """Base of everything that this room raises."""

    code = "ledger_error"

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class Malformed(LedgerError):
    """The bytes are not in the form that the specification gives."""

    code = "malformed"


class BadKey(LedgerError):
    """The Ed25519 public key is non-canonical, the identity, or of small or mixed order."""

    code = "weak_key"


class BadProof(LedgerError):
    """The Merkle proof does not lead to the root."""

    code = "bad_proof"


class BadSignature(LedgerError):
    """A known key's signature does not verify, or no known key signed."""

    code = "bad_signature"


class QuorumMissing(LedgerError):
    """The verifier's policy asks for more cosignatures than the checkpoint carries."""

    code = "quorum_missing"


class Forked(LedgerError):
    """Two signed checkpoints that cannot both belong to one append-only log."""

    code = "forked"


class WitnessFailed(LedgerError):
    """A witness did not answer, or its answer holds no cosignature that can be used."""

    code = "witness_failed"


class WitnessAhead(WitnessFailed):
    """It cosigned a larger tree of this log: another replica fed it, or this log was rolled back."""

    code = "witness_ahead"


class DamagedLog(LedgerError):
    """Stored bytes do not re-derive the root that was signed."""

    code = "damaged_log"


class Stopped(LedgerError):
    """The sequencer stopped after a failed write; nothing is signed before a verified reload."""

    code = "stopped"
