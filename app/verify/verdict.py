"""What a verification says: which checks were made, how each came out, and what a file cannot show."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from app.verify.bracket import Bound, Bracket
from ledger.anchors.growth import Level

CANNOT_SHOW = (
    "whether the depositor's key was revoked or replaced after this deposit: ask the registry",
    "whether the deposit was withdrawn, superseded, released or erased later: ask whoever reads its case",
    "whether a revocation before it was left out: only a replay of the whole ledger shows that",
    "that a name, type, size or digest is true: it is the depositor's declaration, fixed when he deposited, until an "
    "opening confirms it",
    "that the ledger shows everybody the same: that is what witnesses, anchors and `muniment monitor` are for",
)


class Outcome(StrEnum):
    """The answer, with its exit code."""

    VERIFIED = "verified"
    MISMATCH = "does_not_match"
    UNKNOWN = "cannot_tell"

    @property
    def exit_code(self) -> int:
        """0 verified, 1 does not match, 3 not on this ledger or cannot tell."""
        return {Outcome.VERIFIED: 0, Outcome.MISMATCH: 1, Outcome.UNKNOWN: 3}[self]


__all__ = ["CANNOT_SHOW", "Check", "CheckedAnchor", "CheckedFile", "DisclosedItem", "Level", "Outcome", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check: what was checked, how it came out, what was found or what is wrong."""

    number: int
    name: str
    passed: bool
    detail: str
    code: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosedItem:
    """What a proof file discloses of one item; None where it does not. `null` slots count as not disclosed."""

    index: int
    name: str | None = None
    type: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A file that was compared: its digest, and the items that declare the same one."""

    path: str
    sha256: str
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAnchor:
    """An anchor that holds: who vouches, for what times (Unix seconds), and for Bitcoin what is known of the block."""

    form: str
    by: str
    covers: bool
    index: int
    size: int
    earliest: int
    latest: int
    place: str | None
    """`located`, `work_shown` or `unknown` for a block."""
    block: str | None
    """Its hash, as explorers show it."""
    ends: int | None
    """When the certificates of a time-stamp end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundIdentity:
    """An X.509 certificate bound to a member's key: names by RFC 4514, SHA-256 in hex, the entry that bound it.

    Its key signed for the binding, and each certificate was issued by the next; that shows again in the proof. That the
    root is one to be trusted, and that nothing was revoked, is the registrar's word.
    """

    subject: str
    issuer: str
    root: str
    sha256: str
    index: int


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The answer and everything that it rests on. Fields beyond `checks` are filled as far as the checks came."""

    trust_sha256: str
    outcome: Outcome = Outcome.UNKNOWN
    level: Level = Level.NONE
    checks: list[Check] = field(default_factory=list)
    origin: str = ""
    statement: str = ""
    """Digest of the deposit statement, hex."""
    deposit_id: str = ""
    case_id: str = ""
    index: int | None = None
    time: int | None = None
    """The time that the registry's leaf says, Unix seconds."""
    size: int | None = None
    """The size of the checkpoint."""
    witnesses: list[str] = field(default_factory=list)
    depositor: str = ""
    depositor_name: str = ""
    identity: BoundIdentity | None = None
    """The certificate that was bound to the depositor's key when he deposited."""
    description: str | None = None
    provenance: str | None = None
    """The disclosed slot `origin`: where the evidence comes from."""
    items: list[DisclosedItem] = field(default_factory=list)
    files: list[CheckedFile] = field(default_factory=list)
    anchors: list[CheckedAnchor] = field(default_factory=list)
    bracket: Bracket | None = None

    @property
    def failed(self) -> Check | None:
        """The check that failed, if any."""
        return next((each for each in self.checks if not each.passed), None)

    def to_json(self) -> dict[str, object]:
        """Return the verdict for `--json`."""
        return {
            "outcome": self.outcome.value,
            "exit_code": self.outcome.exit_code,
            "level": self.level.value,
            "trust_sha256": self.trust_sha256,
            "origin": self.origin,
            "statement": self.statement,
            "deposit_id": self.deposit_id,
            "case_id": self.case_id,
            "index": self.index,
            "time": self.time,
            "size": self.size,
            "witnesses": self.witnesses,
            "levels": {}
            if self.bracket is None
            else {level.value: step.value for level, step in self.bracket.growth.steps},
            "not_before": None if self.bracket is None else _bound(self.bracket.not_before),
            "not_after": None if self.bracket is None else _bound(self.bracket.not_after),
            "anchors": [asdict(each) for each in self.anchors],
            "depositor": self.depositor,
            "depositor_name": self.depositor_name,
            "identity": {"assurance": "enrolled"}
            if self.identity is None
            else {"assurance": "certificate", **asdict(self.identity)},
            "description": self.description,
            "provenance": self.provenance,
            "items": [
                {"item": each.index, "name": each.name, "type": each.type, "size": each.size, "sha256": each.sha256}
                for each in self.items
            ],
            "files": [{"path": each.path, "sha256": each.sha256, "items": list(each.items)} for each in self.files],
            "checks": [
                {
                    "number": each.number,
                    "name": each.name,
                    "passed": each.passed,
                    "detail": each.detail,
                    "code": each.code,
                    "next_step": each.next_step,
                }
                for each in self.checks
            ],
            "cannot_show": list(CANNOT_SHOW),
        }


def _bound(bound: Bound | None) -> dict[str, object] | None:
    return None if bound is None else {"time": bound.time, "by": list(bound.by)}
