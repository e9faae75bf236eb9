"""Write a release record: all that the ledger says of one request, for whoever must judge it later without us.

Whoever reads the case can write one, from what he replayed himself. It holds private statements, so handing it on is a
disclosure of the case. It holds no secret; only when the request was ended by a public opening, and by nothing else,
does it hold that opening, and with it the key of the deposit (`holds_key`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.client.proof import proven, signers_of
from app.client.publication import founding_of
from app.client.session import State
from app.errors import BadInput, Refused
from app.rules.aggregates import Case, Deposited, Order, Request
from app.rules.cases import case_of
from app.rules.deposits import trail_id
from app.rules.publications import publication_of
from app.rules.terms import request_of
from app.statements.keys import thumbprint
from app.statements.kinds import (
    Approval,
    Deposit,
    DepositSupersede,
    Erase,
    MemberDevice,
    MemberEnrol,
    MemberIdentity,
    MemberKey,
    MemberRevoke,
    MemberUndevice,
    ReleaseOrder,
    ReleasePermit,
    ReleasePublish,
    ReleaseRequest,
    is_public,
)
from app.statements.recordfile import MAX_LEAVES, RecordFile, format_record_file
from app.statements.statement import Statement, parse_statement
from app.statements.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A record's bytes, how many entries it holds, and whether the key of the deposit is among them."""

    data: bytes
    entries: int
    leaves: int
    holds_key: bool


def make_record(state: State, request: bytes, trust: Trust) -> Recorded:
    """Return the release record of a request for the holders of `trust`.

    Raises Refused (unknown_request, too_large), BadInput (other_ledger, not_in_policy).
    """
    asked = request_of(state.view, request)
    if trust.origin != state.checkpoint.origin:
        raise BadInput(
            f"the trust file is for {trust.origin!r}, and the request is on {state.checkpoint.origin!r}",
            "Take the trust file of that registry.",
            code="other_ledger",
        )
    start, end = state.indices[request], _end(state, asked)
    if end - start > MAX_LEAVES:
        raise Refused(
            f"{end - start} entries stand on the ledger from the request on; a record shows {MAX_LEAVES}",
            "Have the request ended first (opened or withdrawn).",
            code="too_large",
        )
    chosen = {index for index in _chosen(state, asked) if index < end} | set(_erasures(state, asked))
    shown = tuple(proven(state, index, trust) for index in sorted(chosen))
    claims = [parse_statement(each.statement).claims for each in shown]
    data = format_record_file(
        RecordFile(
            request=request,
            entries=shown,
            start=start,
            leaves=tuple(state.leaves.texts[start:end]),
            hashes=state.leaves.stretch(start, end, state.checkpoint.size),
        )
    )
    held = any(isinstance(each, ReleasePublish) for each in claims)
    return Recorded(data=data, entries=len(shown), leaves=end - start, holds_key=held)


def _end(state: State, asked: Request) -> int:
    """Where the record ends: after what ended the request, or with the ledger while something may still come."""
    if asked.end not in ("opened", "malformed", "withdrawn", "published"):
        return state.checkpoint.size
    request = bytes.fromhex(asked.id)
    named = [
        index
        for index, entry in state.entries.items()
        if getattr(parse_statement(entry.statement).claims, "request", None) == request
    ]
    return max(named, default=state.indices[request]) + 1


def _chosen(state: State, asked: Request) -> Iterator[int]:
    """What founds the people and panels, and every act on the case and on the deposit."""
    view = state.view
    case = case_of(view, asked.case_id)
    parsed = {index: parse_statement(entry.statement) for index, entry in state.entries.items()}
    requests = {
        bytes.fromhex(each.id): each
        for each in view.aggregates.values()
        if isinstance(each, Request) and each.deposit_id == asked.deposit_id
    }
    orders = {each.order for each in requests.values()}
    deposits = {
        each: kept
        for each in _named(state, asked, parsed.values())
        if (kept := view.find(Deposited, each.hex())) is not None
    }
    published = {
        digest
        for each in requests.values()
        if each.end == "published" and (digest := publication_of(view, each).statement) is not None
    }
    panels = {*case.panels, *(each.panel_id for deposit in deposits.values() for each in deposit.capsules)}
    found: set[int] = set()
    for index, statement in parsed.items():
        claims = statement.claims
        if isinstance(claims, Deposit):
            concerns = claims.deposit_id in deposits
        elif isinstance(claims, ReleaseOrder):
            concerns = statement.digest in orders
        elif isinstance(claims, ReleaseRequest):
            concerns = statement.digest in requests
        elif isinstance(claims, ReleasePublish):
            concerns = statement.digest in published
        elif isinstance(claims, ReleasePermit):
            concerns = claims.request in requests and requests[claims.request].end == "published"
        elif hasattr(claims, "request"):
            concerns = claims.request in requests
        elif hasattr(claims, "deposit_id"):
            concerns = claims.deposit_id == asked.deposit_id
        else:
            concerns = statement.kind.startswith("case.") and getattr(claims, "case_id", None) == asked.case_id
        if concerns:
            found.add(index)
    for index in tuple(found):
        found.update(signers_of(state, parsed[index], index))
    for panel_id in panels:
        found.update(founding_of(state, panel_id))
    found.update(index for index, each in parsed.items() if _of_people(each, case))
    yield from found


def _named(state: State, asked: Request, statements: Iterable[Statement]) -> frozenset[bytes]:
    """The deposit with those that its orders name beside it, and that superseded it: the rules ask for them too."""
    view = state.view
    found = {asked.deposit_id}
    for each in view.aggregates.values():
        if isinstance(each, Request) and each.deposit_id == asked.deposit_id:
            order = view.find(Order, each.order.hex())
            found.update(order.deposits if order is not None else ())
    for statement in statements:
        claims = statement.claims
        if isinstance(claims, DepositSupersede) and claims.deposit_id == asked.deposit_id:
            found.add(claims.by)
    return frozenset(found)


def _erasures(state: State, asked: Request) -> Iterator[int]:
    """The acts that erased a deposit which an order of this one names too, with their approvals, whenever they came:
    without them the verifier would miss that deposit."""
    parsed = {index: parse_statement(entry.statement) for index, entry in sorted(state.entries.items())}
    gone = {
        trail_id(each)
        for each in _named(state, asked, parsed.values())
        if state.view.find(Deposited, each.hex()) is None
    }
    acts = set()
    for index, statement in parsed.items():
        claims = statement.claims
        if isinstance(claims, Erase) and claims.deposit.hex() in gone:
            acts.add(statement.digest)
            yield index
        elif isinstance(claims, Approval) and claims.act in acts:
            yield index


def _of_people(statement: Statement, case: Case) -> bool:
    """Whether a private statement is of a party of the case: his enrolment, keys, or that he left."""
    claims = statement.claims
    if is_public(statement.kind, claims):
        return False
    if isinstance(claims, MemberEnrol):
        return thumbprint(claims.key) in case.parties
    return (
        isinstance(claims, MemberKey | MemberRevoke | MemberDevice | MemberUndevice | MemberIdentity)
        and claims.member in case.parties
    )
