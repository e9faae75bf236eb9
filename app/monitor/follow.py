"""One look at a log: download, judge, write, and only then tell.

1. The checkpoint must verify under the policy. A missing quorum is told, and does not hinder the comparison.
2. It is compared with the last one that was seen, by O(log n) tiles; what contradicts is kept as evidence.
3. A smaller checkpoint is looked at again before it counts as a rollback: caches and replicas may lag a few seconds.
4. On request every new entry is downloaded, and all together must derive the signed root.
5. What was found consistent is kept before it is told.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from app.errors import BadInput, CannotTell
from app.monitor.folder import Folder, Kind, Seen
from app.monitor.source import Source
from ledger.checkpoint import Checkpoint
from ledger.errors import BadProof, BadSignature, Malformed
from ledger.merkle import HASH_BYTES, leaf_hash
from ledger.monitor import SplitView, bundles_to_read, check_shown, compare, tiles_to_compare
from ledger.note import MAX_NOTE_BYTES
from ledger.policy import Policy, Verified
from ledger.text import decode_utf8
from ledger.tiles import MAX_ENTRY_BYTES, TILE_WIDTH, Bundle, Tile, decode_bundle

LOOKS, LOOK_AGAIN_SECONDS = 3, 5.0
AT_ONCE = 8
"""Downloads of bundles under way at the same time."""


class Outcome(StrEnum):
    """What a look says; docs/operate/monitor.md says what to do."""

    CONSISTENT = "consistent"
    CONTRADICTS = "contradicts"
    CANNOT_TELL = "cannot tell"

    @property
    def exit_code(self) -> int:
        """0, 1 or 3."""
        return {Outcome.CONSISTENT: 0, Outcome.CONTRADICTS: 1, Outcome.CANNOT_TELL: 3}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found: sizes now and before (None at first), witnesses, and what is wrong, if anything."""

    outcome: Outcome
    message: str
    origin: str
    size: int | None = None
    root: bytes | None = None
    before: int | None = None
    cosigners: tuple[str, ...] = ()
    read: int = 0
    """How many entries, from the first, were downloaded and derive a signed root."""
    evidence: tuple[Path, ...] = ()


