"""`muniment panel reserve|consent|restart|blame`: going on without a judge, and who is at fault."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, note, show
from app.cli.person import as_person, confirm, digest_of, member_of, write_result

if TYPE_CHECKING:
    from app.client.reserve import Reserve
    from app.client.session import Client


def add(acts: "argparse._SubParsersAction[Any]") -> None:
    """Add the three acts."""
    reserve = acts.add_parser(
        "reserve",
        help="make ready a roster without each of the judges in turn (registrar)",
        description="Sign, for each judge of the newest proposal, a proposal and a roster without him, into a file. "
        "Nothing is posted. The authority approves the file with `muniment panel consent`; if a judge deals a bad "
        "share, `muniment panel restart --reserve FILE` goes on without him in one step.",
    )
    reserve.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
    reserve.add_argument("--spare", metavar="JUDGE", help="who takes the place of the one left out: id or exact name")
    reserve.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a new file")
    add_json(reserve)
    reserve.set_defaults(run=_reserve)
    agree = acts.add_parser(
        "consent",
        help="approve the rosters of a reserve file with a key of the authority",
        description="Approve every roster of a reserve file with a key of the authority, each checked against the "
        "ledger. Nothing is posted: the approvals are written beside the rosters, into a new file.",
    )
    agree.add_argument("file", metavar="FILE", type=Path, help="the reserve file")
    agree.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a new file, for the next key")
    agree.add_argument("--key", type=Path, help="the authority's key file (default: the key of your own identity)")
    agree.add_argument("--yes", action="store_true", help="do not ask whether each is to be approved")
    add_json(agree)
    agree.set_defaults(run=_consent)
    blame = acts.add_parser(
        "blame",
        help="verify a blame: say who is at fault, the dealer or the accuser",
        description="Verify a signed blame against the session's public transcript, and say who is at fault beyond "
        "doubt: the dealer whose share was bad, or the accuser of a good one.",
    )
    blame.add_argument(
        "blame",
        metavar="BLAME",
        type=_digest_or_file,
        help="the digest of a panel.blame statement, or a file that holds one",
    )
    add_json(blame)
    blame.set_defaults(run=_blame)
    again = acts.add_parser(
        "restart",
        help="go on without a judge who was blamed, or who does not come (registrar)",
        description="Go on without whoever was blamed, and without those named. With an approved reserve file the next "
        "session is open at once; else the new roster waits for the authority, and `muniment panel open` does the "
        "rest. Cards that were given serve again.",
    )
    again.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
    again.add_argument("--reserve", type=Path, metavar="FILE", help="the approved reserve file")
    again.add_argument(
        "--without",
        metavar="JUDGE",
        action="append",
        default=[],
        help="leave out this judge, too, and close the session that waits for him: id or exact name; repeatable",
    )
    add_json(again)
    again.set_defaults(run=_restart)


def _digest_or_file(text: str) -> bytes | Path:
    return Path(text) if Path(text).is_file() else digest_of(text)


def _blame(args: argparse.Namespace) -> int:
    from app.client.blames import verdict_of  # noqa: PLC0415
    from app.client.duties import names_of  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.statements.statement import MAX_STATEMENT_BYTES, parse_statement  # noqa: PLC0415

    given = None
    if isinstance(args.blame, Path):
        given = parse_statement(read_file(args.blame, "the blame", most=MAX_STATEMENT_BYTES).removesuffix(b"\n"))

    async def work(client: "Client") -> dict[str, Any]:
        state = await client.sync()
        statement = given if given is not None else state.statement(args.blame)
        found = verdict_of(state, statement)
        accuser, dealer, at_fault = names_of(state.view, (found.accuser, found.dealer, found.at_fault))
        return {
            "session": found.session.hex(),
            "accuser": accuser,
            "dealer": dealer,
            "upheld": found.upheld,
            "at_fault": at_fault,
            "member": found.at_fault,
        }

    made = as_person(work)
    line = (
        f"{made['dealer']} dealt a bad share to {made['accuser']}: {made['dealer']} is at fault ({made['member']})"
        if made["upheld"]
        else f"the share of {made['dealer']} for {made['accuser']} is good: {made['accuser']} lies ({made['member']})"
    )
    show(args, made, [line])
    return 0


def _reserve(args: argparse.Namespace) -> int:
    from app.client.duties import names_of  # noqa: PLC0415
    from app.client.reserve import format_reserve, left_out, prepare  # noqa: PLC0415

    async def work(client: "Client") -> list[list[str]]:
        view = (await client.sync()).view
        spare = member_of(view, args.spare).id if args.spare is not None else None
        made = await prepare(client, args.panel, spare)
        write_result(args.output, format_reserve(made).encode() + b"\n")
        return [list(names_of(view, each)) for each in left_out(view, made)]

    found = as_person(work)
    lines = [f"{len(found)} rosters in {args.output}; each goes without one:"]
    lines += [f"  {', '.join(each)}" for each in found]
    lines.append(f"the authority approves them: muniment panel consent {args.output} --key KEY -o FILE")
    show(args, {"file": str(args.output), "without": found}, lines)
    return 0


def _consent(args: argparse.Namespace) -> int:
    from app.client.authority import load_authority_key  # noqa: PLC0415
    from app.client.home import read_passphrase  # noqa: PLC0415
    from app.client.reserve import consent, format_reserve  # noqa: PLC0415

    reserve = _read(args.file)

    async def work(client: "Client") -> "Reserve":
        seed = client.keys.seed
        if args.key is not None:
            seed = load_authority_key(args.key, read_passphrase("Passphrase of the authority's key: "))
        return await consent(client, reserve, seed, lambda lines: confirm(lines, ask=not args.yes and not args.json))

    made = as_person(work)
    write_result(args.output, format_reserve(made).encode() + b"\n")
    given = min(len(each.approvals) for each in made.rosters)
    show(
        args,
        {"file": str(args.output), "rosters": len(made.rosters), "approvals": given},
        [f"{len(made.rosters)} rosters with {given} approvals each in {args.output}; nothing was posted"],
    )
    return 0


def _restart(args: argparse.Namespace) -> int:
    from app.client.duties import names_of  # noqa: PLC0415
    from app.client.reserve import restart  # noqa: PLC0415

    reserve = _read(args.reserve) if args.reserve is not None else None

    async def work(client: "Client") -> dict[str, Any]:
        view = (await client.sync()).view
        without = [member_of(view, each).id for each in args.without]
        made = await restart(client, args.panel, reserve, without)
        return {
            "panel": args.panel.hex(),
            "left_out": list(names_of(view, made.left_out)),
            "act": made.act.hex(),
            "session": made.session.session.hex() if made.session is not None else None,
        }

    found = as_person(work)
    lines = [f"the panel goes on without {', '.join(found['left_out'])}"]
    if found["session"] is not None:
        lines.append(f"session {found['session']}: open; its judges now deal, then acknowledge")
    else:
        lines.append(f"the new roster waits for the authority: muniment member approve {found['act']}")
        lines.append(f"then: muniment panel open {found['panel']}")
    show(args, found, lines)
    return 0


def _read(path: Path) -> "Reserve":
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.reserve import MAX_RESERVE_BYTES, parse_reserve  # noqa: PLC0415

    reserve = parse_reserve(read_file(path, "the reserve file", most=MAX_RESERVE_BYTES))
    note(f"reserve file for the panel {reserve.panel_id.hex()}, epoch {reserve.epoch}")
    return reserve
