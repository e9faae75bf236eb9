"""What a judge keeps in his home, encrypted: host keys by card, deals, acknowledgments, contributions not yet sent.

Each record is durable before the message that rests on it leaves, and none is made twice: a repeated step finds the
record and sends the same bytes. So a crash between any write and its send costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from app.canonical import format_json, parse_json
from app.client.home import Vault
from app.fields import B64, Hex, Int, read_record, write_record
from app.panels.group import reduce_wide
from app.sealing.header import Rng
from app.statements.kinds import Digest

MAX_RECORD_BYTES = 1 << 20
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeys:
    """The secrets behind one card: the host's Ed25519 seed and the encryption scalar he, 32 bytes each."""

    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    proposal: Digest
    host: Annotated[bytes, Hex(32)] = field(repr=False)
    he: Annotated[bytes, Hex(32)] = field(repr=False)
    card: Annotated[bytes, B64(230)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealMade:
    """The one deal of a session. Seed and coefficients were never kept."""

    session: Digest
    deal: Annotated[bytes, B64(most=32_768)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AckMade:
    """An acknowledgment: what it says (session and eta), and its 132 bytes."""

    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    session: Digest
    eta: Digest
    ack: Annotated[bytes, B64(132)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantMade:
    """A decision to grant: the contribution (162 bytes) that it names, and the paper order that was compared."""

    request: Digest
    document: Digest
    contribution: Annotated[bytes, B64(162)] = field(repr=False)


def fresh_scalar(rng: Rng) -> bytes:
    """Return a uniform scalar, 32 bytes, from 64 of `rng`. Zero has the odds of a guessed key."""
    return bytes(reduce_wide(rng(64)))


class JudgeVault:
    """The records of a judge."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def host(self, proposal: bytes) -> HostKeys | None:
        """The secrets of the card that was made for a proposal."""
        return self._get(HostKeys, f"host-{proposal.hex()}")

    def host_of(self, card: bytes) -> HostKeys | None:
        """The secrets behind a card."""
        return next((each for each in self.hosts() if each.card == card), None)

    def hosts(self) -> Iterator[HostKeys]:
        """All that are kept."""
        return self._all(HostKeys, "host-")

    def put_host(self, made: HostKeys) -> None:
        """Keep; durable on return."""
        self._put(f"host-{made.proposal.hex()}", made)

    def destroy_host(self, made: HostKeys) -> None:
        """Destroy the secrets of a card; see `files.destroy_file` for what that can promise.

        It is noted first, by the card's HE, so that the judge's word of it is given after any crash.
        """
        self._vault.put("secrets", f"destroyed-{made.card[70:102].hex()}", b"")
        self._vault.delete("secrets", f"host-{made.proposal.hex()}")

    def destroyed(self) -> tuple[str, ...]:
        """The keys of cards whose secrets were destroyed here, and of which nothing was said on the ledger yet."""
        names = self._vault.names("secrets")
        return tuple(each.removeprefix("destroyed-") for each in names if each.startswith("destroyed-"))

    def holds(self, key: str) -> bool:
        """Whether the secrets of a card are here, by its HE in hex."""
        return any(each.card[70:102].hex() == key for each in self.hosts())

    def forget_destroyed(self, key: str) -> None:
        """It was said, or nothing is to be said of it."""
        self._vault.delete("secrets", f"destroyed-{key}")

    def deal(self, session: bytes) -> DealMade | None:
        """The deal made in a session."""
        return self._get(DealMade, f"deal-{session.hex()}")

    def put_deal(self, made: DealMade) -> None:
        """Keep; durable on return."""
        self._put(f"deal-{made.session.hex()}", made)

    def acks(self, panel_id: bytes, epoch: int) -> tuple[AckMade, ...]:
        """Every acknowledgment ever made for a panel and epoch."""
        found = self._all(AckMade, "ack-")
        return tuple(each for each in found if (each.panel_id, each.epoch) == (panel_id, epoch))

    def put_ack(self, made: AckMade) -> None:
        """Keep; durable on return."""
        self._put(f"ack-{made.session.hex()}", made)

    def grant(self, request: bytes) -> GrantMade | None:
        """The grant of a request that was decided and not yet carried out to the end."""
        return self._get(GrantMade, f"grant-{request.hex()}")

    def grants(self) -> tuple[GrantMade, ...]:
        """All that are kept."""
        return tuple(self._all(GrantMade, "grant-"))

    def put_grant(self, made: GrantMade) -> None:
        """Keep; durable on return."""
        self._put(f"grant-{made.request.hex()}", made)

    def destroy_grant(self, request: bytes) -> None:
        """Forget a grant whose contribution is on the ledger, or whose request has ended."""
        self._vault.delete("secrets", f"grant-{request.hex()}")

    def _put(self, name: str, record: object) -> None:
        self._vault.put("secrets", name, format_json(write_record(record)).encode())

    def _get(self, record: type[R], name: str) -> R | None:
        data = self._vault.get("secrets", name)
        if data is None:
            return None
        return read_record(record, parse_json(data, what=name, max_bytes=MAX_RECORD_BYTES), name)

    def _all(self, record: type[R], prefix: str) -> Iterator[R]:
        for name in self._vault.names("secrets"):
            found = self._get(record, name) if name.startswith(prefix) else None
            if found is not None:
                yield found
