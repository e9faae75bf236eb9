"""Before a reshare is opened: whether a request waits in its notice period, which a handover would cut short.

`panel.open` is public and requests are private, so not everybody could decide one by the other; the registry can, and
refuses at its door (see decision 0157).
"""

from app.errors import Refused
from app.rules.aggregates import Panel, Request
from app.rules.terms import notice_is_over
from app.rules.view import View
from app.service.projections import Projections, asked_link

RESHARE = 1


def running_notice(view: View, panel_id: bytes, requests: tuple[str, ...], now: int) -> tuple[Request, ...]:
    """Of these requests (digests in hex), the open ones of the panel's current epoch whose notice is not over."""
    panel = view.find(Panel, panel_id.hex())
    found = [each for id in requests if (each := view.find(Request, id)) is not None]
    return tuple(
        each
        for each in found
        if panel is not None
        and each.epoch_id == panel.epoch_id
        and not each.state.ended
        and now < each.expires_at
        and not notice_is_over(each, now)
    )


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
