"""The vectors of the proof file: valid ones, and one for each class of failure."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from app.statements.trust import parse_trust
from app.verify.proof import FileDigest, check_proof

FOLDER = Path(__file__).parents[2] / "vectors" / "proof"
VECTORS = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    vector: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    files = [
        FileDigest(path=f"file {index}", sha256=hashlib.sha256(bytes.fromhex(each)).digest())
        for index, each in enumerate(vector["files"])
    ]
    verdict = check_proof(vector["proof"].encode(), parse_trust(vector["trust"]), files)
    failed = verdict.failed
    found = (verdict.outcome, failed.number if failed else None, failed.code if failed else "")
    assert found == (vector["outcome"], vector["check"], vector["code"])


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 20
