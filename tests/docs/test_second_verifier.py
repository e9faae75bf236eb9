"""The page is enough: a verifier written from it alone gives the project's verdicts."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.trust import parse_trust
from app.verify.proof import check_proof
from tests.docs import second_verifier
from tests.docs.second_verifier import Verifier

VECTORS = Path(__file__).parent.parent / "vectors"
CASES = sorted((VECTORS / "proof").glob("*.json"))
EXITS = {"verified": 0, "does_not_match": 1, "cannot_tell": 3}
OWN = json.loads((VECTORS / "protocol" / "proof.json").read_text())


def test_it_imports_nothing_of_the_project() -> None:
    tree = ast.parse(Path(second_verifier.__file__).read_text())
    modules = {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    modules |= {alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names}
    assert not {each.split(".")[0] for each in modules} & {"app", "ledger", "storage", "tests"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_it_agrees_on_the_proof_vectors(path: Path) -> None:
    case: Any = json.loads(path.read_text())
    files = [bytes.fromhex(each) for each in case["files"]]
    answer = Verifier(case["proof"].encode(), case["trust"], files).run()
    assert answer == (case["check"], EXITS[case["outcome"]])


def test_it_agrees_on_the_protocol_vectors() -> None:
    assert len(CASES) > 10
    proof = OWN["proof"].encode()
    assert Verifier(proof, OWN["trust"]["alone"]["text"], []).run() == (None, 0)
    assert Verifier(proof, OWN["trust"]["witnessed"]["text"], []).run() == (6, 3)


@pytest.mark.parametrize("case", OWN["changed"], ids=lambda case: case["why"])
def test_it_agrees_on_changed_files(case: Any) -> None:
    data = OWN["proof"].replace(case["from"], case["to"]).encode()
    assert Verifier(data, OWN["trust"]["alone"]["text"], []).run() == (case["check"], case["exit"])


PROOF, TRUST = OWN["proof"].encode(), OWN["trust"]["alone"]["text"]
PARSED_TRUST = parse_trust(TRUST)


@settings(max_examples=150)
@given(at=st.integers(0, len(PROOF) - 1), byte=st.sampled_from(b'0123456789abcdefABCDEF_-{}[]":,. \n\\\xc3'))
def test_both_refuse_a_file_with_one_byte_changed(at: int, byte: int) -> None:
    data = PROOF[:at] + bytes([byte]) + PROOF[at + 1 :]
    expected = 0 if data == PROOF else 1
    assert min(check_proof(data, PARSED_TRUST).outcome.exit_code, 1) == expected
    assert min(Verifier(data, TRUST, []).run()[1], 1) == expected


@settings(max_examples=60)
@given(start=st.integers(0, len(PROOF)), length=st.integers(1, 2000))
def test_both_refuse_a_file_with_a_piece_cut_out(start: int, length: int) -> None:
    data = PROOF[:start] + PROOF[start + length :]
    expected = 0 if data == PROOF else 1
    assert min(check_proof(data, PARSED_TRUST).outcome.exit_code, 1) == expected
    assert min(Verifier(data, TRUST, []).run()[1], 1) == expected
