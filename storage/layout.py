"""Where a key lies in a tree of folders, and in which order the tree lists its keys. Pure, but for `names_in`.

Keys "a" and "a/b" may both exist, and a segment may be longer than a file name: so a folder's name ends in a sign that
no key holds. "a+" is the segment "a" with more segments below; "x…x~" is the first 200 characters of a longer segment.
A file bears its plain (rest of a) segment:

    cases/17/0001        cases+/17+/0001
    "x" * 250 + "/y"     "x" * 200 + "~" / "x" * 50 + "+" / "y"
"""

import heapq
from collections.abc import Callable, Iterator

from storage.errors import BadName
from storage.names import check_key

PIECE_CHARACTERS = 200
"""A piece and its sign stay below the 255 bytes that file systems give a name."""

Parts = tuple[str, ...]


def place_of(key: str) -> tuple[Parts, str]:
    """Return the folders and the file name of a checked key."""
    folders: list[str] = []
    name = ""
    for segment in key.split("/"):
        if name:
            folders.append(name + "+")
        pieces = [segment[at : at + PIECE_CHARACTERS] for at in range(0, len(segment), PIECE_CHARACTERS)]
        folders += [piece + "~" for piece in pieces[:-1]]
        name = pieces[-1]
    return tuple(folders), name


def keys_in_order(
    names_in: Callable[[Parts], list[str]], *, prefix: str, after: str, parts: Parts = (), stem: str = ""
) -> Iterator[str]:
    """Yield the keys that start with `prefix` and are greater than `after`, in the order of their bytes.

    `names_in` gives the names in a folder, in any order; folders that cannot hold such a key are not asked for. Names
    that are no part of a key are passed over. `stem` is what all keys in the folder `parts` start with.
    """

    def below(folder: str) -> Iterator[str]:
        inner = stem + _start(folder)
        if not (inner.startswith(prefix) or prefix.startswith(inner)):
            return iter(())
        if after > inner and not after.startswith(inner):
            return iter(())
        return keys_in_order(names_in, prefix=prefix, after=after, parts=(*parts, folder), stem=inner)

    names = set(names_in(parts))
    for name in sorted(names, key=lambda name: (_start(name), name)):
        if name.endswith("~"):
            # Keys below "x~" go on with a character on either side of "/", so the two folders' keys alternate.
            twin = name[:-1] + "+"
            yield from heapq.merge(below(name), below(twin)) if twin in names else below(name)
        elif name.endswith("+"):
            if name[:-1] + "~" not in names:
                yield from below(name)
        elif (key := stem + name).startswith(prefix) and key > after and _is_key(key):
            yield key


def _start(name: str) -> str:
    """Return what every key below a folder of this name goes on with; for a file, what its key ends with."""
    if name.endswith("+"):
        return name[:-1] + "/"
    return name.removesuffix("~")


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadName:
        return False
    return True
