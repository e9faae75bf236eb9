"""After an erasure took effect: a client destroys what this folder kept of the deposit, at its next sync (0171).

That is: the depositor's inventory with every disclosure, the state of its upload, a certificate that waits to be made;
a recipient's secret of a request, and what was kept for a public opening; a judge's contribution that has not left. The
act is obeyed only as the replay admitted it: a registrar asked, m keys of the authority approved. Files that a person
wrote elsewhere (opened evidence, proofs, certificates, records) are his to look after; clients do not look for them.

kill -9 here leaves something for the next sync, which looks again.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.client.home import Area, Home, Vault
from app.client.uploadstate import UploadStore
from app.errors import AppError
from app.rules.deposits import trail_id
from app.rules.erasures import Erasures

if TYPE_CHECKING:
    from app.client.leaves import Leaves

_BY_DEPOSIT: tuple[Area, ...] = ("kept", "certificates")
_BY_REQUEST = ("grant-", "opening-")


def forget_erased(home: Home, vault: Vault, leaves: "Leaves", erasures: Erasures) -> tuple[str, ...]:
    """Destroy what is kept of erased deposits; return what was destroyed, as `area/name`."""
    if not erasures.acts:
        return ()
    found = tuple(dict.fromkeys(_erased(vault, leaves, erasures)))
    for area, name in found:
        if area == "uploads":
            UploadStore(home, vault).destroy(bytes.fromhex(name))
        else:
            vault.delete(area, name)
    return tuple(f"{area}/{name}" for area, name in found)


def _erased(vault: Vault, leaves: "Leaves", erasures: Erasures) -> Iterator[tuple[Area, str]]:
    from app.client.release import AskedVault  # noqa: PLC0415 - it is built on the session, which calls this

    deposits = erasures.deposits
    for area in (*_BY_DEPOSIT, "uploads"):
        for name in vault.names(area):
            id = name.partition(".")[0]
            if trail_id(bytes.fromhex(id)) in deposits:
                yield area, id
    # The statements are gone; their digests stay in the leaves, and tell the requests of that deposit.
    gone = {leaves.parsed[index].digest.hex() for index in erasures.entries if index < len(leaves)}
    for name in vault.names("secrets"):
        kind, _, rest = name.partition("-")
        if f"{kind}-" in _BY_REQUEST and rest in gone:
            yield "secrets", name
        elif kind == "asked":
            with contextlib.suppress(AppError):  # a damaged file is reported where it is used
                asked = AskedVault(vault).get(bytes.fromhex(rest))
                if asked is not None and trail_id(asked.deposit_id) in deposits:
                    yield "secrets", name
