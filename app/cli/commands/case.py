"""`muniment case`: open a case, assign its panel, add parties, recuse a judge, list and show."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, connected, digest_of, duration, id_of, member_of, seconds_of, words_of
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.session import State
    from app.rules.aggregates import Case


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "case",
        help="open, assign, add parties to, leave, list and show cases",
        description="Open, assign, add parties to, leave (a recused judge), list and show cases.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    opened = actions.add_parser(
        "open",
        help="open a case, with its release rules (registrar or clerk)",
        description="Open a case (registrar or clerk). Its release rules are signed with it and never change.",
    )
    add_note(opened, "--title", "title and docket number")
    opened.add_argument(
        "--notice",
        type=seconds_of,
        metavar="TIME",
        default="0s",
        help="how long others see a request, and may object, before a judge may grant it, such as 7d; default: none",
    )
    opened.add_argument(
        "--request-lasts",
        type=seconds_of,
        metavar="TIME",
        default="90d",
        help="when a request is over; default: 90d",
    )
    opened.add_argument(
        "--order-lasts",
        type=seconds_of,
        metavar="TIME",
        default="400d",
        help="how long an order may be asked under; default: 400d",
    )
    opened.add_argument(
        "--contribute",
        choices=("with-grant", "at-quorum"),
        default="with-grant",
        help="when judges' contributions may come: with each grant (default), or only once k judges have granted",
    )
    add_json(opened)
    opened.set_defaults(run=lambda args: asyncio.run(run_open(args)))

    assign = actions.add_parser(
        "assign",
        help="give the case a panel and a presiding judge (registrar or clerk)",
        description="Give the case a panel and a presiding judge (registrar or clerk).",
    )
    assign.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    assign.add_argument(
        "--panel",
        metavar="PANEL",
        type=digest_of,
        required=True,
        help="the panel's id, as `muniment panel show` lists it",
    )
    assign.add_argument("--presiding", metavar="JUDGE", required=True, help="his id or name")
    add_json(assign)
    assign.set_defaults(run=lambda args: asyncio.run(run_assign(args)))

    party = actions.add_parser(
        "party",
        help="add a depositor or party to the case (registrar or clerk)",
        description="Add a depositor or party to the case (registrar or clerk).",
    )
    party.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    party.add_argument("member", metavar="MEMBER", help="his id, or his name if you can see him")
    party.add_argument("--notes", metavar="CARD", help="his identity.json, so that the title can be sealed to him")
    add_json(party)
    party.set_defaults(run=lambda args: asyncio.run(run_party(args)))

    recuse = actions.add_parser(
        "recuse",
        help="take yourself, a judge, out of the case, or another with a key of the authority",
        description="Take yourself, a judge, out of the case for good; or, with m keys of the authority, one command "
        "each, another judge. What he contributed before counts. Refused when too few judges would remain.",
    )
    recuse.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    recuse.add_argument("--judge", metavar="JUDGE", help="another judge, his id or name; needs --key")
    recuse.add_argument("--key", type=Path, help="the authority's key file")
    add_note(recuse, "--reason", "the reason, sealed to the case (for yourself only)")
    add_json(recuse)
    recuse.set_defaults(run=lambda args: asyncio.run(run_recuse(args)))

    given = actions.add_parser(
        "delegate",
        help="let somebody read, deposit or prepare for you in a case, for a time",
        description="Let a member act for you in a case, under his own key and name, for at most 400 days. A depositor "
        "gives read and deposit, a party read, a judge read and prepare (to a clerk). Nobody ever "
        "decides, contributes, orders or asks for another. Words that were sealed before stay closed to him, but for "
        "the case's title; what is written while it lasts is sealed to him, too.",
    )
    given.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    given.add_argument("member", metavar="MEMBER", help="his id, or his name if you can see him")
    given.add_argument(
        "--scope", action="append", choices=("read", "deposit", "prepare"), required=True, help="repeatable"
    )
    given.add_argument("--notes", metavar="CARD", help="his identity.json, so that the title can be sealed to him")
    given.add_argument("--days", type=int, default=90, help="for how long (default: 90)")
    add_json(given)
    given.set_defaults(run=lambda args: asyncio.run(run_delegate(args)))

    taken = actions.add_parser(
        "undelegate",
        help="end what you let somebody do for you in a case",
        description="End what you let somebody do for you in a case. What he read before stays read.",
    )
    taken.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    taken.add_argument("member", metavar="MEMBER", help="his id or name")
    add_json(taken)
    taken.set_defaults(run=lambda args: asyncio.run(run_undelegate(args)))

    listed = actions.add_parser(
        "list", help="list the cases that concern you", description="List the cases that concern you."
    )
    add_json(listed)
    listed.set_defaults(run=lambda args: asyncio.run(run_list(args)))

    shown = actions.add_parser("show", help="show a case", description="Show a case.")
    shown.add_argument("case", metavar="CASE", type=id_of, help="the case's id")
    add_json(shown)
    shown.set_defaults(run=lambda args: asyncio.run(run_show(args)))


async def run_open(args: argparse.Namespace) -> int:
    """Open a case under a fresh id; the title is sealed to its opener, and later to each party."""
    from app.fields import write_record  # noqa: PLC0415
    from app.statements.kinds import CaseOpen, ReleaseRules  # noqa: PLC0415

    title = words_of(args.note)
    async with connected() as client:
        await client.sync()
        note = await client.put_note(title, (), ()) if title is not None else None
        case_id = client.rng(16)
        rules = ReleaseRules(
            notice_seconds=args.notice,
            request_seconds=args.request_lasts,
            order_seconds=args.order_lasts,
            contribute=args.contribute,
        )
        receipt = await client.post(CaseOpen(case_id=case_id, rules=rules, note=note))
    document: dict[str, Any] = {"case": case_id.hex(), "index": receipt.index, "rules": write_record(rules)}
    show(args, document, [f"case {case_id.hex()}: entry {receipt.index}", *rules_lines(document["rules"])])
    return 0


def rules_lines(rules: dict[str, Any]) -> list[str]:
    """A case's release rules for people."""
    notice, when = rules["notice_seconds"], rules["contribute"]
    return [
        f"  notice to the others: {duration(notice) if notice else 'none'}",
        f"  a request lasts {duration(rules['request_seconds'])}, an order {duration(rules['order_seconds'])}",
        f"  contributions: {'with each grant' if when == 'with-grant' else 'once k judges have granted'}",
    ]


