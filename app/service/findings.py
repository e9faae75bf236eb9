"""What an audit or a scrub says is wrong, and what to do about it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a stable code, where, and what."""

    code: str
    place: str
    """A batch's id, a tile's path, `entry INDEX`, an aggregate's key, `deposit ID item I segment S`, a file."""
    message: str
    span: tuple[int, int] | None = None
    """The first bytes that are wrong, [start, end) within what `place` names, where they can be told."""
    next_step: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "next_step", remedy(self.code))


_RESTORE_RECORDS = (
    "Stop the service. Restore the records from a replica or a copy that passes the audit and is not older than "
    "published.checkpoint; keep what stands here as evidence."
)
_RESTORE_ONE = (
    "Put this one record back from a copy: its name is the SHA-256 of its bytes. Until then the service may run."
)
_REMEDIES = {
    "bad_batch": _RESTORE_RECORDS,
    "gap": _RESTORE_RECORDS,
    "truncated": _RESTORE_RECORDS,
    "forked": _RESTORE_RECORDS
    + " Tell the authority and the witnesses: somebody holds a signed checkpoint of another tree.",
    "bad_tile": "Delete the record of the tile: it is derived again from the batches.",
    "bad_checkpoint": "Put back the file as it was published: clients and witnesses have it.",
    "projection_differs": "Stop every process of the service, and start one with: muniment serve --rebuild",
    "statement_missing": _RESTORE_ONE,
    "statement_changed": _RESTORE_ONE,
    "note_damaged": _RESTORE_ONE,
    "anchor_missing": _RESTORE_ONE,
    "anchor_damaged": _RESTORE_ONE,
    "not_erased": "Start the service: it destroys what was erased. If this stays, look into its log.",
    "manifest_damaged": _RESTORE_ONE,
    "box_damaged": _RESTORE_ONE,
    "segment_missing": "Put the segment back from a copy of the blobs; the depositor may have it still.",
    "segment_damaged": "Put the segment back from a copy of the blobs, or the depositor's. Check the disk.",
    "lock_missing": "Start the service: it locks what is due. If this stays, look into its log.",
    "lock_short": "Start the service: it locks what is due. If this stays, look into its log.",
    "lock_late": "Start the service, and look into its log: what keeps it from the store? Until then only the "
    "provisional locks protect this deposit.",
    "hold_missing": "Start the service: it places what stands on the ledger once a day. Find out who lifted the hold.",
    "bad_receipt": "Compare the file with its holder's: as it is, it proves nothing about any ledger.",
    "receipt_contradicts": "Keep the receipt: it is evidence that this ledger was changed. Then as for a fork.",
    "other_ledger": "Audit the registry that issued the receipt.",
}


def remedy(code: str) -> str:
    """What whoever runs the registry should do about a finding of this code."""
    return _REMEDIES.get(
        code, "Keep the stores as they are, and compare them with a copy that passes the audit: the rules were broken."
    )
