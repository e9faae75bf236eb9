"""Where a seal's key on a token is: read from settings, without what it takes to sign."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Where the key is: the PKCS #11 module (a library), the token's and the key's labels, and who knows the PIN."""

    module: Path
    token: str
    label: str
    pin_env: str
    """The environment variable that holds the user's PIN."""

    def __str__(self) -> str:
        return f"the key {self.label!r} on the token {self.token!r} ({self.module})"
