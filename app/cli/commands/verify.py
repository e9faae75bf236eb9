"""`muniment verify PROOF [FILE…] --trust TRUST`: check a deposit alone. Offline: opens no socket."""

import argparse
from pathlib import Path
from typing import Any

from app.cli import publication, releaserecord, sealed_pdf
from app.cli.output import add_json, show
from app.cli.verdicts import proof_lines
from app.cli.verification import write_report
from app.errors import BadInput

SHOWS_HEADERS = b'"headers":"'
"""What stands in every proof file with a Bitcoin block, whose form is canonical."""


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="check a proof file, and files against it, offline",
        description="Check a proof file, and the files that you have, against your own trust file. Files are matched "
        "by SHA-256, whatever they are called. Exit 0 verified, 1 does not match, 3 not on this ledger or cannot tell.",
    )
    parser.add_argument(
        "proof",
        metavar="PROOF",
        type=Path,
        help="a proof file, a certificate (PDF), a release record, a publication file, or a store audit's report",
    )
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="a file that should be in the deposit")
    parser.add_argument("--trust", type=Path, required=True, help="your trust file, from the court's gazette")
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="ignore what C2SP says may be ignored: signature lines of unknown keys, extra data of a tlog-proof",
    )
    parser.add_argument(
        "--sealed", metavar="DIR", type=Path, help="with a publication file: the folder that the recipient fetched"
    )
    parser.add_argument(
        "--headers",
        type=Path,
        metavar="FILE",
        help="a bundle of Bitcoin headers (default: the one that `muniment headers` keeps for this trust file, if any)",
    )
    parser.add_argument(
        "--report", metavar="PDF", type=Path, help="write what was found as a report (proof files and certificates)"
    )
    parser.add_argument(
        "--office", metavar="FILE", type=Path, help="with --report: seal it with the seal of this office's file"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, print, return 0, 1 or 3. Raises BadInput (exit 2) for files that cannot be read, a bad trust file."""
    from app.cli.person import clock, home_of  # noqa: PLC0415
    from app.client.headers import find_bundle, load_bundle  # noqa: PLC0415
    from app.statements.prooffile import MAX_PROOF_BYTES  # noqa: PLC0415
    from app.statements.store_report import is_report  # noqa: PLC0415
    from app.statements.trust import MAX_TRUST_BYTES, parse_trust  # noqa: PLC0415
    from app.verify.proof import check_proof, hash_file, read_whole  # noqa: PLC0415

    trust = parse_trust(read_whole(args.trust, MAX_TRUST_BYTES))
    if publication.is_one(args.proof):
        return publication.run(args, trust)
    if releaserecord.is_one(args.proof):
        return releaserecord.run(args, trust)
    if sealed_pdf.is_one(args.proof):
        return sealed_pdf.run(args, trust)
    if args.sealed is not None:
        raise BadInput("--sealed goes with a publication file", "Leave it out.", code="bad_option")
    data = read_whole(args.proof, MAX_PROOF_BYTES)
    if is_report(data):
        from app.cli.store_audit import run_report  # noqa: PLC0415 - other proofs do without it

        if args.files:
            raise BadInput("files are compared with a proof file, and this is a report", code="bad_option")
        return run_report(args, data, trust)
    chain = None
    if args.headers is not None:
        chain = load_bundle(args.headers, trust)
    elif SHOWS_HEADERS in data:  # years of headers take a second to check; a proof without a block needs none
        chain = find_bundle(home_of(), trust)
    files = [hash_file(each) for each in args.files]
    verdict = check_proof(data, trust, files, lenient=args.lenient, now=clock(), chain=chain)
    lines = proof_lines(args, verdict)
    write_report(args, trust, checks=verdict.checks, lines=lines, verdict=verdict.to_json())
    show(args, verdict.to_json(), lines)
    return verdict.outcome.exit_code
