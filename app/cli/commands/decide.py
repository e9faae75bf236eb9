"""`muniment decide REQUEST…`: what a judge is asked, everything checked; and his grant or refusal."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.output import add_json, show
from app.cli.person import add_note, as_person, day, digest_of, member_of, paper_of, words_of, write_result
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.docket import Docket
    from app.client.judge import Words
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "decide",
        help="see what is asked of you as a judge, and grant or refuse it",
        description="Without --grant or --refuse: show case, order, deposit, who asks and what was disclosed. To grant "
        "you name the court's paper, which you got from the court and not through the service: its SHA-256 must be "
        "the one that the presiding judge signed. Several requests are decided alike, one after another: all are "
        "checked before the first is. Shown too: who objected and why, what other judges refused, and every other "
        "request for the same deposit, since contributions add up across requests. A judge's clerk, to whom he "
        "delegated `prepare`, writes a draft with --draft, sealed to the judge; the judge looks at it with --from, and "
        "signs with his own --grant --order FILE, or --refuse, beside it. A draft does nothing by itself.",
    )
    parser.add_argument(
        "requests", type=digest_of, nargs="*", metavar="REQUEST", help="the request's digest, from `inbox`; repeatable"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--grant", action="store_true", help="grant; needs --order")
    what.add_argument("--refuse", action="store_true", help="refuse; --reason says why")
    parser.add_argument("--order", metavar="FILE", type=Path, help="the court's paper in your hand")
    add_note(parser, "--reason", "why you refuse, for the case's people")
    drafts = parser.add_mutually_exclusive_group()
    drafts.add_argument("--draft", metavar="FILE", type=Path, help="write a draft for your judge (clerk): a new file")
    drafts.add_argument("--from", dest="draft_from", metavar="FILE", type=Path, help="your clerk's draft (judge)")
    parser.add_argument("--for", dest="judge", metavar="JUDGE", help="with --draft: the judge, by id or exact name")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show, grant or refuse; return 0."""
    from app.client.docket import check_document, document_hash  # noqa: PLC0415
    from app.client.judge import Judge  # noqa: PLC0415

    if args.grant and args.order is None:
        raise BadInput("a grant needs the court's paper", "Name it with --order FILE.", code="order_missing")
    if args.note is not None and not args.refuse:
        raise BadInput("a reason is given with a refusal", "Add --refuse.", code="bad_option")
    _check_draft_options(args)
    paper, reason = paper_of(args.order) if args.order is not None else None, words_of(args.note)
    if args.draft is not None:
        return _draft(args, paper, reason)
    if args.draft_from is not None:
        return _from_draft(args, paper)

    async def work(client: "Client") -> list[dict[str, Any]]:
        judge, found = Judge(client), []
        for request in dict.fromkeys(args.requests):
            docket, words = await judge.docket(request)
            shown = _document(docket, words)
            if paper is not None:
                check_document(docket, document_hash(paper))
                shown["order"]["paper_in_hand"] = "equal"
            found.append((request, shown))
        for request, shown in found:
            if args.grant and paper is not None:
                granted, sent = await judge.grant(request, paper)
                shown["decision"] = "grant"
                shown["grant_index"] = granted.index if granted is not None else None
                shown["contribution_index"] = sent.index if sent is not None else None
            elif args.refuse:
                shown["decision"] = "refuse"
                shown["refusal_index"] = (await judge.refuse(request, reason)).index
        return [shown for _, shown in found]

    found = as_person(work)
    lines = [line for each in found for line in _lines(each)]
    show(args, found[0] if len(found) == 1 else {"requests": found}, lines)
    return 0


def _check_draft_options(args: argparse.Namespace) -> None:
    """Raise BadInput (bad_option, missing)."""
    if not args.requests and args.draft_from is None:
        raise BadInput("no request is named", "Name its digest, from `inbox`.", code="bad_option")
    if len(args.requests) > 1 and (args.draft is not None or args.draft_from is not None):
        raise BadInput("a draft is for one request", "Name one.", code="bad_option")
    if args.draft is not None and not (args.judge is not None and (args.grant or args.refuse)):
        raise BadInput("a draft says for whom, and what", "Add --for, and --grant or --refuse.", code="bad_option")
    if args.judge is not None and args.draft is None:
        raise BadInput("--for goes with --draft", "Decide under your own name.", code="bad_option")
    if args.draft_from is not None and args.note is not None:
        raise BadInput("the reason is the draft's", "Decide without it, or have another made.", code="bad_option")


