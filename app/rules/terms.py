"""How long a request waits, lasts and counts: its case's release rules, by the times of leaves alone."""

from app.rules.act import refuse
from app.rules.aggregates import Panel, Request, SealedCapsule
from app.rules.cases import case_of
from app.rules.view import View


def request_of(view: View, digest: bytes) -> Request:
    """Return a request by the digest of its statement. Raises Refused (unknown_request)."""
    found = view.find(Request, digest.hex())
    if found is None:
        raise refuse("unknown_request", f"there is no request {digest.hex()}")
    return found


def capsule_of(view: View, ct_hash: bytes) -> SealedCapsule:
    """Return a capsule. Raises Refused (unknown_deposit)."""
    capsule = view.find(SealedCapsule, ct_hash.hex())
    if capsule is None:
        raise refuse("unknown_deposit", f"no deposit has the capsule {ct_hash.hex()}")
    return capsule


def notice_is_over(asked: Request, now: int) -> bool:
    """Whether the time is over in which the others see a request before any judge may grant it."""
    return now >= asked.opens_at


def is_over(asked: Request, now: int) -> bool:
    """Whether nothing more may come for a request: it ended, or its time has passed."""
    return asked.state.ended or now >= asked.expires_at


def is_stale(view: View, asked: Request) -> bool:
    """Whether a successor epoch came before the request was released (panel specification 5.6)."""
    panel = view.find(Panel, asked.panel_id.hex())
    current = panel.epoch_id if panel is not None else None
    return not asked.state.ended and not asked.state.released and current != asked.epoch_id


def may_still_move(view: View, asked: Request, now: int) -> Panel:
    """Return the panel of a request that is not over and whose epoch is current.

    Raises Refused (wrong_epoch, request_ended, request_expired).
    """
    panel = view.find(Panel, asked.panel_id.hex())
    if panel is None or panel.epoch_id != asked.epoch_id:
        raise refuse("wrong_epoch", f"the request {asked.id} is for an epoch that has a successor", "Make a new one.")
    not_over(asked, now)
    return panel


def not_over(asked: Request, now: int) -> None:
    """Raise Refused (request_ended, request_expired) for a request for which nothing more may come."""
    if asked.state.ended:
        raise refuse("request_ended", f"the request {asked.id} has ended", "Nothing is left to do.")
    if is_over(asked, now):
        raise refuse(
            "request_expired",
            f"the request {asked.id} was good until {asked.expires_at} (Unix time)",
            "Its recipient may make a new one.",
        )


def grants_of(asked: Request) -> int:
    """How many judges granted exactly this request. Grants of judges who were recused since stay counted."""
    return sum(each.contribution is not None for each in asked.decisions)


def quorum_of_grants(view: View, asked: Request) -> bool:
    """Whether contributions may come: with each grant, or only when k judges granted, as the case says."""
    if case_of(view, asked.case_id).rules.contribute == "with-grant":
        return True
    return grants_of(asked) >= asked.state.release.record.k
