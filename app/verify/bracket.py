"""Between which times a deposit was entered, who vouches for that, and what level follows.

Not before: the last anchor that was on the ledger before the deposit. Not after: the first that covers it. Time-stamps
count when m authorities of the trust file agree: then the m-th says it. A block counts when its work was checked. A
token whose certificate has ended counts no more, since its key may be anybody's by now; a later anchor covers the same
deposit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.statements.trust import Trust
from app.verify.anchors import Judged
from ledger.anchors.growth import Growth, Step
from ledger.anchors.headers import Place
from ledger.policy import NO_QUORUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One side of the bracket: Unix seconds, and who vouches for it."""

    time: int
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """What the anchors say of one deposit under one trust file."""

    growth: Growth
    not_before: Bound | None
    not_after: Bound | None
    stamped_by: tuple[str, ...]
    """Authorities whose time-stamps over the deposit count."""
    ended: tuple[str, ...]
    """Authorities whose certificates have ended since: their time-stamps count no more."""
    place: Place | None
    """The best that can be said of a Bitcoin block over the deposit; None: there is none."""


def bracket_of(judged: Sequence[Judged], trust: Trust, *, now: int | None) -> Bracket:
    """Take good anchors together. `now` (Unix seconds) decides which certificates have ended; None: not looked at."""
    covering = [each for each in judged if each.covers]
    before = [each for each in judged if not each.covers]
    m = trust.tsa.m if trust.tsa is not None else 0
    stamped = _standing(covering, now)
    places = [each.block.place for each in covering if each.block is not None]
    place = next((each for each in (Place.LOCATED, Place.WORK_SHOWN, Place.UNKNOWN) if each in places), None)
    anchored = place in (Place.LOCATED, Place.WORK_SHOWN)
    upper = [_agreed(stamped, m, lambda each: each.latest), _block(covering, lambda each: each.latest)]
    lower = [
        _agreed(_standing(before, now), m, lambda each: -each.earliest),
        _block(before, lambda each: -each.earliest),
    ]
    not_after = min((each for each in upper if each is not None), key=lambda each: each.time, default=None)
    last = min((each for each in lower if each is not None), key=lambda each: each.time, default=None)
    enough = len(_distinct(stamped, lambda each: each.latest)) >= m
    return Bracket(
        growth=Growth(
            received=Step.REACHED,
            witnessed=Step.NOT_ASKED if trust.policy.quorum == NO_QUORUM else Step.REACHED,
            timestamped=Step.NOT_ASKED if not m else Step.REACHED if enough else Step.PENDING,
            anchored=Step.NOT_ASKED if trust.headers is None else Step.REACHED if anchored else Step.PENDING,
        ),
        not_before=None if last is None else Bound(time=-last.time, by=last.by),
        not_after=not_after,
        stamped_by=tuple(sorted({each.by for each in stamped})),
        ended=tuple(sorted({each.by for each in covering if each.token is not None} - {each.by for each in stamped})),
        place=place,
    )


def _standing(judged: Iterable[Judged], now: int | None) -> list[Judged]:
    return [each for each in judged if each.token is not None and (now is None or now <= each.token.ends)]


def _distinct(judged: Sequence[Judged], by_time: Callable[[Judged], int]) -> list[Judged]:
    """The first of each authority; one key counts once, whatever names it goes by."""
    found: dict[str, Judged] = {}
    keys: set[bytes] = set()
    for each in sorted(judged, key=by_time):
        if each.token is not None and each.by not in found and each.token.public_key not in keys:
            found[each.by] = each
            keys.add(each.token.public_key)
    return list(found.values())


def _agreed(judged: Sequence[Judged], m: int, by_time: Callable[[Judged], int]) -> Bound | None:
    """What m authorities agree on: the time of the m-th, from the tightest on."""
    first = _distinct(judged, by_time)[:m]
    if not m or len(first) < m:
        return None
    return Bound(time=by_time(first[-1]), by=tuple(each.by for each in first))


def _block(judged: Sequence[Judged], by_time: Callable[[Judged], int]) -> Bound | None:
    blocks = [each for each in judged if each.block is not None and each.block.place is not Place.UNKNOWN]
    if not blocks:
        return None
    first = min(blocks, key=by_time)
    return Bound(time=by_time(first), by=(first.by,))
