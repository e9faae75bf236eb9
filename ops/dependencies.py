"""What Muniment needs at run time, read from the files of this repository alone: no network, no installed package.

`docs/dependencies.md` has the reasons, the licences and who needs what; `ops/runtime.lock` has versions and digests;
`pyproject.toml` names what is needed directly. Standard library only, so that it runs before anything is installed.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# As `uv pip compile --generate-hashes` writes it.
_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.+!]+)(?: ; (?P<marker>[^\\]+?))? \\")
_HASH = re.compile(r"    --hash=sha256:(?P<digest>[0-9a-f]{64})(?P<more> \\)?")


class Unreadable(ValueError):
    """A page or lock is not of the form that is read here; the message names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package of a lock: `digests` are those of every file that may be installed, SHA-256 in hex."""

    name: str
    version: str
    marker: str
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A row of the page: an SPDX licence expression, and who needs it (`muniment`, or names of packages)."""

    name: str
    licence: str
    needed_by: tuple[str, ...]


def project(root: Path = ROOT) -> dict[str, Any]:
    """The table `project` of `pyproject.toml`."""
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def canonical(name: str) -> str:
    """A package's name as PEP 503 writes it: `typing_extensions` is `typing-extensions`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirement: str) -> str:
    """The canonical name that a requirement (PEP 508) begins with."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None:
        raise Unreadable(f"not a requirement: {requirement!r}")
    return canonical(found[0])


def read_lock(text: str) -> dict[str, Pin]:
    """Every package of a lock by name. Raises `Unreadable` as `pins` does, and at a name that stands twice."""
    found: dict[str, Pin] = {}
    for pin in pins(text):
        if pin.name in found:
            raise Unreadable(f"{pin.name} stands twice")
        found[pin.name] = pin
    return found


def pins(text: str) -> tuple[Pin, ...]:
    """Every pin of a lock in its order. Raises `Unreadable` at a line that is no pin and no SHA-256 digest, at digests
    out of order, and at an end within a package.
    """
    found: list[Pin] = []
    head: re.Match[str] | None = None
    digests: list[str] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        if head is None:
            head = _PIN.fullmatch(line)
            if head is None:
                raise Unreadable(f"line {number}: no `name==version ; marker`: {line!r}")
            continue
        match = _HASH.fullmatch(line)
        if match is None or (digests and digests[-1] >= match["digest"]):
            raise Unreadable(f"line {number}: no SHA-256 digest of {head['name']}, or out of order: {line!r}")
        digests.append(match["digest"])
        if match["more"] is None:
            marker = head["marker"] or ""
            found.append(Pin(name=head["name"], version=head["version"], marker=marker, digests=tuple(digests)))
            head, digests = None, []
    if head is not None or not found or not text.endswith("\n"):
        raise Unreadable("the lock ends within a package, or is empty")
    return tuple(found)


def table(page: str, heading: str) -> list[tuple[str, ...]]:
    """The cells of the one table under `## heading`, without its head. Raises `Unreadable` where there is none."""
    parts = page.split(f"\n## {heading}\n")
    if len(parts) != 2:
        raise Unreadable(f"not one heading {heading!r}")
    lines = [each for each in parts[1].split("\n## ")[0].split("\n") if each.startswith("|")]
    rows = [tuple(cell.strip() for cell in each.strip("|").split("|")) for each in lines[2:]]
    if not rows or {len(each) for each in rows} != {lines[0].count("|") - 1}:
        raise Unreadable(f"the table under {heading!r} is empty or has rows of different width")
    return rows


def packages(page: str, heading: str) -> dict[str, Package]:
    """The table `| package | licence | needed by |` under a heading. Raises `Unreadable`."""
    found: dict[str, Package] = {}
    for name, licence, needed_by in table(page, heading):
        names = tuple(needed_by.split(", "))
        if name in found or name != canonical(name) or not licence or tuple(sorted(names)) != names:
            raise Unreadable(f"a row of {heading!r} is not in order: {name!r}")
        found[name] = Package(name=name, licence=licence, needed_by=names)
    return found
