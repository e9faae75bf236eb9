"""What a verdict says of time, in words that cannot be mistaken for more."""

from datetime import UTC, datetime

from app.verify.bracket import Bound
from app.verify.verdict import Verdict
from ledger.anchors.growth import Level, Step
from ledger.anchors.headers import Place

PLACES = {
    Place.LOCATED: "on your own chain of headers",
    Place.WORK_SHOWN: "work shown; that it is on the main chain was not checked",
    Place.UNKNOWN: "header unknown: your trust file names no header checkpoint, so this block proves nothing to you",
}
"""The three cases of a Bitcoin block, kept apart."""


def time_text(seconds: int) -> str:
    """Unix seconds as people write them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def identity_lines(verdict: Verdict) -> list[str]:
    """How sure the registry is who the depositor is, and whose word that is."""
    bound = verdict.identity
    if bound is None:
        return ["identity: enrolled by a registrar; this file shows no X.509 certificate bound to the depositor's key"]
    return [
        f"identity: bound to X.509 subject {bound.subject}, issuer {bound.issuer} (entry {bound.index})",
        "  checked here: that certificate's key signed for this member and key, and the chain's signatures to the root",
        f"  the registrar's word: that the root {bound.root} is to be trusted, and nothing was revoked then",
    ]


def level_lines(verdict: Verdict) -> list[str]:
    """For each level, who vouches, or what is still missing. Empty before the anchors were looked at."""
    if verdict.bracket is None:
        return []
    words = {
        Level.RECEIVED: ("the registry signed a checkpoint that covers the deposit", ""),
        Level.WITNESSED: (f"cosigned by {', '.join(verdict.witnesses)}", "your trust file asks for no witness"),
        Level.TIMESTAMPED: (
            f"by {', '.join(verdict.bracket.stamped_by)}",
            "your trust file names no time-stamp authority",
        ),
        Level.ANCHORED: (_blocks(verdict), "your trust file names no header checkpoint"),
    }
    lines = []
    for level, step in verdict.bracket.growth.steps:
        reached, not_asked = words[level]
        if step is Step.REACHED:
            lines.append(f"{level.value}: {reached}")
        elif step is Step.PENDING:
            lines.append(f"{level.value}: pending; {_missing(level, verdict)}")
        else:
            lines.append(f"{level.value}: not asked for; {not_asked}")
    if verdict.bracket.growth.anchored is not Step.REACHED and verdict.bracket.place is Place.UNKNOWN:
        lines.append(f"a Bitcoin block is named: {_blocks(verdict)}")
    return lines


def bracket_lines(verdict: Verdict) -> list[str]:
    """Between which times the deposit was entered, and who vouches for each end."""
    if verdict.bracket is None:
        return []
    return [
        f"entered not before {_bound(verdict.bracket.not_before, 'nobody outside the registry vouches for that')}",
        f"entered not after {_bound(verdict.bracket.not_after, 'nobody outside the registry vouches for that yet')}",
    ]


def _bound(bound: Bound | None, otherwise: str) -> str:
    if bound is None:
        return f"(unknown: {otherwise})"
    about = "about " if any(each.startswith("Bitcoin") for each in bound.by) else ""
    return f"{about}{time_text(bound.time)}, by the word of {' and '.join(bound.by)}"


def _blocks(verdict: Verdict) -> str:
    named = [each for each in verdict.anchors if each.covers and each.place is not None]
    return "; ".join(f"{each.by} ({each.block}), {PLACES[Place(str(each.place))]}" for each in named)


def _missing(level: Level, verdict: Verdict) -> str:
    assert verdict.bracket is not None  # noqa: S101 - whoever asks has looked
    if level is Level.TIMESTAMPED:
        have = ", ".join(verdict.bracket.stamped_by) or "nobody"
        ended = verdict.bracket.ended
        more = f"; the certificates of {', '.join(ended)} have ended, so a later time-stamp is needed" if ended else ""
        return f"time-stamped by {have}, fewer than your trust file asks for{more}"
    if level is Level.ANCHORED:
        return "no Bitcoin block over the deposit is shown"
    return "not shown"
