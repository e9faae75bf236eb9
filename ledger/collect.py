"""A log's side of C2SP tlog-witness: ask one witness for its cosignatures, and believe nothing that it answers.

A line counts only when a configured key of this witness verifies it over the very checkpoint that was sent. On 409 the
witness's size is learned and the right consistency proof sent. A witness that names a smaller size than one that it
cosigned for us before has lost its memory: nothing of it is used any more.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.cosignature import verify_cosignature
from ledger.errors import BadSignature, Malformed, WitnessAhead, WitnessFailed
from ledger.note import Note, SignatureLine, VerifierKey
from ledger.text import decode_decimal, decode_utf8
from ledger.witness import SIZE_TYPE, AddCheckpoint, Status

MAX_ANSWER_BYTES = 64 * 1024
MAX_TRIES = 4
"""Requests for one checkpoint: the first may name a stale size, and another replica may be first now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A witness's HTTP answer: status, Content-Type as sent, up to MAX_ANSWER_BYTES of body."""

    status: int
    content_type: str
    body: bytes


Submit = Callable[[bytes], Awaitable[Answer]]
"""POST a body to a witness's add-checkpoint. Raises WitnessFailed when there is no answer, in bounded time."""
Prove = Callable[[int, int], Awaitable[tuple[bytes, ...]]]
"""(size1, size2) → the log's consistency proof, 1 ≤ size1 ≤ size2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignatures:
    """Verified lines, one a key, and what was dropped, in words."""

    lines: tuple[SignatureLine, ...]
    dropped: tuple[str, ...]


class Feed:
    """One witness as its log sees it: what it has, and how to ask for more. One request at a time."""

    def __init__(self, url: str, keys: Sequence[VerifierKey], submit: Submit) -> None:
        """`keys` (types 0x04, 0x06) are those that the witness at `url` is known to hold."""
        self.url, self.keys = url, tuple(keys)
        self._submit = submit
        self._known = 0
        self._cosigned = 0

    @property
    def cosigned_size(self) -> int:
        """The largest size for which a cosignature of this witness was verified here."""
        return self._cosigned

    async def cosign(self, signed: str, checkpoint: Checkpoint, prove: Prove) -> Cosignatures:
        """Have `signed`, the log's own note over `checkpoint`, cosigned.

        Raises WitnessFailed (WitnessAhead where it is beyond this checkpoint), or what `prove` raises.
        """
        for _ in range(MAX_TRIES):
            if self._known > checkpoint.size:
                # Another replica of this log fed it a larger tree; or this log was rolled back.
                ahead = self._known
                self._known = 0
                raise WitnessAhead(f"the witness at {self.url} is at size {ahead}, beyond {checkpoint.size}")
            proof = await prove(self._known, checkpoint.size) if 0 < self._known < checkpoint.size else ()
            request = AddCheckpoint(old_size=self._known, proof=proof, checkpoint=signed)
            answer = await self._submit(request.format())
            if answer.status != Status.OTHER_SIZE:
                found = read_cosignatures(answer, checkpoint, self.keys)
                self._known = self._cosigned = checkpoint.size
                return found
            size = read_size(answer)
            if size < self._cosigned:
                raise WitnessFailed(
                    f"the witness at {self.url} is at size {size}, and cosigned size {self._cosigned} before",
                    "It lost its memory and may sign a fork: drop its key from the policy, and tell its operator.",
                )
            self._known = size
        raise WitnessFailed(f"the witness at {self.url} named another size {MAX_TRIES} times")


def read_size(answer: Answer) -> int:
    """The size in a 409. Raises WitnessFailed."""
    try:
        text = decode_utf8(answer.body, "the witness's size")
        if answer.content_type != SIZE_TYPE or not text.endswith("\n"):
            raise Malformed(f"a 409 without {SIZE_TYPE} and a size in a line: {answer.content_type[:80]!a}")
        return decode_decimal(text[:-1], "the witness's size")
    except Malformed as error:
        raise WitnessFailed(error.message) from error


def read_cosignatures(answer: Answer, checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> Cosignatures:
    """The lines in a 200 that verify over `checkpoint`. Raises WitnessFailed when none does, or on another status."""
    if answer.status != Status.COSIGNED:
        raise WitnessFailed(f"the witness answered {answer.status}: {answer.body[:200].decode('ascii', 'replace')!a}")
    found: dict[bytes, SignatureLine] = {}
    dropped: list[str] = []
    try:
        text = decode_utf8(answer.body[:MAX_ANSWER_BYTES], "the witness's answer")
        if not text.endswith("\n"):
            raise Malformed("the witness's answer does not end in a newline")
        for each in text[:-1].split("\n"):
            line = SignatureLine.parse(each)
            key = next((key for key in keys if line.names(key)), None)
            if key is None:
                dropped.append(f"a line of {line.name} ({line.key_id.hex()}), which is no key of this witness")
                continue
            try:
                verify_cosignature(key, checkpoint, line)
            except BadSignature as error:
                dropped.append(error.message)
            else:
                found.setdefault(key.public_key, line)
    except Malformed as error:
        raise WitnessFailed(error.message) from error
    if not found:
        raise WitnessFailed("no cosignature of the witness verifies: " + "; ".join(dropped))
    return Cosignatures(lines=tuple(found.values()), dropped=tuple(dropped))


def with_cosignatures(signed: str, lines: Sequence[SignatureLine]) -> str:
    """The note `signed` with cosignature lines after its own; a line that it has already is not repeated."""
    note = Note.parse(signed)
    return Note(text=note.text, signatures=tuple(dict.fromkeys((*note.signatures, *lines)))).format()
