"""Which files a person means: the files that he names, and all that lie in the folders that he names.

A file in a folder is called by its path from the folder's own name on, with `/` between the parts on every system, so
the structure comes back when the deposit is opened. Links inside a folder are not followed: what they lead to was not
named. Order: as named; in a folder by name, part by part, so that the same folder gives the same list again.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import BadInput
from app.sealing.inventory import MAX_NAME_BYTES
from app.statements.kinds import MAX_ITEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A file to deposit: where it lies, and if wanted what it is to be called and its media type."""

    path: Path
    name: str | None = None
    type: str | None = None


def gather(
    paths: Sequence[Path],
    *,
    own: Path,
    leave_out_links: bool = False,
    left_out: Callable[[Path, str], None] = lambda _path, _why: None,
) -> tuple[Evidence, ...]:
    """Return the files, folders walked. `own` is the person's folder of keys, which no evidence may hold.

    `left_out` is told of each empty folder, and with `leave_out_links` of each link and special file, which are refused
    without it. Raises BadInput (unreadable, not_a_file, own_folder, name_too_long, too_many_items, nothing_there).
    """
    tell = _Told(leave_out_links, left_out)
    found: list[Evidence] = []
    for path in paths:
        if not path.is_dir():
            found.append(Evidence(path=path))
            continue
        if own.resolve().is_relative_to(path.resolve()):
            raise BadInput(f"{path} holds your own keys in {own}", "Name another folder.", code="own_folder")
        before = len(found)
        for each in _walk(path, path.resolve().name, tell):
            found.append(each)
            if len(found) > MAX_ITEMS:
                raise BadInput(
                    f"there are more than {MAX_ITEMS:,} files, the most that one deposit can hold",
                    "Make a deposit of each part, or put files that belong together into one archive.",
                    code="too_many_items",
                )
        if len(found) == before:
            raise BadInput(f"there is no file in {path}", "Name another folder.", code="nothing_there")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Told:
    leave_out_links: bool
    left_out: Callable[[Path, str], None]


def _walk(folder: Path, called: str, tell: _Told) -> Iterator[Evidence]:
    if len(called.encode()) > MAX_NAME_BYTES:
        raise BadInput(
            f"the path {called[:80]}… has more than {MAX_NAME_BYTES} bytes",
            "Deposit an inner folder by itself, or an archive of it.",
            code="name_too_long",
        )
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise BadInput(
            f"the folder {folder} cannot be read: {error.strerror}", "Check its permissions.", code="unreadable"
        ) from error
    if not inside:
        tell.left_out(folder, "an empty folder")
    for each in inside:
        path, mode = Path(each.path), each.stat(follow_symlinks=False).st_mode
        below = f"{called}/{os.fsencode(each.name).decode('utf-8', 'replace')}".lstrip("/")
        if stat.S_ISDIR(mode):
            yield from _walk(path, below, tell)
        elif stat.S_ISREG(mode):
            yield Evidence(path=path, name=below)
        else:
            what = "a symbolic link" if stat.S_ISLNK(mode) else "no file (a socket, pipe or device)"
            if not tell.leave_out_links:
                raise BadInput(
                    f"{path} is {what}",
                    "Deposit what it stands for by naming that, and leave it out here with --leave-out-links.",
                    code="not_a_file",
                )
            tell.left_out(path, what)
