"""`muniment verify` of a release record: who asked, who decided what and when, each contribution proven. Offline."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.output import show
from app.cli.person import day
from app.errors import BadInput

if TYPE_CHECKING:
    from app.statements.trust import Trust
    from app.verify.recordverdict import RecordVerdict


def is_one(path: Path) -> bool:
    """Whether a file begins as a release record. One that cannot be read is somebody else's fault to name."""
    from app.statements.recordfile import HEAD  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD
    except OSError:
        return False


def run(args: argparse.Namespace, trust: "Trust") -> int:
    """Check, print, return 0, 1 or 3."""
    from app.statements.recordfile import MAX_RECORD_BYTES  # noqa: PLC0415
    from app.verify.proof import read_whole  # noqa: PLC0415
    from app.verify.record import check_record  # noqa: PLC0415

    if args.files or args.sealed is not None:
        raise BadInput(
            "a release record shows who released what, and no file", "Compare files with a proof.", code="bad_option"
        )
    found = check_record(read_whole(args.proof, MAX_RECORD_BYTES), trust)
    show(args, found.to_json(), lines(str(args.proof), str(args.trust), found))
    return found.outcome.exit_code


def lines(record: str, trust: str, found: "RecordVerdict") -> list[str]:
    """The verdict for people."""
    from app.verify.recordverdict import CANNOT_SHOW  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    heads = {Outcome.VERIFIED: "VERIFIED", Outcome.MISMATCH: "DOES NOT MATCH", Outcome.UNKNOWN: "CANNOT TELL"}
    said = [f"{heads[found.outcome]}  {record}", f"  trust file: {trust}, SHA-256 {found.trust_sha256}"]
    for check in found.checks:
        said.append(f"  {check.number:2} {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
        if not check.passed:
            said.append(f"          [{check.code}] {check.next_step}")
    if found.outcome is not Outcome.VERIFIED:
        return said
    said += [
        f"  request {found.request} of {found.recipient}: {found.status}",
        f"  for the deposit {found.deposit_id} in the case {found.case_id} on {found.origin}",
        f"  under the order {found.order}, whose paper has the SHA-256 {found.document}",
        f"  panel {found.panel_id}, epoch {found.epoch}: {found.k} of {len(found.judges)}, {', '.join(found.judges)}",
        f"  who could read the request when it came: {', '.join(found.notified)}",
        f"  it could be granted from {day(found.opens_at)} and was good until {day(found.expires_at)}",
    ]
    if found.contribute == "at-quorum":
        said.append(f"  contributions were taken only once {found.k} judges had granted")
    said += [f"  {day(each.time)}  entry {each.index}: {each.who} {each.says}" for each in found.events]
    said += [f"    item {number}: {verdict}" for number, verdict in enumerate(found.items, 1)]
    if found.earlier:
        said.append(f"  the record shows {found.earlier} other requests for this deposit")
    said.append("  This file cannot show:")
    said += [f"    - {each}" for each in CANNOT_SHOW]
    return said
