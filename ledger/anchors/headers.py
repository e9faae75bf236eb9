"""Bitcoin block headers offline: work, linkage, retarget, and where a block stands for a verifier.

A header is 80 bytes: version, hash of the one before, Merkle root, time, nBits, nonce, little-endian. Its hash is
SHA-256 twice, read as a little-endian number, which must not exceed the target that nBits stands for. Hashes are shown
reversed. An attestation says only "this message is the Merkle root of block h", so everything else is judged here:

- LOCATED: the block and its six successors stand on the verifier's own chain, as far as that reaches.
- WORK_SHOWN: the verifier's chain does not reach there; seven linked headers show at least the work of his floor.
- UNKNOWN: he has no header checkpoint, so nothing about the block can be said.

Sources: Bitcoin's protocol documentation; the retarget rule of Bitcoin Core's `pow.cpp`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from ledger.anchors.errors import BadAnchor

HEADER_BYTES = 80
_LAYOUT = struct.Struct("<I32s32sIII")
SUCCESSORS = 6
SHOWN_BYTES = (1 + SUCCESSORS) * HEADER_BYTES
"""What an anchor shows: the block's header and its six successors, 560 bytes."""
PERIOD = 2016
"""Blocks between two retargets."""
TIMESPAN = 14 * 24 * 3600
MAX_HEIGHT = 50_000_000
TIME_SLACK = 7200
"""A block's time may be ahead of the true one by two hours: it says "no later than about this plus two hours"."""


