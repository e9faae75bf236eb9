"""Erasure: a registrar with m keys of the authority has a deposit and every statement on it destroyed.

The act is public, and must be decided by whoever sees nothing of the case: so it names the deposit by a hash and the
statements by their ledger indices, and what of it can be judged depends on what one knows. Whoever knows statements on
that deposit, as the registry does, refuses an act that leaves one of them out or a deposit that is held; all others see
that a registrar asked and that the authority approved. That every index names a statement on that very deposit is
looked at by the registry before it takes the act (`beyond`).

After that the erased statements are gone, and replays go on without them. Statements on a deposit change nothing but
what is of this deposit, so nothing else is missing then; an order or a superseding deposit that names it is told
beforehand that it was there (`Foretold`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from app.rules.act import Act, refuse
from app.rules.aggregates import Aggregate, Deposited, Erased, Foretold, Request, Trail
from app.rules.deposits import trail_id
from app.rules.members import pending
from app.rules.view import A, View
from app.statements.keys import thumbprint
from app.statements.kinds import Approval, Claims, Erase, Genesis
from app.statements.statement import Statement


def erase(act: Act[Erase]) -> Iterator[Aggregate]:
    """A registrar asks for an erasure; it waits for the authority's approvals."""
    act.member("registrar")
    _check(act.view, act.claims, act.circumstances.index)
    yield pending(act)


def erased(act: Act[Erase]) -> Iterator[Aggregate]:
    """The m-th approval: from now on the deposit is gone, whatever the stores still hold."""
    _check(act.view, act.claims, act.circumstances.index)
    yield Erased(
        id=act.claims.deposit.hex(),
        act=act.statement.digest,
        entries=act.claims.entries,
        index=act.circumstances.index,
        time=act.circumstances.now,
    )


def _check(view: View, claims: Erase, index: int) -> None:
    id = claims.deposit.hex()
    if view.find(Erased, id) is not None:
        raise refuse("erased", f"the deposit with the hash {id} was erased before", "Nothing is left to do.")
    entries = claims.entries
    if list(entries) != sorted(set(entries)) or entries[-1] >= index:
        raise refuse("wrong_entries", "the entries are not ascending, or not before the act itself")
    trail = view.find(Trail, id)
    if trail is None:
        return  # somebody else's case
    left_out = sorted(set(trail.entries) - set(entries))
    if left_out:
        raise refuse(
            "entries_left_out",
            f"the entry {left_out[0]} is on the same deposit and would be left without it",
            "Have the list of entries made anew, and sign a new act.",
        )
    deposit = view.find(Deposited, trail.deposit_id.hex())
    if deposit is not None and deposit.held:
        raise refuse("held", f"a hold stands on the deposit {deposit.id}", "Ask the court to lift it first.")


def beyond(view: View, claims: Erase) -> None:
    """For whoever knows every statement: raise Refused for an act on no deposit, or on entries that are not its own.

    `unknown_deposit`, `wrong_entries`.
    """
    if view.find(Erased, claims.deposit.hex()) is not None:
        return  # the rules name it
    trail = view.find(Trail, claims.deposit.hex())
    if trail is None:
        raise refuse("unknown_deposit", f"there is no deposit whose id has the SHA-256 {claims.deposit.hex()}")
    foreign = sorted(set(claims.entries) - set(trail.entries))
    if foreign:
        raise refuse("wrong_entries", f"the entry {foreign[0]} is not a statement on that deposit")


def followed(view: View, claims: Claims, index: int) -> Iterator[Aggregate]:
    """Add an admitted statement to the trail of the deposit that it is on, if it is on one. Raises Refused (erased)."""
    deposit_id = deposit_named(view, claims)
    if deposit_id is not None:
        id = trail_id(deposit_id)
        if view.find(Erased, id) is not None:
            raise refuse("erased", f"the deposit {deposit_id.hex()} was erased", "Nothing more is to be done on it.")
        known = view.find(Trail, id)
        yield Trail(id=id, deposit_id=deposit_id, entries=(*(known.entries if known is not None else ()), index))


def deposit_named(view: View, claims: Claims) -> bytes | None:
    """The deposit that a statement is on: the one that it names, or that of the request that it names."""
    named = getattr(claims, "deposit_id", None)
    if isinstance(named, bytes):
        return named
    request = getattr(claims, "request", None)
    if not isinstance(request, bytes):
        return None
    found = view.find(Request, request.hex())
    return found.deposit_id if found is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures:
    """The erasures that took effect, from the public statements alone."""

    acts: Mapping[bytes, Erase]
    """By the digest of the act."""

    @property
    def entries(self) -> Mapping[int, bytes]:
        """Each erased index → the digest of the act."""
        return {index: digest for digest, claims in self.acts.items() for index in claims.entries}

    @property
    def deposits(self) -> frozenset[str]:
        """The hashes of the erased deposits, hex."""
        return frozenset(claims.deposit.hex() for claims in self.acts.values())


NONE = Erasures(acts={})


def erasures_of(statements: Iterable[Statement]) -> Erasures:
    """Return the erasures among statements in ledger order, genesis first, of which the rules admitted each."""
    m, keys = 0, frozenset[str]()
    asked: dict[bytes, Erase] = {}
    approvals: dict[bytes, set[str]] = {}
    done: dict[bytes, Erase] = {}
    for each in statements:
        if isinstance(each.claims, Genesis):
            m, keys = each.claims.authority.m, frozenset(map(thumbprint, each.claims.authority.keys))
        elif isinstance(each.claims, Erase):
            asked[each.digest] = each.claims
        elif isinstance(each.claims, Approval) and each.claims.act in asked and each.kid in keys:
            approvals.setdefault(each.claims.act, set()).add(each.kid)
            if len(approvals[each.claims.act]) == m:
                done[each.claims.act] = asked[each.claims.act]
    return Erasures(acts=done)


class Foretelling:
    """A view that answers what later acts erased."""

    def __init__(self, view: View, deposits: frozenset[str]) -> None:
        self._view, self._deposits = view, deposits

    def find(self, of: type[A], id: str) -> A | None:
        """As the view; `Foretold` for the hash of an erased deposit."""
        if of is not Foretold:
            return self._view.find(of, id)
        return cast("A", Foretold(id=id)) if id in self._deposits else None
