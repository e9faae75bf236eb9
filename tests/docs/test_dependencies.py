"""`docs/dependencies.md` says what the project, the locks, the code and the installed packages say."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from itertools import product

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from packaging.markers import Marker
from packaging.requirements import Requirement

from ops.dependencies import (
    ROOT,
    Package,
    Pin,
    Unreadable,
    canonical,
    packages,
    pins,
    project,
    read_lock,
    required,
    table,
)

PAGE = (ROOT / "docs" / "dependencies.md").read_text()
DIRECT = dict(table(PAGE, "Needed directly"))
RUN_TIME = packages(PAGE, "At run time")
EXTRAS = packages(PAGE, "With an extra")
BUILDING = packages(PAGE, "For building")
LOCK = read_lock((ROOT / "ops" / "runtime.lock").read_text())
# Only packages of the tests stand there twice, in versions for different Pythons.
WHOLE = {each.name: each for each in pins((ROOT / "ops" / "requirements.lock").read_text())}
SYSTEMS = (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))

# What metadata say that are no SPDX expression, and what that can stand for.
STANDS_FOR: dict[str, set[str]] = {
    "Apache 2.0": {"Apache-2.0"},
    "Apache License": {"Apache-2.0"},
    "Apache Software License": {"Apache-2.0"},
    "BSD License": {"BSD-2-Clause", "BSD-3-Clause", "BSD-2-Clause AND Unlicense"},
    "BSD, Public Domain": {"BSD-2-Clause AND Unlicense"},
    "GNU Lesser General Public License v3 or later (LGPLv3+)": {"LGPL-3.0-or-later"},
    "LGPL3": {"LGPL-3.0-or-later"},
    "MIT License": {"MIT"},
    "Mozilla Public License 2.0 (MPL 2.0)": {"MPL-2.0"},
    "Public Domain": {"BSD-2-Clause AND Unlicense"},
    "Python Software Foundation License": {"PSF-2.0"},
    "SIL Open Font License 1.1 (OFL-1.1)": {"OFL-1.1"},
    "This Font Software is licensed under the SIL Open Font License,": {"OFL-1.1"},
}
# The only licences that a package at run time may be under. Another one is a decision, and belongs into the page.
ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "Unlicense",
    # These three are explained in the page.
    "LGPL-3.0-or-later",
    "MPL-2.0",
    "OFL-1.1",
}


def environments() -> list[dict[str, str]]:
    """Every Python and system that Muniment is for, on CPython, as PEP 508 describes them."""
    return [
        {
            "python_version": version,
            "python_full_version": f"{version}.1",
            "sys_platform": system,
            "platform_system": platform,
            "os_name": name,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }
        for version, (system, platform, name) in product(("3.11", "3.12", "3.13", "3.14"), SYSTEMS)
    ]


def tree(of: str, requirements: Iterable[str]) -> dict[str, set[str]]:
    """Every package that is needed anywhere, and who needs it, by the metadata of what is installed."""
    needed: dict[str, set[str]] = {}
    waiting = [(of, Requirement(each)) for each in requirements]
    while waiting:
        who, requirement = waiting.pop()
        name = canonical(requirement.name)
        if requirement.marker and not any(requirement.marker.evaluate(each) for each in environments()):
            continue
        assert not requirement.extras, f"{who} needs {requirement}: extras are not followed here"
        known = name in needed
        needed.setdefault(name, set()).add(who)
        if known:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            # For another system alone: the lock says which.
            assert WHOLE[name].marker, f"{name} is not installed"
            assert not Marker(WHOLE[name].marker).evaluate(), f"{name} is not installed"
            continue
        assert found.version == WHOLE[name].version, f"{name} {found.version} is installed: not what is locked"
        waiting += [(name, Requirement(each)) for each in found.requires or []]
    return needed


def edges(rows: dict[str, Package]) -> dict[str, set[str]]:
    return {name: set(row.needed_by) for name, row in rows.items()}


def test_the_tree_at_run_time_is_that_of_the_installed_packages() -> None:
    assert edges(RUN_TIME) == tree("muniment", project()["dependencies"])


def test_the_trees_of_extras_and_of_building_are_those_of_the_installed_packages() -> None:
    extras: dict[str, set[str]] = {}
    for extra in ("motor", "pkcs11"):
        for name, by in tree(f"muniment[{extra}]", project()["optional-dependencies"][extra]).items():
            extras.setdefault(name, set()).update(by)
    assert edges(EXTRAS) == {name: by for name, by in extras.items() if name not in RUN_TIME}
    builders = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert edges(BUILDING) == tree("muniment", builders)
    assert not set(RUN_TIME) & set(BUILDING)


def test_what_is_locked_for_run_time_is_what_the_page_names() -> None:
    assert set(LOCK) == {*RUN_TIME, *BUILDING}


def test_both_locks_hold_the_same_files() -> None:
    assert {name: (pin.version, pin.digests) for name, pin in LOCK.items()} == {
        name: (WHOLE[name].version, WHOLE[name].digests) for name in LOCK
    }
    assert set(EXTRAS) <= set(WHOLE)


def test_each_direct_dependency_has_its_reason() -> None:
    assert set(DIRECT) == {required(each) for each in project()["dependencies"]}
    assert {name for name, row in RUN_TIME.items() if "muniment" in row.needed_by} == set(DIRECT)
    assert list(DIRECT) == sorted(DIRECT)
    assert [name for name, reason in DIRECT.items() if len(reason) < 20 or not reason.endswith(".")] == []


def imported() -> set[str]:
    """Every package that our code imports, by its distribution's name."""
    modules: set[str] = set()
    for room in ("app", "ledger", "storage"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {each.name.split(".")[0] for each in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    modules.add(node.module.split(".")[0])
    owners = packages_distributions()
    found: set[str] = set()
    for module in modules - set(sys.stdlib_module_names) - {"app", "ledger", "storage"}:
        assert module in owners, f"{module} is imported and belongs to no installed package"
        found |= {canonical(each) for each in owners[module]}
    return found


def test_what_the_code_imports_is_needed_directly_and_the_other_way_round() -> None:
    optional = {required(each) for name in ("motor", "pkcs11") for each in project()["optional-dependencies"][name]}
    assert imported() - optional == set(DIRECT)


def said(name: str) -> tuple[str | None, list[str]]:
    """A package's SPDX expression where it gives one; else its other words on its licence."""
    metadata = distribution(name).metadata
    words = [(metadata["License"] or "").strip().split("\n")[0].strip()]
    words += [each.split(" :: ")[-1] for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    return metadata["License-Expression"], [each for each in words if each not in ("", "UNKNOWN", "OSI Approved")]


@pytest.mark.parametrize("name", [*RUN_TIME, *EXTRAS, *BUILDING])
def test_each_licence_is_what_the_package_says(name: str) -> None:
    licence = {**RUN_TIME, **EXTRAS, **BUILDING}[name].licence
    try:
        expression, words = said(name)
    except PackageNotFoundError:
        assert not Marker(WHOLE[name].marker).evaluate()
        return
    if expression is not None:
        assert licence == expression
        return
    assert words, f"{name} says nothing of its licence"
    for word in words:
        assert licence in STANDS_FOR.get(word, {word})


def test_licences_at_run_time_are_among_the_allowed() -> None:
    for name, row in {**RUN_TIME, **EXTRAS}.items():
        parts = set(re.split(r" AND | OR ", row.licence))
        assert parts <= ALLOWED, name
    explained = PAGE.split("## Licences\n")[1].split("\n## ")[0]
    for licence in ("LGPL-3.0-or-later", "MPL-2.0", "OFL-1.1"):
        bullet = next(each for each in explained.split("\n- ") if each.startswith(f"**{licence}**"))
        for name in (each for each, row in RUN_TIME.items() if row.licence == licence):
            assert name in bullet or licence == "OFL-1.1"


ONE = "a==1 \\\n    --hash=sha256:" + "0" * 64 + "\n"


def written(pin: Pin) -> str:
    marker = f" ; {pin.marker}" if pin.marker else ""
    return (
        f"{pin.name}=={pin.version}{marker} \\\n" + " \\\n".join(f"    --hash=sha256:{d}" for d in pin.digests) + "\n"
    )


def test_the_locks_are_read_to_the_last_byte() -> None:
    for path in (ROOT / "ops" / "runtime.lock", ROOT / "ops" / "requirements.lock"):
        text = path.read_text()
        assert "".join(written(each) for each in pins(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a==1\n",
        "a==1 \\\n",
        ONE[:-1],
        ONE[:-2] + "\n",
        ONE[:-1] + " \\\n",
        ONE + ONE,
        ONE.replace("==", ">="),
        ONE.replace("sha256", "md5"),
        ONE.replace("a==1", "A==1"),
        ONE.replace("a==1", "a @ https://example.org/a.whl"),
        ONE + "--extra-index-url https://example.org\n" + ONE.replace("a==", "b=="),
        ONE + "b==1\n",
        ONE.replace("\n", "\r\n"),
    ],
)
def test_a_lock_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_lock(text)


@example(ONE)
@given(st.text(st.sampled_from("ab=1\\\n -:;has256#0"), max_size=120))
def test_a_lock_is_read_whole_or_refused(text: str) -> None:
    try:
        found = pins(text)
    except Unreadable:
        return
    assert "".join(written(each) for each in found) == text


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "| a | MIT |",
        "| a | MIT | b | c |",
        "| a |  | b |",
        "| A | MIT | b |",
        "| a | MIT | c, b |",
        "| a | MIT | b |\n| a | MIT | b |",
    ],
)
def test_a_table_of_another_form_is_refused(rows: str) -> None:
    page = "# T\n\n## H\n\n| Package | Licence | Needed by |\n|---|---|---|\n"
    assert packages(page + "| a | MIT | b |\n", "H")["a"].needed_by == ("b",)
    with pytest.raises(Unreadable):
        packages(page + rows + "\n", "H")
    with pytest.raises(Unreadable):
        packages(page + "| a | MIT | b |\n", "Another")


def test_contributors_are_sent_to_the_page() -> None:
    assert "docs/dependencies.md" in (ROOT / "CONTRIBUTING.md").read_text()