def _draft(args: argparse.Namespace, paper: bytes | None, reason: str | None) -> int:
    """A clerk writes a draft; nothing is posted."""
    from app.client.draft import prepare  # noqa: PLC0415

    async def work(client: "Client") -> dict[str, Any]:
        judge = member_of((await client.sync()).view, args.judge)
        given = paper if args.grant else None
        file, docket, words = await prepare(client, args.requests[0], judge.id, paper=given, reason=reason)
        write_result(args.draft, file)
        return {**_document(docket, words), "draft": {"file": str(args.draft), "judge": judge.name}}

    found = as_person(work)
    what = "grant" if args.grant else "refuse"
    lines = [f"draft for {found['draft']['judge']}, who alone can open it: {what}, in {args.draft}"]
    lines.append(f"  nothing was decided; he runs: muniment decide --from {args.draft.name}")
    show(args, found, [*_lines(found), *lines])
    return 0


def _from_draft(args: argparse.Namespace, paper: bytes | None) -> int:
    """The judge sees the draft beside everything else; with his own word, and the paper, he signs."""
    from app.client.docket import check_document, document_hash  # noqa: PLC0415
    from app.client.draft import MAX_FILE_BYTES, agree, read  # noqa: PLC0415
    from app.client.files import read_file  # noqa: PLC0415
    from app.client.judge import Judge  # noqa: PLC0415

    file = read_file(args.draft_from, "the draft", most=MAX_FILE_BYTES)

    async def work(client: "Client") -> dict[str, Any]:
        prepared = await read(client, file, args.requests[0] if args.requests else None)
        draft, judge = prepared.draft, Judge(client)
        docket, words = await judge.docket(draft.request)
        shown = _document(docket, words)
        shown["draft"] = {
            "by": prepared.by.name,
            "member": prepared.by.id,
            "decision": draft.decision,
            "reason": draft.reason,
            "made_at": draft.made_at,
        }
        if paper is not None:
            check_document(docket, document_hash(paper))
            shown["order"]["paper_in_hand"] = "equal"
        if args.grant and paper is not None:
            agree(prepared, "grant")
            granted, sent = await judge.grant(draft.request, paper)
            shown["decision"] = "grant"
            shown["grant_index"] = granted.index if granted is not None else None
            shown["contribution_index"] = sent.index if sent is not None else None
        elif args.refuse:
            agree(prepared, "refuse")
            shown["decision"] = "refuse"
            shown["refusal_index"] = (await judge.refuse(draft.request, draft.reason)).index
        return shown

    found = as_person(work)
    lines, draft = _lines(found), found["draft"]
    said = [f"draft of {draft['by']} ({draft['member']}), {day(draft['made_at'])}: {draft['decision']}"]
    said += [f"    {line}" for line in (draft["reason"] or "").split("\n") if line]
    if found["decision"] is None:
        how = "--grant --order FILE" if draft["decision"] == "grant" else "--refuse"
        said.append(f"  nothing was signed; to decide so: muniment decide --from {args.draft_from} {how}")
        show(args, found, lines + said)
    else:
        show(args, found, said + lines)
    return 0


