"""Text from people, made fit to print: every character is one that the fonts draw and that changes no other.

A file name may hold what turns the reading direction, hides, or looks like a line of the page. What is printed is
normalised (NFC, Unicode Annex 15); characters without a glyph of their own (controls, format and private characters,
lone surrogates, what no font has) stand as ‹U+202E›, so that the reader sees that there was something, and what.
"""

import unicodedata
from functools import cache
from pathlib import Path

MOST_CHARACTERS = 10_000
"""What a certificate prints of one value; of a longer one it says how much is left out."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Spaces other than the plain one may be wide enough to push text aside; the ideographic space is common in Chinese.
_SPACES = frozenset({" ", "\u3000"})


@cache
def font_folder() -> Path:
    """The folder of the installed fonts (Noto Serif SC, Noto Sans SC; OFL 1.1)."""
    import pylopdf_fonts_zh_cn  # noqa: PLC0415 - 20 MB of fonts: only who prints looks for them

    return Path(pylopdf_fonts_zh_cn.__file__).parent


@cache
def drawable() -> frozenset[int]:
    """The code points that both installed fonts draw."""
    from fontTools.ttLib import TTFont  # noqa: PLC0415

    found: set[int] | None = None
    for path in sorted(font_folder().glob("*.otf")):
        with TTFont(path, lazy=True) as font:
            here = set(font.getBestCmap())
        found = here if found is None else found & here
    return frozenset(found or ())


def printable(text: str) -> str:
    """Return `text` with every character that cannot safely be drawn named instead. Never fails; one line."""
    shown = unicodedata.normalize("NFC", text[:MOST_CHARACTERS])
    known = drawable()
    result = "".join(each if _plain(each, known) else f"‹U+{ord(each):04X}›" for each in shown)
    left = len(text) - MOST_CHARACTERS
    return f"{result} ‹+{left}›" if left > 0 else result


def paragraphs(text: str) -> tuple[str, ...]:
    """Return `text` as printable paragraphs, one for each line that is not empty."""
    return tuple(printable(each) for each in text[: MOST_CHARACTERS * 2].split("\n") if each.strip()) or (
        printable(text),
    )


def _plain(character: str, known: frozenset[int]) -> bool:
    if unicodedata.category(character) == "Zs":
        return character in _SPACES
    # Marks are drawn over what stands before them: a pile of them hides other lines. The opening mark of our own
    # notation is named like the rest, so that nobody writes "‹U+202E›" by hand.
    return (
        ord(character) in known
        and character != "‹"
        and unicodedata.category(character) not in _HIDDEN
        and not unicodedata.combining(character)
        and unicodedata.bidirectional(character) not in ("R", "AL")
    )