class Place(StrEnum):
    """What a verifier can say of a block."""

    LOCATED = "located"
    WORK_SHOWN = "work_shown"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header, parsed. `hash` is 32 bytes in the order of the wire; `text` is how people write it."""

    raw: bytes
    previous: bytes
    merkle_root: bytes
    time: int
    bits: int
    hash: bytes

    @property
    def text(self) -> str:
        """The hash as block explorers show it."""
        return self.hash[::-1].hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as work: the easiest target of the chain, whether it retargets, and the verifier's floor, as nBits.

    `floor` is the easiest target that a block shown without its chain may have.
    """

    limit: int
    floor: int
    retarget: bool = True

    def __post_init__(self) -> None:
        target(self.limit)
        if target(self.floor) > target(self.limit):
            raise BadAnchor("header_without_work", "the floor is easier than the limit of the chain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Checked headers from the verifier's checkpoint on; the first is the checkpoint's own."""

    height: int
    headers: bytes

    @property
    def tip(self) -> int:
        """The height of the last header; one below the checkpoint when there is none."""
        return self.height + len(self.headers) // HEADER_BYTES - 1

    def at(self, height: int) -> bytes | None:
        """The header at a height, where the chain has it."""
        start = (height - self.height) * HEADER_BYTES
        return self.headers[start : start + HEADER_BYTES] if 0 <= start < len(self.headers) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The block from which a verifier follows the chain: its height and hash (wire order), and the chain's rules."""

    height: int
    hash: bytes
    rules: Rules

    def __post_init__(self) -> None:
        if not 0 <= self.height <= MAX_HEIGHT or len(self.hash) != 32:
            raise BadAnchor("anchor_form", f"no header checkpoint can stand at the height {self.height}")
        if self.rules.retarget and self.height % PERIOD:
            raise BadAnchor(
                "anchor_form",
                f"the header checkpoint is at {self.height}, which is not a multiple of {PERIOD}: from there on no "
                "retarget could be checked",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A block that an attestation names, and what the verifier can say of it. `latest` is Unix seconds."""

    place: Place
    height: int
    hash: str
    time: int
    latest: int


def parse_header(raw: bytes) -> Header:
    """Parse 80 bytes. Raises BadAnchor (anchor_form)."""
    if len(raw) != HEADER_BYTES:
        raise BadAnchor("anchor_form", f"a header has {len(raw)} bytes, not {HEADER_BYTES}")
    _, previous, root, time, bits, _ = _LAYOUT.unpack(raw)
    digest = sha256(sha256(raw).digest()).digest()
    return Header(raw=raw, previous=previous, merkle_root=root, time=time, bits=bits, hash=digest)


def split_headers(data: bytes) -> Iterator[Header]:
    """Parse consecutive headers. Raises BadAnchor (anchor_form) when they do not fill `data`."""
    if len(data) % HEADER_BYTES:
        raise BadAnchor("anchor_form", f"{len(data)} bytes are not whole headers of {HEADER_BYTES}")
    return (parse_header(data[at : at + HEADER_BYTES]) for at in range(0, len(data), HEADER_BYTES))


def target(bits: int) -> int:
    """The target that nBits stands for. Raises BadAnchor: negative, zero, or beyond 256 bits."""
    exponent, mantissa = bits >> 24, bits & 0xFFFFFF
    found = mantissa << 8 * (exponent - 3) if exponent >= 3 else mantissa >> 8 * (3 - exponent)
    if not 0 <= bits < 1 << 32 or mantissa & 0x800000 or not found or found >> 256:
        raise BadAnchor("header_without_work", f"0x{bits:08x} stands for no target")
    return found


def compact(value: int) -> int:
    """The nBits of a target, rounded down as Bitcoin does."""
    size = (value.bit_length() + 7) // 8
    mantissa = value >> 8 * (size - 3) if size > 3 else value << 8 * (3 - size)
    return (mantissa >> 8 | size + 1 << 24) if mantissa & 0x800000 else (mantissa | size << 24)


def retargeted(bits: int, span: int, limit: int) -> int:
    """The nBits of the next period, after one of `bits` that took `span` seconds from its first to its last block."""
    bounded = min(max(span, TIMESPAN // 4), TIMESPAN * 4)
    return compact(min(target(limit), target(bits) * bounded // TIMESPAN))


def check_chain(data: bytes, checkpoint: Checkpoint) -> Chain:
    """Check headers that begin with the checkpoint's own: work, linkage, retarget. Raises BadAnchor with the height."""
    if len(data) % HEADER_BYTES:
        raise BadAnchor("anchor_form", f"{len(data)} bytes are not whole headers of {HEADER_BYTES}")
    rules, limit = checkpoint.rules, target(checkpoint.rules.limit)
    last, last_time, last_bits, begun, easiest = checkpoint.hash, 0, -1, 0, 0
    # Years of headers are checked at every use: no object a header, and a target is computed only when nBits change.
    for height, at in enumerate(range(0, len(data), HEADER_BYTES), checkpoint.height):
        raw = data[at : at + HEADER_BYTES]
        _, previous, _, time, bits, _ = _LAYOUT.unpack(raw)
        found = sha256(sha256(raw).digest()).digest()
        if not at:
            if found != last:
                raise BadAnchor(
                    "wrong_chain", f"the first header is {found[::-1].hex()}, and the checkpoint {last[::-1].hex()}"
                )
        elif previous != last:
            raise BadAnchor("broken_linkage", f"the header at {height} does not follow the one before it")
        if rules.retarget and at:
            at_boundary = height % PERIOD == 0
            expected = retargeted(last_bits, last_time - begun, rules.limit) if at_boundary else last_bits
            if bits != expected:
                raise BadAnchor(
                    "wrong_retarget", f"the header at {height} has nBits 0x{bits:08x}, not 0x{expected:08x}"
                )
        if bits != last_bits:
            easiest = target(bits)
            if easiest > limit:
                raise BadAnchor("header_without_work", f"the header at {height} claims less work than is asked for")
        if int.from_bytes(found, "little") > easiest:
            raise BadAnchor("header_without_work", f"the header at {height} has not the work that it claims")
        if height % PERIOD == 0:
            begun = time
        last, last_time, last_bits = found, time, bits
    return Chain(height=checkpoint.height, headers=data)


def check_shown(data: bytes, height: int, rules: Rules) -> tuple[Header, ...]:
    """Check a header and its six successors: linked, each with its work, none easier than the floor. Raises BadAnchor.

    A retarget may lie between them; without the period before it cannot be checked, so the floor bounds it.
    """
    if len(data) != SHOWN_BYTES:
        raise BadAnchor("anchor_form", f"an anchor shows {SHOWN_BYTES} bytes of headers, not {len(data)}")
    headers = tuple(split_headers(data))
    for number, header in enumerate(headers):
        if number and header.previous != headers[number - 1].hash:
            raise BadAnchor("broken_linkage", f"the header shown for {height + number} does not follow the one before")
        _check_work(header, height + number, target(rules.floor))
    return headers


def locate(
    height: int, merkle_root: bytes, shown: bytes, checkpoint: Checkpoint | None, chain: Chain | None
) -> Confirmed:
    """Say what a verifier with this checkpoint and chain can say of an attested block (`merkle_root` in wire order).

    Raises BadAnchor: nothing here makes a bad attestation a weaker good one.
    """
    if len(shown) != SHOWN_BYTES:
        raise BadAnchor("anchor_form", f"an anchor shows {SHOWN_BYTES} bytes of headers, not {len(shown)}")
    first = parse_header(shown[:HEADER_BYTES])
    if first.merkle_root != merkle_root:
        raise BadAnchor(
            "wrong_merkle_root",
            f"the block that is shown for {height} has the Merkle root {first.merkle_root[::-1].hex()}, "
            f"and the proof ends in {merkle_root[::-1].hex()}",
        )
    place = Place.UNKNOWN
    if checkpoint is not None:
        check_shown(shown, height, checkpoint.rules)
        place = Place.WORK_SHOWN
        if chain is not None and chain.at(height) is not None:
            _compare(shown, height, chain)
            place = Place.LOCATED
        elif chain is not None and height == chain.tip + 1 and chain.headers:
            tip = parse_header(chain.headers[-HEADER_BYTES:])
            if first.previous != tip.hash:
                raise BadAnchor("wrong_chain", f"the block shown for {height} does not follow the verifier's newest")
    return Confirmed(place=place, height=height, hash=first.text, time=first.time, latest=first.time + TIME_SLACK)


def _compare(shown: bytes, height: int, chain: Chain) -> None:
    for number in range(1 + SUCCESSORS):
        ours = chain.at(height + number)
        theirs = shown[number * HEADER_BYTES : (number + 1) * HEADER_BYTES]
        if ours is not None and ours != theirs:
            raise BadAnchor(
                "wrong_chain", f"the header shown for {height + number} is not that of the verifier's chain"
            )


def _check_work(header: Header, height: int, easiest: int) -> None:
    needed = target(header.bits)
    if needed > easiest:
        raise BadAnchor("header_without_work", f"the header at {height} claims less work than is asked for")
    if int.from_bytes(header.hash, "little") > needed:
        raise BadAnchor("header_without_work", f"the header at {height} has not the work that it claims")
