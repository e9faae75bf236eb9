"""The addresses of one service: several replicas of it are one registry, and whichever answers will do.

Every replica has the same service key and the same stores, so a token, a place for a segment and a statement mean the
same at each of them. Which one is asked is no matter of trust: `session` proves what comes back.
"""

from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from app.canonical import take_list
from app.errors import BadInput

MAX_ADDRESSES = 16

Service = str | tuple[str, ...]
"""One address, or several of the same registry; each an http or https URL."""


class Addresses:
    """A list of base URLs, and the one that is asked at present."""

    def __init__(self, service: str | Sequence[str]) -> None:
        """Raises BadInput (bad_url)."""
        given = (service,) if isinstance(service, str) else tuple(service)
        if not 1 <= len(given) <= MAX_ADDRESSES:
            raise _bad(f"{len(given)} addresses were given for the service", f"Give 1 to {MAX_ADDRESSES}.")
        self.all = tuple(_base(each) for each in given)
        if len(set(self.all)) != len(self.all):
            raise _bad(f"an address stands twice in {', '.join(given)}", "Name each replica once.")
        self._at = 0

    @property
    def current(self) -> str:
        """The base URL to ask now, with a final slash."""
        return self.all[self._at]

    def leave(self, address: str) -> None:
        """Go on to the next address, unless somebody else has left this one already."""
        if address == self.current:
            self._at = (self._at + 1) % len(self.all)

    def absolute(self, url: str) -> str | None:
        """Return the URL of a place outside the service, or None for a path at it (whichever replica is asked).

        Raises BadInput (bad_url) for other schemes, and for plain http where the service itself has TLS.
        """
        here, scheme = False, ""
        try:
            parts = urlsplit(url)
            here = not parts.scheme and not parts.netloc
            scheme = parts.scheme or urlsplit(self.current).scheme
            usable = scheme in ("http", "https") and (here or bool(parts.hostname))
        except ValueError:
            usable = False
        # It is sent as it stands, so nothing in it may need escaping.
        if not usable or not url.isascii() or not url.isprintable() or " " in url:
            raise _bad(f"{url[:200]!r} is no http or https URL", "Tell whoever runs the service.")
        if here:
            return None
        if scheme == "http" and self.current.startswith("https:"):
            raise _bad(f"{url[:200]!r} has no TLS, and the service has", "Tell whoever runs the service.")
        return urljoin(self.current, url)


class ServiceField:
    """`Service` in a JSON record: a string, or a list of 2 or more."""

    def read(self, value: object, what: str) -> Service:
        """Raises BadInput."""
        if isinstance(value, str):
            return checked_service(value)
        found = take_list(value, what, min_items=2, max_items=MAX_ADDRESSES)
        if not all(isinstance(each, str) for each in found):
            raise _bad(f"{what} holds something else than addresses", "Write each as a string.")
        return checked_service(tuple(str(each) for each in found))

    def write(self, value: Service) -> object:
        """Return the string or the list."""
        return value if isinstance(value, str) else list(value)


def checked_service(service: str | Sequence[str]) -> Service:
    """Return one address as a string, several as a tuple, as they were given. Raises BadInput (bad_url)."""
    Addresses(service)
    if isinstance(service, str):
        return service
    return service[0] if len(service) == 1 else tuple(service)


def _base(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.netloc) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or not address.isprintable() or len(address) > 1000:
        raise _bad(f"{address[:200]!r} is not the URL of a service", "Give http(s)://host[:port].")
    return address.rstrip("/") + "/"


def _bad(message: str, next_step: str) -> BadInput:
    return BadInput(message, next_step, code="bad_url")
