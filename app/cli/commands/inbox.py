"""`muniment inbox`: what waits for you, from the ledger alone; and how far your own requests are."""

import argparse
from typing import TYPE_CHECKING, Any

from app.cli.commands.panel import progress_document, progress_lines
from app.cli.commands.panel_backup import paper_document, paper_lines
from app.cli.commands.panel_drill import due_lines, healths
from app.cli.handover import open_document, open_lines
from app.cli.output import add_json, show
from app.cli.person import as_person, day

if TYPE_CHECKING:
    from app.client.duties import Duty
    from app.client.judge import Inbox
    from app.client.release import Progress
    from app.client.session import Client, State
    from app.rules.view import WholeView

_WORDS = {
    "card": "give your card for the panel",
    "deal": "deal (visit 1) for the panel",
    "ack": "acknowledge (visit 2) for the panel",
    "decide": "decide on the request",
    "contribute": "send the contribution that you granted for the request",
}


_STATUS = {
    "waits": "waits for the judges",
    "released": "released",
    "stale": "overtaken, since the panel's judges changed: make a new request under the same order",
    "opened": "opened",
    "malformed": "opened, and found malformed",
    "withdrawn": "withdrawn",
    "expired": "over: its time has passed",
    "published": "opened in public",
    "ended": "ended",
}


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inbox",
        help="what waits for you, and how far your requests are",
        description="What waits for you, and how far your requests are.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def duty_document(duty: "Duty") -> dict[str, Any]:
    """A duty as JSON."""
    return {
        "duty": str(duty.kind),
        "panel": duty.panel_id.hex(),
        "epoch": duty.epoch,
        "subject": duty.subject.hex(),
        "index": duty.index,
    }


def duty_line(document: dict[str, Any]) -> str:
    """The same for people."""
    if document.get("drill") and document["duty"] == "decide":
        return f"answer the drill of the panel {document['panel']}: muniment panel drill {document['panel']}"
    of_request = document["duty"] in ("decide", "contribute")
    return f"{_WORDS[document['duty']]} {document['subject'] if of_request else document['panel']}"


def request_document(found: "Progress") -> dict[str, Any]:
    """A request's progress as JSON."""
    return {
        "request": found.request.hex(),
        "deposit": found.deposit_id.hex(),
        "k": found.k,
        "granted": list(found.granted),
        "refused": list(found.refused),
        "silent": list(found.silent),
        "recused": list(found.recused),
        "contributions": found.contributions,
        "released": found.released,
        "accessed": found.accessed,
        "ended": found.ended,
        "stale": found.stale,
        "status": found.status,
        "opens_at": found.opens_at,
        "expires_at": found.expires_at,
        "objections": list(found.objections),
    }


def inbox_document(state: "State", found: "Inbox") -> dict[str, Any]:
    """What waits for a judge, and what his panels wait for, as JSON."""
    from app.client.drill_id import is_drill  # noqa: PLC0415
    from app.rules.aggregates import Request  # noqa: PLC0415
    from app.rules.terms import grants_of  # noqa: PLC0415

    view = state.view
    mine = [each.panel_id for each in found.panels if each.epoch]
    duties = []
    for each in found.duties:
        document = duty_document(each)
        asked = view.find(Request, each.subject.hex())
        if str(each.kind) == "decide":
            document |= _beside(view, each.subject)
            document["drill"] = asked is not None and is_drill(view, asked.case_id)
        duties.append(document)
    return {
        "duties": duties,
        "waiting": [
            {"request": each.id, "grants": grants_of(each), "k": each.state.release.record.k} for each in found.waiting
        ],
        "panels": [{**progress_document(view, each), **_overtaken(state, each.panel_id)} for each in found.panels],
        "paper": paper_document(found.sheets),
        "drills": [health for panel_id in mine for health in healths(state, state.taken_at, panel_id)],
    }


def _overtaken(state: "State", panel_id: bytes) -> dict[str, Any]:
    """While a panel is handed over: the open requests that a judge sees."""
    from app.client.handover import open_seen  # noqa: PLC0415
    from app.client.visit import panel_of  # noqa: PLC0415

    panel = panel_of(state.view, panel_id)
    under_way = panel.epoch_id is not None and (panel.proposal is not None or panel.live is not None)
    return {"open_requests": open_document(open_seen(state.view, panel, state.taken_at))} if under_way else {}


