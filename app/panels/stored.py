"""The stored form of an aggregate: plain JSON values, with bytes as lowercase hex.

`from_json` reads exactly what `to_json` gives, with every length and encoding checked but no proof or signature: it is
for what this code stored. Anything else is `BadInput` with the code `bad_panel_state`. As text, for 16 of 31 judges: a
session 125 kB, a panel 24 kB an epoch; for 5 of 9: 18 kB and 8 kB.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import BadInput
from app.panels.errors import PanelError

Json = dict[str, Any]
"""dicts, lists, strings and integers."""


def unhex(text: str) -> bytes:
    """The bytes of a hex text."""
    return bytes.fromhex(text)


def same(encoded: Json, data: Json) -> None:
    """Raise ValueError unless both are one JSON value; the order of keys does not count."""
    # fromhex takes spaces and capitals; True equals 1 in Python: only the one form that to_json gives is read.
    if json.dumps(encoded, sort_keys=True) != json.dumps(data, sort_keys=True):
        raise ValueError("not the form that to_json gives")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Within it, whatever is wrong with the stored value is `BadInput`."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, PanelError) as error:
        raise BadInput(
            f"the stored state of a {what} cannot be read: {error!r}",
            "Rebuild the state from the statements.",
            code="bad_panel_state",
        ) from error
