"""`muniment panel drill` and `panel health`: a test capsule goes the whole way, and what that says of the panel."""

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from app.cli.commands.panel_backup import add_sheet, sheet_and_code
from app.cli.output import add_json, show
from app.cli.person import as_person, clock, digest_of, member_of
from app.errors import BadInput

if TYPE_CHECKING:
    from app.client.drill import Health, Stepped
    from app.client.session import Client, State

EVERY_VARIABLE = "MUNIMENT_DRILL_DAYS"


def add(acts: "argparse._SubParsersAction[Any]") -> None:
    """Add both acts."""
    drill = acts.add_parser(
        "drill",
        help="open a test capsule through the whole path: everybody of the drill runs this",
        description="A drill opens a test deposit as evidence is opened: case, deposit, order, request, contributions, "
        "opening. A registrar or clerk begins it with --depositor; then the depositor, the presiding judge and every "
        "judge of the panel run the same command, which does what the drill waits for from each, and says for whom it "
        f"waits. A panel is drilled every 365 days, or as many as {EVERY_VARIABLE} says.",
    )
    drill.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
    drill.add_argument(
        "--depositor",
        metavar="MEMBER",
        help="begin: who deposits the text, and opens it in the end (id, or exact name of whom you see)",
    )
    drill.add_argument("--presiding", metavar="JUDGE", help="begin: who signs the order; default: the first judge")
    drill.add_argument("--finish", action="store_true", help="open it as soon as k judges have answered")
    drill.add_argument(
        "--from-backup", action="store_true", help="answer with your backup sheet, not with your home: this tests it"
    )
    add_sheet(drill)
    add_json(drill)
    drill.set_defaults(run=_drill)
    health = acts.add_parser(
        "health",
        help="who answered the last drill, and how many judges may be lost",
        description="Who answered the panel's last drill and when, how many of them may be lost before nothing opens, "
        "and when the next drill is due. Who sees the drill's case sees this.",
    )
    health.add_argument("panel", type=digest_of, metavar="PANEL", nargs="?", help="this one only")
    add_json(health)
    health.set_defaults(run=_health)


