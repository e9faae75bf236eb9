"""File names for opened evidence: whatever a depositor's machine called a file, the result is safe in a folder.

A name may be a path whose parts are separated by `/`: the file lay in folders, and does so again. Each part is made
safe by itself, so no name leads out of the folder, on any system.
"""

import unicodedata
from collections.abc import Iterable

MAX_OUTPUT_NAME_BYTES = 200
MAX_OUTPUT_DEPTH = 32
"""Folders above a file; what lies deeper has the rest of its path in its name."""
_FORBIDDEN = set('<>:"/\\|?*')
_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"} | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"
}
_EXTENSION_BYTES = 16


def safe_output_paths(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the parts of a relative path for each of the names of items 1, 2, …, all different.

    Every part is as `safe_output_name` says. Items of one folder stay together; two folders, or a folder and a file,
    that differ only where case or Unicode form do not count get different names. `/etc/x` becomes `etc/x`; an empty
    part, `.` or `..` becomes `_`.
    """
    used: dict[tuple[str, ...], set[str]] = {}
    folders: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
    found = []
    for index, name in enumerate(names, 1):
        *above, last = name.lstrip("/").split("/", MAX_OUTPUT_DEPTH)
        here: tuple[str, ...] = ()
        for part in above:
            if (here, part) not in folders:
                taken = used.setdefault(here, set())
                safe = _unused(part if part.strip(" .") else "_", index, taken)
                taken.add(_key(safe))
                folders[here, part] = (*here, safe)
            here = folders[here, part]
        taken = used.setdefault(here, set())
        safe = _unused(last, index, taken)
        taken.add(_key(safe))
        found.append((*here, safe))
    return tuple(found)


def safe_output_name(name: str, index: int, taken: Iterable[str] = ()) -> str:
    """Return a file name for item `index` that is none of `taken`, also where case or Unicode form do not count.

    No separator, control, format or surrogate character; no leading dot, dash or space, no trailing dot or space; no
    reserved name of Windows; at most 200 bytes of UTF-8. The extension is kept where there is a short one.
    """
    return _unused(name, index, {_key(each) for each in taken})


def _unused(name: str, index: int, used: set[str]) -> str:
    text = "".join(_clean(character) for character in unicodedata.normalize("NFC", name))
    text = text.strip(" .")
    if text.startswith(("-", "~")):
        text = "_" + text
    stem, dot, extension = text.rpartition(".")
    if not dot or not stem or len(extension.encode()) > _EXTENSION_BYTES:
        stem, extension = text, ""
    stem = stem.rstrip(" .") or f"item-{index}"
    if stem.split(".")[0].rstrip(" ").casefold() in _RESERVED:
        stem = "_" + stem
    tail = f".{extension}" if extension else ""
    candidate = _fit(stem, tail)
    suffix = f"-{index}"
    counter = 1
    while _key(candidate) in used:
        candidate = _fit(stem, suffix + tail)
        counter += 1
        suffix = f"-{index}-{counter}"
    return candidate


def _clean(character: str) -> str:
    # Cc control, Cf format (bidirectional overrides), Cs surrogates, Co private, Cn unassigned, Zl and Zp line ends.
    if character in _FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return "_"
    return " " if character.isspace() else character


def _fit(stem: str, tail: str) -> str:
    room = MAX_OUTPUT_NAME_BYTES - len(tail.encode())
    return (stem.encode()[:room].decode(errors="ignore").rstrip(" .") or "_") + tail


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
