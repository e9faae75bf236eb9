"""`muniment panel …`: a registrar's acts on a panel, how far each panel is, and a judge's backup sheet."""

import argparse
from typing import TYPE_CHECKING, Any

from app.cli.commands import panel_backup, panel_drill, panel_reserve
from app.cli.handover import destroyed_document, destroyed_lines, open_document, open_lines
from app.cli.output import add_json, note, show
from app.cli.person import as_person, clock, digest_of, member_of

if TYPE_CHECKING:
    from app.client.duties import PanelProgress
    from app.client.session import Client
    from app.rules.view import WholeView


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command and its acts."""
    parser = commands.add_parser(
        "panel",
        help="propose a panel, open its ceremony, see how far it is",
        description="Propose a panel, open its ceremony, see how far it is.",
    )
    acts = parser.add_subparsers(metavar="ACT", dest="panel_act", required=True)
    proposing = acts.add_parser(
        "propose", help="name the judges of a panel", description="Name the judges of a panel, in index order."
    )
    proposing.add_argument("judges", metavar="JUDGE", nargs="+", help="a judge's member id or exact name")
    proposing.add_argument("-k", type=int, required=True, help="how many of them open together")
    proposing.add_argument("--panel", type=digest_of, metavar="PANEL", help="the next epoch of this panel (a reshare)")
    _finish(proposing, _propose)
    for name, run, help_text in (
        ("roster", _roster, "put the roster forward for the authority's approval, when all cards are there"),
        ("open", _open, "open a session on the approved roster"),
        ("close", _close, "end a session that will not be certified"),
    ):
        act = acts.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        act.add_argument("panel", type=digest_of, metavar="PANEL", help="the panel's id")
        _finish(act, run)
    showing = acts.add_parser(
        "show",
        help="how far panels are, and who has not come",
        description="How far panels are, who has not come, which requests are open, who has said that he destroyed the "
        "secrets of ended epochs, and what the last drill says of the panel's health. A registrar sees requests by "
        "digest and times alone.",
    )
    showing.add_argument("panel", type=digest_of, metavar="PANEL", nargs="?", help="this one only")
    _finish(showing, _show)
    panel_backup.add(acts)
    panel_reserve.add(acts)
    panel_drill.add(acts)


def progress_document(view: "WholeView", progress: "PanelProgress") -> dict[str, Any]:
    """A panel's progress as JSON."""
    from app.client.duties import names_of  # noqa: PLC0415

    return {
        "panel": progress.panel_id.hex(),
        "epoch": progress.epoch,
        "k": progress.k,
        "judges": list(names_of(view, progress.judges)),
        "waits_for": progress.stage,
        "session": progress.session.hex() if progress.session else None,
        "missing": list(names_of(view, progress.missing)),
        "barred": list(names_of(view, progress.barred)),
    }


def progress_lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    head = f"panel {document['panel']}: epoch {document['epoch']}, {document['k']} of {len(document['judges'])}"
    stage = document["waits_for"]
    lines = [head, f"  judges: {', '.join(document['judges']) or 'none yet'}"]
    lines.append("  certified" if stage == "certified" else f"  waits for {stage}")
    if document["missing"]:
        lines.append(f"  not there yet: {', '.join(document['missing'])}")
    if document["barred"]:
        lines.append(f"  blamed or revoked, may not deal: {', '.join(document['barred'])}")
    return lines


def _finish(parser: argparse.ArgumentParser, run: Any) -> None:
    add_json(parser)
    parser.set_defaults(run=run)


def _propose(args: argparse.Namespace) -> int:
    from app.client.registrar import propose  # noqa: PLC0415

    async def work(client: "Client") -> dict[str, Any]:
        view = (await client.sync()).view
        judges = tuple(member_of(view, each).id for each in args.judges)
        made = await propose(client, judges, args.k, args.panel)
        return {
            "panel": made.panel_id.hex(),
            "epoch": made.epoch,
            "statement": made.receipt.statement.digest.hex(),
            "open_requests": await _open_requests(client, made.panel_id) if made.epoch > 1 else [],
        }

    found = as_person(work)
    lines = [f"panel {found['panel']}, epoch {found['epoch']}: proposed; its judges now give their cards"]
    show(args, found, lines + (open_lines(found["open_requests"]) if found["epoch"] > 1 else []))
    return 0


async def _open_requests(client: "Client", panel_id: bytes) -> list[dict[str, Any]]:
    """What a handover overtakes, as JSON."""
    from app.client.handover import open_requests  # noqa: PLC0415

    state = client.state if client.state is not None else await client.sync()
    return open_document(await open_requests(client, state, panel_id))


def _roster(args: argparse.Namespace) -> int:
    from app.client.registrar import roster  # noqa: PLC0415

    async def work(client: "Client") -> str:
        return (await roster(client, args.panel)).digest.hex()

    act = as_person(work)
    show(args, {"act": act}, [f"act {act}", "  waits for the authority's approvals"])
    return 0


def _open(args: argparse.Namespace) -> int:
    from app.client.registrar import open_session  # noqa: PLC0415
    from app.client.visit import panel_of  # noqa: PLC0415

    async def work(client: "Client") -> dict[str, Any]:
        view = (await client.sync()).view
        listed = []
        if panel_of(view, args.panel).epoch_id is not None:
            listed = await _open_requests(client, args.panel)
            for line in ["this hands the panel over to its next epoch", *open_lines(listed)]:
                note(line)  # before it is opened: a refusal names only those in their notice period
        return {"session": (await open_session(client, args.panel)).session.hex(), "open_requests": listed}

    found = as_person(work)
    show(args, found, [f"session {found['session']}: open; its judges now deal, then acknowledge"])
    return 0


def _close(args: argparse.Namespace) -> int:
    from app.client.registrar import close_session  # noqa: PLC0415

    async def work(client: "Client") -> str:
        return (await close_session(client, args.panel)).statement.digest.hex()

    digest = as_person(work)
    show(args, {"statement": digest}, [f"closed by the statement {digest}"])
    return 0


def _show(args: argparse.Namespace) -> int:
    from app.client.duties import progress  # noqa: PLC0415
    from app.client.handover import words_of_destruction  # noqa: PLC0415
    from app.client.visit import lineage_of, panel_of  # noqa: PLC0415
    from app.rules.aggregates import Panel  # noqa: PLC0415

    async def work(client: "Client") -> list[dict[str, Any]]:
        state = await client.sync()
        view = state.view
        panels = [each for _, each in sorted(view.aggregates.items()) if isinstance(each, Panel)]
        if args.panel is not None:
            panels = [panel_of(view, args.panel)]
        found = []
        for panel in panels:
            record = lineage_of(view, panel).record  # every epoch verified again, from the raw messages
            joint = bytes(record.Y).hex() if record is not None else None
            more: dict[str, Any] = {
                "joint_key": joint,
                "open_requests": await _open_requests(client, panel.state.panel_id) if record is not None else [],
                "destroyed": destroyed_document(words_of_destruction(view, panel)),
                "health": next(iter(panel_drill.healths(state, clock(), panel.state.panel_id)), None),
            }
            found.append({**progress_document(view, progress(view, panel)), **more})
        return found

    found = as_person(work)
    lines = []
    for each in found:
        lines += progress_lines(each)
        if each["joint_key"] is not None:
            lines += open_lines(each["open_requests"])
        lines += destroyed_lines(each["destroyed"])
        if each["health"] is not None:
            lines += [f"  {line}" for line in panel_drill.health_lines(each["health"])]
    show(args, {"panels": found}, lines or ["there is no panel"])
    return 0
