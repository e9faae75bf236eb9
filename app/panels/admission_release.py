"""What the ledger admits of a release, and in which order it checks (SPEC 8.5, 8.6): pure steps over `release_states`.

Each step takes the aggregates that it concerns and returns the new ones, or raises `PanelError` with the named rule and
has changed nothing. A panel, capsule or request that is not known is passed as None.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from app.panels.capsule import label
from app.panels.contribution import verify_contribution
from app.panels.errors import PanelError, need
from app.panels.opening import Opened, verify_opening
from app.panels.release_states import CapsuleState, RequestState
from app.panels.request import begin_release
from app.panels.states import PanelState


class Requested(NamedTuple):
    """A capsule and one of its requests after a step."""

    capsule: CapsuleState
    request: RequestState


class Published(NamedTuple):
    """After a public opening, with its verdict; the box itself is not recorded."""

    capsule: CapsuleState
    request: RequestState
    opened: Opened


def request(
    panel: PanelState | None,
    capsule: CapsuleState | None,
    *,
    deposit_id: bytes,
    case_id: bytes,
    manifest_hash: bytes,
    public: bytes,
    request: bytes,
) -> Requested:
    """`capsule` is the state under the ct_hash of this deposit's public part, None when no request was made for it.

    Raises, in this order: `unknown_epoch`, `bad_length` (label), the errors of `check_public` and `verify_request`
    against the current epoch, `request_known`, `request_open`.
    """
    current = panel.current if panel is not None else None
    if current is None:
        raise PanelError("unknown_epoch")
    bound = label(bytes(current.Y), deposit_id, case_id, manifest_hash)
    release = begin_release(current, bound, public, request)
    ct_hash, req_hash = release.public.ct_hash, release.request.req_hash
    known = capsule if capsule is not None else CapsuleState(ct_hash=ct_hash)
    if known.ct_hash != ct_hash:
        raise ValueError("the state passed is that of another capsule")
    need(req_hash not in known.requests, "request_known")
    # A successor epoch has ended what is open under an older one (SPEC 5.6).
    need(known.open_request is None or known.open_request[1] != current.epoch_id, "request_open")
    after = CapsuleState(
        ct_hash=ct_hash, requests=(*known.requests, req_hash), open_request=(req_hash, current.epoch_id)
    )
    return Requested(after, RequestState(release=release))


def contribution(panel: PanelState, request: RequestState | None, message: bytes) -> RequestState:
    """Raises, in this order: `unknown_request`, `wrong_epoch`, `request_ended`, the errors of `verify_contribution`,
    `duplicate_contribution`."""
    state = _asked(request)
    need(panel.current is not None and panel.current.epoch_id == state.release.record.epoch_id, "wrong_epoch")
    need(not state.ended, "request_ended")
    admitted = verify_contribution(state.release, message)
    need(state.contribution_of(admitted.index) is None, "duplicate_contribution")
    return replace(state, contributions=(*state.contributions, (admitted.index, message)))


def end_request(capsule: CapsuleState | None, request: RequestState | None) -> Requested:
    """Opened, found malformed, expired or withdrawn: the application's event.

    Raises `unknown_request`, `request_ended`.
    """
    state = _asked(request)
    need(not state.ended, "request_ended")
    return Requested(_freed(capsule, state), replace(state, ended=True))


def opening(
    capsule: CapsuleState | None, request: RequestState | None, indices: Sequence[int], opening: bytes, box: bytes
) -> Published:
    """A public opening, whether the request has ended or not and whatever epoch is current; it ends the request.

    `indices` name the contributions that it was made from, in the order given. Raises, in this order:
    `unknown_request`, `unknown_contribution`, the errors of `verify_opening`, `opening_known`.
    """
    state = _asked(request)
    recorded = dict(state.contributions)
    need(all(index in recorded for index in indices), "unknown_contribution")
    opened = verify_opening(state.release, [recorded[index] for index in indices], opening, box)
    need(state.opening is None, "opening_known")
    return Published(_freed(capsule, state), replace(state, ended=True, opening=(tuple(indices), opening)), opened)


def _asked(request: RequestState | None) -> RequestState:
    if request is None:
        raise PanelError("unknown_request")
    return request


def _freed(capsule: CapsuleState | None, request: RequestState) -> CapsuleState:
    if capsule is None or request.req_hash not in capsule.requests:
        raise ValueError("the state passed is not that of this request's capsule")
    if capsule.open_request is not None and capsule.open_request[0] == request.req_hash:
        return replace(capsule, open_request=None)
    return capsule
