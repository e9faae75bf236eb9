"""The vector of the release record: one that holds, and altered ones with the check that fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.statements.trust import parse_trust
from app.verify.record import check_record
from tests.app.verify.make_record_vectors import FILE, altered

VECTOR: dict[str, Any] = json.loads(Path(FILE).read_text(encoding="utf-8"))


def test_the_record_shows_what_the_vector_says() -> None:
    found = check_record(VECTOR["record"].encode(), parse_trust(VECTOR["trust"])).to_json()
    assert VECTOR["shows"].items() <= found.items()
    assert found["outcome"] == "verified"


@pytest.mark.parametrize("change", VECTOR["altered"], ids=lambda change: change["what"])
def test_an_altered_record(change: dict[str, Any]) -> None:
    verdict = check_record(altered(json.loads(VECTOR["record"]), change), parse_trust(VECTOR["trust"]))
    failed = verdict.failed
    found = (verdict.outcome, failed.number if failed else None, failed.code if failed else "", verdict.hidden)
    assert found == (change["outcome"], change["check"], change["code"], change["hidden"])


def test_the_altered_ones_fail_at_different_checks() -> None:
    assert {change["check"] for change in VECTOR["altered"]} == {None, 1, 3, 4, 6}
    assert sum(change["outcome"] == "verified" for change in VECTOR["altered"]) == 1
