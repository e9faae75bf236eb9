"""The one decision: is this statement admitted, and what does it change?

Checks, in this order: 1 the ledger that it is for (`aud`); 2 the genesis first, and only the pinned one; 3 the key is
known and not retired; 4 the signature; 5 `iat` and `exp`; 6 `seen`: on this ledger, and fresh enough for the kind;
7 the rules of the kind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.errors import AppError, Refused
from app.rules import (
    anchors,
    cases,
    ceremonies,
    delegations,
    deposits,
    destroying,
    devices,
    erasures,
    holds,
    identities,
    members,
    mistakes,
    publications,
    releases,
    replies,
)
from app.rules.act import Act, Circumstances, refuse
from app.rules.aggregates import Aggregate, KeyHolder, Person, Registry, key_of
from app.rules.view import View
from app.statements.kinds import Genesis
from app.statements.statement import EMPTY_SEEN, Statement, leaf_of, verify_signature

HOUR = 3600
DAY = 24 * HOUR
CLOCK_SKEW = 300
"""How far a signer's clock may be ahead, in seconds."""

Handler = Callable[[Act[Any]], Iterator[Aggregate]]

EFFECTS: dict[str, Handler] = {
    "member.enrol": members.enrolled,
    "member.revoke": members.revoked,
    "member.key": members.rotated,
    "panel.roster": ceremonies.roster_approved,
    "erase": erasures.erased,
}
"""What happens with the m-th approval."""

