"""What a handover finds open, and who has said that his old secrets are destroyed.

Whoever reads the cases (a panel's judges, the presiding judge, parties) lists the open requests from the replayed
ledger. A registrar reads no case: the registry tells him digests and times (decision 0169), which he cannot verify; a
registry that hides one makes it stale, and its recipient sees that.
"""

from dataclasses import dataclass

from app.client.duties import names_of
from app.client.session import Client, State
from app.client.visit import panel_of
from app.rules.aggregates import Destroyed, Panel, Request, Session
from app.rules.destroying import ENDS, card_key, card_of, is_over
from app.rules.terms import grants_of, notice_is_over
from app.rules.terms import is_over as request_is_over
from app.rules.view import WholeView


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a reader of the case sees of an open request; `requester` is a name."""

    deposit_id: bytes
    case_id: bytes
    requester: str
    granted: int
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A request to the panel's current epoch that is not over; times in Unix seconds.

    `status`: `notice` (a handover is refused), `waits` (it goes stale with a handover: ask anew under the same order),
    `released` (its recipient opens it under any later epoch). `seen` is None for who does not read the case.
    """

    request: bytes
    status: str
    opens_at: int
    expires_at: int
    seen: Seen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A judge's card that is over, and whether he said that its secrets are destroyed (ledger index, or None)."""

    judge: str
    epoch: int
    index: int | None


def open_seen(view: WholeView, panel: Panel, now: int) -> tuple[Open, ...]:
    """The panel's open requests in the cases that can be seen, by when they were made."""
    found = [
        each
        for each in view.aggregates.values()
        if isinstance(each, Request)
        and each.panel_id == panel.state.panel_id
        and each.epoch_id == panel.epoch_id
        and not request_is_over(each, now)
    ]
    return tuple(_open(view, each, now) for each in sorted(found, key=lambda each: (each.asked_at, each.id)))


async def open_requests(client: Client, state: State, panel_id: bytes) -> tuple[Open, ...]:
    """All open requests of a panel: what this person sees, and for a registrar what the registry tells beside it."""
    seen = open_seen(state.view, panel_of(state.view, panel_id), state.taken_at)
    if state.me.role != "registrar":
        return seen
    known = {each.request for each in seen}
    told = await client.api.open_requests(panel_id)
    return seen + tuple(
        Open(request=each.request, status=each.status, opens_at=each.opens_at, expires_at=each.expires_at, seen=None)
        for each in told
        if each.request not in known
    )


def words_of_destruction(view: WholeView, panel: Panel) -> tuple[Word, ...]:
    """Every card of the panel that is over, by epoch: nobody can verify a word; who has not given it is seen here."""
    found: dict[str, Word] = {}
    for each in view.aggregates.values():
        if not isinstance(each, Session) or each.panel_id != panel.state.panel_id or each.state.status not in ENDS:
            continue
        for judge in each.judges:
            key = card_key(card_of(each, judge))
            if is_over(view, each, judge):
                said = view.find(Destroyed, key)
                epoch, index = each.state.session.header.epoch, said.index if said is not None else None
                found[key] = Word(judge=names_of(view, (judge,))[0], epoch=epoch, index=index)
    return tuple(sorted(found.values(), key=lambda each: (each.epoch, each.judge)))


def _open(view: WholeView, asked: Request, now: int) -> Open:
    waits = "waits" if notice_is_over(asked, now) else "notice"
    return Open(
        request=bytes.fromhex(asked.id),
        status="released" if asked.state.released else waits,
        opens_at=asked.opens_at,
        expires_at=asked.expires_at,
        seen=Seen(
            deposit_id=asked.deposit_id,
            case_id=asked.case_id,
            requester=names_of(view, (asked.recipient,))[0],
            granted=grants_of(asked),
            k=asked.state.release.record.k,
        ),
    )
