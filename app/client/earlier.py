"""What a judge must know of other requests for the same evidence before he decides: pure, over the replayed state.

Contributions add up across requests (panel specification 13): whoever holds k of different judges for one capsule in
one epoch can open it, though no single request was released. So every other request for the deposit is shown.
"""

from dataclasses import dataclass

from app.client.duties import names_of
from app.rules.aggregates import Epoch, Order, Request
from app.rules.terms import is_over, is_stale
from app.rules.view import WholeView


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Another request for the same deposit. `status`: waits, released, stale, or how it ended."""

    request: bytes
    requester: str
    order: bytes
    document: bytes | None
    """The SHA-256 of the paper of its order."""
    asked_at: int
    status: str
    granted: tuple[str, ...]
    refused: tuple[str, ...]
    contributed: tuple[str, ...]
    objections: int
    adds_up: bool
    """Whether its contributions count together with those for the request at hand: same capsule, same epoch."""


def status_of(view: WholeView, asked: Request, now: int) -> str:
    """One word for where a request stands."""
    if asked.end is not None:
        return asked.end
    if asked.state.ended:
        return "ended"
    if is_stale(view, asked):
        return "stale"
    if asked.state.released:
        return "released"
    return "expired" if is_over(asked, now) else "waits"


def earlier_requests(view: WholeView, asked: Request, now: int) -> tuple[Earlier, ...]:
    """Every other request for the deposit that can be seen, by the time it was made."""
    others = [
        each
        for each in view.aggregates.values()
        if isinstance(each, Request) and each.deposit_id == asked.deposit_id and each.id != asked.id
    ]
    return tuple(_earlier(view, each, asked, now) for each in sorted(others, key=lambda each: (each.asked_at, each.id)))


def judges_in_hand(view: WholeView, asked: Request) -> int:
    """How many judges' contributions for this capsule and epoch exist, for whatever request."""
    came: set[int] = set()
    for each in view.aggregates.values():
        if isinstance(each, Request) and _same_capsule(each, asked):
            came.update(index for index, _ in each.state.contributions)
    return len(came)


def _same_capsule(one: Request, other: Request) -> bool:
    same = one.state.release.public.ct_hash == other.state.release.public.ct_hash
    return same and one.epoch_id == other.epoch_id


def _earlier(view: WholeView, each: Request, asked: Request, now: int) -> Earlier:
    epoch = view.find(Epoch, each.epoch_id.hex())
    names = names_of(view, epoch.judges if epoch is not None else ())
    order = view.find(Order, each.order.hex())
    said = {decision.judge: decision.contribution is not None for decision in each.decisions}
    came = {index for index, _ in each.state.contributions}
    seats = list(enumerate(names, 1))
    return Earlier(
        request=bytes.fromhex(each.id),
        requester=names_of(view, (each.recipient,))[0],
        order=each.order,
        document=order.document if order is not None else None,
        asked_at=each.asked_at,
        status=status_of(view, each, now),
        granted=tuple(name for index, name in seats if said.get(index) is True),
        refused=tuple(name for index, name in seats if said.get(index) is False),
        contributed=tuple(name for index, name in seats if index in came),
        objections=len(each.objections),
        adds_up=_same_capsule(each, asked),
    )