async def run_assign(args: argparse.Namespace) -> int:
    """Assign a certified panel, which is followed from the trust file first."""
    from app.client.panel import follow  # noqa: PLC0415
    from app.statements.kinds import CaseAssign  # noqa: PLC0415

    async with connected() as client:
        state = await client.sync()
        panel = follow(state, args.panel)
        presiding = member_of(state.view, args.presiding)
        receipt = await client.post(CaseAssign(case_id=args.case, panel_id=args.panel, presiding=presiding.id))
    names = ", ".join(each.name for each in panel.judges)
    show(
        args,
        {"case": args.case.hex(), "panel": args.panel.hex(), "presiding": presiding.id, "index": receipt.index},
        [f"case {args.case.hex()}: {panel.k} of {panel.n} judges ({names}); {presiding.name} presides"],
    )
    return 0


async def run_party(args: argparse.Namespace) -> int:
    """Add a member, with the title sealed to him where his notes recipient is known."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.hands import title_of  # noqa: PLC0415
    from app.client.home import parse_card  # noqa: PLC0415
    from app.rules.aggregates import Person  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415
    from app.statements.kinds import CaseParty  # noqa: PLC0415

    async with connected() as client:
        state = await client.sync()
        if args.notes is not None:
            card = parse_card(read_file(Path(args.notes), "the identity card", most=16_384))
            member, notes = thumbprint(card.key), card.notes
        elif len(args.member) == 43 and state.view.find(Person, args.member) is None:
            member, notes = args.member, None  # a clerk sees lawyers only once they are in one of his cases
        else:
            person = member_of(state.view, args.member)
            member, notes = person.id, person.notes
        title = await title_of(client, state, args.case)
        note = await client.put_note(title, (), (notes,)) if title is not None and notes is not None else None
        receipt = await client.post(CaseParty(case_id=args.case, member=member, note=note))
    show(
        args,
        {"case": args.case.hex(), "member": member, "index": receipt.index, "title_sealed": note is not None},
        [f"{member} is in the case {args.case.hex()}: entry {receipt.index}"],
    )
    return 0


async def run_recuse(args: argparse.Namespace) -> int:
    """Recuse oneself, or another judge with a key of the authority."""
    from app.client.authority import load_authority_key  # noqa: PLC0415
    from app.client.home import read_passphrase  # noqa: PLC0415
    from app.client.judge import Judge  # noqa: PLC0415
    from app.statements.kinds import CaseRecuse  # noqa: PLC0415
    from app.statements.statement import Signer  # noqa: PLC0415

    if (args.judge is None) != (args.key is None) or (args.judge is not None and args.note is not None):
        raise BadInput(
            "another judge is recused with --judge and --key together, and without --reason",
            "Name both, or none to recuse yourself.",
            code="bad_option",
        )
    words = words_of(args.note)
    async with connected() as client:
        if args.judge is None:
            receipt = await Judge(client).recuse(args.case, words)
            judge = client.keys.signer.kid if client.state is None else client.state.me.id
        else:
            judge = member_of((await client.sync()).view, args.judge).id
            seed = load_authority_key(args.key, read_passphrase("Passphrase of the authority's key: "))
            receipt = await client.post(CaseRecuse(case_id=args.case, judge=judge, note=None), signer=Signer(seed))
    document = {"case": args.case.hex(), "judge": judge, "index": receipt.index}
    text = f"{judge} leaves the case {args.case.hex()}"
    if args.judge is not None:
        text += f", once {client.trust.authority.m} keys of the authority say so"
    show(args, document, [f"{text}: entry {receipt.index}"])
    return 0


async def run_delegate(args: argparse.Namespace) -> int:
    """Let somebody act for this person."""
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.hands import delegate  # noqa: PLC0415
    from app.client.home import parse_card  # noqa: PLC0415
    from app.statements.keys import thumbprint  # noqa: PLC0415

    async with connected() as client:
        member, notes = _member(await client.sync(), args.member), None
        if args.notes is not None:
            card = parse_card(read_file(Path(args.notes), "the identity card", most=16_384))
            if thumbprint(card.key) != member:
                raise BadInput("the identity card is another member's", "Name his own.", code="wrong_card")
            notes = card.notes
        scope = tuple(args.scope)
        said, receipt = await delegate(client, args.case, member, scope, days=args.days, notes=notes)
    document = {
        "case": args.case.hex(),
        "delegate": member,
        "scope": args.scope,
        "until": said.until,
        "index": receipt.index,
        "title_sealed": said.note is not None,
    }
    title = "the title is sealed to him" if said.note is not None else "without the title: name his card with --notes"
    lines = [f"{member} may {' and '.join(args.scope)} for you for {args.days} days: entry {receipt.index}"]
    show(args, document, [*lines, f"  {title}; other words, from now on"])
    return 0


async def run_undelegate(args: argparse.Namespace) -> int:
    """End that."""
    from app.client.hands import undelegate  # noqa: PLC0415

    async with connected() as client:
        member = _member(await client.sync(), args.member)
        receipt = await undelegate(client, args.case, member)
    document = {"case": args.case.hex(), "delegate": member, "index": receipt.index}
    show(args, document, [f"{member} acts for you no more: entry {receipt.index}"])
    return 0


def _member(state: "State", text: str) -> str:
    """An id as it stands, since staff is often seen by nobody yet; else a name."""
    return text if len(text) == 43 else member_of(state.view, text).id


async def run_list(args: argparse.Namespace) -> int:
    """List cases."""
    from app.client.hands import title_of  # noqa: PLC0415
    from app.rules.aggregates import Case  # noqa: PLC0415

    async with connected() as client:
        state = await client.sync()
        cases = [each for each in state.view.aggregates.values() if isinstance(each, Case)]
        rows = [{"case": each.id, "title": await title_of(client, state, bytes.fromhex(each.id))} for each in cases]
    show(args, {"cases": rows}, [f"{row['case']}  {row['title'] or '(no title for you)'}" for row in rows])
    return 0


async def run_show(args: argparse.Namespace) -> int:
    """Show a case: people, panels, deposits, requests."""
    from app.client.earlier import status_of  # noqa: PLC0415
    from app.client.hands import title_of  # noqa: PLC0415
    from app.client.mistakes import fate_words  # noqa: PLC0415
    from app.client.panel import case_of, panels_of  # noqa: PLC0415
    from app.fields import write_record  # noqa: PLC0415
    from app.rules.aggregates import Deposited, Person, Request  # noqa: PLC0415
    from app.rules.mistakes import fate_of  # noqa: PLC0415

    async with connected() as client:
        state = await client.sync()
        case: Case = case_of(state, args.case)
        title = await title_of(client, state, args.case)
    everything = state.view.aggregates.values()
    deposits = [each for each in everything if isinstance(each, Deposited) and each.case_id == args.case]
    requests = [each for each in everything if isinstance(each, Request) and each.case_id == args.case]
    fates = {each.id: fate_of(state.view, each) for each in deposits}
    panels = panels_of(state, args.case) if case.panels else ()

    def name(member: str | None) -> str:
        person = state.view.find(Person, member) if member else None
        return person.name if person is not None else member or "nobody"

    document: dict[str, Any] = {
        "case": case.id,
        "title": title,
        "opened_by": case.opened_by,
        "rules": write_record(case.rules),
        "presiding": case.presiding,
        "recused": [{"member": each, "name": name(each)} for each in case.recused],
        "parties": [{"member": each, "name": name(each)} for each in case.parties],
        "panels": [
            {
                "panel": each.panel_id.hex(),
                "epoch": each.epoch,
                "k": each.k,
                "n": each.n,
                "judges": [{"member": judge.id, "name": judge.name} for judge in each.judges],
            }
            for each in panels
        ],
        "deposits": [
            {
                "deposit": each.id,
                "depositor": each.depositor,
                "index": state.indices[each.digest],
                "withdrawn": fates[each.id].withdrawn is not None,
                "superseded_by": by.hex() if (by := fates[each.id].superseded_by) is not None else None,
                "seen_by": list(fates[each.id].seen_by),
                "holds": [hold.hex() for hold in each.holds],
                "retain_until": each.retain_until or None,
            }
            for each in deposits
        ],
        "requests": [
            {
                "request": each.id,
                "deposit": each.deposit_id.hex(),
                "recipient": each.recipient,
                "status": status_of(state.view, each, state.taken_at),
            }
            for each in requests
        ],
    }
    lines = [f"case {case.id}: {title or '(no title for you)'}", f"  opened by {name(case.opened_by)}"]
    lines += rules_lines(document["rules"])
    lines += [f"  party {name(each)} ({each})" for each in case.parties]
    lines += [
        f"  panel {each.panel_id.hex()}: {each.k} of {each.n}, epoch {each.epoch}: "
        + ", ".join(judge.name for judge in each.judges)
        for each in panels
    ]
    lines += [f"  {name(case.presiding)} presides"] if case.presiding else []
    lines += [f"  {name(each)} was recused" for each in case.recused]
    for each in deposits:
        lines.append(f"  deposit {each.id} by {name(each.depositor)}, entry {state.indices[each.digest]}")
        lines += [f"    {word}" for word in fate_words(fates[each.id])]
        if each.held:
            lines.append(f"    legal holds: {len(each.holds)} (see `muniment hold list {each.id}`)")
        if fates[each.id].seen_by:
            lines.append(f"    seen by {', '.join(name(member) for member in fates[each.id].seen_by)}")
    for asked in requests:
        status = status_of(state.view, asked, state.taken_at)
        lines.append(f"  request {asked.id} for {asked.deposit_id.hex()} by {name(asked.recipient)}: {status}")
    show(args, document, lines)
    return 0
