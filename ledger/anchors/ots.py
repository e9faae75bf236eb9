"""OpenTimestamps proofs: parsed within bounds, and brought into the one form that is kept.

A proof is a tree of operations from a digest to attestations. What is kept is a single path that ends in one Bitcoin
attestation, of the operations append, prepend and SHA-256: no pending branch (its address could be edited by anybody),
no weak hash, no unknown attestation. `complete_paths` makes that form, `parse_complete` reads it and nothing else.
The library parses and writes; its exceptions are many, so any of them means "malformed". Source: python-opentimestamps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpPrepend, OpSHA256
from opentimestamps.core.serialize import BytesDeserializationContext, BytesSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

from ledger.anchors.errors import BadAnchor
from ledger.anchors.headers import MAX_HEIGHT

MAX_PROOF_BYTES = 65_536
MAX_REPLY_BYTES = 10_000
"""What a calendar may answer."""
MAX_OPERATIONS = 250
DIGEST_BYTES = 32
_ALLOWED = (OpAppend, OpPrepend, OpSHA256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What a complete proof says: its last message is the Merkle root (wire order) of the Bitcoin block at `height`."""

    digest: bytes
    height: int
    merkle_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An attestation that is still to come: the calendar's address as it stands in the proof, and what to ask it."""

    uri: str
    message: bytes


def parse_complete(data: bytes, digest: bytes | None = None) -> Attested:
    """Read a proof in the form that is kept; over `digest` (SHA-256, 32 bytes), if given. Raises BadAnchor."""
    stamp = parse_proof(data)
    if digest is not None and stamp.msg != digest:
        raise BadAnchor("wrong_imprint", f"the proof is over {stamp.msg.hex()}, not over {digest.hex()}")
    node = stamp
    for _ in range(MAX_OPERATIONS + 1):
        if len(node.attestations) + len(node.ops) != 1:
            raise _form("the proof has branches; only one path to one Bitcoin block is kept")
        if node.attestations:
            (attestation,) = node.attestations
            if not isinstance(attestation, BitcoinBlockHeaderAttestation):
                raise _form("the proof does not end in a Bitcoin block: it is pending, or of another kind")
            return _attested(stamp.msg, attestation, node.msg)
        ((operation, node),) = node.ops.items()
        if type(operation) not in _ALLOWED:
            raise _form(f"the proof uses {type(operation).__name__}, which is not taken")
    raise _form(f"the proof has more than {MAX_OPERATIONS} operations")


def parse_proof(data: bytes) -> Any:
    """Read any `.ots` file over a SHA-256 digest; return the library's Timestamp. Raises BadAnchor (anchor_form)."""
    if len(data) > MAX_PROOF_BYTES:
        raise _form(f"the proof has {len(data)} bytes, more than {MAX_PROOF_BYTES}")
    try:
        reading = BytesDeserializationContext(data)
        found = DetachedTimestampFile.deserialize(reading)
        reading.assert_eof()
        written = BytesSerializationContext()
        found.serialize(written)
    except Exception as error:
        raise _form(f"the proof cannot be read: {type(error).__name__} {error}"[:300]) from error
    if not isinstance(found.file_hash_op, OpSHA256):
        raise BadAnchor("weak_imprint", "the proof is not over a SHA-256 digest")
    if written.getbytes() != data:
        raise _form("the proof is not in the form that it would be written in")
    return found.timestamp


def parse_reply(data: bytes, message: bytes) -> Any:
    """Read a calendar's reply about `message`; return the library's Timestamp. Raises BadAnchor (anchor_form)."""
    if len(data) > MAX_REPLY_BYTES:
        raise _form(f"the calendar answered {len(data)} bytes, more than {MAX_REPLY_BYTES}")
    try:
        reading = BytesDeserializationContext(data)
        found = Timestamp.deserialize(reading, message)
        reading.assert_eof()
    except Exception as error:
        raise _form(f"the calendar's reply cannot be read: {type(error).__name__} {error}"[:300]) from error
    return found


def format_proof(stamp: Any) -> bytes:
    """Write a Timestamp over a SHA-256 digest as a `.ots` file. Raises BadAnchor when the library cannot."""
    try:
        written = BytesSerializationContext()
        DetachedTimestampFile(OpSHA256(), stamp).serialize(written)
    except Exception as error:
        raise _form(f"the proof cannot be written: {type(error).__name__} {error}"[:300]) from error
    return bytes(written.getbytes())


def new_stamp(digest: bytes) -> Any:
    """A Timestamp over a digest that nobody attests yet; `merge` what calendars answer into it."""
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
    return Timestamp(digest)


def pending_of(stamp: Any) -> tuple[Pending, ...]:
    """The pending attestations of a proof, sorted. Their addresses are what anybody wrote: compare before use."""
    found = {
        (attestation.uri, bytes(message))
        for message, attestation in stamp.all_attestations()
        if isinstance(attestation, PendingAttestation)
    }
    return tuple(Pending(uri=uri, message=message) for uri, message in sorted(found))


def node_of(stamp: Any, message: bytes) -> Any:
    """The place in a proof where `message` stands, into which a calendar's reply about it is merged.

    Raises BadAnchor when the proof does not lead to it.
    """
    waiting = [stamp]
    while waiting:
        node = waiting.pop()
        if node.msg == message:
            return node
        waiting.extend(node.ops.values())
    raise _form(f"the proof does not lead to {message.hex()[:64]}")


def complete_paths(stamp: Any) -> tuple[tuple[Attested, bytes], ...]:
    """Every path of a proof that can be kept, with its bytes in that form; the lowest block first."""
    found = []
    for operations, attestation in _paths(stamp, ()):
        if not isinstance(attestation, BitcoinBlockHeaderAttestation) or len(operations) > MAX_OPERATIONS:
            continue
        if any(type(each) not in _ALLOWED for each in operations):
            continue
        single = node = Timestamp(stamp.msg)
        for each in operations:
            node = node.ops.add(each)
        node.attestations.add(attestation)
        try:
            data = format_proof(single)
            found.append((parse_complete(data, stamp.msg), data))
        except BadAnchor:
            continue
    return tuple(sorted(found, key=lambda pair: (pair[0].height, pair[1])))


def _paths(stamp: Any, before: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for attestation in stamp.attestations:
        yield before, attestation
    for operation, below in stamp.ops.items():
        yield from _paths(below, (*before, operation))


def _attested(digest: bytes, attestation: Any, message: bytes) -> Attested:
    if len(message) != DIGEST_BYTES:
        raise _form(f"the proof ends in {len(message)} bytes, which is no Merkle root")
    if not 0 <= attestation.height <= MAX_HEIGHT:
        raise _form(f"the proof names the height {attestation.height}")
    return Attested(digest=bytes(digest), height=int(attestation.height), merkle_root=bytes(message))


def _form(problem: str) -> BadAnchor:
    return BadAnchor("anchor_form", problem)
