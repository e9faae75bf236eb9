"""Problem documents (RFC 9457) of the service, as refusals. What a service writes is shown, never obeyed."""

import json
import os

import aiohttp

from app.errors import Refused


class ServiceRefused(Refused):
    """A refusal that came from the service, with the HTTP status."""

    def __init__(self, status: int, message: str, next_step: str, *, code: str) -> None:
        super().__init__(message, next_step, code=code)
        self.status = status


class StoreRefused(Refused):
    """An object store, to which the service sent us, did not take a segment."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(
            f"the store at {host} answered {status} to a segment",
            "Nothing was kept there; try again, and if it stays, tell the registry's operator.",
            code="store_refused",
        )
        self.status = status


MAX_SHOWN = 2000
_BY_STATUS = {401: "not_signed_in", 403: "forbidden", 404: "not_found", 409: "conflict", 413: "too_large"}


def refusal_of(status: int, data: bytes) -> ServiceRefused:
    """Return what a status outside 2xx and its body say, with `status_NNN` for a body in no known form."""
    try:
        problem = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        problem = None
    code = _BY_STATUS.get(status, f"status_{status}")
    if not isinstance(problem, dict):
        return ServiceRefused(status, f"the service answered {status}", "Check the address of the service.", code=code)
    detail, named, step = (_shown(problem.get(name)) for name in ("detail", "code", "next_step"))
    title = _shown(problem.get("title"))
    incident = f" (incident {_shown(problem.get('instance'))})" if status >= 500 and problem.get("instance") else ""
    return ServiceRefused(
        status, (detail or title or f"the service answered {status}") + incident, step, code=named or code
    )


def why_unreachable(error: Exception) -> str:
    """Say in a few words why there was no answer. Certificates, and several addresses at once, in the library's own."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        number = error.os_error.errno
        if number is not None and number > 0:
            return os.strerror(number)  # asyncio's own text repeats the address
        if number is not None and error.os_error.strerror:  # of names that are not known
            return error.os_error.strerror
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _shown(value: object) -> str:
    """A service's words on a terminal: no control characters, not endless."""
    if not isinstance(value, str):
        return ""
    return "".join(each if each.isprintable() else " " for each in value[:MAX_SHOWN])