def _beside(view: "WholeView", request: bytes) -> dict[str, Any]:
    """What a judge should know at once of a request that waits for him; `decide` shows all of it."""
    from app.client.duties import names_of  # noqa: PLC0415
    from app.client.earlier import earlier_requests, judges_in_hand  # noqa: PLC0415
    from app.rules.terms import request_of  # noqa: PLC0415

    asked = request_of(view, request)
    return {
        "deposit": asked.deposit_id.hex(),
        "requester": names_of(view, (asked.recipient,))[0],
        "opens_at": asked.opens_at,
        "notice": asked.opens_at > asked.asked_at,
        "objections": list(names_of(view, tuple(each.member for each in asked.objections))),
        "earlier": [each.request.hex() for each in earlier_requests(view, asked, asked.asked_at)],
        "judges_in_hand": judges_in_hand(view, asked),
        "k": asked.state.release.record.k,
    }


def _beside_lines(each: dict[str, Any]) -> list[str]:
    if each["duty"] != "decide":
        return []
    lines = [f"  {each['requester']} asks for the deposit {each['deposit']}"]
    if each["notice"]:
        lines.append(f"  it may be granted from {day(each['opens_at'])}; a refusal may come at once")
    if each["objections"]:
        lines.append(f"  objections: {', '.join(each['objections'])}")
    if each["earlier"]:
        lines.append(
            f"  other requests for this deposit: {len(each['earlier'])}; contributions of {each['judges_in_hand']} "
            f"judges exist, and {each['k']} open it"
        )
    return lines


def inbox_lines(found: dict[str, Any], *, more: bool = False) -> list[str]:
    """The same for people; `more` when something else waits, which is said elsewhere."""
    lines = [line for each in found["duties"] for line in (duty_line(each), *_beside_lines(each))]
    lines = lines or ([] if more else ["nothing waits for you"])
    for each in found["waiting"]:
        lines.append(
            f"you granted the request {each['request']}; your contribution waits until {each['k']} judges have "
            f"granted ({each['grants']} so far)"
        )
    if any(each["duty"] != "decide" for each in found["duties"]):
        lines.append("run `muniment act` to do what is routine")
    for panel in found["panels"]:
        lines += progress_lines(panel)
        if "open_requests" in panel:
            lines += open_lines(panel["open_requests"])
    return lines + paper_lines(found["paper"]) + due_lines(found["drills"])


def run(args: argparse.Namespace) -> int:
    """Print and return 0."""
    from app.client.duties import names_of  # noqa: PLC0415
    from app.client.judge import Judge  # noqa: PLC0415
    from app.client.mistakes import new_deposits  # noqa: PLC0415
    from app.client.release import others_requests, progress_of  # noqa: PLC0415
    from app.rules.aggregates import Person, Request  # noqa: PLC0415

    async def work(client: "Client") -> dict[str, Any]:
        found = await Judge(client).inbox()
        state = client.state
        assert state is not None  # noqa: S101 - the inbox has synced
        mine = [
            request_document(progress_of(state.view, bytes.fromhex(each.id), state.taken_at))
            for _, each in sorted(state.view.aggregates.items())
            if isinstance(each, Request) and each.recipient == state.me.id
        ]
        return {
            **inbox_document(state, found),
            "requests": mine,
            "others_requests": [
                {
                    **request_document(progress_of(state.view, bytes.fromhex(each.id), state.taken_at)),
                    "case": each.case_id.hex(),
                    "requester": names_of(state.view, (each.recipient,))[0],
                    "objected": any(said.member == state.me.id for said in each.objections),
                }
                for each in others_requests(state)
            ],
            "new_deposits": [
                {
                    "deposit": each.deposit_id.hex(),
                    "case": each.case_id.hex(),
                    "depositor": each.depositor,
                    "name": None if (who := state.view.find(Person, each.depositor)) is None else who.name,
                }
                for each in new_deposits(state.view, state.me)
            ],
        }

    found = as_person(work)
    lines = inbox_lines(found, more=bool(found["new_deposits"] or found["others_requests"]))
    for each in found["requests"]:
        lines.append(f"your request {each['request']} for the deposit {each['deposit']}: {_STATUS[each['status']]}")
        lines.append(f"  {each['contributions']} of {each['k']} contributions; over {day(each['expires_at'])}")
        for what in ("objections", "granted", "refused", "silent", "recused"):
            if each[what]:
                lines.append(f"  {what}: {', '.join(each[what])}")
    for each in found["others_requests"]:
        lines.append(f"{each['requester']} asks for the deposit {each['deposit']} in the case {each['case']}")
        if each["objected"]:
            lines.append("  you objected")
        else:
            until = f", before {day(each['opens_at'])} in any case in time" if each["opens_at"] else ""
            lines.append(f"  to object{until}: muniment object {each['request']} --reason FILE")
    for each in found["new_deposits"]:
        lines.append(
            f"new deposit {each['deposit']} in the case {each['case']}, by {each['name'] or each['depositor']}"
        )
        lines.append(f"  once you have seen it: muniment deposit --acknowledge {each['deposit']}")
    show(args, found, lines)
    return 0
