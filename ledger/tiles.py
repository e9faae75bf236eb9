"""Tiles and entry bundles: coordinates, paths, widths and bytes, as in C2SP tlog-tiles.

Tile (level, index) holds up to 256 hashes; its i-th is the hash of the complete subtree of 256^level leaves that
starts at leaf (256·index + i)·256^level. A level above 0 knows only FULL tiles below. A bundle holds the entries under
a tile of level 0, each as u16 big-endian length ‖ bytes. Paths have no leading slash here: `tile/0/x001/234.p/5`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import Malformed
from ledger.merkle import HASH_BYTES, MAX_SIZE, HashLookup

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
KEPT_WIDTH = 16
"""Above level 0 an unfinished tile is stored at each multiple of this width, so that a start need not derive it."""
MAX_ENTRY_BYTES = 65_535

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile of hashes: level 0..63, index, width 1..256 (256 is a full tile). Raises Malformed outside."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MAX_LEVEL:
            raise Malformed(f"no tiles of level {self.level}: levels are 0..{MAX_LEVEL}")
        _check(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        return f"tile/{self.level}/{_number(self.index)}{_partial(self.width)}"

    def is_in(self, size: int) -> bool:
        """Answer whether a log of `size` leaves has all hashes of this tile."""
        return self.index * TILE_WIDTH + self.width <= size >> (TILE_HEIGHT * self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The entries under a tile of level 0: index, width 1..256. Raises Malformed outside."""

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        return f"tile/entries/{_number(self.index)}{_partial(self.width)}"

    def is_in(self, size: int) -> bool:
        """Answer whether a log of `size` leaves has all entries of this bundle."""
        return self.index * TILE_WIDTH + self.width <= size


def parse_path(path: str) -> Tile | Bundle:
    """Read a path; `path` of the result gives the same text back. Raises Malformed."""
    match = _PATH.fullmatch(path)
    if match is None or len(path) > 64:
        raise Malformed(f"not the path of a tile: {path[:80]!a}")
    index = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    if match[3] and width == TILE_WIDTH:
        raise Malformed(f"a full tile is not named as a partial one: {path!a}")
    tile: Tile | Bundle
    if match[1] == "entries":
        tile = Bundle(index=index, width=width)
    else:
        tile = Tile(level=int(match[1]), index=index, width=width)
    if tile.path != path:
        raise Malformed(f"the path of a tile has needless zeros: {path!a}")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a log of `size` leaves, by level and index; the last of each level may be partial, never empty."""
    for level in range(levels_of(size)):
        yield from tiles_at(level, size)


def levels_of(size: int) -> int:
    """How many levels of tiles a log of `size` leaves has."""
    return (size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT


def tiles_at(level: int, size: int, since: int = 0) -> Iterator[Tile]:
    """The tiles of one level by index, without the full ones that a log of `since` leaves had already."""
    full, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
    for index in range(since >> (TILE_HEIGHT * (level + 1)), full):
        yield Tile(level=level, index=index)
    if width:
        yield Tile(level=level, index=full, width=width)


def tile_bytes(tile: Tile, lookup: HashLookup) -> bytes:
    """The hashes of `tile` joined (32·width bytes), from complete subtrees."""
    first = tile.index * TILE_WIDTH
    return b"".join(lookup(TILE_HEIGHT * tile.level, first + place) for place in range(tile.width))


def split_tile(data: bytes, width: int) -> tuple[bytes, ...]:
    """The `width` hashes of a tile's bytes. Raises Malformed on another length."""
    if len(data) != width * HASH_BYTES:
        raise Malformed(f"a tile of width {width} has {len(data)} bytes, not {width * HASH_BYTES}")
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def encode_entry(entry: bytes) -> bytes:
    """u16 big-endian length ‖ entry. Raises Malformed above 65,535 bytes."""
    if len(entry) > MAX_ENTRY_BYTES:
        raise Malformed(f"an entry of {len(entry)} bytes; at most {MAX_ENTRY_BYTES} are allowed")
    return len(entry).to_bytes(2, "big") + entry


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Each entry as `encode_entry` gives it, joined. Raises Malformed above 65,535 bytes."""
    if max(map(len, entries), default=0) > MAX_ENTRY_BYTES:
        raise Malformed(f"an entry of {max(map(len, entries))} bytes; at most {MAX_ENTRY_BYTES} are allowed")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of a bundle of 1 to 256 entries. Raises Malformed."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise Malformed(f"a bundle of {len(entries)} entries")
    return encode_entries(entries)


def decode_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """The `width` entries of a bundle's bytes, which must end with the last one. Raises Malformed."""
    entries, at = decode_entries(data, 0, width)
    if at != len(data):
        raise Malformed(f"a bundle of {width} entries has {len(data) - at} bytes after them")
    return entries


def decode_entries(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """`count` entries of `data` from offset `at`, and the offset after them. Raises Malformed if bytes are missing."""
    entries, length = [], len(data)
    for place in range(count):
        start = at + 2
        if start <= length:
            at = start + (data[start - 2] << 8 | data[start - 1])
        if start > length or at > length:
            raise Malformed(f"the bytes end inside entry {place} of {count}")
        entries.append(data[start:at])
    return tuple(entries), at


def _check(index: int, width: int) -> None:
    if not 0 <= index <= MAX_SIZE >> TILE_HEIGHT:
        raise Malformed(f"the index of a tile is outside 0..2^55-1: {index}")
    if not 1 <= width <= TILE_WIDTH:
        raise Malformed(f"the width of a tile is outside 1..{TILE_WIDTH}: {width}")


def _number(index: int) -> str:
    """Groups of three digits, all but the last with an x."""
    text = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03}/{text}"
    return text


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
