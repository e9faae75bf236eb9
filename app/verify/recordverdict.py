"""What the verification of a release record says: the checks, what the record shows, and what it cannot show."""

from dataclasses import dataclass, field

from app.verify.verdict import Check, Outcome

CANNOT_SHOW = (
    "what the private entries say that are counted and not shown: a refusal, an objection, an unused grant or "
    "an opening may be among them; nothing can that the shown ones rest on",
    "what was said after the last entry of the stretch: ask a reader of the case for a newer record",
    "whether something was left out from before the request that revokes, recuses or replaces somebody: only a replay "
    "of the whole ledger by a reader of the case shows that",
    "what the sealed notes say, and whether the paper in anybody's hand is that of the order: compare its SHA-256",
    "that k judges did not open the deposit among themselves, off the ledger: no record of this kind shows that",
    "the time beyond the registry's clock: witnesses and anchors bracket it",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act of the release: where and when it stands, who did it, and what it says."""

    index: int
    time: int
    kind: str
    who: str
    says: str


@dataclass(slots=True, kw_only=True)
class RecordVerdict:
    """The answer, and what the record shows. Fields beyond `checks` are filled as far as the checks came."""

    trust_sha256: str
    outcome: Outcome = Outcome.UNKNOWN
    origin: str = ""
    request: str = ""
    deposit_id: str = ""
    case_id: str = ""
    order: str = ""
    document: str = ""
    """The SHA-256 of the court's paper."""
    recipient: str = ""
    notified: tuple[str, ...] = ()
    """Who could read the request when it was admitted."""
    opens_at: int = 0
    expires_at: int = 0
    contribute: str = ""
    panel_id: str = ""
    epoch: int = 0
    k: int = 0
    judges: tuple[str, ...] = ()
    status: str = ""
    """`opened`, `malformed`, `withdrawn`, `published`, `expired`, `released` or `waits`."""
    items: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    earlier: int = 0
    """How many other requests for the deposit the record shows."""
    size: int = 0
    start: int = 0
    end: int = 0
    hidden: int = 0
    """Private entries of the stretch that are not shown."""
    unrelated: int = 0
    """Public entries of the stretch that are not shown: other panels' ceremonies, and approvals."""
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> Check | None:
        """The check that failed, if any."""
        return next((each for each in self.checks if not each.passed), None)

    def to_json(self) -> dict[str, object]:
        """Return the verdict for `--json`."""
        plain = (
            *("trust_sha256", "origin", "request", "deposit_id", "case_id", "order", "document", "recipient"),
            *("opens_at", "expires_at", "contribute", "panel_id", "epoch", "k", "status", "earlier"),
            *("size", "start", "end", "hidden", "unrelated"),
        )
        return {
            "outcome": self.outcome.value,
            "exit_code": self.outcome.exit_code,
            **{name: getattr(self, name) for name in plain},
            "notified": list(self.notified),
            "judges": list(self.judges),
            "items": list(self.items),
            "events": [
                {"index": each.index, "time": each.time, "kind": each.kind, "who": each.who, "says": each.says}
                for each in self.events
            ],
            "checks": [
                {"number": each.number, "name": each.name, "passed": each.passed, "detail": each.detail}
                | ({"code": each.code, "next_step": each.next_step} if not each.passed else {})
                for each in self.checks
            ],
            "cannot_show": list(CANNOT_SHOW),
        }