def every_days() -> int:
    """How often panels are drilled, in days, 1 to 3650. Raises BadInput (bad_setting)."""
    from app.client.drill import DRILL_DAYS  # noqa: PLC0415

    text = os.environ.get(EVERY_VARIABLE, str(DRILL_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 3650):
        raise BadInput(
            f"{EVERY_VARIABLE} is {text[:40]!r}", "Name a number of days from 1 to 3650.", code="bad_setting"
        )
    return int(text)


def healths(state: "State", now: int, only: bytes | None = None) -> list[dict[str, Any]]:
    """The health of every panel that has an epoch, or of one, as JSON."""
    from app.client.drill import health_of  # noqa: PLC0415
    from app.rules.aggregates import Panel  # noqa: PLC0415

    found = []
    for _, each in sorted(state.view.aggregates.items()):
        if isinstance(each, Panel) and each.epoch_id is not None and only in (None, each.state.panel_id):
            found.append(_document(state, health_of(state, each.state.panel_id, every_days()), now))
    return found


def health_lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    k, n = document["k"], len(document["judges"])
    lines = [f"health of the panel {document['panel']}, epoch {document['epoch']}: {k} of {n} open"]
    if document["drill"] is None:
        lines.append("  no drill of this epoch that you can see")
    else:
        state = f"finished on {_day(document['finished_at'])}" if document["finished_at"] else "under way"
        lines.append(f"  drill {document['drill']}: {state}; {len(document['answered'])} of {n} answered")
        lines += [f"    {each['judge']} on {_day(each['at'])}" for each in document["answered"]]
        if document["silent"]:
            lines.append(f"    silent: {', '.join(document['silent'])}")
        may = document["may_be_lost"]
        lines.append(
            f"  {may} of those who answered may be lost before it locks"
            if may >= 0
            else f"  {-may} more must answer, or nothing opens"
        )
    if document["inactive"]:
        lines.append(f"  revoked, contribute nothing: {', '.join(document['inactive'])}")
    word = "OVERDUE since" if document["overdue"] else "due by" if document["due"] else "next drill by"
    lines.append(f"  {word} {_day(document['due_at'])}: muniment panel drill {document['panel']}")
    return lines


def due_lines(documents: list[dict[str, Any]]) -> list[str]:
    """What `inbox` and `act` say of drills: only that one is due."""
    return [
        f"a drill of the panel {each['panel']} is {'OVERDUE since' if each['overdue'] else 'due by'} "
        f"{_day(each['due_at'])}: the registrar or a clerk begins it"
        for each in documents
        if each["due"]
    ]


def _drill(args: argparse.Namespace) -> int:
    from app.client.drill import begin, visit_drill  # noqa: PLC0415
    from app.rules.aggregates import Person  # noqa: PLC0415

    if args.presiding is not None and args.depositor is None:
        raise BadInput("--presiding begins a drill", "Name the depositor, too: --depositor.", code="bad_option")
    if not args.from_backup and (args.sheet is not None or args.code is not None):
        raise BadInput("a sheet is read with --from-backup", "Add it, or leave the sheet out.", code="bad_option")
    backup = sheet_and_code(args) if args.from_backup else None

    async def work(client: "Client") -> "tuple[Stepped, list[dict[str, Any]]]":
        begun: tuple[str, ...] = ()
        if args.depositor is not None:
            view = (await client.sync()).view
            presiding = member_of(view, args.presiding).id if args.presiding is not None else None
            # A clerk sees lawyers only once they are in one of his cases: then the id is enough.
            unseen = len(args.depositor) == 43 and view.find(Person, args.depositor) is None
            depositor = args.depositor if unseen else member_of(view, args.depositor).id
            await begin(client, args.panel, depositor, presiding)
            begun = ("began the drill: case, panel, depositor",)
        made = await visit_drill(client, args.panel, finish=args.finish, backup=backup)
        assert client.state is not None  # noqa: S101 - the visit synced
        done = type(made)(number=made.number, did=(*begun, *made.did), waits_for=made.waits_for, whom=made.whom)
        return done, healths(client.state, clock(), args.panel)

    made, health = as_person(work)
    document = {
        "panel": args.panel.hex(),
        "drill": made.number,
        "did": list(made.did),
        "waits_for": made.waits_for,
        "whom": list(made.whom),
        "health": health,
    }
    lines = [f"drill {made.number}: {each}" for each in made.did or ("nothing was yours to do",)]
    lines.append(f"  waits for {made.waits_for}" + (f": {', '.join(made.whom)}" if made.whom else ""))
    show(args, document, lines + [line for each in health for line in health_lines(each)])
    return 0


def _health(args: argparse.Namespace) -> int:
    async def work(client: "Client") -> list[dict[str, Any]]:
        return healths(await client.sync(), clock(), args.panel)

    found = as_person(work)
    lines = [line for each in found for line in health_lines(each)]
    show(args, {"health": found}, lines or ["there is no panel with a certified epoch"])
    return 0


def _document(state: "State", health: "Health", now: int) -> dict[str, Any]:
    from app.client.duties import names_of  # noqa: PLC0415

    view = state.view
    return {
        "panel": health.panel_id.hex(),
        "epoch": health.epoch,
        "k": health.k,
        "judges": list(names_of(view, health.judges)),
        "drill": health.drill,
        "finished_at": health.finished_at,
        "answered": [{"judge": names_of(view, (each,))[0], "at": at} for each, at in health.answered],
        "silent": list(names_of(view, health.silent)),
        "inactive": list(names_of(view, health.inactive)),
        "may_be_lost": health.may_be_lost,
        "due_at": health.due_at,
        "due": health.is_due(now),
        "overdue": health.is_overdue(now),
    }


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
