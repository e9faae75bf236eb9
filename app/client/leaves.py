"""All leaves of a ledger as a client holds them: any root, any inclusion path, and what `seen` may say.

Memory: some 500 bytes an entry: text, parsed leaf and hashes.
"""

from collections.abc import Iterable

from app.errors import BadInput, Mismatch
from app.rules.act import SeenFacts
from app.statements.statement import Leaf, parse_leaf
from ledger.merkle import inclusion_path, leaf_hash, node_hash, range_root
from ledger.stretch import stretch_hashes


class Leaves:
    """The leaf texts from index 0 on, with every complete subtree's hash."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts: list[str] = []
        self.parsed: list[Leaf] = []
        self._levels: list[list[bytes]] = [[]]
        self.extend(texts)

    def __len__(self) -> int:
        return len(self.texts)

    def copy(self) -> "Leaves":
        """The same leaves, to be extended without changing these."""
        twin = Leaves()
        twin.texts, twin.parsed = list(self.texts), list(self.parsed)
        twin._levels = [list(level) for level in self._levels]
        return twin

    def extend(self, texts: Iterable[str]) -> None:
        """Append leaf texts. Raises Mismatch (bad_entries) for one in another form, or with an earlier time."""
        for text in texts:
            try:
                leaf = parse_leaf(text)
            except BadInput as error:
                raise _bad(f"entry {len(self)} is not a leaf of this format: {error.message}") from error
            if self.parsed and leaf.time < self.parsed[-1].time:
                raise _bad(f"the time of entry {len(self)} is earlier than that of the entry before")
            self.texts.append(text)
            self.parsed.append(leaf)
            node, level = leaf_hash(text.encode()), 0
            self._levels[0].append(node)
            while len(self._levels[level]) % 2 == 0:
                node = node_hash(*self._levels[level][-2:])
                level += 1
                if level == len(self._levels):
                    self._levels.append([])
                self._levels[level].append(node)

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves, 32 bytes."""
        return range_root(0, size, self._lookup)

    def path(self, index: int, size: int) -> tuple[bytes, ...]:
        """The inclusion path of a leaf in the tree of the first `size` leaves."""
        return inclusion_path(index, size, self._lookup)

    def stretch(self, start: int, end: int, size: int) -> tuple[bytes, ...]:
        """The proof that the leaves [start, end) stand there, and nothing else, in the tree of the first `size`."""
        return stretch_hashes(start, end, size, self._lookup)

    def facts(self, size: int, before: int) -> SeenFacts:
        """What is known of the first `size` entries as of index `before`; see `app.rules.replay`."""
        if size > before:
            return SeenFacts(root=None, superseded_at=None)
        return SeenFacts(root=self.root(size), superseded_at=self.parsed[size].time if size < before else None)

    def _lookup(self, level: int, index: int) -> bytes:
        return self._levels[level][index]


def _bad(why: str) -> Mismatch:
    return Mismatch(why, "Keep the answers; tell the authority and the witnesses.", code="bad_entries")