HANDLERS: dict[str, Handler] = {
    "approval": lambda act: members.approve(act, EFFECTS),
    "member.enrol": members.enrol,
    "member.revoke": members.revoke,
    "member.key": members.rotate,
    "member.device": devices.add,
    "member.undevice": devices.remove,
    "member.identity": identities.identify,
    "panel.propose": ceremonies.propose,
    "panel.card": ceremonies.card,
    "panel.roster": ceremonies.roster,
    "panel.open": ceremonies.open_session,
    "panel.deal": ceremonies.deal,
    "panel.ack": ceremonies.ack,
    "panel.blame": ceremonies.blame,
    "panel.close": ceremonies.close,
    "panel.destroy": destroying.destroy,
    "case.open": cases.open_case,
    "case.assign": cases.assign,
    "case.party": cases.join,
    "case.recuse": cases.recuse,
    "case.delegate": delegations.delegate,
    "case.undelegate": delegations.undelegate,
    "deposit": deposits.deposit,
    "deposit.acknowledge": mistakes.acknowledge,
    "deposit.withdraw": mistakes.withdraw,
    "deposit.supersede": mistakes.supersede,
    "release.order": releases.order,
    "release.request": releases.request,
    "release.objection": replies.object_to,
    "release.withdraw": replies.withdraw,
    "release.decision": releases.decision,
    "release.contribution": releases.contribution,
    "release.opening": releases.opening,
    "hold.place": holds.place,
    "hold.lift": holds.lift,
    "retention.extend": holds.extend,
    "release.permit": publications.permit,
    "release.publish": publications.publish,
    "access": releases.access,
    "anchor": anchors.anchor,
    "erase": erasures.erase,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The statement is admitted: its leaf and the aggregates as they are now (each once, the last value)."""

    statement: Statement
    leaf: str
    changes: tuple[Aggregate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The statement is refused; nothing changed. `code` is stable."""

    code: str
    message: str
    next_step: str


Law = Callable[[View, Statement, Circumstances], Admitted | Refusal]
"""The form of `decide`."""


def decide(view: View, statement: Statement, circumstances: Circumstances) -> Admitted | Refusal:
    """Decide one statement on a view at exactly the size that it would extend. May raise the view's NotLoaded."""
    try:
        changes = {key_of(each): each for each in _changes(view, statement, circumstances)}
    except AppError as error:
        return Refusal(code=error.code, message=error.message, next_step=error.next_step)
    return Admitted(statement=statement, leaf=leaf_of(statement, circumstances.now), changes=tuple(changes.values()))


def _changes(view: View, statement: Statement, circumstances: Circumstances) -> Iterator[Aggregate]:
    envelope, claims = statement.envelope, statement.claims
    if envelope.aud != circumstances.origin:
        raise refuse(
            "wrong_ledger",
            f"the statement is for the ledger {envelope.aud!r}, and this is {circumstances.origin!r}",
            "Send it to the registry whose origin it names.",
        )
    registry = view.find(Registry, "it")
    if isinstance(claims, Genesis) or registry is None:
        yield from _genesis(registry, statement, circumstances)
        return
    holder = view.find(KeyHolder, statement.kid)
    if holder is None:
        raise refuse("unknown_signer", f"nobody here has the key {statement.kid}", "Have the key enrolled first.")
    if holder.retired:
        raise refuse("retired_key", f"the key {statement.kid} was retired", "Sign with the current key.")
    person = view.find(Person, holder.member) if holder.member is not None else None
    verify_signature(statement, holder.key)
    _check_times(statement, circumstances)
    act: Act[Any] = Act(
        view=view,
        statement=statement,
        claims=claims,
        circumstances=circumstances,
        registry=registry,
        holder=holder,
        person=person,
    )
    yield from HANDLERS[statement.kind](act)
    yield from erasures.followed(view, claims, circumstances.index)


def _genesis(registry: Registry | None, statement: Statement, circumstances: Circumstances) -> Iterator[Aggregate]:
    claims = statement.claims
    if registry is not None:
        raise refuse("already_founded", "this registry has its genesis", "Start another registry with another origin.")
    if not isinstance(claims, Genesis) or statement.digest != circumstances.genesis or circumstances.index != 0:
        raise refuse(
            "not_founded",
            "an empty registry takes only the genesis whose digest stands in its configuration, "
            f"{circumstances.genesis.hex()}",
            "Post that genesis first.",
        )
    if claims.origin != circumstances.origin or statement.envelope.seen != EMPTY_SEEN:
        raise refuse("wrong_ledger", f"the genesis is for {claims.origin!r} and must have seen the empty ledger")
    verify_signature(statement, claims.registrar.key)
    yield from members.found(claims, statement.digest, circumstances.index)


def _limits(kind: str) -> tuple[int, int | None]:
    """Return the longest validity of a kind, and how old its `seen` may be (None: not checked), in seconds."""
    if kind == "approval":
        return 400 * DAY, None
    if kind == "anchor":
        # The stamped checkpoint is as old as Bitcoin took to confirm it, or a calendar to come back.
        return DAY, None
    if kind in ("panel.propose", "panel.roster"):
        # A reserve roster, and its proposal, is signed beforehand and submitted after the first session ended.
        return 400 * DAY, None
    if kind.startswith("release.") or kind == "access":
        return DAY, HOUR
    return 400 * DAY, DAY


def _check_times(statement: Statement, circumstances: Circumstances) -> None:
    envelope, now = statement.envelope, circumstances.now
    longest, oldest = _limits(statement.kind)
    if envelope.iat > now + CLOCK_SKEW:
        raise Refused(
            f"the statement is dated {envelope.iat - now} seconds ahead of this registry's clock",
            "Set the clock right and sign again.",
            code="from_the_future",
        )
    if envelope.exp <= now:
        raise Refused(f"the statement expired {now - envelope.exp} seconds ago", "Sign a new one.", code="expired")
    if envelope.exp - envelope.iat > longest or envelope.exp <= envelope.iat:
        raise Refused(
            f"exp − iat is {envelope.exp - envelope.iat} seconds; a {statement.kind} may be valid for 1 to {longest}",
            "Sign it with a shorter validity.",
            code="bad_validity",
        )
    facts = circumstances.seen
    if facts is None:
        return
    if facts.root != envelope.seen.root:
        raise Refused(
            f"the signer saw the root {envelope.seen.root.hex()} at size {envelope.seen.size}, "
            "and this ledger has another there or none",
            "Compare the checkpoint that you hold with this ledger: one of them is a fork.",
            code="seen_unknown",
        )
    age = 0 if facts.superseded_at is None else now - facts.superseded_at
    if oldest is not None and age > oldest:
        raise Refused(
            f"what the signer saw was superseded {age} seconds ago; a {statement.kind} may rest on {oldest}",
            "Fetch the newest checkpoint and sign again.",
            code="seen_too_old",
        )
