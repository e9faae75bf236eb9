"""`muniment verify` of a publication file: what a capsule held, for somebody outside the case. Offline."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.output import show

if TYPE_CHECKING:
    from app.statements.trust import Trust
    from app.verify.publication import PublicationVerdict


def is_one(path: Path) -> bool:
    """Whether a file begins as a publication file. One that cannot be read is somebody else's fault to name."""
    from app.statements.publicationfile import HEAD  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD
    except OSError:
        return False


def run(args: argparse.Namespace, trust: "Trust") -> int:
    """Check, print, return 0, 1 or 3."""
    from app.statements.publicationfile import MAX_PUBLICATION_BYTES  # noqa: PLC0415
    from app.verify.proof import hash_file, read_whole  # noqa: PLC0415
    from app.verify.publication import check_publication  # noqa: PLC0415

    data = read_whole(args.proof, MAX_PUBLICATION_BYTES)
    found = check_publication(data, trust, [hash_file(each) for each in args.files], args.sealed)
    show(args, found.to_json(), _lines(args, found))
    return found.outcome.exit_code


def _lines(args: argparse.Namespace, found: "PublicationVerdict") -> list[str]:
    from app.verify.publication import CANNOT_SHOW  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    heads = {Outcome.VERIFIED: "VERIFIED", Outcome.MISMATCH: "DOES NOT MATCH", Outcome.UNKNOWN: "CANNOT TELL"}
    lines = [f"{heads[found.outcome]}  {args.proof}", f"  trust file: {args.trust}, SHA-256 {found.trust_sha256}"]
    for check in found.checks:
        lines.append(f"  {check.number:2} {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
        if not check.passed:
            lines.append(f"          [{check.code}] {check.next_step}")
    if found.outcome is not Outcome.VERIFIED:
        return lines
    lines.append(f"  deposit {found.deposit_id} by {found.depositor}, in the case {found.case_id}")
    lines.append(f"  released to {found.recipient} by {', '.join(found.judges)}")
    lines.append(
        {
            "file_key": "  the capsule held the key of the deposit, and this is it:",
            "wrong_key": "  the capsule held a key that does not open the deposit: its depositor made it so. The key:",
            "malformed": "  MALFORMED: its depositor made a capsule that opens for nobody; no judge is to blame",
        }[found.verdict]
    )
    lines += [f"    {found.identity}"] if found.identity else []
    for each in found.items:
        lines.append(f"  item {each.item}: {each.name or '(not declared)'}")
        if each.found is not None:
            lines.append(f"    deposited: SHA-256 {each.found.hex()}")
        if each.declared is not None:
            lines.append(f"    declared:  SHA-256 {each.declared.hex()}")
        if each.found is not None and each.declared is not None and each.found != each.declared:
            lines.append("    NOT EQUAL: its depositor declared another file than he deposited")
    lines += [f"  {path} is item {item}, as {how}" for path, item, how in found.files]
    lines.append("  This file cannot show:")
    lines.extend(f"    - {each}" for each in CANNOT_SHOW)
    return lines
