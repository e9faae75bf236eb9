"""The pages agree with the code and with each other."""

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app import rules
from app.config import _RANGES as RANGES
from app.config import Settings
from app.panels.ack import ACK_BYTES
from app.panels.blame import BLAME_BYTES
from app.panels.capsule import CIPHERTEXT_BYTES, PUBLIC_BYTES
from app.panels.card import CARD_BYTES
from app.panels.contribution import AGGREGATE_BYTES, CONTRIBUTION_BYTES
from app.panels.errors import MEANING
from app.panels.opening import OPENING_BYTES
from app.panels.request import REQUEST_BYTES
from app.rules import members
from app.rules.decide import CLOCK_SKEW, DAY, HANDLERS, _limits
from app.statements.kinds import KINDS
from app.web.routes import ROUTES
from tests.docs.claims_table import render

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
PANEL = (ROOT / "docs" / "panel.md").read_text()


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def links(page: Path) -> Iterator[str]:
    yield from re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert ROOT in [target, *target.parents], f"{page.name}: {link} leaves the repository"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{page.name}: no heading for {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_samples_marked_as_runnable_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"^<!-- run -->\n```(\w+)\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert page.read_text().count("\n<!-- run -->\n") == len(blocks)
    for language, code in blocks:
        assert language == "pycon"
        test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
        assert test.examples
        report: list[str] = []
        doctest.DocTestRunner(verbose=False).run(test, out=report.append)
        assert not report, "".join(report)


def test_the_protocol_has_a_sample_that_runs() -> None:
    assert "\n<!-- run -->\n" in PROTOCOL


def test_the_tables_of_claims_are_those_of_the_code() -> None:
    made = re.search(r"<!-- generated: claims -->\n(.*?)<!-- end -->", PROTOCOL, flags=re.DOTALL)
    assert made is not None
    assert made[1] == render(), "python -m tests.docs.claims_table prints them anew"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_claim_is_named(kind: str) -> None:
    row = next(line for line in PROTOCOL.splitlines() if line.startswith(f"| `{kind}` | "))
    for field in fields(KINDS[kind]):
        assert f"`{field.name}`" in row


@pytest.mark.parametrize("kind", HANDLERS)
def test_every_kind_has_its_rule_and_readers(kind: str) -> None:
    rules, readers = PROTOCOL.split("## 8. Rules")[1].split("## 9. Readers")
    assert f"| `{kind}` | " in rules
    named = readers.split("## 10.")[0]
    assert f"`{kind}`" in named or f"`{kind.split('.', maxsplit=1)[0]}.*`" in named


FUNCTIONS = {
    (module.__name__, name): function
    for module in (importlib.import_module(f"app.rules.{each.name}") for each in pkgutil.iter_modules(rules.__path__))
    for name, function in inspect.getmembers(module, inspect.isfunction)
}


def refusals_of(function: Any, seen: set[Any]) -> set[str]:
    """The codes that a rule and the functions of `app.rules` that it calls can refuse with."""
    seen.add(function)
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "member":
            found.add("wrong_signer")
        if not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "refuse":
            found.add(ast.literal_eval(node.args[0]))
            continue
        called = FUNCTIONS.get((function.__module__, node.func.id))
        if called is not None and called.__module__.startswith("app.rules") and called not in seen:
            found |= refusals_of(called, seen)
    return found


@pytest.mark.parametrize("kind", HANDLERS)
def test_the_row_of_a_kind_has_all_refusals_of_its_rule(kind: str) -> None:
    rules = PROTOCOL.split("## 8. Rules")[1].split("## 9. Readers")[0]
    row = next(line for line in rules.splitlines() if line.startswith(f"| `{kind}` | "))
    codes = refusals_of(members.approve if kind == "approval" else HANDLERS[kind], set())
    assert codes
    assert sorted(codes - set(re.findall(r"`(\w+)`", row.split(" | ")[2]))) == []


def codes_in(folder: Path) -> set[str]:
    """Every code that is passed to `refuse(…)` or as `code=…`, and class attributes `code`."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = [each.value for each in node.keywords if each.arg == "code"]
            if name == "refuse":
                given.append(node.args[0])
            for value in given:
                if isinstance(value, ast.Constant):
                    found.add(str(value.value))
                else:
                    # `refuse` itself hands its argument on.
                    assert isinstance(value, ast.Name | ast.Attribute), ast.dump(value)
    return found


def test_every_refusal_of_the_rules_is_named() -> None:
    codes = codes_in(ROOT / "app" / "rules")
    assert len(codes) > 50
    assert [code for code in sorted(codes) if f"`{code}`" not in PROTOCOL] == []


def test_every_error_of_statements_and_trust_is_named() -> None:
    codes = codes_in(ROOT / "app" / "statements")
    assert [code for code in sorted(codes) if f"`{code}`" not in PROTOCOL] == []


def test_every_check_of_a_proof_is_named() -> None:
    text = (ROOT / "app" / "verify" / "proof.py").read_text()
    codes = set(re.findall(r'code="(\w+)"', text)) - {"missing", "unreadable"}
    checks = PROTOCOL.split("## 12. Proof file")[1].split("## 13.")[0]
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in checks and f"*{code}*" not in checks] == []
    numbers = [int(each) for each in re.findall(r"^(\d+)\. \*\*", checks, flags=re.MULTILINE)]
    assert numbers == list(range(1, len(re.findall(r"^            \(\"", text, flags=re.MULTILINE)) + 1))


def test_every_error_of_the_panel_is_named_with_its_meaning() -> None:
    for code, meaning in MEANING.items():
        assert f"| `{code}` | {meaning} |" in PANEL
        assert PANEL.count(f"`{code}`") >= 2, f"{code} stands only in the table of errors"


def test_every_tag_of_hashes_proofs_and_signatures_is_in_the_page() -> None:
    takes_tag = {"H32": 0, "H2S": 0, "H2G": 0, "Statement": 0, "verify_message": 1, "verify_signature": 1, "signed": 1}
    tags = set()
    for path in (ROOT / "app" / "panels").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = takes_tag.get(node.func.id, len(node.args))
            for argument in node.args[place : place + 1]:
                texts = [each.value for each in ast.walk(argument) if isinstance(each, ast.Constant)]
                tags |= {each for each in texts if isinstance(each, str)}
    assert {"tdh2", "deal-pad", "muniment/label/v1", "sigma/", "ack"} <= tags
    assert [tag for tag in sorted(tags) if f"`{tag}`" not in PANEL] == []


def test_the_sizes_of_messages_are_in_the_headings() -> None:
    for heading in (
        f"### 5.1 Request, {REQUEST_BYTES} bytes",
        f"### 5.2 Contribution, {CONTRIBUTION_BYTES} bytes",
        f"### 5.3 Sum of k contributions, {AGGREGATE_BYTES} bytes",
        f"### 5.5 Public opening, {OPENING_BYTES} bytes",
        f"### 6.1 Card, {CARD_BYTES} bytes",
        f"### 6.4 Acknowledgement of judge j, {ACK_BYTES} bytes",
        f"### 6.7 Blame of accuser j against dealer i, {BLAME_BYTES} bytes",
        f"| offset | ciphertext, {CIPHERTEXT_BYTES} bytes | public part, {PUBLIC_BYTES} bytes |",
    ):
        assert f"\n{heading}\n" in PANEL


def test_the_time_limits_are_those_of_the_rules() -> None:
    assert CLOCK_SKEW == 300
    assert "at most 300 seconds ahead" in PROTOCOL
    for kind in HANDLERS:
        if kind in ("approval", "panel.propose", "panel.roster"):
            expected = (400 * DAY, None)
        elif kind.startswith("release.") or kind == "access":
            expected = (DAY, 3600)
        elif kind == "anchor":
            expected = (DAY, None)
        else:
            expected = (400 * DAY, DAY)
        assert _limits(kind) == expected
    assert "| `approval`, `panel.propose`, `panel.roster` | 400 days | not checked" in PROTOCOL
    assert "| `release.*`, `access` | 1 day | 1 hour |" in PROTOCOL
    assert "| anchors (`anchor`) | 1 day | not checked" in PROTOCOL
    assert "| all others | 400 days | 1 day |" in PROTOCOL


def test_every_route_is_described() -> None:
    described = (ROOT / "docs" / "http.md").read_text()
    for route in ROUTES:
        # Tiles stand there by their two forms; a segment's place is handed out as a URL.
        if route.path == "/tile/{path}" or route.who == "place":
            continue
        path = re.sub(r"{(\w+)}", r"<\1>", route.path)
        assert f"{route.method} {path}" in described or f"`{path}`" in described, path


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs" / "operate" / "files.md").read_text()
    for key in (*RANGES, "origin", "genesis", "listen", "records", "blobs", "log_key", "service_key", "metrics", "log"):
        assert f"`{key}`" in page
    for key, (least, most) in RANGES.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{key}` "))
        assert f"({least} to {most:,})" in row
        default = next(each.default for each in fields(Settings) if each.name == key)
        assert row.endswith(f"| {default} |")


def test_every_page_that_the_code_names_is_there() -> None:
    for room in ("app", "ledger", "storage", "tests", "ops"):
        for path in (ROOT / room).rglob("*.py"):
            for page in re.findall(r"\bdocs/[\w/-]+\w(?:\.md)?", path.read_text()):
                assert (ROOT / page).exists(), f"{path}: {page}"


def test_every_section_that_the_code_names_is_there() -> None:
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", PANEL, flags=re.MULTILINE))
    for room in ("app", "tests", "ops"):
        for path in (ROOT / room).rglob("*.py"):
            for section in re.findall(r"SPEC (?:section )?(\d+(?:\.\d+)?)", path.read_text()):
                assert section in headings, f"{path}: SPEC {section}"


def test_the_values_in_the_page_are_those_of_the_vectors() -> None:
    folder = ROOT / "tests" / "vectors" / "protocol"
    history = json.loads((folder / "history.json").read_text())
    roots = json.loads((folder / "ledger.json").read_text())["roots"]
    assert f"`{history['genesis']}`" in PROTOCOL
    assert f"`{roots[-1]}`" in PROTOCOL
    assert f"a ledger of {len(history['entries'])} entries" in PROTOCOL


def test_paths_that_the_walk_names_exist() -> None:
    text = (ROOT / "docs" / "reading.md").read_text()
    named = re.findall(r"`((?:app|ledger|storage|tests|docs|ops)/[\w/.-]*)`", text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_check_of_a_release_record_is_named() -> None:
    text = (ROOT / "app" / "verify" / "record.py").read_text()
    codes = set(re.findall(r'code="(\w+)"', text))
    page = PROTOCOL.split("**Release record**")[1].split("**Note.**")[0]
    assert len(codes) > 5
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
    numbers = [int(each) for each in re.findall(r"^(\d+)\. \*\*", page, flags=re.MULTILINE)]
    assert numbers == list(range(1, len(re.findall(r"^            \(\"", text, flags=re.MULTILINE)) + 1))
