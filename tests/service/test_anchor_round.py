"""A round as it is kept, and anchors as they stand in stores and proof files: one form, and nothing else is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical import format_json, parse_json
from app.errors import BadInput, CannotTell
from app.service.anchor_round import Obtained, Round, format_round, new_round, parse_round
from app.statements.proofanchor import ProofAnchor, anchor_json, parse_anchor


def a_round() -> Round:
    made = new_round(size=7, root=bytes(32), checkpoint="ledger.example\n7\nroot\n\n— line\n", now=1000)
    return made.failed("TSA 1", "did not answer\x1b[31m", 1001).failed("TSA 1", "again", 1002)


def test_a_round_is_read_back() -> None:
    found = parse_round(format_round(a_round()))
    assert found == a_round()
    (failure,) = found.failures
    assert (failure.count, failure.problem, failure.at) == (2, "again", 1002)
    assert found.id == f"{7:020}"
    assert found.succeeded("TSA 1").failures == ()
    assert a_round().failed("x", "\x1b[31m\n", 1).failures[-1].problem == "?[31m?"
    assert a_round().failed("x", "", 1).failures[-1].problem


def test_sources_are_told_by_form() -> None:
    from dataclasses import replace

    one = Obtained(source="TSA 1", form="rfc3161", digest=bytes(32), entered=False)
    found = replace(a_round(), obtained=(one,))
    assert found.sources("rfc3161") == {"TSA 1"}
    assert found.sources("opentimestamps") == frozenset()


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_round(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_round(data)


def an_anchor(**changes: Any) -> ProofAnchor:
    values: dict[str, Any] = {
        "statement": "a.b.c",
        "leaf": "{}",
        "tlog_proof": "proof",
        "checkpoint": "note",
        "path": (bytes(32),),
        "anchor": b"token",
        "headers": None,
    }
    return ProofAnchor(**{**values, **changes})


@given(
    st.one_of(st.none(), st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)),
    st.binary(max_size=500),
    st.sampled_from([None, bytes(560)]),
)
def test_an_anchor_of_a_proof_is_read_back(path: Any, anchor: bytes, headers: bytes | None) -> None:
    made = an_anchor(path=path, anchor=anchor, headers=headers)
    text = format_json(anchor_json(made))
    assert parse_anchor(parse_json(text, what="it", max_bytes=100_000), "it") == made


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"more": 1}, CannotTell),
        ({"path": ["00"]}, BadInput),
        ({"path": ["00" * 32] * 64}, BadInput),
        ({"path": {}}, BadInput),
        ({"anchor": "A"}, BadInput),
        ({"anchor": None}, BadInput),
        ({"headers": "AAAA"}, BadInput),
        ({"checkpoint": "x" * 5000}, BadInput),
        ({"leaf": "x" * 513}, BadInput),
        ({"statement": None}, BadInput),
    ],
)
def test_another_form_is_named(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_anchor({**anchor_json(an_anchor()), **changes}, "it")


@given(st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=5)), lambda s: st.lists(s, max_size=3)))
def test_arbitrary_values_are_no_anchor(value: object) -> None:
    with pytest.raises(CannotTell):
        parse_anchor(json.loads(json.dumps(value)), "it")
