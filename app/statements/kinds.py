"""What each kind of statement claims: one frozen record a kind, its JSON form in its fields.

The table of kinds is closed. A kind is public (its statements are served to anyone and its leaf names it) or private
(readable by those concerned; the leaf says `private`); for what is done to members the role decides.
Sources: the project's protocol page; panel messages by the panel specification.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from app.fields import B64, Hex, Int, Many, Parsed, Text, bad_field
from app.identities.chain import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES
from app.identities.possession import MAX_SIGNATURE_BYTES, Algorithm
from app.statements.keys import Jwk, MemberId

MAX_ITEMS = 4096
"""Items of evidence in one deposit, without the inventory: one `release.opening`, of at most 128 KiB, has a verdict for
each. Manifest, inventory and plan refuse more, so that no deposit comes to be whose opening could not be published."""

Role = Literal["registrar", "clerk", "judge", "depositor", "party", "auditor"]
OFFICES: tuple[Role, ...] = ("registrar", "clerk", "judge")
"""Roles that found trust: their enrolment is public and takes effect only with the authority's approvals."""

Id = Annotated[bytes, Hex(16)]
Digest = Annotated[bytes, Hex(32)]
Key = Annotated[bytes, Jwk()]
Member = Annotated[str, MemberId]
Note = Annotated[bytes, Hex(32)] | None
"""The SHA-256 of a sealed note's age file, or null where there are no words."""


def _slot(text: str, what: str) -> str:
    B64(32).read(text, what)
    return text


Slot = Annotated[str, Parsed(_slot)]
"""b64url(SHA-256(disclosure))."""


def _notes_recipient(text: str, what: str) -> str:
    # 1,216 bytes in bech32: 5-bit groups, six check characters, the prefix and its separator.
    if not text.startswith("age1pq1") or len(text) != 1959 or not text.isascii() or text != text.lower():
        raise bad_field(what, "must be a post-quantum age recipient, age1pq1… of 1,959 characters")
    return text


Notes = Annotated[str, Parsed(_notes_recipient)]
"""The hybrid age recipient to which words for this member are sealed."""


def _origin(text: str, what: str) -> str:
    if not 1 <= len(text) <= 200 or any(c.isspace() or c == "+" or not c.isprintable() for c in text):
        raise bad_field(what, "must be a schema-less URL of at most 200 characters, without space or '+'")
    return text


