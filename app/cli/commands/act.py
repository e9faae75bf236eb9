"""`muniment act`: do every routine step that is due (cards, deals, acknowledgments, granted contributions)."""

import argparse
from typing import TYPE_CHECKING, Any

from app.cli.commands.inbox import duty_document, duty_line, inbox_document, inbox_lines
from app.cli.output import add_json, show
from app.cli.person import as_person

if TYPE_CHECKING:
    from app.client.judge import Done
    from app.client.session import Client


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "act",
        help="do every routine step that is due",
        description="Do every routine step that is due for you as a judge, and say what your panels wait for, and for "
        "whom. Decisions are left to `muniment decide`; a grant that was cut off is carried to its end. Safe to run "
        "again at any time.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Act, print, return 0, or 1 when something stood in the way of a step."""
    from app.client.judge import Judge  # noqa: PLC0415

    async def work(client: "Client") -> tuple[list[dict[str, Any]], dict[str, Any]]:
        judge = Judge(client)
        done = [_document(each) for each in await judge.act()]
        assert client.state is not None  # noqa: S101 - acting syncs
        return done, inbox_document(client.state, judge.left())

    found, left = as_person(work)
    lines = []
    for each in found:
        if each["fault"] is None:
            lines.append(f"done: {duty_line(each)} ({each['said']} at index {each['index_on_ledger']})")
        else:
            lines += [f"NOT done: {duty_line(each)}: {each['fault']['message']} [{each['fault']['code']}]"]
            lines += [f"  {each['fault']['next_step']}"] if each["fault"]["next_step"] else []
    show(args, {"done": found, "left": left}, [*(lines or ["nothing was due"]), *inbox_lines(left)])
    return 1 if any(each["fault"] is not None for each in found) else 0


def _document(done: "Done") -> dict[str, Any]:
    fault = done.fault
    return {
        **duty_document(done.duty),
        "said": done.said or None,
        "statement": done.receipt.statement.digest.hex() if done.receipt else None,
        "index_on_ledger": done.receipt.index if done.receipt else None,
        "fault": {"code": fault.code, "message": fault.message, "next_step": fault.next_step} if fault else None,
    }
