"""The bill of materials: of CycloneDX 1.6, complete, the same everywhere, made of committed files alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ops.dependencies import ROOT, Unreadable, packages, project, read_lock, required
from ops.sbom import bill

PAGE = (ROOT / "docs" / "dependencies.md").read_text()
NEEDED, BUILDING = packages(PAGE, "At run time"), packages(PAGE, "For building")
LOCK = read_lock((ROOT / "ops" / "runtime.lock").read_text())


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


TEXT = {"type": "string", "minLength": 1}
LICENCE = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": {
        "oneOf": [
            closed(["license"], license=closed(["id"], id={"type": "string", "pattern": r"^[A-Za-z0-9.-]+$"})),
            closed(
                ["expression"], expression={"type": "string", "pattern": r"^[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)+$"}
            ),
        ]
    },
}
HASH = closed(["alg", "content"], alg={"const": "SHA-256"}, content={"type": "string", "pattern": "^[0-9a-f]{64}$"})
# The part of CycloneDX 1.6 that is used here, said again in its own terms: names, required fields, allowed values.
COMPONENT = closed(
    ["type", "name"],
    type={"enum": ["application", "library"]},
    name=TEXT,
    version=TEXT,
    description=TEXT,
    scope={"enum": ["required", "optional", "excluded"]},
    licenses=LICENCE,
    purl={"type": "string", "pattern": r"^pkg:pypi/[a-z0-9-]+@[a-z0-9.+!]+$"},
    externalReferences={
        "type": "array",
        "items": closed(
            ["url", "type"],
            url={"type": "string", "pattern": "^https://"},
            type={"enum": ["distribution"]},
            comment=TEXT,
            hashes={"type": "array", "items": HASH},
        ),
    },
    properties={"type": "array", "items": closed(["name"], name=TEXT, value=TEXT)},
    **{"bom-ref": TEXT},
)
SCHEMA = {
    **closed(
        ["bomFormat", "specVersion"],
        bomFormat={"const": "CycloneDX"},
        specVersion={"const": "1.6"},
        serialNumber={
            "type": "string",
            "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        },
        version={"type": "integer", "minimum": 1},
        metadata=closed(
            [],
            timestamp={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
            lifecycles={"type": "array", "items": closed(["phase"], phase={"enum": ["pre-build"]})},
            tools=closed([], components={"type": "array", "items": COMPONENT, "uniqueItems": True}),
            component=COMPONENT,
        ),
        components={"type": "array", "items": COMPONENT, "uniqueItems": True},
        dependencies={
            "type": "array",
            "uniqueItems": True,
            "items": closed(["ref"], ref=TEXT, dependsOn={"type": "array", "items": TEXT, "uniqueItems": True}),
        },
        **{"$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"}},
    ),
    "$schema": "http://json-schema.org/draft-07/schema#",
}


def run(out: Path, *options: str, root: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("SOURCE_DATE_EPOCH", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, *options, "-m", "ops.sbom", str(out)],
        cwd=root,
        env={**environment, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def made(epoch: str = "") -> dict[str, Any]:
    return bill(LOCK, NEEDED, BUILDING, epoch=epoch)


@pytest.mark.parametrize("epoch", ["", "0", "1790000000"])
def test_it_is_of_the_form_of_cyclonedx(epoch: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(made(epoch), SCHEMA)


def test_the_form_refuses_what_is_not_of_it() -> None:
    for change in (
        {"specVersion": "1.5"},
        {"serialNumber": "1"},
        {"component": []},
        {"components": [{"type": "library"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**made(), **change}, SCHEMA)


def test_every_locked_package_is_in_it_with_all_its_digests() -> None:
    components = {each["name"]: each for each in made()["components"]}
    assert len(components) == len(made()["components"]) == len(LOCK)
    for name, pin in LOCK.items():
        component = components[name]
        (place,) = component["externalReferences"]
        assert component["version"] == pin.version
        assert [each["content"] for each in place["hashes"]] == list(pin.digests)
        assert component["scope"] == ("required" if name in NEEDED else "excluded")
        assert component.get("properties", []) == (
            [{"name": "muniment:marker", "value": pin.marker}] if pin.marker else []
        )
        row = {**NEEDED, **BUILDING}[name]
        (licence,) = component["licenses"]
        assert row.licence == (licence.get("expression") or licence["license"]["id"])


def test_references_resolve_and_all_at_run_time_is_reached_from_muniment() -> None:
    document = made()
    root = document["metadata"]["component"]["bom-ref"]
    references = [each["bom-ref"] for each in document["components"]]
    graph = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert len(set(references)) == len(references)
    assert set(graph) == {root, *references}
    reached, waiting = set[str](), [root]
    while waiting:
        each = waiting.pop()
        if each not in reached:
            reached.add(each)
            waiting += graph[each]
    at_run_time = {each["bom-ref"] for each in document["components"] if each["scope"] == "required"}
    assert reached == {root, *at_run_time}
    assert {re.split("[@/]", each)[1] for each in graph[root]} == {required(each) for each in project()["dependencies"]}


def test_it_is_the_same_in_another_folder_without_any_installed_package(tmp_path: Path) -> None:
    here, there = tmp_path / "here.json", tmp_path / "deep" / "there.json"
    assert run(here).returncode == 0
    copy = tmp_path / "copy"
    for name in ("pyproject.toml", "docs/dependencies.md", "ops/runtime.lock", "ops/sbom.py", "ops/dependencies.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    # -S: no site-packages at all. Another hash seed, zone and language must make no difference.
    done = run(there, "-S", root=copy, PYTHONHASHSEED="7", TZ="Asia/Shanghai", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert here.read_bytes() == there.read_bytes()
    assert "timestamp" not in json.loads(here.read_bytes())["metadata"]
    assert json.loads(here.read_bytes()) == made()
    assert f"{len(NEEDED)} packages at run time, {len(BUILDING)} for building" in done.stdout


def test_its_time_is_source_date_epoch_and_its_number_follows_its_content(tmp_path: Path) -> None:
    assert run(tmp_path / "out", SOURCE_DATE_EPOCH="1790000000").returncode == 0
    document = json.loads((tmp_path / "out").read_bytes())
    assert document["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    assert document["serialNumber"] != made()["serialNumber"]


def test_a_package_that_page_and_lock_do_not_share_is_refused(tmp_path: Path) -> None:
    missing = {name: pin for name, pin in LOCK.items() if name != "aiohttp"}
    more = {**LOCK, "extra": replace(LOCK["aiohttp"], name="extra")}
    for lock, named in ((missing, "aiohttp"), (more, "extra")):
        with pytest.raises(Unreadable, match=named):
            bill(lock, NEEDED, BUILDING, epoch="")
    done = run(tmp_path / "out", SOURCE_DATE_EPOCH="yesterday")
    assert done.returncode == 1
    assert "yesterday" in done.stderr
    assert not (tmp_path / "out").exists()
