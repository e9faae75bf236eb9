"""What the rules know: frozen aggregates, each found by its key, each a projection of the statements.

A key is `prefix/id`. Aggregates can be dropped and rebuilt from the statements.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from app.canonical import format_json, parse_json
from app.fields import B64, Int, Parsed, Text, read_record, write_record
from app.panels.release_states import CapsuleState, RequestState
from app.panels.states import PanelState, SessionState
from app.statements.kinds import (
    DEFAULT_RULES,
    Authority,
    Capsule,
    Digest,
    Id,
    Key,
    Member,
    Notes,
    ReleaseRules,
    Role,
    Scope,
)


def _as_is(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Stored:
    """The JSON form of a state of the panel rules, which has a codec of its own."""

    of: Any

    def read(self, value: object, _what: str) -> object:
        return self.of.from_json(value)

    def write(self, value: Any) -> object:
        return value.to_json()


Raw = Annotated[str, Parsed(_as_is)]
"""Text that the rules wrote themselves."""

Count = Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The one registry: what its genesis founded."""

    PREFIX: ClassVar = "registry"
    id: Raw = "it"
    genesis: Digest
    origin: Raw
    log: Key
    service: Key
    authority: Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """Whose a key is, by thumbprint. A key is used once: `retired` keys stay, so that they never come back."""

    PREFIX: ClassVar = "key"
    id: Raw
    key: Key
    holder: Literal["member", "authority", "service", "log"]
    member: Member | None
    retired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member: a person or office with an identity key."""

    PREFIX: ClassVar = "member"
    id: Raw
    role: Role
    name: Annotated[str, Text(200)]
    key: Key
    notes: Notes
    active: bool
    index: Count
    """The ledger index of the statement that enrolled him."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The X.509 certificate that a registrar bound to a member's key, by the member's id; the newest counts."""

    PREFIX: ClassVar = "identity"
    id: Raw
    key: Member
    """Thumbprint of the key that it was bound to: with another key the binding has ended."""
    subject: Raw
    issuer: Raw
    root: Raw
    certificate: Digest
    not_after: Count
    """When the first certificate of the chain ends, Unix seconds."""
    statement: Digest
    index: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAct:
    """An act that takes effect with the m-th approval: by digest, with the approvals so far (thumbprints)."""

    PREFIX: ClassVar = "act"
    id: Raw
    statement: Raw
    approvals: tuple[Member, ...]
    effective: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardGiven:
    """A judge's card for a proposal, and the statement that carries it."""

    judge: Member
    digest: Digest
    card: Annotated[bytes, B64(230)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The newest proposal for a panel's next epoch, and every judge's newest card for that epoch."""

    digest: Digest
    epoch: Count
    prev_epoch_id: Digest
    k: Count
    judges: tuple[Member, ...]
    cards: tuple[CardGiven, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A lineage: its newest proposal, the newest approved roster, and the admission state of the panel rules."""

    PREFIX: ClassVar = "panel"
    id: Raw
    proposal: Proposal | None
    approved_judges: tuple[Member, ...]
    """The judges of the newest approved roster, in index order."""
    live: Digest | None
    """The session that is open or dealt."""
    epoch_id: Digest | None
    """The current certified epoch."""
    state: Annotated[PanelState, Stored(PanelState)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One ceremony session: who acknowledges, who deals (both in index order), and the admission state."""

    PREFIX: ClassVar = "session"
    id: Raw
    panel_id: Digest
    judges: tuple[Member, ...]
    dealers: tuple[Member, ...]
    state: Annotated[SessionState, Stored(SessionState)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A certified epoch: its record, and who its judges are, in index order."""

    PREFIX: ClassVar = "epoch"
    id: Raw
    panel_id: Digest
    record: Annotated[bytes, B64()]
    judges: tuple[Member, ...]
    session: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Recusing:
    """A judge whose recusal waits for more keys of the authority: those that signed it so far (thumbprints)."""

    judge: Member
    signers: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case: who opened it, its rules, parties, panels (newest assignment last), who presides, who was recused."""

    PREFIX: ClassVar = "case"
    id: Raw
    opened_by: Member
    rules: ReleaseRules = DEFAULT_RULES
    parties: tuple[Member, ...]
    panels: tuple[Digest, ...]
    presiding: Member | None
    recused: tuple[Member, ...] = ()
    recusing: tuple[Recusing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCapsule:
    """A deposit's capsule, by ct_hash: which requests were admitted for it, and which is open.

    `newest` is the digest of the newest release.request: the open one is that one or none.
    """

    PREFIX: ClassVar = "capsule"
    id: Raw
    deposit_id: Id
    newest: Digest | None = None
    state: Annotated[CapsuleState, Stored(CapsuleState)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """An accepted deposit."""

    PREFIX: ClassVar = "deposit"
    id: Raw
    case_id: Id
    depositor: Member
    digest: Digest
    manifest_hash: Digest
    capsules: tuple[Capsule, ...]
    holds: tuple[Digest, ...] = ()
    """The legal holds that stand: digests of the `hold.place` statements, in ledger order."""
    retain_until: Count = 0
    """Unix seconds to which `retention.extend` moved the end of the term; 0: the registry's own term counts."""

    @property
    def held(self) -> bool:
        """Whether a legal hold stands: then nothing of the deposit may be erased, whatever its term."""
        return bool(self.holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a deposit: who acknowledged it or ordered it opened, whether it was withdrawn or superseded."""

    PREFIX: ClassVar = "fate"
    id: Raw
    case_id: Id
    seen_by: tuple[Member, ...] = ()
    withdrawn: Digest | None = None
    """The statement that withdrew it."""
    superseded_by: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A release order."""

    PREFIX: ClassVar = "order"
    id: Raw
    case_id: Id
    signer: Member
    """The judge who presided when he signed; another may preside now."""
    deposits: tuple[Id, ...]
    recipients: tuple[Key, ...]
    document: Digest
    expires_at: Count
    """From this time (Unix seconds) nobody asks under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One judge's decision: his index in the epoch, for a grant the hash of his contribution, and the statement."""

    judge: Count
    member: Member
    contribution: Digest | None
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A party's objection: who, and the statement that says so."""

    member: Member
    digest: Digest


End = Literal["opened", "malformed", "withdrawn", "expired", "published"]
"""How a request ended, by statements. `expired` is written when another request takes its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A release request with what became of it. Its id is the digest of the release.request statement.

    Times are Unix seconds: when it was admitted, from when it may be granted, and from when it is over.
    """

    PREFIX: ClassVar = "request"
    id: Raw
    case_id: Id
    deposit_id: Id
    panel_id: Digest
    epoch_id: Digest
    order: Digest
    recipient: Member
    asked_at: Count
    opens_at: Count
    expires_at: Count
    objections: tuple[Objection, ...] = ()
    decisions: tuple[Decision, ...]
    state: Annotated[RequestState, Stored(RequestState)]
    accessed: bool
    end: End | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What of a request may be, and was, opened in public. Its id is that of the request."""

    PREFIX: ClassVar = "publication"
    id: Raw
    case_id: Id
    document: Digest | None
    """The court's paper that permits it, by its SHA-256."""
    verdict: Literal["file_key", "malformed"] | None
    statement: Digest | None
    """The statement that opened it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The statements on one deposit, by ledger index. Its id is the hex SHA-256 of the deposit's id."""

    PREFIX: ClassVar = "trail"
    id: Raw
    deposit_id: Id
    entries: tuple[Count, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """A deposit that was erased, by the hex SHA-256 of its id: the act, its entries, where it took effect, and when."""

    PREFIX: ClassVar = "erased"
    id: Raw
    act: Digest
    entries: tuple[Count, ...]
    index: Count
    time: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """A judge's word that the secrets behind a card are destroyed. Its id is the card's HE (32 bytes, hex)."""

    PREFIX: ClassVar = "destroyed"
    id: Raw
    panel_id: Digest
    judge: Member
    index: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """Who may act for whom in a case, in what, and until when (Unix seconds)."""

    principal: Member
    delegate: Member
    scope: tuple[Scope, ...]
    until: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegations:
    """The delegations of a case; those that ran out stay until they are given anew."""

    PREFIX: ClassVar = "delegations"
    id: Raw
    case_id: Id
    given: tuple[Delegation, ...]
    ever: tuple[Member, ...]
    """Every delegate there ever was: whoever reads the case reads how they were enrolled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A member's further device: the thumbprint of its key, and its notes recipient."""

    key: Member
    notes: Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The devices of a member beside the one that holds his own key. Its id is the member's."""

    PREFIX: ClassVar = "devices"
    id: Raw
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """Never stored: what a replay knows of a deposit whose statements an act later on the ledger erased."""

    PREFIX: ClassVar = "foretold"
    id: Raw


Aggregate = (
    Registry
    | KeyHolder
    | Person
    | Binding
    | PendingAct
    | Panel
    | Session
    | Epoch
    | Case
    | Deposited
    | Fate
    | SealedCapsule
    | Order
    | Request
    | Publication
    | Trail
    | Erased
    | Destroyed
    | Delegations
    | Devices
    | Foretold
)

AGGREGATES: dict[str, type[Aggregate]] = {
    record.PREFIX: record
    for record in (
        Registry,
        KeyHolder,
        Person,
        Binding,
        PendingAct,
        Panel,
        Session,
        Epoch,
        Case,
        Deposited,
        Fate,
        SealedCapsule,
        Order,
        Request,
        Publication,
        Trail,
        Erased,
        Destroyed,
        Delegations,
        Devices,
    )
}

MAX_AGGREGATE_BYTES = 14 * 1024 * 1024


def key_of(aggregate: Aggregate) -> str:
    """Return `prefix/id`."""
    return f"{aggregate.PREFIX}/{aggregate.id}"


def format_aggregate(aggregate: Aggregate) -> str:
    """Return an aggregate as canonical JSON."""
    return format_json(write_record(aggregate))


def parse_aggregate(key: str, data: bytes | str) -> Aggregate:
    """Read an aggregate back. Raises BadInput when stored bytes are not in its form."""
    record: Any = AGGREGATES[key.partition("/")[0]]
    value = parse_json(data, what=f"the stored aggregate {key}", max_bytes=MAX_AGGREGATE_BYTES)
    found: Aggregate = read_record(record, value, key)
    return found
