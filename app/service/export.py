"""A registry's public part as a folder of files: checkpoint, tiles, bundles, public statements.

    OUT/checkpoint · OUT/tile/LEVEL/… · OUT/tile/entries/… · OUT/v1/statements/DIGEST

The paths are those of the service, so any plain web server that serves OUT is a static copy of it. Order: first all
that the new checkpoint covers, durable, and only then the checkpoint; a crash leaves a copy of the older size. What a
copy has in full already is not written again. Partial tiles of older sizes stay: somebody may hold their checkpoint.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.errors import BadInput, Mismatch
from app.service.statements import StatementStore
from app.statements.statement import digest_of, parse_leaf
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import LedgerError
from ledger.note import MAX_NOTE_BYTES, VerifierKey
from ledger.static import static_files
from ledger.tiles import Bundle, decode_bundle
from ledger.tree import Tree

CHECKPOINT = "checkpoint"
PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The size that the copy has now, the size that it had, and how many files were written."""

    size: int
    before: int
    files: int


class Export:
    """Writes one registry's static copy."""

    def __init__(self, tree: Tree, statements: StatementStore, key: VerifierKey, out: Path) -> None:
        """`key` is the log's."""
        self._tree, self._statements, self._key, self._out = tree, statements, key, out
        self._files = 0

    async def run(
        self, signed: str, *, whole: bool = False, tell: Callable[[int, int], None] = lambda _done, _all: None
    ) -> Exported:
        """Bring the copy to the checkpoint `signed`, cosignatures included; `whole` looks at every file again.

        Raises BadInput (`not_a_copy`: OUT holds something else), Mismatch (`forked`, `copy_newer`), DamagedLog,
        Malformed (the checkpoint is larger than what is stored), OSError. `tell` takes (entries done, entries in all).
        """
        checkpoint = verify_checkpoint(signed, [self._key])
        before = await self._before(checkpoint)
        since = 0 if whole else before
        self._files = 0
        async for each, data in static_files(self._tree, checkpoint, since):
            self._write(each.path, data)
            if isinstance(each, Bundle):
                await self._write_statements(decode_bundle(data, each.width))
                tell(min(each.index * 256 + each.width, checkpoint.size), checkpoint.size)
        self._write(CHECKPOINT, signed.encode())
        return Exported(size=checkpoint.size, before=before, files=self._files)

    async def _before(self, checkpoint: Checkpoint) -> int:
        """The size of the copy that stands in OUT, which must be an earlier state of this very log."""
        place = self._out / CHECKPOINT
        try:
            with place.open("rb") as file:
                text = file.read(MAX_NOTE_BYTES + 1).decode("utf-8")
            found = verify_checkpoint(text, [self._key])
        except FileNotFoundError:
            return 0
        except (LedgerError, UnicodeDecodeError) as error:
            raise BadInput(
                f"{place} is no checkpoint of {self._key.name}: {error}", "Name an empty folder.", code="not_a_copy"
            ) from error
        if found.size > checkpoint.size:
            raise Mismatch(
                f"the copy has the size {found.size}, and the checkpoint to be exported {checkpoint.size}",
                "A copy never goes back. Export a newer checkpoint; if there is none, the stores lost entries: audit.",
                code="copy_newer",
            )
        if await self._tree.root_at(found.size) != found.root:
            raise Mismatch(
                f"the copy's checkpoint of size {found.size} is signed, and the stores hold another tree",
                "Keep the copy: it is evidence. Restore the stores from a copy that passes the audit.",
                code="forked",
            )
        return found.size

    async def _write_statements(self, entries: tuple[bytes, ...]) -> None:
        for entry in entries:
            leaf = parse_leaf(entry)
            if leaf.kind == PRIVATE:
                continue
            text = await self._statements.read(leaf.digest)
            if text is None or digest_of(text) != leaf.digest:
                raise Mismatch(
                    f"the public statement {leaf.digest.hex()} is missing or changed", "Run the audit.", code="withheld"
                )
            self._write(f"v1/statements/{leaf.digest.hex()}", text.encode())

    def _write(self, path: str, data: bytes) -> None:
        place = self._out / path
        try:
            if place.read_bytes() == data:
                return
        except FileNotFoundError:
            _make_folder(place.parent)
        aside = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(place)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        _sync(place.parent)
        self._files += 1


def _make_folder(path: Path) -> None:
    """Make a folder and its parents, each with a durable name."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
