"""The bytes that anchors are made over: a checkpoint with the log's own signature line, and no other."""

from collections.abc import Iterable

from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import BadSignature, Malformed
from ledger.note import Note, VerifierKey


def stamped_text(signed: str, keys: Iterable[VerifierKey]) -> str:
    """Return the signed checkpoint with only the line of a log key of `keys`. Raises Malformed, BadSignature."""
    known = tuple(keys)
    checkpoint = verify_checkpoint(signed, known)
    note = Note.parse(signed)
    own = [line for line in note.signatures if any(line.names(key) and key.name == checkpoint.origin for key in known)]
    if not own:
        raise BadSignature(f"no line of the log {checkpoint.origin} stands in the checkpoint")
    return Note(text=note.text, signatures=(own[0],)).format()


def parse_stamped(text: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Read what was stamped: exactly one line, that of a log key of `keys`. Raises Malformed, BadSignature."""
    known = tuple(keys)
    checkpoint = verify_checkpoint(text, known)
    if stamped_text(text, known) != text:
        raise Malformed("the checkpoint that was stamped carries more than the log's own line")
    return checkpoint
