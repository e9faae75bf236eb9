"""A witness's mind, as in C2SP tlog-witness: what it answers to a request to cosign, given what it saw last. Pure.

The checks of `add-checkpoint`, in order; the first that fails decides:

1. 400  the request is not in its form.
2. 404  no log of that origin is known.
3. 403  no trusted key of that log signed, or a trusted key's signature fails.
4. 400  the old size is above the checkpoint's size.
5. 409  the old size is not the size that this witness cosigned last (0 when none); the body names that size.
6. 422  the consistency proof fails, or one size has two roots.
7. 200  the cosignature lines, and nothing else.

`decide` only says what is to be stored. Whoever carries it out stores it by compare-and-swap on `seen` BEFORE the
answer leaves, and decides again when another request was first: a cosignature that is out without being remembered lets
the same witness sign a fork after a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import BadProof, BadSignature, Malformed
from ledger.merkle import HASH_BYTES, MAX_SIZE, verify_consistency
from ledger.note import Note, SignatureLine, VerifierKey, verify_signature
from ledger.text import decode_base64, decode_decimal, decode_utf8, encode_base64

MAX_PROOF_HASHES = 63
MAX_REQUEST_BYTES = 256 * 1024
"""Room for 63 hashes and a checkpoint with 70 ML-DSA-44 lines; C2SP sets no bound."""
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


class Status(IntEnum):
    """The answers of C2SP tlog-witness, as HTTP status codes."""

    COSIGNED = 200
    MALFORMED = 400
    NOT_SIGNED = 403
    UNKNOWN_LOG = 404
    OTHER_SIZE = 409
    BAD_PROOF = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request: the size of the last tree that the witness is thought to know, 0 to 63 hashes of 32 bytes from there
    to the checkpoint's tree, and the signed checkpoint's text. Raises Malformed.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: str

    def __post_init__(self) -> None:
        if not 0 <= self.old_size <= MAX_SIZE:
            raise Malformed(f"the old size is outside 0..2^63-1: {self.old_size}")
        if len(self.proof) > MAX_PROOF_HASHES or any(len(hash_) != HASH_BYTES for hash_ in self.proof):
            raise Malformed(f"a consistency proof is not 0 to {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes")
        Checkpoint.parse_body(Note.parse(self.checkpoint).text, allow_extensions=True)

    def format(self) -> bytes:
        """The request's body."""
        lines = [f"old {self.old_size}", *(encode_base64(hash_) for hash_ in self.proof)]
        return ("\n".join(lines) + "\n\n" + self.checkpoint).encode()

    @classmethod
    def parse(cls, body: bytes) -> "AddCheckpoint":
        """Read a request's body; `format` gives the same bytes back. Raises Malformed."""
        if len(body) > MAX_REQUEST_BYTES:
            raise Malformed(f"a request of more than {MAX_REQUEST_BYTES} bytes")
        # The checkpoint holds a blank line too; the first one ends the proof.
        head, blank, checkpoint = decode_utf8(body, "the request").partition("\n\n")
        if not blank:
            raise Malformed("the request has no blank line before its checkpoint")
        lines = head.split("\n", MAX_PROOF_HASHES + 2)
        word, space, size = lines.pop(0).partition(" ")
        if word != "old" or not space:
            raise Malformed("the request does not start with a line `old <size>`")
        return cls(
            old_size=decode_decimal(size, "the old size"),
            proof=tuple(decode_base64(line, "a hash of the consistency proof") for line in lines),
            checkpoint=checkpoint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to answer, and what to store first."""

    status: Status
    body: str
    content_type: str = TEXT_TYPE
    cosigned: str | None = None
    """With 200: the checkpoint with its log's and this witness's lines. It takes the place of `seen`."""
    evidence: str | None = None
    """Why a request that the log did sign cannot be right; keep the request and `seen`. None where nothing is odd."""
    conclusive: bool = False
    """The evidence is two roots of one size, both signed: proof of a fork, whoever sent it. Else the proof that came
    with the checkpoint failed, which anyone who passes a checkpoint on can bring about.
    """
    origin: str | None = None
    """The log, once it is known to be one of ours."""


def read_origin(body: bytes) -> str:
    """The origin that a request's checkpoint names; nothing is verified. Raises Malformed."""
    return _checkpoint(AddCheckpoint.parse(body).checkpoint).origin


def decide(
    seen: str | None, body: bytes, logs: Sequence[VerifierKey], cosigners: Sequence[Cosigner], now: int
) -> Decision:
    """Judge one request. `seen` is the `cosigned` of the last decision on this origin, None when there was none.

    A log's keys are those of `logs` that bear its origin as their name; `cosigners` are this witness's keys, one or
    more; `now` is Unix seconds. Raises Malformed only when `seen` is not a checkpoint: the witness's own state is lost.
    """
    try:
        request = AddCheckpoint.parse(body)  # 1
    except Malformed as error:
        return _refusal(Status.MALFORMED, error.message)
    note = Note.parse(request.checkpoint)
    checkpoint = _checkpoint(request.checkpoint)
    keys = [key for key in logs if key.name == checkpoint.origin]
    if not keys:  # 2
        return _refusal(Status.UNKNOWN_LOG, f"this witness knows no log {checkpoint.origin}")
    try:
        by_log = _trusted_lines(note, keys)  # 3
    except BadSignature as error:
        return _refusal(Status.NOT_SIGNED, error.message)
    if request.old_size > checkpoint.size:  # 4
        text = f"the old size {request.old_size} is above the checkpoint's size {checkpoint.size}"
        return _refusal(Status.MALFORMED, text, origin=checkpoint.origin)
    last = None if seen is None else _checkpoint(seen)
    last_size = 0 if last is None else last.size
    if request.old_size != last_size:  # 5
        two_roots = last is not None and checkpoint.size == last_size and checkpoint.root != last.root
        return Decision(
            status=Status.OTHER_SIZE,
            body=f"{last_size}\n",
            content_type=SIZE_TYPE,
            evidence=_two_roots(last_size) if two_roots else None,
            conclusive=two_roots,
            origin=checkpoint.origin,
        )
    try:
        _check_extends(last, checkpoint, request.proof)  # 6
    except BadProof as error:
        return Decision(
            status=Status.BAD_PROOF,
            body=error.message + "\n",
            evidence=error.message,
            conclusive=last is not None and checkpoint.size == last.size and checkpoint.root != last.root,
            origin=checkpoint.origin,
        )
    lines = [cosigner.cosign(checkpoint, now) for cosigner in cosigners]  # 7
    return Decision(
        status=Status.COSIGNED,
        body="".join(line.text for line in lines),
        cosigned=Note(text=note.text, signatures=(*by_log, *lines)).format(),
        origin=checkpoint.origin,
    )


def _trusted_lines(note: Note, keys: Sequence[VerifierKey]) -> tuple[SignatureLine, ...]:
    """The verified lines of `keys`, one a key. Lines of other keys are ignored, and not kept."""
    found: dict[bytes, SignatureLine] = {}
    for line in note.signatures:
        for key in keys:
            if line.names(key):
                verify_signature(key, note.text, line)
                found.setdefault(key.public_key, line)
    if not found:
        raise BadSignature("no trusted key of this log signed the checkpoint")
    return tuple(found.values())


def _check_extends(last: Checkpoint | None, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    if last is None or last.size == 0:  # every tree extends the empty one, and there is nothing to prove
        if proof:
            raise BadProof("a consistency proof from size 0 is not empty")
    elif checkpoint.size == last.size and checkpoint.root != last.root:
        raise BadProof(_two_roots(last.size))
    else:
        verify_consistency(last.size, last.root, checkpoint.size, checkpoint.root, proof)


def _checkpoint(signed: str) -> Checkpoint:
    return Checkpoint.parse_body(Note.parse(signed).text, allow_extensions=True)


def _two_roots(size: int) -> str:
    return f"two different roots of size {size}"


def _refusal(status: Status, text: str, *, origin: str | None = None) -> Decision:
    return Decision(status=status, body=text + "\n", origin=origin)
