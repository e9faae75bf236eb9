"""What the demonstration's replicas do with what cannot be, before anything is made."""

from pathlib import Path

import pytest

from app.demo.play import Plan, check_plan
from app.demo.replicas import Replicas, one_ledger
from app.errors import BadInput, Mismatch


@pytest.mark.parametrize("replicas", [-1, 0, 9])
def test_no_replicas_and_too_many_are_refused(tmp_path: Path, replicas: int) -> None:
    plan = Plan(folder=tmp_path / "new", files=(), judges=5, threshold=3, replicas=replicas)
    with pytest.raises(BadInput) as caught:
        check_plan(plan)
    assert caught.value.code == "bad_replicas"


def test_one_replica_is_named_by_a_string_and_several_by_a_list(tmp_path: Path) -> None:
    one = Replicas(folder=tmp_path, processes={"http://a:1": None})  # type: ignore[dict-item]
    two = Replicas(folder=tmp_path, processes={"http://a:1": None, "http://b:2": None})  # type: ignore[dict-item]
    assert one.service == "http://a:1"
    assert two.service == ("http://a:1", "http://b:2")


A, B = bytes(32), b"b" * 32


def test_a_ledger_may_grow_between_two_looks() -> None:
    assert one_ledger([(7, A), (7, A)]) == "both show the ledger of size 7, with the same root"
    assert (
        one_ledger([(7, A), (9, B)]) == "both show the ledger of size 7, which had grown to 9 when the other was asked"
    )


@pytest.mark.parametrize("second", [(7, B), (6, A), (6, B)])
def test_and_neither_shrink_nor_have_two_roots(second: tuple[int, bytes]) -> None:
    with pytest.raises(Mismatch, match="different ledgers"):
        one_ledger([(7, A), second])
