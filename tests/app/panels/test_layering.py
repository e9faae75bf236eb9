"""Who may import what takes secrets or randomness, and who may import rbcl: read from the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_MODULES = sorted(path for room in ("app", "ledger", "storage") for path in (_ROOT / room).rglob("*.py"))


def _imported(source: str, package: str) -> Iterator[str]:
    """Absolute names of everything imported; `from a import b` gives a and a.b. `package` is the module's own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _importers(target: str) -> set[str]:
    found = set()
    for path in _MODULES:
        relative = path.relative_to(_ROOT)
        names = _imported(path.read_text(encoding="utf-8"), ".".join(relative.parent.parts))
        if any(name == target or name.startswith(target + ".") for name in names):
            found.add(relative.as_posix())
    return found


def test_only_the_group_imports_rbcl() -> None:
    assert _importers("rbcl") == {"app/panels/group.py"}


def test_only_the_client_imports_what_takes_secrets_or_randomness() -> None:
    outside = {path for path in _importers("app.panels.making") if not path.startswith("app/panels/making/")}
    assert [path for path in sorted(outside) if not path.startswith("app/client/")] == []


@pytest.mark.parametrize(
    "line",
    [
        "import app.panels.making.deal",
        "from app.panels import making",
        "from app.panels.making.deal import make_deal",
        "def f():\n    from app.panels.making import card",
        "from ..panels import making",
        "from ..panels.making.card import make_card",
    ],
)
def test_the_scan_sees_every_spelling(line: str) -> None:
    assert any(name.startswith("app.panels.making") for name in _imported(line, "app.service"))
