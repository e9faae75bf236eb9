"""One statement on its way in: who signs it, when, and with what around it. The handlers of all kinds take this."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from app.errors import Refused
from app.rules.aggregates import KeyHolder, Person, Registry
from app.rules.view import View
from app.statements.kinds import Role
from app.statements.statement import Statement

C_co = TypeVar("C_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFacts:
    """What the ledger knows of a statement's `seen`: its root at that size, and when the next entry came."""

    root: bytes | None
    """32 bytes, or None when the ledger never had that size."""
    superseded_at: int | None
    """Unix seconds of the entry at index `seen.size`, None while there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When and where a statement is decided."""

    now: int
    """Unix seconds: the leaf's time if it is admitted."""
    index: int
    """The ledger index that it would get."""
    origin: str
    genesis: bytes
    """The pinned genesis digest, 32 bytes."""
    seen: SeenFacts | None
    """None where `seen` cannot be checked: a proof file shows single entries, not the whole ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Generic[C_co]):
    """A statement whose signature, times and signer were checked."""

    view: View
    statement: Statement
    claims: C_co
    circumstances: Circumstances
    registry: Registry
    holder: KeyHolder
    person: Person | None

    def member(self, *roles: Role) -> Person:
        """Return the signing member, who must have one of the roles (any, if none is named)."""
        if self.person is None or (roles and self.person.role not in roles):
            who = "a member" if not roles else f"a {' or '.join(roles)}"
            raise Refused(
                f"a {self.statement.kind} statement is signed by {who}, not by "
                f"{self.person.role if self.person else self.holder.holder}",
                "Let the right person sign it.",
                code="wrong_signer",
            )
        return self.person


def refuse(code: str, message: str, next_step: str = "Check what you name and sign a new statement.") -> Refused:
    """Make a named refusal."""
    return Refused(message, next_step, code=code)


def person_of(view: View, member: str, *roles: Role) -> Person:
    """Return an active member, with one of the roles if any is named. Raises Refused (unknown_member, wrong_role)."""
    person = view.find(Person, member)
    if person is None or not person.active:
        raise refuse("unknown_member", f"no active member has the id {member}")
    if roles and person.role not in roles:
        raise refuse("wrong_role", f"the member {member} is a {person.role}, not a {' or '.join(roles)}")
    return person
