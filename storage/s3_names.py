"""How a blob's key is spelled as the name of an S3 object, so that every server lists names in the keys' order. Pure.

S3 orders names by bytes. Servers that keep a tree (SeaweedFS, MinIO) get three things wrong or refuse them: "a-b",
which is before "a/b" by bytes, but after the folder "a" in a tree (SeaweedFS then leaves out what is in the folder on
the next page); an object "a" beside objects below "a/"; a segment of more than 255 bytes. So:

    '-' -> '!'    '.' -> '-'    '/' -> './'    and after 200 characters of a segment that goes on, a sign and '/':
    '-' where the next character is '-' or '.', '0' otherwise

A folder's name thus ends in '.', which no other name holds, or in the sign at place 201. Order and prefixes are kept:
name(a) < name(b) just when a < b, and name(p) begins name(k) just when p begins k. A name has at most 770 characters.
"""

PIECE_CHARACTERS = 200

_SPELLED = {"-": "!", ".": "-", "/": "./"}
_READ = {"!": "-", "-": "."}


def object_name(key: str) -> str:
    """Return the name for a key, or for a beginning of keys."""
    written: list[str] = []
    run = 0
    for character in key:
        if character == "/":
            run = 0
        elif run == PIECE_CHARACTERS:
            written.append("-/" if character in "-." else "0/")
            run = 1
        else:
            run += 1
        written.append(_SPELLED.get(character, character))
    return "".join(written)


def key_of(name: str) -> str | None:
    """Return the key that is spelled so, or None: then this room did not write the object."""
    pieces = name.split("/")
    key: list[str] = []
    for piece in pieces[:-1]:
        if piece.endswith("."):
            key.append(_read(piece[:-1]) + "/")
        else:
            key.append(_read(piece[:-1]))
    key.append(_read(pieces[-1]))
    found = "".join(key)
    return found if object_name(found) == name else None


def _read(piece: str) -> str:
    return "".join(_READ.get(character, character) for character in piece)
