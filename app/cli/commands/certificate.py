"""`muniment certificate`: the sealed PDF that a court files; closed and renewed later, asked again when it must."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, note, show
from app.cli.person import clock, connected, day, home_of, id_of, write_result
from app.errors import AppError, BadInput, Mismatch, Refused

if TYPE_CHECKING:
    from app.client.certificate import Wanted
    from app.client.session import Client
    from app.verify.certificate import CertificateVerdict

ALIASES = {"digest": "sha256"}
QUEUED = ("no_timestamp", "seal_unavailable")
RENEW_DAYS = 400


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "certificate",
        help="get the sealed certificate (PDF) of a deposit; close or renew one",
        description="Get the sealed certificate of a deposit. It shows who deposited and when, and of the files only "
        "what you disclose; the registry sees that while it seals, and keeps nothing of it. When no time-stamp "
        "authority answers, the wish is queued on this machine: --queued asks again. With --renew, certificates that "
        "you have are closed, or stamped anew before their last time-stamp's authority ends. With --of, a release "
        "record or the report of a store audit becomes a sealed document.",
    )
    parser.add_argument("deposit", metavar="DEPOSIT", type=id_of, nargs="?", help="the deposit's id")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the PDF to write")
    parser.add_argument(
        "--disclose",
        metavar="NAMES",
        default="",
        help="such as name,digest,size,type,description,origin; none by default",
    )
    parser.add_argument("--item", type=int, action="append", default=[], help="disclose of these items only")
    parser.add_argument("--lang", choices=("en", "zh", "en+zh"), default="en", help="its language or languages")
    parser.add_argument(
        "--annex",
        choices=("cn", "eu", "us"),
        action="append",
        default=[],
        help="add the annex for these rules; several",
    )
    parser.add_argument(
        "--record", metavar="FILE", type=Path, help="a release record (muniment record) that shows what was opened"
    )
    parser.add_argument(
        "--of", metavar="FILE", type=Path, help="seal this release record, or report of a store audit, as a document"
    )
    parser.add_argument("--queued", action="store_true", help="ask again for what is queued")
    parser.add_argument("--renew", metavar="PDF", type=Path, nargs="+", help="close or renew these, where it is time")
    add_json(parser)
    parser.set_defaults(run=lambda args: asyncio.run(run(args)))


async def run(args: argparse.Namespace) -> int:
    """Issue, ask again, or renew."""
    if args.renew:
        return await _renew(args)
    if args.queued:
        return await _ask_again(args)
    if args.of is not None:
        return await _document(args)
    if args.deposit is None or args.output is None:
        raise BadInput(
            "which deposit, and where to?",
            "muniment certificate DEPOSIT -o FILE; or --queued; or --renew PDF ….",
            code="bad_option",
        )
    from app.client.certificate import Wanted, remember  # noqa: PLC0415

    if args.output.exists():
        raise BadInput(f"{args.output} exists already", "Name another file, or move it away.", code="output_exists")
    names = [each.strip() for each in args.disclose.split(",") if each.strip()]
    wanted = Wanted(
        deposit_id=args.deposit,
        disclose=tuple(ALIASES.get(each, each) for each in names),
        items=tuple(args.item),
        lang=args.lang,
        annexes=tuple(sorted(set(args.annex))),
        record=None if args.record is None else str(args.record.absolute()),
        output=str(args.output.absolute()),
    )
    async with connected() as client:
        try:
            pdf, verdict = await _issue(client, wanted)
        except AppError as error:
            if error.code not in QUEUED:
                raise
            remember(client.vault, wanted)
            raise Refused(
                f"not issued now: {error.message}",
                "It is queued here, and nothing weaker was issued. Ask again with: muniment certificate --queued",
                code="queued",
            ) from error
    return _written(args, wanted, pdf, verdict)


async def _document(args: argparse.Namespace) -> int:
    from app.verify.certificate import MAX_ATTACHED_RECORD_BYTES  # noqa: PLC0415
    from app.verify.document import check_document  # noqa: PLC0415
    from app.verify.proof import read_whole  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    if args.output is None or args.deposit is not None:
        raise BadInput("--of takes a file and -o another", "muniment certificate --of FILE -o PDF", code="bad_option")
    text = read_whole(args.of, MAX_ATTACHED_RECORD_BYTES)
    async with connected() as client:
        pdf = await client.api.document(text=text.removesuffix(b"\n"), lang=args.lang)
        verdict = await asyncio.to_thread(check_document, pdf, client.trust, now=clock())
    failed = verdict.failed
    if verdict.outcome is Outcome.MISMATCH or verdict.words is None:
        raise Mismatch(
            f"what the service sealed does not verify: {failed.detail if failed else ''}",
            "Nothing was written. Keep this message; tell the authority.",
            code="bad_certificate",
        )
    write_result(args.output, pdf)
    lines = [f"{args.output}: {verdict.words.kind} {verdict.words.number}, {len(pdf)} bytes; {verdict.outcome.value}"]
    if failed is not None:
        lines += [f"  {failed.name}: {failed.detail}", f"  {failed.next_step}"]
    document = {**verdict.to_json(), "file": str(args.output), "bytes": len(pdf)}
    show(args, document, lines)
    return verdict.outcome.exit_code


async def _ask_again(args: argparse.Namespace) -> int:
    from app.client.certificate import done, waiting  # noqa: PLC0415

    left, made = 0, []
    async with connected() as client:
        for wanted in waiting(client.vault):
            try:
                pdf, verdict = await _issue(client, wanted)
            except AppError as error:
                left += 1
                note(f"deposit {wanted.deposit_id.hex()}: {error.message} {error.next_step}")
                continue
            write_result(Path(wanted.output), pdf)
            done(client.vault, wanted)
            made.append({"certificate": wanted.output, "outcome": verdict.outcome.value})
    show(
        args,
        {"issued": made, "queued": left},
        [*(f"{each['certificate']}: {each['outcome']}" for each in made), f"{len(made)} issued, {left} still queued"],
    )
    return 1 if left else 0


async def _renew(args: argparse.Namespace) -> int:
    from app.client.certificate import replace_file  # noqa: PLC0415
    from app.verify.certificate import MAX_PDF_BYTES, check_certificate  # noqa: PLC0415
    from app.verify.document import check_document, is_document  # noqa: PLC0415
    from app.verify.proof import read_whole  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    done = []
    async with connected() as client:
        for path in args.renew:
            pdf = read_whole(path, MAX_PDF_BYTES)
            check: Any = check_document if is_document(pdf) else check_certificate
            verdict = await asyncio.to_thread(check, pdf, client.trust, now=clock())
            if verdict.outcome is Outcome.MISMATCH:
                failed = verdict.failed
                raise Mismatch(
                    f"{path} does not match: {failed.detail if failed else ''}",
                    "It was left as it is.",
                    code="not_ours",
                )
            judged = verdict.judged
            if judged is not None and judged.good_until - clock() > RENEW_DAYS * 86_400:
                done.append({"certificate": str(path), "done": "nothing", "good_until": judged.good_until})
                continue
            longer = await client.api.longer_certificate(pdf)
            again = await asyncio.to_thread(check, longer, client.trust, now=clock())
            if again.judged is None:
                raise Mismatch(
                    f"what the service gave back for {path} is not a closed certificate",
                    "Your file was left as it is. Tell the registry.",
                    code="not_longer",
                )
            replace_file(path, longer)
            what = "closed" if judged is None else "renewed"
            done.append({"certificate": str(path), "done": what, "good_until": again.judged.good_until})
    show(
        args,
        {"certificates": done},
        [f"{each['certificate']}: {each['done']}; good until {day(int(str(each['good_until'])))}" for each in done],
    )
    return 0


async def _issue(client: "Client", wanted: "Wanted") -> "tuple[bytes, CertificateVerdict]":
    """Make the proof, have it issued, and verify what comes back before anybody keeps it."""
    from app.client.grow import grow_proof  # noqa: PLC0415
    from app.client.headers import find_bundle  # noqa: PLC0415
    from app.client.kept import kept  # noqa: PLC0415
    from app.statements.prooffile import choose  # noqa: PLC0415
    from app.verify.certificate import MAX_ATTACHED_RECORD_BYTES, check_certificate  # noqa: PLC0415
    from app.verify.proof import read_whole  # noqa: PLC0415
    from app.verify.verdict import Outcome  # noqa: PLC0415

    if wanted.disclose:
        remembered = kept(client.vault, wanted.deposit_id)
        chosen, manifest = choose(remembered.inventory.disclosures, wanted.disclose), remembered.manifest
        if wanted.items:
            chosen = tuple(each for each in chosen if each.item is None or each.item in wanted.items)
    else:
        chosen, manifest = (), (await client.api.deposit(wanted.deposit_id)).manifest
    chain = find_bundle(home_of(), client.trust)
    grown = await grow_proof(client, wanted.deposit_id, manifest, chosen, trust=client.trust, chain=chain)
    for each in grown.problems:
        note(each)
    record = None if wanted.record is None else read_whole(Path(wanted.record), MAX_ATTACHED_RECORD_BYTES)
    pdf = await client.api.certificate(proof=grown.data, lang=wanted.lang, annexes=wanted.annexes, record=record)
    verdict = await asyncio.to_thread(check_certificate, pdf, client.trust, now=clock(), chain=chain)
    if verdict.outcome is Outcome.MISMATCH or verdict.certificate is None:
        failed = verdict.failed
        raise Mismatch(
            f"what the service sealed does not verify: {failed.detail if failed else ''}",
            "Nothing was written. Keep this message; tell the authority.",
            code="bad_certificate",
        )
    return pdf, verdict


def _written(args: argparse.Namespace, wanted: "Wanted", pdf: bytes, verdict: "CertificateVerdict") -> int:
    write_result(Path(wanted.output), pdf)
    certificate, failed = verdict.certificate, verdict.failed
    number = certificate.number if certificate is not None else ""
    level = certificate.level if certificate is not None else ""
    lines = [f"{args.output}: certificate {number}, {len(pdf)} bytes, level {level} at issue; {verdict.outcome.value}"]
    if failed is not None:
        lines += [f"  {failed.name}: {failed.detail}", f"  {failed.next_step}"]
    show(
        args,
        {
            "certificate": str(args.output),
            "number": number,
            "bytes": len(pdf),
            "deposit": wanted.deposit_id.hex(),
            "level": level,
            "outcome": verdict.outcome.value,
            "problem": None if failed is None else {"code": failed.code, "detail": failed.detail},
        },
        lines,
    )
    return verdict.outcome.exit_code