Origin = Annotated[str, Parsed(_origin)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The office keys that appoint, and how many of them it takes."""

    keys: Annotated[tuple[Key, ...], Many(least=1, most=31)]
    m: Annotated[int, Int(1, 31)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Officer:
    """The first registrar: identity key, notes recipient and name."""

    key: Key
    notes: Notes
    name: Annotated[str, Text(200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """What founds a registry. Signed by its first registrar, whom it enrols; its digest is pinned in trust files."""

    origin: Origin
    log: Key
    service: Key
    authority: Authority
    registrar: Officer
    predecessor: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One authority key's consent to an act, named by the digest of its statement."""

    act: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEnrol:
    """A person or office joins. Signed by a registrar."""

    key: Key
    notes: Notes
    role: Role
    name: Annotated[str, Text(200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRevoke:
    """A member leaves. `role` is the role that he was enrolled in; it decides who may read this."""

    member: Member
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberKey:
    """A member's new keys. Signed by his old key, or, when it is lost, by a registrar."""

    member: Member
    role: Role
    key: Key
    notes: Notes


Evidence = Annotated[bytes, B64(most=32_768)]
"""DER of one OCSP response or one list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberIdentity:
    """A registrar binds a member's X.509 certificate to his present key. Signed by a registrar.

    `certificates`: DER, the member's first, the root last. `signature`: by the member's certificate, over
    `app.identities.possession.binding_text`. `ocsp` and `crls`: DER, what the authorities said of revocation then.
    """

    member: Member
    role: Role
    certificates: Annotated[
        tuple[Annotated[bytes, B64(most=MAX_CERTIFICATE_BYTES)], ...], Many(least=2, most=MAX_CERTIFICATES)
    ]
    algorithm: Algorithm
    signature: Annotated[bytes, B64(most=MAX_SIGNATURE_BYTES)]
    ocsp: Annotated[tuple[Evidence, ...], Many(most=MAX_CERTIFICATES)]
    crls: Annotated[tuple[Evidence, ...], Many(most=MAX_CERTIFICATES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDevice:
    """A second device of a member: a key of its own beside his, and where words for it are sealed."""

    member: Member
    role: Role
    key: Key
    notes: Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberUndevice:
    """A device is lost or out of use: its key is retired. `key` is its thumbprint."""

    member: Member
    role: Role
    key: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPropose:
    """A registrar names the judges of an epoch, in index order, and k. `prev_epoch_id` is zero for epoch 1."""

    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    prev_epoch_id: Digest
    k: Annotated[int, Int(2, 255)]
    judges: Annotated[tuple[Member, ...], Many(least=2, most=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelCard:
    """A judge's host card (230 bytes); his signature certifies its host key."""

    card: Annotated[bytes, B64(230)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRoster:
    """The roster that the authority approves: which proposal, which cards, and the hash that covers them."""

    propose: Digest
    cards: Annotated[tuple[Digest, ...], Many(least=2, most=255)]
    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    prev_epoch_id: Digest
    roster_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelOpen:
    """A ceremony session begins: the full header."""

    header: Annotated[bytes, B64(most=65_536)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelDeal:
    """A judge's deal (visit 1)."""

    deal: Annotated[bytes, B64(most=32_768)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelAck:
    """A judge's acknowledgment (visit 2), 132 bytes. The n-th certifies."""

    ack: Annotated[bytes, B64(132)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelBlame:
    """A judge shows a bad share, 230 bytes."""

    blame: Annotated[bytes, B64(230)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelClose:
    """A registrar ends a session that did not certify."""

    session: Digest


YEAR = 31_536_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """How evidence of a case is released. Seconds count from the time of the leaf of a request or an order.

    `notice_seconds`: how long the others see a request, and may object, before a judge may grant it. `request_seconds`:
    when a request is over. `order_seconds`: how long an order may be asked under. `contribute`: whether a judge may
    contribute with his grant, or only when k grants for the same request are on the ledger.
    """

    notice_seconds: Annotated[int, Int(0, YEAR)]
    request_seconds: Annotated[int, Int(3600, 10 * YEAR)]
    order_seconds: Annotated[int, Int(3600, 100 * YEAR)]
    contribute: Literal["with-grant", "at-quorum"]


DEFAULT_RULES = ReleaseRules(
    notice_seconds=0, request_seconds=90 * 86_400, order_seconds=400 * 86_400, contribute="with-grant"
)
"""No notice, a request is over after 90 days, an order after 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelDestroy:
    """A judge says that his client destroyed the secrets behind his card in a session that ended. Nobody can check."""

    session: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpen:
    """A case begins, with its release rules, which never change; title and docket number are in the note."""

    case_id: Id
    rules: ReleaseRules = DEFAULT_RULES
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAssign:
    """A certified panel and a presiding judge for the case. The newest assignment of a panel counts."""

    case_id: Id
    panel_id: Digest
    presiding: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseParty:
    """A member joins the case."""

    case_id: Id
    member: Member
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecuse:
    """A judge takes no part in the case any more. Signed by himself, or by m authority keys, one statement each."""

    case_id: Id
    judge: Member
    note: Note


Scope = Literal["read", "deposit", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDelegate:
    """A person of the case lets another act for him in it until a time (Unix seconds): to read, deposit or prepare.

    The note has the case's title for the delegate, to whom it was not sealed before.
    """

    case_id: Id
    delegate: Member
    scope: Annotated[tuple[Scope, ...], Many(least=1, most=3)]
    until: Annotated[int, Int()]
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseUndelegate:
    """He ends that before its time."""

    case_id: Id
    delegate: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """A deposit's secret sealed to one panel: the public part (161 bytes) and what it binds to."""

    panel_id: Digest
    epoch_id: Digest
    y: Annotated[bytes, Hex(32)]
    public: Annotated[bytes, B64(161)]
    ct_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositSlots:
    """The hidden claims of a whole deposit; always both present."""

    description: Slot
    origin: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One act of depositing."""

    deposit_id: Id
    case_id: Id
    manifest_hash: Digest
    capsules: Annotated[tuple[Capsule, ...], Many(least=1, most=3)]
    slots: DepositSlots
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositAcknowledge:
    """A reader of the case has seen a deposit of somebody else: from now on it cannot be withdrawn."""

    deposit_id: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositWithdraw:
    """Its depositor takes back a deposit made by mistake, which nobody else has acknowledged or ordered opened."""

    deposit_id: Id
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositSupersede:
    """Its depositor names another deposit of his, in the same case, that takes the place of this one."""

    deposit_id: Id
    by: Id
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOrder:
    """The presiding judge orders deposits opened for recipients (identity keys); `document` is the paper's SHA-256."""

    case_id: Id
    deposits: Annotated[tuple[Id, ...], Many(least=1, most=256)]
    recipients: Annotated[tuple[Key, ...], Many(least=1, most=64)]
    document: Digest
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """A named recipient asks for one deposit under an order, with a fresh recipient key (290 bytes)."""

    order: Digest
    deposit_id: Id
    panel_id: Digest
    request: Annotated[bytes, B64(290)]
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseObjection:
    """A party of the case objects to a request, for reasons in the note. Judges see it; it stops nothing by itself."""

    request: Digest
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWithdraw:
    """The recipient takes his request back."""

    request: Digest
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDecision:
    """A judge grants (naming the SHA-256 of his contribution) or refuses."""

    request: Digest
    decision: Literal["grant", "refuse"]
    contribution: Digest | None
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseContribution:
    """A judge's contribution, 162 bytes; its hash stands in his grant."""

    request: Digest
    contribution: Annotated[bytes, B64(162)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOpening:
    """What the recipient found: the evidence opened (one verdict an item, without the inventory), or malformed."""

    request: Digest
    outcome: Literal["opened", "malformed"]
    items: Annotated[tuple[Literal["equal", "not_equal", "undeclared"], ...], Many(most=MAX_ITEMS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlace:
    """Nothing of the deposit may be deleted or erased until this hold is lifted. The digest of this names the hold."""

    deposit_id: Id
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLift:
    """One hold is lifted, named by the digest of the statement that placed it; others stay."""

    deposit_id: Id
    hold: Digest
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionExtend:
    """The deposit's term ends at `until` (Unix seconds) or with the registry's own term, whichever is later."""

    deposit_id: Id
    until: Annotated[int, Int()]
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePermit:
    """The presiding judge lets what a request released be opened in public; `document` is the paper's SHA-256."""

    request: Digest
    document: Digest
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePublish:
    """A recipient opens a capsule in public: which contributions it was made from, the opening, and the box."""

    request: Digest
    indices: Annotated[tuple[Annotated[int, Int(1, 255)], ...], Many(least=2, most=255)]
    opening: Annotated[bytes, B64(96)]
    box: Annotated[bytes, B64(48)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """A deposit and every statement on it are destroyed here. Public, so it names neither by what they say.

    `deposit` is the SHA-256 of the deposit's id, which only who knows the id recognises; `entries` are ledger indices;
    `document` is the SHA-256 of the court's paper. The reason is read by everybody and holds no personal data.
    """

    deposit: Digest
    entries: Annotated[tuple[Annotated[int, Int()], ...], Many(least=1, most=4096)]
    reason: Annotated[str, Text(500)]
    document: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The service is about to serve a deposit's box and segments to a recipient; once a request."""

    deposit_id: Id
    request: Digest
    recipient: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Somebody outside vouches for when the checkpoint that `seen` names existed; `anchor` is the SHA-256 of his bytes.

    `seen` is the stamped checkpoint: so the rules for `seen` already hold it to this ledger.
    """

    form: Literal["rfc3161", "opentimestamps"]
    anchor: Digest


Claims = (
    Genesis
    | Approval
    | MemberEnrol
    | MemberRevoke
    | MemberKey
    | MemberDevice
    | MemberUndevice
    | MemberIdentity
    | PanelPropose
    | PanelCard
    | PanelRoster
    | PanelOpen
    | PanelDeal
    | PanelAck
    | PanelBlame
    | PanelClose
    | PanelDestroy
    | CaseOpen
    | CaseAssign
    | CaseParty
    | CaseRecuse
    | CaseDelegate
    | CaseUndelegate
    | Deposit
    | DepositAcknowledge
    | DepositWithdraw
    | DepositSupersede
    | ReleaseOrder
    | ReleaseRequest
    | ReleaseObjection
    | ReleaseWithdraw
    | ReleaseDecision
    | ReleaseContribution
    | ReleaseOpening
    | HoldPlace
    | HoldLift
    | RetentionExtend
    | ReleasePermit
    | ReleasePublish
    | Access
    | Anchor
    | Erase
)

KINDS: dict[str, type[Claims]] = {
    "genesis": Genesis,
    "approval": Approval,
    "member.enrol": MemberEnrol,
    "member.revoke": MemberRevoke,
    "member.key": MemberKey,
    "member.device": MemberDevice,
    "member.undevice": MemberUndevice,
    "member.identity": MemberIdentity,
    "panel.propose": PanelPropose,
    "panel.card": PanelCard,
    "panel.roster": PanelRoster,
    "panel.open": PanelOpen,
    "panel.deal": PanelDeal,
    "panel.ack": PanelAck,
    "panel.blame": PanelBlame,
    "panel.close": PanelClose,
    "panel.destroy": PanelDestroy,
    "case.open": CaseOpen,
    "case.assign": CaseAssign,
    "case.party": CaseParty,
    "case.recuse": CaseRecuse,
    "case.delegate": CaseDelegate,
    "case.undelegate": CaseUndelegate,
    "deposit": Deposit,
    "deposit.acknowledge": DepositAcknowledge,
    "deposit.withdraw": DepositWithdraw,
    "deposit.supersede": DepositSupersede,
    "release.order": ReleaseOrder,
    "release.request": ReleaseRequest,
    "release.objection": ReleaseObjection,
    "release.withdraw": ReleaseWithdraw,
    "release.decision": ReleaseDecision,
    "release.contribution": ReleaseContribution,
    "release.opening": ReleaseOpening,
    "hold.place": HoldPlace,
    "hold.lift": HoldLift,
    "retention.extend": RetentionExtend,
    "release.permit": ReleasePermit,
    "release.publish": ReleasePublish,
    "access": Access,
    "anchor": Anchor,
    "erase": Erase,
}
"""The closed table: wire name to claims."""

KIND_OF = {record: name for name, record in KINDS.items()}
_PUBLIC = frozenset(name for name in KINDS if name.startswith("panel.")) | {"genesis", "approval", "anchor", "erase"}


def is_public(kind: str, claims: Claims) -> bool:
    """Whether a statement is served to anyone. Decided per statement: a judge's enrolment is public, a lawyer's not."""
    if isinstance(claims, MemberEnrol | MemberRevoke | MemberKey | MemberDevice | MemberUndevice | MemberIdentity):
        return claims.role in OFFICES
    return kind in _PUBLIC


def leaf_kind(kind: str, claims: Claims) -> str:
    """Return the kind that the public leaf shows: exact for public statements, `private` for all others."""
    return kind if is_public(kind, claims) else "private"