def _document(docket: "Docket", words: "Words") -> dict[str, Any]:
    from app.statements.keys import thumbprint  # noqa: PLC0415

    names = [person.name for person in docket.judges]
    return {
        "request": docket.request.hex(),
        "case": docket.case_id.hex(),
        "deposit": docket.deposit.id,
        "superseded_by": docket.superseded_by.hex() if docket.superseded_by is not None else None,
        "order": {
            "digest": docket.order.id,
            "signer": docket.ordered_by.name,
            "signer_member": docket.ordered_by.id,
            "presiding": docket.presiding.name if docket.presiding is not None else None,
            "signer_presides": docket.presiding == docket.ordered_by,
            "document": docket.order.document.hex(),
            "paper_in_hand": None,
            "words": words.order,
        },
        "requester": {
            "member": docket.requester.id,
            "name": docket.requester.name,
            "key": thumbprint(docket.requester.key),
            "words": words.request,
        },
        "deposit_words": words.deposit,
        "disclosed": [{"item": each.item, "slot": each.slot, "value": each.value} for each in words.shown],
        "faults": [{"code": each.code, "message": each.message} for each in words.faults],
        "panel": {"id": docket.panel_id.hex(), "k": docket.k, "judges": names, "you": docket.index},
        "asked_at": docket.asked_at,
        "opens_at": docket.opens_at,
        "expires_at": docket.expires_at,
        "contribute": "at-quorum" if docket.at_quorum else "with-grant",
        "objections": [{"by": who, "words": said} for who, said in words.objections],
        "refusals": [{"by": who, "words": said} for who, said in words.refusals],
        "earlier": [
            {
                "request": each.request.hex(),
                "requester": each.requester,
                "order": each.order.hex(),
                "document": each.document.hex() if each.document is not None else None,
                "asked_at": each.asked_at,
                "status": each.status,
                "granted": list(each.granted),
                "refused": list(each.refused),
                "contributed": list(each.contributed),
                "objections": each.objections,
                "adds_up": each.adds_up,
            }
            for each in docket.earlier
        ],
        "judges_in_hand": docket.in_hand,
        "decided": [{"judge": names[judge - 1], "granted": granted} for judge, granted in docket.decided],
        "decision": None,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    order, requester, panel = found["order"], found["requester"], found["panel"]
    lines = [
        f"request {found['request']}",
        f"  case {found['case']}, deposit {found['deposit']}",
        *([f"  its depositor superseded it by {found['superseded_by']}"] if found["superseded_by"] else []),
        f"  asked by {requester['name']} ({requester['member']}), whom the order names",
        f"  his key {requester['key']}: compare it with the court's paper",
        *(
            []
            if requester["key"] == requester["member"]
            else ["  BEWARE: it is not the key that he was enrolled with; he or a registrar replaced that"]
        ),
        f"  order {order['digest']}, signed by {order['signer']} ({order['signer_member']})",
        *([] if order["signer_presides"] else [f"  BEWARE: who presides now is another: {order['presiding']}"]),
        f"  the order's paper has the SHA-256 {order['document']}",
        f"  panel {panel['id']}: {panel['k']} of {len(panel['judges'])}; you are judge {panel['you']}",
    ]
    if order["paper_in_hand"] is not None:
        lines.append("  the paper in your hand is that paper")
    for who, words in (
        ("order", order["words"]),
        ("requester", requester["words"]),
        ("deposit", found["deposit_words"]),
    ):
        if words is not None:
            lines += [f"  words of the {who}:", *(f"    {line}" for line in words.split("\n"))]
    for each in found["disclosed"]:
        where = "deposit" if each["item"] is None else f"item {each['item']}"
        lines.append(
            f"  disclosed by the requester, and true to the deposit: {each['slot']} of the {where}: {each['value']}"
        )
    lines += _others_lines(found)
    lines += [f"  NOT shown: {each['message']} [{each['code']}]" for each in found["faults"]]
    lines += [f"  {each['judge']} {'granted' if each['granted'] else 'refused'}" for each in found["decided"]]
    if found["decision"] == "grant" and found["contribution_index"] is None:
        lines.append(f"granted; your contribution is sent by `muniment act` once {panel['k']} judges have granted")
    elif found["decision"] == "grant":
        lines.append(
            f"granted; your grant was proven, then the contribution sent (index {found['contribution_index']})"
        )
    elif found["decision"] == "refuse":
        lines.append(f"refused (index {found['refusal_index']})")
    return lines


def _others_lines(found: dict[str, Any]) -> list[str]:
    """What others say of the request, and what was asked for the same deposit before."""
    k, lines = found["panel"]["k"], []
    lines.append(f"  asked {day(found['asked_at'])}; over {day(found['expires_at'])}")
    if found["opens_at"] > found["asked_at"]:
        lines.append(f"  the others may object, and nobody may grant it, before {day(found['opens_at'])}")
    if found["contribute"] == "at-quorum":
        lines.append(f"  contributions are sent only when {k} judges have granted this request")
    for what, said in (("OBJECTION of", found["objections"]), ("refused by", found["refusals"])):
        for each in said:
            lines.append(f"  {what} {each['by']}{':' if each['words'] else ', without reasons'}")
            lines += [f"    {line}" for line in (each["words"] or "").split("\n") if line]
    for each in found["earlier"]:
        lines.append(f"  another request for this deposit: {each['request']}, {each['status']}")
        lines.append(f"    by {each['requester']}, {day(each['asked_at'])}, under the order {each['order']}")
        for what in ("granted", "refused", "contributed"):
            lines += [f"    {what}: {', '.join(each[what])}"] if each[what] else []
        if each["contributed"] and each["adds_up"]:
            lines.append("    BEWARE: these contributions add up with those for the request above")
    if any(each["contributed"] and each["adds_up"] for each in found["earlier"]):
        lines.append(f"  contributions of {found['judges_in_hand']} judges exist for this deposit; {k} open it")
    return lines
