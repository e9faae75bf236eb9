"""The second history of the protocol's vectors, computed again from the inputs that stand in it."""

import hashlib
from typing import Any

import pytest

from app.fields import read_record
from app.rules.act import Circumstances, SeenFacts
from app.rules.decide import Refusal, decide
from app.rules.erasures import erasures_of
from app.rules.replay import Entry, Replay
from app.statements.kinds import KINDS, leaf_kind
from app.statements.statement import Seen, Signer, leaf_of, parse_leaf, parse_statement
from ledger.merkle import leaf_hash, root_of
from tests.docs.test_protocol_vectors import vectors

ACTS = vectors("acts")
LEAVES = [each["leaf"].encode() for each in ACTS["entries"]]


def facts(size: int, before: int) -> SeenFacts:
    if size > before:
        return SeenFacts(root=None, superseded_at=None)
    after = parse_leaf(LEAVES[size]).time if size < before else None
    return SeenFacts(root=root_of(leaf_hash(each) for each in LEAVES[:size]), superseded_at=after)


def replayed(count: int) -> Replay:
    replay = Replay(origin=ACTS["origin"], genesis=bytes.fromhex(ACTS["genesis"]), seen=facts)
    for each in ACTS["entries"][:count]:
        replay.add(Entry(index=each["index"], leaf=each["leaf"], statement=each["statement"]))
    return replay


@pytest.mark.parametrize("case", ACTS["entries"], ids=lambda case: f"{case['index']}-{case['kind']}")
def test_statement_and_leaf(case: Any) -> None:
    envelope = case["envelope"]
    claims = read_record(KINDS[case["kind"]], case["claims"], "claims")
    signed = Signer(bytes.fromhex(case["seed"])).sign(
        claims,
        aud=envelope["aud"],
        iat=envelope["iat"],
        exp=envelope["exp"],
        jti=bytes.fromhex(envelope["jti"]),
        seen=read_record(Seen, envelope["seen"], "seen"),
    )
    assert (signed.text, signed.kind) == (case["statement"], case["kind"])
    assert signed.digest.hex() == case["digest"] == hashlib.sha256(case["statement"].encode()).hexdigest()
    assert leaf_of(signed, parse_leaf(case["leaf"]).time) == case["leaf"]
    assert leaf_kind(signed.kind, signed.claims) == (case["kind"] if case["public"] else "private")


def test_the_rules_admit_the_history() -> None:
    assert len(replayed(len(LEAVES)).view.aggregates) > 20


def test_what_was_erased_is_not_needed() -> None:
    """The same ledger as it is shown after the erasure: the rest is what it was."""
    erasures = erasures_of(parse_statement(each["statement"]) for each in ACTS["entries"])
    replay = Replay(origin=ACTS["origin"], genesis=bytes.fromhex(ACTS["genesis"]), seen=facts, erasures=erasures)
    for each in ACTS["entries"]:
        if each["index"] in erasures.entries:
            replay.pass_over(each["index"], each["leaf"])
        else:
            replay.add(Entry(index=each["index"], leaf=each["leaf"], statement=each["statement"]))
    whole = replayed(len(LEAVES)).view.aggregates
    assert len(erasures.entries) > 10
    assert replay.view.aggregates == {key: whole[key] for key in replay.view.aggregates}


@pytest.mark.parametrize("case", ACTS["refused"], ids=lambda case: case["why"])
def test_the_rules_refuse(case: Any) -> None:
    statement = parse_statement(case["statement"])
    circumstances = Circumstances(
        now=case["now"],
        index=case["after"],
        origin=ACTS["origin"],
        genesis=bytes.fromhex(ACTS["genesis"]),
        seen=facts(statement.envelope.seen.size, case["after"]),
    )
    verdict = decide(replayed(case["after"]).view, statement, circumstances)
    assert isinstance(verdict, Refusal)
    assert verdict.code == case["code"]
