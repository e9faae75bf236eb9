"""Before a reshare is opened: which requests are open, and whether one waits in its notice period.

`panel.open` is public and requests are private, so not everybody could decide one by the other; the registry can, and
refuses at its door (see decision 0157). A registrar is told the open requests by digest and times alone (0169).
"""

from app.errors import Refused
from app.rules.aggregates import Panel, Person, Request
from app.rules.terms import is_over, notice_is_over
from app.rules.view import View
from app.service.projections import Projections, asked_link

RESHARE = 1


def running_notice(view: View, panel_id: bytes, requests: tuple[str, ...], now: int) -> tuple[Request, ...]:
    """Of these requests (digests in hex), the open ones of the panel's current epoch whose notice is not over."""
    return tuple(each for each in still_open(view, panel_id, requests, now) if not notice_is_over(each, now))


def still_open(view: View, panel_id: bytes, requests: tuple[str, ...], now: int) -> tuple[Request, ...]:
    """Of these requests (digests in hex), those of the panel's current epoch that are not over, by when they were made.

    A released one is among them until its recipient says how it ended: he opens it under any later epoch.
    """
    panel = view.find(Panel, panel_id.hex())
    found = [each for id in requests if (each := view.find(Request, id)) is not None]
    ours = [each for each in found if panel is not None and each.epoch_id == panel.epoch_id and not is_over(each, now)]
    return tuple(sorted(ours, key=lambda each: (each.asked_at, each.id)))


def open_status(asked: Request, now: int) -> str:
    """Where an open request stands: `notice`, `waits` (for judges) or `released`."""
    if asked.state.released:
        return "released"
    return "waits" if notice_is_over(asked, now) else "notice"


async def open_requests(
    projections: Projections, panel_id: bytes, person: Person, now: int
) -> tuple[tuple[Request, str], ...]:
    """The open requests of a panel with their status, for a registrar, who hands the panel over.

    Raises Refused (forbidden, not_found).
    """
    if person.role != "registrar":
        raise Refused(
            "the open requests of a panel are listed for registrars; who is concerned with a case reads them there",
            "See `inbox`, or `panel show`.",
            code="forbidden",
        )
    requests = await projections.linked(asked_link(panel_id))

    def look(view: View) -> tuple[tuple[Request, str], ...] | None:
        if view.find(Panel, panel_id.hex()) is None:
            return None
        return tuple((each, open_status(each, now)) for each in still_open(view, panel_id, requests, now))

    found = await projections.ask(look)
    if found is None:
        raise Refused(f"there is no panel {panel_id.hex()}", "Check the panel's id.", code="not_found")
    return found


async def check_handover(projections: Projections, header: bytes, now: int) -> None:
    """Raise Refused (notice_running) for the header of a reshare that would cut a notice period short."""
    if header[2] != RESHARE:
        return
    panel_id = header[3:35]
    requests = await projections.linked(asked_link(panel_id))
    waiting = await projections.ask(lambda view: running_notice(view, panel_id, requests, now))
    if waiting:
        ids = ", ".join(each.id for each in waiting)
        raise Refused(
            f"the notice period of {len(waiting)} requests of this panel runs until "
            f"{max(each.opens_at for each in waiting)} (Unix time): {ids}",
            "Open the session after that, or have the requests withdrawn.",
            code="notice_running",
        )
