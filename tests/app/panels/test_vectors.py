"""Every case of tests/vectors/panel/vectors.json, or of the file that MUNIMENT_PANEL_VECTORS names: one test a case.

A positive case passes when every named output is equal, a failing one when exactly the named error is given.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.panels.errors import PanelError
from app.panels.hashing import CTX
from tests.app.panels.vector_ops import resolve, run

_OWN = Path(__file__).parents[2] / "vectors" / "panel" / "vectors.json"
_VECTORS: dict[str, Any] = json.loads(
    Path(os.environ.get("MUNIMENT_PANEL_VECTORS") or _OWN).read_text(encoding="utf-8")
)
_CASES: list[dict[str, Any]] = _VECTORS["cases"]


def test_the_file_is_of_this_protocol_and_complete() -> None:
    assert _VECTORS["format"] == "muniment-panel-vectors/1"
    assert _VECTORS["ctx"].encode("ascii") == CTX
    failing = sum("error" in case for case in _CASES)
    assert _VECTORS["count"] == {"positive": len(_CASES) - failing, "failing": failing}
    assert failing > 0


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_vector(case: dict[str, Any]) -> None:
    inputs = resolve(case["in"], _VECTORS["defs"])
    if "error" in case:
        with pytest.raises(PanelError) as caught:
            run(case["op"], inputs)
        assert caught.value.code == case["error"]
        if "detail" in case:
            assert caught.value.detail == case["detail"]
    else:
        outputs = run(case["op"], inputs)
        wanted = resolve(case["out"], _VECTORS["defs"])
        assert {name: outputs[name] for name in wanted} == wanted


_WRONG: dict[type, list[Any]] = {int: [-1, 0, 255, 65535, 65536, 2**32], str: ["", "00", "00" * 32, "ff" * 32]}
_MAKING = ("card", "header", "deal", "ack", "blame", "receive", "recover", "contribute", "request", "encrypt", "open")


@pytest.mark.parametrize("op", _MAKING)
def test_a_wrong_argument_gives_a_named_error_or_another_message(op: str) -> None:
    """Every integer and byte string of one positive case, replaced by each wrong value of its kind."""
    case = next((case for case in _CASES if case["op"] == op and "out" in case), None)
    if case is None:
        pytest.skip(f"the file that MUNIMENT_PANEL_VECTORS names has no positive case of {op}")
    inputs = resolve(case["in"], _VECTORS["defs"])
    for name, value in inputs.items():
        for wrong in _WRONG.get(type(value), []):
            with contextlib.suppress(PanelError):
                run(op, {**inputs, name: wrong})
