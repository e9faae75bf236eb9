"""The ledger's errors as those of this room."""

from app.errors import AppError, CannotTell, Mismatch
from ledger.errors import LedgerError, QuorumMissing


def ledger_fault(error: LedgerError, what: str) -> AppError:
    """Return the error with the same code: CannotTell where only cosignatures are missing, Mismatch otherwise."""
    kind = CannotTell if isinstance(error, QuorumMissing) else Mismatch
    return kind(f"{what}: {error.message}", error.next_step, code=error.code)
