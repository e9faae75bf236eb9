"""Errors as answers: one table from what went wrong to a status, and the one form of problem (RFC 9457).

A code decides first, then the class. Whatever is in neither is a fault of ours: 500, code `internal`, and an incident
id that the log names with the traceback; the answer carries nothing else.
"""

import logging
import secrets
import traceback
from dataclasses import dataclass

from aiohttp import web

from app.canonical import format_json
from app.errors import AppError, BadInput, Refused, Unreachable
from app.logs import REQUEST
from ledger.errors import LedgerError, Stopped
from storage.errors import AlreadyExists, Full, StorageError, Unavailable

log = logging.getLogger("muniment.web")

STATUS_OF_CODE: dict[str, int] = {
    "unauthorized": 401,
    "bad_token": 401,
    "token_expired": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "statement_erased": 410,
    "too_large": 413,
    "quota_exceeded": 413,
    "digest_mismatch": 422,
    "behind": 503,
    "unavailable": 503,
    "stopped": 503,
    "no_office": 404,
    # Not 503: the service is there, and asking at once again is of no use.
    "no_timestamp": 409,
    "seal_unavailable": 409,
    "not_closed_yet": 409,
    "damaged_statement": 500,
    "damaged_projection": 500,
}

STATUS_OF_CLASS: tuple[tuple[type[Exception], int], ...] = (
    (Refused, 409),
    (BadInput, 400),
    (AlreadyExists, 409),
    (Stopped, 503),
    (Full, 507),
    (Unavailable, 503),
    (Unreachable, 503),
)
"""The first class that fits. BadInput that names a field inside a well-formed text is 422: see `status_of`."""

_SEMANTIC = frozenset(
    {
        "bad_field",
        "unknown_kind",
        "weak_key",
        "wrong_keys",
        "wrong_type",
        "wrong_length",
        "unknown_value",
        "integer_out_of_range",
        "not_hex",
        "not_base64url",
        "impossible_length",
        "wrong_segment_count",
        "wrong_root",
        "bad_manifest",
    }
)

TITLES = {
    400: "Malformed request",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    410: "Erased",
    409: "Refused",
    413: "Too large",
    422: "Not acceptable as it is",
    500: "A fault of the service",
    503: "Not available now",
    507: "No room",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is answered instead of a result."""

    status: int
    code: str
    detail: str
    next_step: str
    instance: str

    def to_json(self) -> dict[str, object]:
        """Return the members of the problem document."""
        return {
            "type": f"urn:muniment:problem:{self.code}",
            "title": TITLES.get(self.status, "Refused"),
            "status": self.status,
            # It may quote a header, which can hold what UTF-8 cannot.
            "detail": self.detail.encode("utf-8", "replace").decode(),
            "instance": f"urn:muniment:incident:{self.instance}",
            "code": self.code,
            "next_step": self.next_step,
        }


def unauthorized() -> Refused:
    """Make the answer to a read without a token."""
    return Refused(
        "this needs a token", "Ask for a challenge, sign it, and send Authorization: Bearer TOKEN.", code="unauthorized"
    )


def status_of(error: Exception) -> int:
    """Return the status for an error; 500 for what is not expected here."""
    code = getattr(error, "code", None)
    if isinstance(error, AppError | LedgerError | StorageError) and code in STATUS_OF_CODE:
        return STATUS_OF_CODE[code]
    if isinstance(error, BadInput) and code in _SEMANTIC:
        return 422
    for of, status in STATUS_OF_CLASS:
        if isinstance(error, of):
            return status
    return 500


def problem_of(error: Exception, what: str) -> Problem:
    """Return the problem for an error; an unexpected one is logged here. `what` is method and route, without values."""
    instance = REQUEST.get() or secrets.token_hex(8)
    if isinstance(error, web.HTTPException):
        return _of_http(error, instance)
    if isinstance(error, web.RequestPayloadError):
        return _of_http(web.HTTPBadRequest(), instance)  # the sender went away, or cut his body short
    status = status_of(error)
    if status == 500:
        # The exception's own text is left out: it may quote what was sent.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("incident %s at %s: %s\n%s", instance, what, type(error).__name__, frames)
        return Problem(
            status=500,
            code="internal",
            detail="something went wrong here; nothing is known to have changed",
            next_step=f"Try again; if it stays, tell the operator the incident {instance}.",
            instance=instance,
        )
    message, next_step = getattr(error, "message", ""), getattr(error, "next_step", "")
    if isinstance(error, Full):
        log.error("the store has no room: %s", message)
        next_step = "Nothing was lost. The operator has to make room; then do the same again."
    log.info("problem %s at %s: %s %s", instance, what, status, getattr(error, "code", ""))
    return Problem(
        status=status, code=str(getattr(error, "code", "")), detail=message, next_step=next_step, instance=instance
    )


def answer(problem: Problem) -> web.Response:
    """Return the problem as a response."""
    response = web.Response(
        status=problem.status,
        body=format_json(problem.to_json()).encode(),
        content_type="application/problem+json",
    )
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        response.headers["Retry-After"] = "2"
    return response


def _of_http(error: web.HTTPException, instance: str) -> Problem:
    table = {
        404: ("not_found", "there is nothing under this path", "See /openapi.json."),
        405: ("method_not_allowed", "this path does not take that method", "See /openapi.json."),
        408: ("timeout", "the request did not arrive in time", "Send it again."),
        413: ("too_large", "the request is too large", "See the limits in /v1/registry."),
    }
    status = error.status if error.status in TITLES else 400
    code, detail, next_step = table.get(status, ("bad_request", "the request is not well-formed", "See /openapi.json."))
    return Problem(status=status, code=code, detail=detail, next_step=next_step, instance=instance)
