"""`muniment verify` of a certificate. Offline."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.output import show
from app.cli.verification import write_report
from app.errors import BadInput

if TYPE_CHECKING:
    from app.statements.trust import Trust

_MAGIC = b"%PDF-"


def is_one(path: Path) -> bool:
    """Whether a file begins as a PDF. One that cannot be read is somebody else's fault to name."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def run(args: argparse.Namespace, trust: "Trust") -> int:
    """Check, print, return 0, 1 or 3."""
    from app.cli.person import clock, home_of  # noqa: PLC0415
    from app.cli.verdicts import certificate_lines, document_lines  # noqa: PLC0415
    from app.client.headers import find_bundle, load_bundle  # noqa: PLC0415
    from app.verify.certificate import MAX_PDF_BYTES, check_certificate  # noqa: PLC0415
    from app.verify.document import check_document, is_document  # noqa: PLC0415
    from app.verify.proof import hash_file, read_whole  # noqa: PLC0415

    if args.sealed is not None:
        raise BadInput("--sealed goes with a publication file", "Leave it out.", code="bad_option")
    data = read_whole(args.proof, MAX_PDF_BYTES)
    if is_document(data):
        if args.files:
            raise BadInput("files are compared with a certificate or a proof", "Leave them out.", code="bad_option")
        told = check_document(data, trust, now=clock())
        lines = document_lines(args, told)
        write_report(args, trust, checks=told.checks, lines=lines, verdict=told.to_json())
        show(args, told.to_json(), lines)
        return told.outcome.exit_code
    files = [hash_file(each) for each in args.files]
    chain = load_bundle(args.headers, trust) if args.headers is not None else find_bundle(home_of(), trust)
    found = check_certificate(data, trust, files, now=clock(), chain=chain, lenient=args.lenient)
    lines = certificate_lines(args, found)
    write_report(args, trust, checks=found.checks, lines=lines, verdict=found.to_json())
    show(args, found.to_json(), lines)
    return found.outcome.exit_code
