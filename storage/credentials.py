"""Who this process is to a store: read from the environment, never part of a URL, never printed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.errors import BadName


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name (an S3 access key, a MongoDB user) and its secret, which `repr` leaves out."""

    name: str
    secret: str = field(repr=False)


def s3_credentials(environ: Mapping[str, str]) -> Credentials:
    """Return MUNIMENT_S3_ACCESS_KEY and MUNIMENT_S3_SECRET_KEY. Raises BadName when one is missing."""
    found = _pair(environ, "MUNIMENT_S3_ACCESS_KEY", "MUNIMENT_S3_SECRET_KEY")
    if found is None:
        raise BadName(
            "an S3 store needs credentials", "Set MUNIMENT_S3_ACCESS_KEY and MUNIMENT_S3_SECRET_KEY in the environment."
        )
    return found


def mongodb_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """Return MUNIMENT_MONGODB_USER and MUNIMENT_MONGODB_PASSWORD, or None without both. Raises BadName for one."""
    return _pair(environ, "MUNIMENT_MONGODB_USER", "MUNIMENT_MONGODB_PASSWORD")


def _pair(environ: Mapping[str, str], name: str, secret: str) -> Credentials | None:
    found = {variable: environ.get(variable, "") for variable in (name, secret)}
    if not any(found.values()):
        return None
    for variable, value in found.items():
        if not value or not value.isprintable():
            raise BadName(f"{variable} is empty or holds a control character", f"Set {name} and {secret}, or neither.")
    return Credentials(name=found[name], secret=found[secret])
