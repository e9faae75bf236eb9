"""A panel's open requests and its judges' words on old secrets, as JSON and for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli.person import day

if TYPE_CHECKING:
    from app.client.handover import Open, Word

_STATUS = {
    "notice": "in its notice period: no handover before {opens}",
    "waits": "waits for judges: a handover overtakes it, and it is made anew under the same order",
    "released": "released: it stays open to its recipient after a handover",
}


def open_document(found: "Sequence[Open]") -> list[dict[str, Any]]:
    """The open requests as JSON; what the person may not see is null."""
    return [
        {
            "request": each.request.hex(),
            "status": each.status,
            "opens_at": each.opens_at,
            "expires_at": each.expires_at,
            "deposit": each.seen.deposit_id.hex() if each.seen else None,
            "case": each.seen.case_id.hex() if each.seen else None,
            "requester": each.seen.requester if each.seen else None,
            "granted": each.seen.granted if each.seen else None,
            "k": each.seen.k if each.seen else None,
        }
        for each in found
    ]


def open_lines(document: list[dict[str, Any]]) -> list[str]:
    """The same for people."""
    if not document:
        return ["  open requests: none"]
    lines = [f"  open requests: {len(document)}"]
    for each in document:
        lines.append(f"    {each['request']} until {day(each['expires_at'])}")
        if each["deposit"] is not None:
            lines.append(f"      {each['requester']} for the deposit {each['deposit']}, case {each['case']}")
            lines.append(f"      granted by {each['granted']}, {each['k']} open it")
        lines.append("      " + _STATUS[each["status"]].format(opens=day(each["opens_at"])))
    return lines


def destroyed_document(found: "Sequence[Word]") -> list[dict[str, Any]]:
    """Who said that he destroyed, as JSON: `index` is null for who has not said it."""
    return [{"judge": each.judge, "epoch": each.epoch, "index": each.index} for each in found]


def destroyed_lines(document: list[dict[str, Any]]) -> list[str]:
    """The same for people, a line or two for each epoch."""
    lines = []
    for epoch in dict.fromkeys(each["epoch"] for each in document):
        of = [each for each in document if each["epoch"] == epoch]
        for word, said in (("said that they destroyed them", True), ("have not said so", False)):
            names = dict.fromkeys(each["judge"] for each in of if (each["index"] is not None) is said)
            if names:
                lines.append(f"  old secrets of epoch {epoch}: {', '.join(names)} {word}")
    return lines
