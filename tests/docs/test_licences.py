"""What is needed at run time is under no copyleft that would reach a court's own programs."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

COPYLEFT = re.compile(r"\b(A|L)?GPL|General Public License", re.IGNORECASE)
# The lesser licence leaves a court's own programs alone; these two only:
# docs/decisions/0130-opentimestamps-under-the-lgpl.md.
LESSER = {"opentimestamps": r"LGPL3", "python-bitcoinlib": r"LGPLv3\+"}


def run_time() -> dict[str, str]:
    """Every package that `muniment` needs without extras, with what it says of its licence."""
    found: dict[str, str] = {}
    project = tomllib.loads((Path(__file__).parent.parent.parent / "pyproject.toml").read_text())["project"]
    waiting = [_name(each) for each in project["dependencies"]]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:  # for another system or Python
            continue
        classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
        found[name] = "; ".join([metadata.get("License-Expression") or metadata.get("License") or "", *classifiers])
        for needed in metadata.get_all("Requires-Dist") or []:
            if "extra ==" not in needed:
                waiting.append(_name(needed))
    return found


def _name(requirement: str) -> str:
    return re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0].lower()


def test_nothing_under_a_copyleft_is_needed_at_run_time() -> None:
    licences = run_time()
    assert {"cryptography", "aiohttp", "joserfc", "rbcl", "pymongo"} <= set(licences)
    assert {name: text for name, text in licences.items() if not text.strip("; ")} == {}
    assert {name for name, text in licences.items() if COPYLEFT.search(text)} == set(LESSER)
    assert all(re.search(LESSER[name], licences[name]) for name in LESSER)


def test_the_pattern_knows_what_it_looks_for() -> None:
    for text in ("GPL-2.0-only AND CC-BY-4.0", "AGPL-3.0", "License :: OSI Approved :: GNU General Public License v3"):
        assert COPYLEFT.search(text)
    assert not COPYLEFT.search("Apache-2.0 OR BSD-3-Clause")
