"""Write tests/vectors/record/record.json: a release record, what it shows, and altered ones with their refusals.

Run with `python -m tests.app.verify.make_record_vectors` from the project's root; the keys are those of the test world.
An altered record keeps the entries that `keep` names and has the keys of `set` replaced.
"""

import json
from pathlib import Path
from typing import Any

from app.canonical import format_json
from app.verify.record import check_record
from tests.app.verify.records import told

FILE = Path(__file__).parents[2] / "vectors" / "record" / "record.json"


def altered(value: dict[str, Any], change: dict[str, Any]) -> bytes:
    """The bytes of an altered record."""
    entries = [value["entries"][number] for number in change["keep"]]
    return format_json({**value, "entries": entries, **change["set"]}).encode()


def main() -> None:
    story = told()
    data = story.make().data
    value = json.loads(data)
    every = list(range(len(value["entries"])))
    texts = [each["statement"] for each in value["entries"]]
    place = {name: texts.index(said.text) for name, said in story.said.items()}

    def dropped(*names: str) -> list[int]:
        return [number for number in every if number not in {place[name] for name in names}]

    at = story.index("refusal") - value["start"]
    cut = [*value["leaves"][:at], *value["leaves"][at + 1 :]]
    rows: list[tuple[str, list[int], dict[str, Any]]] = [
        ("a refusal is left out: it verifies, and one private entry more is not shown", dropped("refusal"), {}),
        ("a refusal is left out, and its leaf", dropped("refusal"), {"leaves": cut}),
        ("a grant is left out", dropped("grant judge3"), {}),
        ("a contribution is left out", dropped("contribution judge1"), {}),
        ("the order is left out", dropped("order"), {}),
        ("the withdrawal of the earlier request is left out", dropped("withdrawal"), {}),
        ("the genesis is left out", every[1:], {}),
        ("the order in place of the request", every, {"request": story.said["order"].digest.hex()}),
        ("the stretch begins after the request", every, {"start": value["start"] + 1, "leaves": value["leaves"][1:]}),
        ("the last leaf is left out", every, {"leaves": value["leaves"][:-1]}),
        ("a hash of the stretch is changed", every, {"hashes": ["00" * 32, *value["hashes"][1:]]}),
        ("another format", every, {"format": "muniment-release-record/v2"}),
    ]
    cases = []
    for what, keep, changed in rows:
        change: dict[str, Any] = {"what": what, "keep": keep, "set": changed}
        verdict = check_record(altered(value, change), story.trust)
        failed = verdict.failed
        change |= {
            "outcome": verdict.outcome.value,
            "check": failed.number if failed else None,
            "code": failed.code if failed else "",
            "hidden": verdict.hidden,
        }
        cases.append(change)
    found = check_record(data, story.trust).to_json()
    shows = {name: found[name] for name in ("outcome", "status", "recipient", "notified", "events", "items", "hidden")}
    document = {"trust": story.trust.text, "record": data.decode(), "shows": shows, "altered": cases}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