class Monitor:
    """Follows one log by one folder."""

    def __init__(
        self,
        source: Source,
        policy: Policy,
        folder: Folder,
        clock: Callable[[], int],
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`policy` names exactly one log. `clock` gives Unix seconds; `pause` waits between looks (3)."""
        self._source, self._policy, self._folder, self._clock, self._pause = source, policy, folder, clock, pause
        self._origin = policy.origin

    async def look(self, *, entries: bool = False, tell: Callable[[int, int], None] = lambda _done, _all: None) -> Look:
        """Look once. `tell` takes (entries read now, to be read) with `entries`. Raises BadInput for a bad folder."""
        seen = self._folder.seen()
        if seen is not None and seen.checkpoint.origin != self._origin:
            raise BadInput(
                f"the folder follows {seen.checkpoint.origin}, and the policy names {self._origin}",
                "Use one folder for each log.",
                code="other_log",
            )
        try:
            look = await self._look(seen, entries, tell)
        except (CannotTell, Malformed) as error:
            look = Look(outcome=Outcome.CANNOT_TELL, message=error.message, origin=self._origin)
        except BadSignature as error:
            look = Look(outcome=Outcome.CONTRADICTS, message=error.message, origin=self._origin)
        kept = tuple(self._folder.evidence(Kind.SPLIT_VIEW))
        if kept and look.outcome is not Outcome.CONTRADICTS:
            # A log that was once shown in two versions is not healed by showing one of them again.
            message = f"two versions of this ledger were signed, and the evidence is kept; now: {look.message}"
            look = replace(look, outcome=Outcome.CONTRADICTS, message=message)
        return replace(
            look, before=None if seen is None else seen.checkpoint.size, evidence=tuple({*look.evidence, *kept})
        )

    async def _look(self, seen: Seen | None, entries: bool, tell: Callable[[int, int], None]) -> Look:
        verified, signed = await self._checkpoint()  # 1
        for _ in range(1, LOOKS):
            if seen is None or verified.checkpoint.size >= seen.checkpoint.size:
                break
            await self._pause(LOOK_AGAIN_SECONDS)  # 3
            verified, signed = await self._checkpoint()
        now = verified.checkpoint
        look = Look(
            outcome=Outcome.CONSISTENT,
            message=f"{now.size} entries",
            origin=now.origin,
            size=now.size,
            root=now.root,
            cosigners=tuple(each.witness for each in verified.cosigners),
        )
        went_back = seen is not None and now.size < seen.checkpoint.size
        try:
            split = await self._compare(seen, signed)  # 2
        except (BadProof, CannotTell, Malformed) as error:
            if seen is not None and went_back:
                return self._rolled_back(look, seen, signed, f"{error.message}, which it signed before")
            if not isinstance(error, BadProof):
                raise
            return self._unproven(look, seen, signed, error.message)
        if split is not None:
            message = "two signed checkpoints of this ledger contradict each other"
            path = self._folder.keep_evidence(
                Kind.SPLIT_VIEW, split.smaller, split.larger, message=message, time=self._clock(), split=split
            )
            return replace(look, outcome=Outcome.CONTRADICTS, message=message, evidence=_paths(path))
        if seen is not None and went_back:
            return self._rolled_back(look, seen, signed, "it extends nothing that is new")
        before = seen or Seen(signed=signed)
        try:
            latest = await self._read(before, signed, tell) if entries else replace(before, signed=signed)  # 4
        except BadProof as error:
            return self._unproven(look, seen, signed, error.message)
        self._folder.keep(latest)  # 5
        look = replace(look, read=latest.read.size)
        if not verified.quorum_met:
            message = f"{look.message}, consistent, but without the quorum that the policy demands"
            look = replace(look, outcome=Outcome.CANNOT_TELL, message=message)
        return look

    async def _checkpoint(self) -> tuple[Verified, str]:
        data = await self._get("checkpoint", MAX_NOTE_BYTES)
        signed = decode_utf8(data, "the checkpoint")
        return self._policy.verify(signed), signed

    async def _compare(self, seen: Seen | None, signed: str) -> SplitView | None:
        now = Checkpoint.parse_signed(signed)
        before = 0 if seen is None else seen.checkpoint.size
        wanted = tiles_to_compare(min(before, now.size), max(before, now.size))
        tiles = {tile: await self._tile(tile) for tile in wanted}
        if seen is None:
            check_shown(now, tiles)
            return None
        return compare(seen.signed, signed, tiles)

    async def _read(self, seen: Seen, signed: str, tell: Callable[[int, int], None]) -> Seen:
        """Download the entries after those that were read. Raises BadProof when they do not derive the root."""
        checkpoint = Checkpoint.parse_signed(signed)
        frontier, bundles = seen.read, bundles_to_read(seen.read.size, checkpoint.size)
        start = frontier.size
        for at in range(0, len(bundles), AT_ONCE):
            chunk = bundles[at : at + AT_ONCE]
            for bundle, found in zip(chunk, await asyncio.gather(*map(self._bundle, chunk)), strict=True):
                fresh = found[max(0, frontier.size - bundle.index * TILE_WIDTH) :]
                frontier = frontier.extend(leaf_hash(entry) for entry in fresh)
            tell(frontier.size - start, checkpoint.size - start)
        if frontier.root != checkpoint.root:
            raise BadProof(
                f"the entries {start} to {checkpoint.size - 1} that the log serves do not derive its signed root"
            )
        return Seen(signed=signed, read=frontier)

    async def _tile(self, tile: Tile) -> bytes:
        return await self._partial(tile.path, replace(tile, width=TILE_WIDTH).path, tile.width * HASH_BYTES)

    async def _bundle(self, bundle: Bundle) -> tuple[bytes, ...]:
        full = replace(bundle, width=TILE_WIDTH)
        data = await self._source.get(bundle.path, bundle.width * (MAX_ENTRY_BYTES + 2))
        if data is not None:
            return decode_bundle(data, bundle.width)
        return decode_bundle(await self._get(full.path, TILE_WIDTH * (MAX_ENTRY_BYTES + 2)), TILE_WIDTH)[: bundle.width]

    async def _partial(self, path: str, full: str, size: int) -> bytes:
        """A partial tile, or the first bytes of the full one: a log may drop partial tiles (C2SP tlog-tiles)."""
        data = await self._source.get(path, TILE_WIDTH * HASH_BYTES)
        return data if data is not None else (await self._get(full, TILE_WIDTH * HASH_BYTES))[:size]

    async def _get(self, path: str, most: int) -> bytes:
        data = await self._source.get(path, most)
        if data is None:
            raise CannotTell(f"the log does not serve {path}", "Ask its operator.", code="not_served")
        return data

    def _rolled_back(self, look: Look, seen: Seen, signed: str, why: str) -> Look:
        message = f"the ledger went back from {seen.checkpoint.size} to {look.size} entries: {why}"
        path = self._folder.keep_evidence(Kind.ROLLBACK, signed, seen.signed, message=message, time=self._clock())
        return replace(look, outcome=Outcome.CONTRADICTS, message=message, evidence=_paths(path))

    def _unproven(self, look: Look, seen: Seen | None, signed: str, why: str) -> Look:
        before = signed if seen is None else seen.signed
        path = self._folder.keep_evidence(Kind.UNPROVEN, before, signed, message=why, time=self._clock())
        return replace(look, outcome=Outcome.CONTRADICTS, message=why, evidence=_paths(path))


def _paths(path: Path | None) -> tuple[Path, ...]:
    return () if path is None else (path,)
